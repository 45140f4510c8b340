//! `owleval run`: answers of one model to one evalset, into a run folder.

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use super::run_options::RunArguments;
use super::summary::{Group, summarise, table};
use super::{Console, backend, dry_run, progress, signals};
use crate::error::Result;
use crate::evalset::EvalSet;
use crate::record::{Counts, EvalSetId, RunManifest, SelectionId};
use crate::runner::{self, Ended, Outcome, Plan};
use crate::store::RunFolder;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    folder: String,
    /// `complete`, `given_up` or `interrupted`.
    ended: &'static str,
    /// Why nothing more was asked.
    message: Option<&'a str>,
    /// Questions that were in flight when the user stopped the run.
    dropped: &'a [u64],
    counts: Counts,
    /// What this call added.
    answered_now: usize,
    elapsed_seconds: f64,
    answers_per_second: Option<f64>,
    tokens_per_second: Option<f64>,
    groups: &'a [Group],
    next: String,
}

/// Runs the command and gives its exit code.
pub fn run(arguments: RunArguments, console: Console) -> Result<u8> {
    let evalset = EvalSet::open(&arguments.questions.evalset)?;
    let selection = arguments.questions.selection();
    let selected = selection.pick(&evalset)?;
    let past = arguments.questions.past(&selected)?;
    if arguments.dry_run {
        dry_run::dry_run(&arguments, &evalset, &selected, &past, &console)?;
        return Ok(0);
    }

    let runtime = super::runtime()?;
    // Backends may need the runtime while they are opened.
    let entered = runtime.enter();
    let backend = match &arguments.answers {
        Some(path) => backend::published(path, &console)?,
        None => backend::open(&arguments.model, &arguments.endpoint)?,
    };
    let decoding = arguments.decoding.decoding();
    let info = backend.info();
    let out = arguments.out.clone().unwrap_or_else(|| default_folder(&info.id, &evalset.name));
    let evalset_id = EvalSetId { name: evalset.name.clone(), sha256: evalset.sha256.clone() };
    let manifest = RunManifest::new(
        info,
        evalset_id,
        decoding.clone(),
        past.record(),
        SelectionId::from(&selection),
        runner::now(),
    );
    let mut folder = RunFolder::create_or_resume(&out, manifest)?;
    for warning in folder.warnings() {
        console.warn(warning);
    }
    if folder.is_carried_on() {
        console.note(&format!("carrying on {}: {} answers are there", out.display(), folder.answers().len()));
    }

    let stop = signals::stop_on_signals()?;
    let mut progress = progress::Progress::new(console.clone());
    let plan = Plan { evalset: &evalset, selected: &selected, decoding: &decoding, past: &past };
    let outcome =
        runtime.block_on(runner::run(plan, backend.as_ref(), &mut folder, stop, &mut |event| progress.show(&event)));
    progress.end();
    let outcome = outcome?;
    drop(entered);
    if matches!(&outcome.ended, Ended::Interrupted { dropped } if !dropped.is_empty()) {
        // What was dropped may still be under way in a thread of the backend; the user does not want to wait for it.
        std::mem::forget(backend);
    }
    runtime.shutdown_background();
    let asked = selected
        .iter()
        .flat_map(|one| one.asked(past.is_own()).into_iter().map(|turn| &one.item.turns[turn]))
        .collect::<Vec<_>>();
    let groups = summarise(&evalset.abilities, &asked, folder.answers(), &folder.failures());
    tell(&arguments, &groups, &folder, &outcome, &console);
    Ok(exit_code(&outcome, folder.manifest().counts))
}

/// 0: every question has an answer; 130: the user stopped it; 1: something failed or is missing.
fn exit_code(outcome: &Outcome, counts: Counts) -> u8 {
    match outcome.ended {
        Ended::Interrupted { .. } => 130,
        Ended::Complete if counts.answered == counts.questions => 0,
        Ended::Complete | Ended::GivenUp { .. } => 1,
    }
}

