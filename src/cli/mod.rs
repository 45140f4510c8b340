//! The command line. One file a command; what they share is the [`Console`].

mod ablate;
mod backend;
mod bench;
mod chat;
mod console;
mod dry_run;
mod endpoint;
mod evalset;
mod grade;
mod grade_options;
mod judge;
mod model;
mod progress;
mod report;
mod run;
mod run_options;
mod serve;
mod signals;
mod summary;
mod train;
mod verify;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::error::{Error, Result};
pub use console::{Console, OutputOptions};

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 done, but some items failed or are missing; 2 unusable arguments or input, nothing written;
130 interrupted (what was finished is kept and the same command carries on).";

/// Answers, grades, judges and reports OwlEval, with mPLUG-Owl built in
///
/// `owleval run` without arguments answers the built-in evalset `mini` with the built-in model `owl-mini`, on the CPU,
/// with nothing downloaded.
#[derive(Debug, Parser)]
#[command(name = "owleval", version, after_help = EXIT_CODES, arg_required_else_help = true, max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    output: OutputOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArguments>),
    Chat(Box<chat::ChatArguments>),
    Serve(Box<serve::ServeArguments>),
    Grade(Box<grade::GradeArguments>),
    Judge(Box<judge::JudgeArguments>),
    Report(report::ReportArguments),
    Evalset(evalset::EvalsetArgs),
    Model(model::ModelArgs),
    Train(train::TrainArgs),
    Ablate(ablate::AblateArgs),
    Bench(bench::BenchArgs),
    Verify(verify::VerifyArgs),
}

/// Parses the command line, runs the command, prints its error if it has one.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Also help and version come here; a closed stdout is nobody's error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    start_log(arguments.output.verbose);
    let console = Console::new(arguments.output.clone());
    match execute(arguments.command, console.clone()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            console.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs one command and gives its exit code.
fn execute(command: Command, console: Console) -> Result<u8> {
    match command {
        Command::Run(arguments) => run::run(*arguments, console),
        Command::Chat(arguments) => chat::run(&arguments, &console),
        Command::Serve(arguments) => serve::run(&arguments, &console).map(|()| 0),
        Command::Grade(arguments) => grade::run(*arguments, &console),
        Command::Judge(arguments) => judge::run(*arguments, console),
        Command::Report(arguments) => report::run(arguments, &console),
        Command::Evalset(arguments) => evalset::run(arguments, console.is_json()),
        Command::Model(arguments) => model::run(arguments, &console).map(|()| 0),
        Command::Train(arguments) => train::run(arguments).map(|()| 0),
        Command::Ablate(arguments) => ablate::run(&arguments, &console).map(|()| 0),
        Command::Bench(arguments) => bench::run(&arguments, &console).map(|()| 0),
        Command::Verify(arguments) => verify::run(&arguments, &console),
    }
}

/// What drives requests and signals while the model computes on a thread of its own.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::failed("cannot start the runtime").source(source))
}

/// Logs go to stderr: by `RUST_LOG` where it is set, else by the number of `-v`.
fn start_log(verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "warn,owleval=info",
        2 => "info,owleval=debug",
        _ => "debug,owleval=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let has_colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(has_colours).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
