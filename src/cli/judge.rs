//! `owleval judge`: scores or grades from an LLM judge, or from a comparison with references.

mod options;
mod progress;
mod view;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::options::JudgeArguments;
use self::progress::Progress;
use super::{Console, signals};
use crate::backend::http::{ChatClient, Vision};
use crate::error::{Error, Result};
use crate::evalset::EvalSet;
use crate::judge::{
    Answers, Budget, Course, Definition, Ended, Graded, JudgeKind, JudgementFolder, Known, Material, Outcome, Outlook,
    Plan, Summary, Tokens, check, judge_offline,
};
use crate::store::run_folder;

/// Why an ask was not made that nothing else is known of.
const NOT_ASKED: &str = "it was not asked";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    folder: String,
    /// `complete`, `given_up`, `budget_used_up` or `interrupted`.
    ended: &'static str,
    message: Option<&'a str>,
    /// Asks of this call.
    asked_now: usize,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// What `--dry-run --json` prints.
#[derive(Debug, Serialize)]
struct DryRun {
    asks: usize,
    known: usize,
    tokens: Tokens,
    cost: Option<f64>,
    prompts: Vec<String>,
}

/// Runs the command and gives its exit code.
pub fn run(arguments: JudgeArguments, console: Console) -> Result<u8> {
    let evalset = EvalSet::open(evalset_name(&arguments)?)?;
    let judge = Definition::open(arguments.judge_name())?;
    let answers: Vec<Answers> =
        arguments.answers.iter().map(|path| Answers::open(path, &evalset)).collect::<Result<_>>()?;
    let against = arguments.against.as_deref().map(|path| Answers::open(path, &evalset)).transpose()?;
    let repeats = arguments.repeat.unwrap_or(judge.repeats);
    let plan = Plan::new(&judge, &evalset, &answers, against.as_ref(), repeats, !arguments.no_probes)?;
    let graded = match arguments.check.as_slice() {
        [] => None,
        paths => Some(Graded::read(paths)?),
    };
    let out = arguments.out.clone().unwrap_or_else(|| default_folder(&plan, arguments.model.as_deref()));
    let finish = Finish { plan: &plan, graded: graded.as_ref(), seed: arguments.seed, console: &console };
    if judge.kind == JudgeKind::Reference {
        if arguments.endpoint.endpoint.is_some() {
            console.warn(&format!("the judge {} asks nobody: --endpoint is not used", judge.name));
        }
        return finish.offline(&out);
    }

    let price = arguments.price().or(judge.price);
    if arguments.max_cost.is_some() && price.is_none() {
        return Err(Error::input("--max-cost needs to know what tokens cost")
            .remedy("give --price-prompt and --price-completion, or [price] in judge.toml"));
    }
    let config = arguments.endpoint.config(arguments.model.as_deref())?.ok_or_else(|| {
        Error::input(format!("the judge {} asks a model, and no server is given", judge.name))
            .remedy("give --endpoint URL --model NAME, or choose --judge reference, which asks nobody")
    })?;
    let runtime = super::runtime()?;
    let entered = runtime.enter();
    let client = ChatClient::new(&config)?;
    let shows_pictures = config.vision == Vision::Auto;
    if arguments.dry_run {
        let known = Known::read(&out)?;
        let mut course = Course::new(&plan, &client, &known, shows_pictures);
        let outlook = course.outlook(&known, &Budget::new(price, None, Tokens::default()))?;
        dry_run(outlook, course.prompts(&known)?, &console);
        return Ok(0);
    }
    let mut folder = JudgementFolder::create_or_resume(&out, &judge, Some(client.model()))?;
    folder.warnings().iter().for_each(|warning| console.warn(warning));
    let mut budget = Budget::new(price, arguments.max_cost, spent(folder.known()));
    let mut course = Course::new(&plan, &client, folder.known(), shows_pictures);
    let stop = signals::stop_on_signals()?;
    let mut progress = Progress::new(console.clone(), arguments.max_cost);
    let outcome = runtime.block_on(course.run(&mut folder, &mut budget, stop, &mut |event| progress.show(&event)));
    progress.end();
    let outcome = outcome?;
    let rows = course.rows(folder.known())?;
    drop(entered);
    runtime.shutdown_background();
    let material = Material {
        rows: &rows,
        failures: &outcome.failures,
        not_asked: not_asked(&outcome.ended),
        model: Some(client.model().to_owned()),
        endpoint: Some(client.address().shown()),
        tokens: budget.spent(),
        cost: budget.cost(),
        check: None,
    };
    finish.write(&folder, material, &outcome)
}

/// What all judges end with.
struct Finish<'a> {
    plan: &'a Plan<'a>,
    graded: Option<&'a Graded>,
    seed: u64,
    console: &'a Console,
}

