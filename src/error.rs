//! One error type for the whole program.
//!
//! An error names the thing that is wrong (a file and line, a question, an option) and, where there is one, the
//! remedy. Its [`Kind`] decides the exit code, so that no caller has to guess from the text.

use std::path::{Path, PathBuf};

/// What an [`Error`] means for the process: see `exit_code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Arguments or input that cannot be used; nothing was written.
    Input,
    /// The work was begun and some of it failed.
    Failed,
    /// The user asked to stop; what was finished is kept.
    Interrupted,
}

/// An error with the context that a user can act on.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    place: Option<Place>,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Where in a file an error lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// 1-based.
    line: Option<usize>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Arguments or input that cannot be used (exit code 2).
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// Work that was begun and failed (exit code 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// Work that the user stopped (exit code 130).
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), place: None, remedy: None, source: None }
    }

    /// Names the file that the error is about.
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.place = Some(Place { path: path.as_ref().to_owned(), line: None });
        self
    }

    /// Names the file and the line (counted from 1) that the error is about.
    pub fn at_line(mut self, path: impl AsRef<Path>, line: usize) -> Self {
        self.place = Some(Place { path: path.as_ref().to_owned(), line: Some(line) });
        self
    }

    /// Says what the user can do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Keeps the error that caused this one.
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message alone, without place, cause and remedy.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The process's exit code: 2 unusable input, 1 failed work, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Input => 2,
            Kind::Failed => 1,
            Kind::Interrupted => 130,
        }
    }

    /// The error and its causes, outermost first. A cause that the line before already tells is left out.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.to_string()];
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !lines.last().is_some_and(|last| last.contains(&text)) {
                lines.push(text);
            }
            cause = error.source();
        }
        lines
    }

    /// What the user can do about it, where that is known.
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}", place.path.display())?;
            if let Some(line) = place.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": ")?;
        }
        write!(f, "{}", self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// A tensor operation that failed is a defect of the program or of a checkpoint, never of the user's arguments.
impl From<candle_core::Error> for Error {
    fn from(source: candle_core::Error) -> Self {
        Error::failed("a tensor operation failed").source(source)
    }
}

/// Adds the path to an input/output error: `fs::read(p).or_at("cannot read", p)?`.
pub trait IoContext<T> {
    fn or_at(self, doing: &str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn or_at(self, doing: &str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| {
            let kind = match source.kind() {
                std::io::ErrorKind::NotFound => Kind::Input,
                _ => Kind::Failed,
            };
            let message = format!("{doing}: {source}");
            Error::new(kind, message).at(path).source(source)
        })
    }
}
