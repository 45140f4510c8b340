//! The ablation: variants of the training, each trained, asked and compared (the paper's Table 2 and 3).
//!
//! ```text
//! plan.rs      one file: variants as lists of stages, what they are asked, claims
//! shelf.rs     stages by digest: what variants share is trained once
//! answers.rs   models x evalsets -> run folders
//! results.rs   run folders and stages -> three tables
//! compare.rs   rates, differences, tests
//! report.rs    tables and recipes -> Ablation -> report.json; sections.rs -> index.html, report.md, tables, figures
//! ```
//!
//! Everything is carried on where it was interrupted, and several processes may work on one folder.

pub mod answers;
pub mod compare;
pub mod plan;
pub mod report;
pub mod results;
mod sections;
pub mod shelf;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::runner::Event;
use plan::Plan;
use results::Results;
use shelf::Shelf;

/// How an ablation is carried out.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where stages, models, answers and the report go.
    pub out: PathBuf,
    /// Only these variants are trained and asked; the report is not made then.
    pub only: Vec<String>,
    /// Results of `owleval train` whose stages are taken over where they are the same.
    pub reuse: Option<PathBuf>,
}

/// What an ablation tells of while it goes on.
pub trait Watch {
    fn say(&self, line: &str);
    fn show(&mut self, event: Event<'_>);
}

/// Trains what is not trained and asks what is not answered. Without [`Options::only`] it gives what came out.
///
/// # Errors
/// Where training or answering fails; what was finished is kept.
pub fn carry_out(plan: &Plan, options: &Options, watch: &mut dyn Watch) -> Result<Option<Results>> {
    let out = options.out.as_path();
    let shelf = Shelf::new(plan, out);
    answers::draw(plan, out)?;
    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|wanted| wanted == name);
    for (variant, replicate) in plan.models().filter(|(variant, _)| is_wanted(&variant.name)) {
        let chain = shelf.chain(variant, replicate)?;
        if let Some(results) = &options.reuse {
            shelf.reuse(variant, &chain, results, &|line| watch.say(line))?;
        }
        shelf.train(variant, &chain, &|line| watch.say(line))?;
        let name = answers::model_name(variant, replicate);
        let model = out.join("models").join(&name);
        if !model.join("tokenizer.json").exists() {
            shelf.assemble(variant, replicate, &chain, &model)?;
        }
        for asked in plan.asked_of(variant) {
            let run = answers::run_folder(out, variant, replicate, asked);
            watch.say(&format!("{name} answers {}", asked.name));
            answers::answer(&model, asked, out, &run, &mut |event| watch.show(event))?;
        }
    }
    if options.only.is_empty() { Results::gather(plan, out).map(Some) } else { Ok(None) }
}

/// The folder of the report.
pub fn report_folder(out: &Path) -> PathBuf {
    out.join("report")
}
