//! Parses the command line, runs the command, prints the chain of errors and sets the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    owleval::cli::main()
}
