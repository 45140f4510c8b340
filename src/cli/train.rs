//! `owleval train RECIPE`: the stages of a training recipe, alone or in order.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::train::recipe::Recipe;
use crate::train::stage::{Options, Trainer};

/// Train a model by a recipe
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// The recipe, a TOML file (see recipes/)
    recipe: PathBuf,
    /// The folder of the results: one folder a stage, and the finished model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Train this stage alone; the stages it starts from must be finished
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Carry on what was begun in the folder, bit-exactly
    #[arg(long)]
    resume: bool,
    /// Start from the weights of a model.safetensors, or of a folder that has one
    #[arg(long, value_name = "CHECKPOINT")]
    init: Option<PathBuf>,
}

pub fn run(args: TrainArgs) -> Result<()> {
    let recipe = Recipe::read(&args.recipe)?;
    let base = args.recipe.parent().unwrap_or(Path::new("."));
    let TrainArgs { out, stage, resume, init, .. } = &args;
    let options =
        Options { out: out.clone(), stage: stage.clone(), resume: *resume, init: init.clone(), ..Options::default() };
    Trainer::new(recipe, base, options)?.run()
}
