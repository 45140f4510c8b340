//! What is wrong with an evalset, named by file, line and question.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::error::Error;

/// One thing that is wrong, or worth knowing, in an evalset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Defect {
    #[serde(serialize_with = "shown")]
    pub file: PathBuf,
    /// 1-based; none where the whole file is meant.
    pub line: Option<usize>,
    pub question_id: Option<u64>,
    pub severity: Severity,
    pub kind: DefectKind,
    pub message: String,
    pub remedy: Option<String>,
}

/// How bad a [`Defect`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A run refuses the evalset, or that item fails, or its counts would be wrong.
    Error,
    /// Works, but is probably not what was meant.
    Warning,
    /// Works; worth knowing when answers are compared.
    Note,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DefectKind {
    /// `questions.jsonl` or `evalset.toml` cannot be read, or there is no question.
    File,
    Encoding,
    /// `evalset.toml` is not as specified.
    Manifest,
    Json,
    /// A field is missing or of the wrong type.
    Field,
    DuplicateId,
    EmptyQuestion,
    UnknownAbility,
    UnknownCategory,
    /// A path leads out of the folder.
    LeavesFolder,
    /// Rows of one group do not make one conversation.
    Conversation,
    /// A file is not the one that `evalset.toml` names by its digest.
    Digest,
    /// `category` says something else than the conversations do.
    Labels,
    MissingPicture,
    CorruptPicture,
    GiganticPicture,
    /// A file named in `[sha256]` is not there.
    MissingFile,
    /// The name of a picture says another format than its content.
    Extension,
    WhiteSpace,
    FullWidth,
    ControlCharacter,
    UnusedPicture,
}

impl Defect {
    pub(super) fn new(severity: Severity, kind: DefectKind, file: PathBuf, message: impl Into<String>) -> Self {
        Self { file, line: None, question_id: None, severity, kind, message: message.into(), remedy: None }
    }

    pub(super) fn error(kind: DefectKind, file: PathBuf, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, kind, file, message)
    }

    pub(super) fn line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn question(mut self, question_id: Option<u64>) -> Self {
        self.question_id = question_id;
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Whether a run refuses the whole evalset for it. Pictures that are missing, corrupt or too large fail alone, and
    /// labels only change the counts.
    pub fn is_refused(&self) -> bool {
        use DefectKind::*;
        self.severity == Severity::Error
            && match self.kind {
                File | Encoding | Manifest | Json | Field | DuplicateId | EmptyQuestion | UnknownAbility
                | UnknownCategory | LeavesFolder | Conversation | Digest => true,
                Labels | MissingPicture | CorruptPicture | GiganticPicture | MissingFile | Extension | WhiteSpace
                | FullWidth | ControlCharacter | UnusedPicture => false,
            }
    }

    /// The first refused defect as an error that says how many more there are; none if the evalset can be run.
    pub(super) fn refusal(defects: &[Defect], place: &Path) -> Option<Error> {
        let mut refused = defects.iter().filter(|defect| defect.is_refused());
        let first = refused.next()?;
        let more = refused.count();
        let mut message = match first.question_id {
            Some(question_id) => format!("question {question_id}: {}", first.message),
            None => first.message.clone(),
        };
        if more > 0 {
            message.push_str(&format!(" (and {more} more such defects)"));
        }
        let error = match first.line {
            Some(line) => Error::input(message).at_line(&first.file, line),
            None => Error::input(message).at(&first.file),
        };
        let list = format!("`owleval evalset check {}` lists every defect", place.display());
        Some(error.remedy(match &first.remedy {
            Some(remedy) => format!("{remedy}; {list}"),
            None => list,
        }))
    }
}

/// `file:line: severity: question 5: message`, and the remedy on a line of its own. Unsanitised.
impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}: ", self.severity)?;
        if let Some(question_id) = self.question_id {
            write!(f, "question {question_id}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n    {remedy}")?;
        }
        Ok(())
    }
}

fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
