//! `owleval ablate RECIPE`: the variants of an ablation trained, asked and compared.

use std::path::{Path, PathBuf};

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use super::Console;
use super::progress::Progress;
use crate::ablation::compare::ALL;
use crate::ablation::plan::Plan;
use crate::ablation::report::{self, Ablation};
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

/// The rates on all questions, the claims, and where the rest is.
fn summary(made: &Ablation, folder: &Path) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let titles = made.evalsets.iter().map(|evalset| format!("{} (n {})", evalset.name, evalset.questions));
    table.set_header(std::iter::once("exact answers, %".to_owned()).chain(titles));
    for variant in &made.variants {
        let rates = made.evalsets.iter().map(|evalset| {
            let rate = made.rate(&variant.name, &evalset.name, ALL);
            rate.map_or_else(String::new, |rate| format!("{:.1}", 100.0 * rate.point))
        });
        table.add_row(std::iter::once(variant.name.clone()).chain(rates));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let claims = made.claims.iter().map(|row| format!("{:>16}: {}", row.verdict.name(), row.claim.says));
    let claims = claims.collect::<Vec<_>>().join("\n");
    format!("{table}\n\n{claims}\n\nreport: {}", folder.join("index.html").display())
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
    let folder = ablation::report_folder(&arguments.out);
    let made = report::write(&plan, &results, &folder)?;
    if console.is_json() {
        console.print_json(&made);
    } else {
        console.print(&summary(&made, &folder));
    }
    Ok(())
}
