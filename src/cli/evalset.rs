//! `owleval evalset`: which evalsets there are, what is in one, what is wrong with one, and the official data.

mod view;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use self::view::{render_checked, render_list, render_show, show_json};
use crate::error::{Error, Result};
use crate::evalset::{
    EvalSet, OWLEVAL, OWLEVAL_ADDRESS, PullEvent, PullPlan, PullSummary, Severity, Source, built_in_names, check,
    data_home, owleval_folder, pull,
};
use crate::sanitize;

/// List, show, check and fetch evalsets.
#[derive(Debug, Args)]
pub struct EvalsetArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The evalsets that `--evalset` knows by name.
    List,
    /// What is in an evalset: questions by subset and ability, pictures, dialogues, source and licence.
    Show {
        /// A built-in name, `owleval` once it was pulled, or a folder with questions.jsonl.
        #[arg(value_name = "NAME-OR-DIR")]
        evalset: PathBuf,
        /// List the questions too.
        #[arg(long)]
        questions: bool,
    },
    /// Name everything that is wrong in an evalset, by file and line.
    ///
    /// Errors are what a run refuses, what makes an item fail, or what makes its counts wrong; warnings and notes are worth
    /// knowing. Exit code: 0 without errors, 1 with errors, 2 where there is no such evalset.
    Check {
        /// A folder with questions.jsonl, or the name of an evalset.
        #[arg(value_name = "DIR")]
        evalset: PathBuf,
    },
    /// Fetch the official OwlEval data and check every file against the digests that come with this program.
    ///
    /// What was fetched before is kept; an interrupted pull carries on. Afterwards `--evalset owleval` finds the data. The
    /// pictures belong to their owners; they are fetched from the repository of mPLUG-Owl.
    Pull {
        /// `owleval`.
        #[arg(value_parser = [OWLEVAL])]
        name: String,
        /// The address of the folder that holds questions.jsonl, answer/ and cases/.
        #[arg(long, value_name = "BASE_URL", default_value = OWLEVAL_ADDRESS)]
        from: String,
        /// The folder to put it in [default: evalsets/owleval below $OWLEVAL_HOME or the user's data folder].
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// Runs the command and gives the exit code.
///
/// # Errors
/// Where the evalset cannot be found or used, or the data cannot be fetched.
pub fn run(args: EvalsetArgs, json: bool) -> Result<u8> {
    let (text, exit_code) = respond(args.command, json)?;
    print(&text)?;
    Ok(exit_code)
}

/// What to print, and the exit code.
fn respond(command: Command, json: bool) -> Result<(String, u8)> {
    match command {
        Command::List => list(json),
        Command::Show { evalset, questions } => show(&EvalSet::open(evalset)?, questions, json),
        Command::Check { evalset } => {
            let checked = check(evalset)?;
            let text = if json { to_json(&json!(checked)) } else { render_checked(&checked) };
            Ok((text, u8::from(checked.count(Severity::Error) > 0)))
        }
        Command::Pull { name: _, from, to } => pull_owleval(from, to, json),
    }
}

fn list(json: bool) -> Result<(String, u8)> {
    let mut rows = Vec::new();
    for name in built_in_names() {
        let evalset = EvalSet::open_source(&Source::BuiltIn(name))?;
        rows.push(json!({
            "name": name,
            "origin": "built in",
            "available": true,
            "questions": evalset.turns().count(),
            "pictures": evalset.image_names().len(),
            "description": evalset.description,
        }));
    }
    let folder = data_home().map(|home| owleval_folder(&home));
    let pulled = folder.filter(|folder| folder.join("questions.jsonl").is_file());
    // A folder that cannot be read does not keep the others from being listed.
    let opened = pulled.as_ref().map(|_| EvalSet::open(OWLEVAL));
    rows.push(match (pulled, opened) {
        (Some(folder), Some(Ok(evalset))) => json!({
            "name": OWLEVAL,
            "origin": format!("pulled: {}", folder.display()),
            "available": true,
            "questions": evalset.turns().count(),
            "pictures": evalset.image_names().len(),
            "description": evalset.description,
        }),
        (Some(folder), _) => json!({
            "name": OWLEVAL,
            "origin": format!("pulled, but unusable: `owleval evalset check {}` says why", folder.display()),
            "available": false,
        }),
        (None, _) => json!({
            "name": OWLEVAL,
            "origin": "not here yet: `owleval evalset pull owleval` fetches it",
            "available": false,
            "questions": 82,
            "pictures": 50,
        }),
    });
    let text = if json { to_json(&json!({ "evalsets": rows })) } else { render_list(&rows) };
    Ok((text, 0))
}

fn show(evalset: &EvalSet, questions: bool, json: bool) -> Result<(String, u8)> {
    let text = if json { to_json(&show_json(evalset, questions)) } else { render_show(evalset, questions) };
    Ok((text, 0))
}

fn pull_owleval(from: String, to: Option<PathBuf>, json: bool) -> Result<(String, u8)> {
    let folder = match to {
        Some(folder) => folder,
        None => data_home().map(|home| owleval_folder(&home)).ok_or_else(|| {
            Error::input("there is no data folder: neither OWLEVAL_HOME nor HOME is set").remedy("name one with --to")
        })?,
    };
    let plan = PullPlan { address: from, ..PullPlan::owleval(folder) };
    let bar = ProgressBar::with_draw_target(Some(plan.files.len() as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {msg}  {elapsed}");
    bar.set_style(style.expect("the template of the progress bar is well-formed"));
    let received = std::sync::atomic::AtomicU64::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::failed("cannot start the network's runtime").source(source))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = pull(&plan, |event| match event {
                PullEvent::Received(bytes) => {
                    let total = received.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed) + bytes;
                    bar.set_message(indicatif::HumanBytes(total).to_string());
                }
                PullEvent::Kept(_) | PullEvent::Fetched(_) | PullEvent::Failed(_) => bar.inc(1),
            }) => outcome,
            _ = tokio::signal::ctrl_c() => {
                Err(Error::interrupted("the pull was interrupted; what was fetched is kept").remedy("pull again to carry on"))
            }
        }
    });
    bar.finish_and_clear();
    let summary = outcome?;
    let text = if json { to_json(&pull_json(&plan, &summary)) } else { render_pull(&plan, &summary) };
    Ok((text, u8::from(!summary.failures.is_empty())))
}

