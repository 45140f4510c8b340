//! `owleval ablate RECIPE`: the variants of an ablation trained, asked and compared.

use std::path::PathBuf;

use super::Console;
use super::progress::Progress;
use crate::ablation::plan::Plan;
use crate::ablation::{self, Options, Watch};
use crate::error::{Error, Result};
use crate::runner::Event;

/// Train the variants of an ablation, ask each, and report how they compare
///
/// Interrupt it at any time: the same command carries on. Several processes may work on one folder, each with its own
/// --only; the last, without it, makes the report.
#[derive(Debug, Clone, clap::Args)]
pub struct AblateArgs {
    /// The ablation, a TOML file (see recipes/ablation.toml)
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// The folder of trained stages, models, answers and the report
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Train and ask these variants alone, and make no report
    #[arg(long, value_name = "VARIANT", value_delimiter = ',')]
    only: Vec<String>,
    /// Take over the stages that `owleval train` trained into this folder, where they are the same
    #[arg(long, value_name = "DIR")]
    reuse: Option<PathBuf>,
}

/// Training shows its own progress; this shows the rest.
struct Shown {
    console: Console,
    progress: Progress,
}

impl Watch for Shown {
    fn say(&self, line: &str) {
        self.console.note(line);
    }

    fn show(&mut self, event: Event<'_>) {
        self.progress.show(&event);
    }
}

/// Runs the command.
pub fn run(arguments: &AblateArgs, console: &Console) -> Result<()> {
    let plan = Plan::read(&arguments.recipe)?;
    let known = || plan.settings.variants.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>();
    if let Some(unknown) = arguments.only.iter().find(|name| !known().contains(&name.as_str())) {
        return Err(Error::input(format!("there is no variant {unknown:?}"))
            .at(&arguments.recipe)
            .remedy(format!("there are: {}", known().join(", "))));
    }
    let options = Options { out: arguments.out.clone(), only: arguments.only.clone(), reuse: arguments.reuse.clone() };
    let mut shown = Shown { console: console.clone(), progress: Progress::new(console.clone()) };
    let results = ablation::carry_out(&plan, &options, &mut shown);
    shown.progress.end();
    let Some(results) = results? else { return Ok(()) };
    console.print(&format!("{} answers, {} stages", results.answers.len(), results.stages.len()));
    Ok(())
}
