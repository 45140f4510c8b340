//! One file a command.

pub mod evalset;
pub mod train;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Command {
    Train(train::TrainArgs),
}

pub fn main() -> ExitCode {
    let Command::Train(args) = Command::parse();
    match train::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(remedy) = error.remedy_text() {
                eprintln!("  {remedy}");
            }
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            ExitCode::from(error.exit_code())
        }
    }
}