fn tell(arguments: &RunArguments, groups: &[Group], folder: &RunFolder, outcome: &Outcome, console: &Console) {
    let counts = folder.manifest().counts;
    let next = next_command(arguments, folder.folder(), outcome, counts);
    let seconds = outcome.elapsed.as_secs_f64();
    let rate = |count: f64| (count > 0.0 && seconds > 0.0).then(|| count / seconds);
    let answers_per_second = rate(outcome.answered as f64);
    let tokens_per_second = rate(outcome.completion_tokens as f64);
    if console.is_json() {
        let (ended, message, dropped): (_, Option<&str>, &[u64]) = match &outcome.ended {
            Ended::Complete => ("complete", None, &[]),
            Ended::GivenUp { message } => ("given_up", Some(message), &[]),
            Ended::Interrupted { dropped } => ("interrupted", None, dropped),
        };
        console.print_json(&Printed {
            folder: folder.folder().display().to_string(),
            ended,
            message,
            dropped,
            counts,
            answered_now: outcome.answered,
            elapsed_seconds: seconds,
            answers_per_second,
            tokens_per_second,
            groups,
            next,
        });
        return;
    }
    let mut lines = vec![table(groups), String::new()];
    if let Some(answers_per_second) = answers_per_second {
        let tokens = tokens_per_second.map(|rate| format!(", {} tokens/s", progress::figure(rate)));
        lines.push(format!(
            "{} answers in {}: {} answers/s{}",
            outcome.answered,
            progress::duration(seconds),
            progress::figure(answers_per_second),
            tokens.unwrap_or_default()
        ));
    }
    match &outcome.ended {
        Ended::Complete => {}
        Ended::GivenUp { message } => lines.push(format!("given up: {message}")),
        Ended::Interrupted { .. } => lines.push("interrupted: what was finished is kept".to_owned()),
    }
    lines.push(format!("run folder: {}", folder.folder().display()));
    lines.push(format!("next: {next}"));
    console.print(&lines.join("\n"));
}

/// The command that a user most likely wants to type next.
fn next_command(arguments: &RunArguments, folder: &Path, outcome: &Outcome, counts: Counts) -> String {
    if outcome.ended == Ended::Complete && counts.answered == counts.questions {
        let (run, evalset) = (quoted(&folder.to_string_lossy()), quoted(&arguments.questions.evalset));
        return format!("owleval grade {run} --evalset {evalset} --rater NAME");
    }
    // The query of an address may hold a secret.
    if arguments.endpoint.endpoint.as_ref().is_some_and(|address| address.contains('?')) {
        return "the same command again".to_owned();
    }
    // The same words carry the run on.
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy())).collect();
    format!("owleval {}", words.join(" "))
}

/// A word as a POSIX shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// `runs/<model>-<evalset>`.
fn default_folder(model: &str, evalset: &str) -> PathBuf {
    Path::new("runs").join(format!("{}-{}", folder_name(model), folder_name(evalset)))
}

/// A name without anything that means something in a path.
pub(super) fn folder_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let name = name.trim_matches(|c| c == '-' || c == '.');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_folder_never_leaves_runs() {
        for (model, evalset, expected) in [
            ("owl-mini", "mini", "runs/owl-mini-mini"),
            ("hf:MAGAer13/mplug-owl", "owleval", "runs/hf-MAGAer13-mplug-owl-owleval"),
            ("../../etc", "/", "runs/etc-unnamed"),
        ] {
            assert_eq!(default_folder(model, evalset), Path::new(expected));
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell_only_where_they_need_it() {
        assert_eq!(quoted("runs/a-b"), "runs/a-b");
        assert_eq!(quoted("my runs"), "'my runs'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn the_exit_code_tells_whether_every_question_has_an_answer() {
        let outcome = |ended| Outcome { ended, answered: 0, completion_tokens: 0, elapsed: std::time::Duration::ZERO };
        let counts = |answered| Counts { questions: 2, answered, failed: 2 - answered, blocked: 0 };
        assert_eq!(exit_code(&outcome(Ended::Complete), counts(2)), 0);
        assert_eq!(exit_code(&outcome(Ended::Complete), counts(1)), 1);
        assert_eq!(exit_code(&outcome(Ended::GivenUp { message: String::new() }), counts(1)), 1);
        assert_eq!(exit_code(&outcome(Ended::Interrupted { dropped: Vec::new() }), counts(1)), 130);
    }
}
