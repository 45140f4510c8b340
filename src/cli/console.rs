//! The one place that writes to the terminal: results to stdout, everything else to stderr, all of it sanitised.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::sanitize;

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Print one machine-readable JSON object on stdout instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results and errors only: no progress, no notes
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Log more to stderr: -v what is done, -vv every detail (the variable RUST_LOG says it exactly)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Where a command prints.
#[derive(Debug, Clone)]
pub struct Console {
    options: OutputOptions,
    /// Lines must not be written through the bar that stands on stderr.
    bar: ProgressBar,
}

impl Console {
    pub fn new(options: OutputOptions) -> Self {
        Self { options, bar: ProgressBar::hidden() }
    }

    /// Whether results are wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.options.json
    }

    /// How often `-v` was given.
    pub fn verbosity(&self) -> u8 {
        self.options.verbose
    }

    /// Whether a progress bar would be seen.
    pub fn shows_progress(&self) -> bool {
        !self.options.quiet && std::io::stderr().is_terminal()
    }

    /// Sets the bar that later notes are written around.
    pub fn set_bar(&mut self, bar: ProgressBar) {
        self.bar = bar;
    }

    /// A result for people, on stdout. A closed stdout (`owleval … | head`) is nobody's error.
    pub fn print(&self, text: &str) {
        self.print_raw(&sanitize::terminal_lines(text));
    }

    /// The result for programs, on stdout.
    pub fn print_json<T: Serialize>(&self, value: &T) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.print_raw(&sanitize::json(&text)),
            Err(error) => self.warn(&format!("the result cannot be put into JSON: {error}")),
        }
    }

    /// Data for a file or another program, on stdout, byte for byte; sanitised where stdout is a terminal.
    ///
    /// # Errors
    /// Where it cannot be written, since half a table must not pass for a whole one.
    pub fn print_data(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        let written = if stdout.is_terminal() {
            stdout.write_all(sanitize::terminal_lines(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            stdout.write_all(bytes)
        };
        match written.and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::failed(format!("cannot write to stdout: {error}")).source(error))
            }
            _ => Ok(()),
        }
    }

    fn print_raw(&self, text: &str) {
        self.bar.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        });
    }

    /// What happens meanwhile, on stderr; silent with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.options.quiet {
            self.line("", text);
        }
    }

    /// What the user should look at, on stderr.
    pub fn warn(&self, text: &str) {
        self.line("warning: ", text);
    }

    /// An error with its causes and its remedy, on stderr.
    pub fn error(&self, error: &Error) {
        let mut lines = error.lines().into_iter();
        self.line("error: ", &lines.next().unwrap_or_default());
        for cause in lines {
            self.line("  caused by: ", &cause);
        }
        if let Some(remedy) = error.remedy_text() {
            self.line("  remedy: ", remedy);
        }
    }

    fn line(&self, prefix: &str, text: &str) {
        let text = sanitize::terminal_lines(text);
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{prefix}{text}");
        });
    }
}