impl Finish<'_> {
    fn offline(&self, out: &Path) -> Result<u8> {
        let mut folder = JudgementFolder::create_or_resume(out, self.plan.judge, None)?;
        folder.warnings().iter().for_each(|warning| self.console.warn(warning));
        let before = folder.known().rows().len();
        let rows = judge_offline(self.plan, &mut folder)?;
        let asked = folder.known().rows().len() - before;
        let outcome = Outcome { ended: Ended::Complete, asked, failures: Vec::new(), cost: None };
        let material = Material {
            rows: &rows,
            failures: &[],
            not_asked: NOT_ASKED,
            model: None,
            endpoint: None,
            tokens: Tokens::default(),
            cost: None,
            check: None,
        };
        self.write(&folder, material, &outcome)
    }

    /// Writes the summary, prints it and gives the exit code.
    fn write(&self, folder: &JudgementFolder, mut material: Material<'_>, outcome: &Outcome) -> Result<u8> {
        let checked = self.graded.map(|graded| check(self.plan, material.rows, graded, self.seed)).transpose();
        // What was judged stays judged where it cannot be checked.
        let (found, error) = match checked {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error)),
        };
        material.check = found;
        let summary = Summary::new(self.plan, material);
        folder.write_summary(&summary)?;
        self.tell(folder.folder(), &summary, outcome);
        match error {
            Some(error) => Err(error),
            None => Ok(exit_code(&summary, &outcome.ended)),
        }
    }

    fn tell(&self, folder: &Path, summary: &Summary, outcome: &Outcome) {
        let message = match &outcome.ended {
            Ended::GivenUp { message } => Some(message.as_str()),
            _ => None,
        };
        if self.console.is_json() {
            self.console.print_json(&Printed {
                folder: folder.display().to_string(),
                ended: match outcome.ended {
                    Ended::Complete => "complete",
                    Ended::GivenUp { .. } => "given_up",
                    Ended::BudgetUsedUp => "budget_used_up",
                    Ended::Interrupted => "interrupted",
                },
                message,
                asked_now: outcome.asked,
                summary,
            });
            return;
        }
        let mut parts = vec![view::summary(summary)];
        match &outcome.ended {
            Ended::Complete => {}
            Ended::GivenUp { message } => parts.push(format!("given up: {message}")),
            Ended::BudgetUsedUp => parts.push("the budget is used up: --max-cost allows more".to_owned()),
            Ended::Interrupted => parts.push("interrupted: what was finished is kept".to_owned()),
        }
        parts.push(format!("judgements: {}", folder.display()));
        self.console.print(&parts.join("\n"));
    }
}

/// 0: every answer is there and judged; 130: the user stopped it; 1: something failed or is missing.
fn exit_code(summary: &Summary, ended: &Ended) -> u8 {
    match ended {
        Ended::Interrupted => 130,
        Ended::Complete if summary.is_complete() => 0,
        _ => 1,
    }
}

fn not_asked(ended: &Ended) -> &'static str {
    match ended {
        Ended::GivenUp { .. } => "it was not asked: the judge was given up",
        Ended::BudgetUsedUp => "it was not asked: the budget is used up",
        Ended::Interrupted => "it was not asked: the judging was interrupted",
        Ended::Complete => NOT_ASKED,
    }
}

/// What the folder's earlier asks took; a server that counts nothing leaves nothing to add up.
fn spent(known: &Known) -> Tokens {
    let mut spent = Tokens::default();
    known.rows().for_each(|row| spent.add(Tokens::counted(&row.usage, Tokens::default())));
    spent
}

fn dry_run(outlook: Outlook, prompts: Vec<String>, console: &Console) {
    let Outlook { asks, known, tokens, cost } = outlook;
    if console.is_json() {
        console.print_json(&DryRun { asks, known, tokens, cost, prompts });
        return;
    }
    /// So many prompts are shown to people.
    const SHOWN: usize = 2;
    let shown = if console.verbosity() > 0 { prompts.len() } else { SHOWN };
    let mut text: Vec<String> =
        prompts.into_iter().take(shown).map(|prompt| format!("{prompt}\n{}", "─".repeat(60))).collect();
    text.push(progress::outlook(&outlook));
    console.print(&text.join("\n"));
}

/// The evalset: the one that is named, else the one that the run folder answered.
fn evalset_name(arguments: &JudgeArguments) -> Result<String> {
    if let Some(name) = &arguments.evalset {
        return Ok(name.clone());
    }
    match arguments.answers.iter().find(|path| path.is_dir()) {
        Some(folder) => Ok(run_folder::read_manifest(folder)?.evalset.name),
        None => Err(Error::input("a file of answers does not say which questions it answers")
            .remedy("name the evalset with --evalset")),
    }
}

/// `judgements/<judge>[-<judge's model>]-<models>-<evalset>`.
fn default_folder(plan: &Plan<'_>, model: Option<&str>) -> PathBuf {
    let mut names = vec![plan.judge.name.as_str()];
    names.extend(model.filter(|_| plan.judge.kind != JudgeKind::Reference));
    names.extend(plan.answers.iter().map(|answers| answers.model_id.as_str()));
    names.extend(plan.against.map(|answers| answers.model_id.as_str()));
    names.push(&plan.evalset.name);
    let names: Vec<String> = names.into_iter().map(super::run::folder_name).collect();
    // A file name has at most 255 bytes.
    let name: String = names.join("-").chars().take(200).collect();
    Path::new("judgements").join(name)
}