fn pull_json(plan: &PullPlan, summary: &PullSummary) -> serde_json::Value {
    let failures: Vec<_> =
        summary.failures.iter().map(|failure| json!({ "file": failure.file, "message": failure.message })).collect();
    json!({
        "folder": plan.folder.display().to_string(),
        "files": plan.files.len(),
        "kept": summary.kept,
        "fetched": summary.fetched,
        "failures": failures,
    })
}

fn render_pull(plan: &PullPlan, summary: &PullSummary) -> String {
    let mut text = format!(
        "{} files in {}: {} fetched, {} there already",
        summary.kept + summary.fetched,
        plan.folder.display(),
        summary.fetched,
        summary.kept
    );
    if summary.failures.is_empty() {
        // Only the usual folder is found by name.
        let by_name = data_home().is_some_and(|home| owleval_folder(&home) == plan.folder);
        let place = if by_name { OWLEVAL.to_owned() } else { plan.folder.display().to_string() };
        text.push_str(&format!(", every digest right\nnext: owleval run --evalset {place}\n"));
    } else {
        text.push_str(&format!(", {} missing\n", summary.failures.len()));
        for failure in &summary.failures {
            text.push_str(&format!("  {} {}\n", failure.file, failure.message));
        }
    }
    sanitize::terminal_lines(&text)
}

fn to_json(value: &serde_json::Value) -> String {
    let mut text = sanitize::json(&format!("{value:#}"));
    text.push('\n');
    text
}

/// Writes to stdout; a reader that has gone away is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("cannot write the output: {source}")).source(source))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::evalset::fixture;

    fn command() -> clap::Command {
        EvalsetArgs::augment_args(clap::Command::new("evalset"))
    }

    fn respond_to(arguments: &[&str], json: bool) -> Result<(String, u8)> {
        let matches = command().try_get_matches_from([&["evalset"], arguments].concat()).expect("known arguments");
        respond(EvalsetArgs::from_arg_matches(&matches).expect("known arguments").command, json)
    }

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
        assert!(command().try_get_matches_from(["evalset", "pull", "something-else"]).is_err());
    }

    #[test]
    fn a_check_ends_with_0_1_or_2() {
        let (good, broken) = (fixture::made_up(), fixture::broken());
        let path = |folder: &tempfile::TempDir| folder.path().display().to_string();
        assert_eq!(respond_to(&["check", &path(&good)], false).expect("checked").1, 0);
        let (text, exit_code) = respond_to(&["check", &path(&broken)], true).expect("checked");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(exit_code, 1);
        assert!(value["defects"].as_array().expect("a list").len() > 20);
        assert_eq!(value["defects"][0]["severity"], "error");
        assert_eq!(respond_to(&["check", "no-such-folder"], false).expect_err("refused").exit_code(), 2);
    }

    #[test]
    fn the_list_names_the_official_data_whether_it_is_here_or_not() {
        let (text, exit_code) = respond_to(&["list"], true).expect("a list");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let names: Vec<_> = value["evalsets"].as_array().expect("a list").iter().map(|row| &row["name"]).collect();
        assert_eq!(exit_code, 0);
        assert!(names.iter().any(|name| *name == OWLEVAL));
        assert_eq!(names.len(), built_in_names().len() + 1);
    }

    #[test]
    fn a_pull_from_no_address_writes_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("data").display().to_string();
        let error = respond_to(&["pull", "owleval", "--from", "nowhere", "--to", &target], false).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        assert!(!folder.path().join("data").exists());
    }
}
