//! A line of a rater's journal, and the chain that ties it to the line before.
//!
//! Each line bears the digest of the line before it (`prev`; the first one bears the digest of `sheet.json`) and its
//! own (`check`). So an edit of any line, a line taken out or put in, and a journal of another sheet are all seen, and
//! the error names the line.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Grade;
use super::state::Change;
use crate::error::{Error, Result};

/// A row of `<rater>.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EventRow {
    /// Counted from 1.
    pub seq: u64,
    /// UTC, RFC 3339.
    pub at: String,
    /// The card's key.
    pub card: String,
    /// Digest of the text that was graded.
    pub answer_sha256: String,
    #[serde(flatten)]
    pub what: What,
    /// Where the grade was given elsewhere and imported: when that was, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedFrom>,
    /// Who decided, in an adjudication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// sha256 of the line before, without its line break; of `sheet.json` in the first line.
    pub prev: String,
    /// sha256 of this line with this field empty. Stands last.
    pub check: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum What {
    Grade {
        grade: Grade,
        /// Active time on the card since it was shown.
        seconds: f64,
    },
    Skip {
        seconds: f64,
    },
    Flag {
        flagged: bool,
    },
    Note {
        text: String,
    },
    /// The last change that still stood is taken back.
    Undo,
    /// The change that was taken back last is made again.
    Redo,
}

/// Where an imported grade comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImportedFrom {
    /// sha256 of the imported file.
    pub file_sha256: String,
    /// The file's `graded_at`.
    pub graded_at: Option<String>,
}

impl What {
    /// The event that records a change.
    pub fn of(change: &Change, seconds: f64) -> Self {
        match change {
            Change::Grade(grade) => Self::Grade { grade: *grade, seconds },
            Change::Skip => Self::Skip { seconds },
            Change::Flag(flagged) => Self::Flag { flagged: *flagged },
            Change::Note(text) => Self::Note { text: text.clone() },
        }
    }

    /// The change that an event records, and its seconds; none for undo and redo.
    pub fn change(&self) -> Option<(Change, f64)> {
        match self {
            Self::Grade { grade, seconds } => Some((Change::Grade(*grade), *seconds)),
            Self::Skip { seconds } => Some((Change::Skip, *seconds)),
            Self::Flag { flagged } => Some((Change::Flag(*flagged), 0.0)),
            Self::Note { text } => Some((Change::Note(text.clone()), 0.0)),
            Self::Undo | Self::Redo => None,
        }
    }
}

impl EventRow {
    /// When the grade was given: at the time of the event, or, where it was imported, when the file says.
    pub fn given_at(&self) -> &str {
        self.imported.as_ref().and_then(|from| from.graded_at.as_deref()).unwrap_or(&self.at)
    }

    /// Puts the row behind the line whose digest is `prev`, and gives its own line's digest.
    pub fn seal(&mut self, prev: String) -> Result<String> {
        self.prev = prev;
        self.check = String::new();
        self.check = digest(&line(self)?);
        Ok(digest(&line(self)?))
    }
}

/// The row as the journal writes it, without the line break.
fn line(row: &EventRow) -> Result<Vec<u8>> {
    serde_json::to_vec(row).map_err(|source| Error::failed("an event cannot be put into JSON").source(source))
}

/// Lower-case hexadecimal sha256.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Follows the chain through the whole lines of a journal, `rows` being what was read from them. `genesis` is what the
/// first line must bear as `prev`. Gives the digest of every line; by that of the last the next one is tied.
///
/// # Errors
/// By file and line: what was edited, taken out or put in, or belongs to another sheet.
pub(super) fn follow(path: &Path, bytes: &[u8], rows: &[EventRow], genesis: &str) -> Result<Vec<String>> {
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|(_, line)| !line.trim_ascii().is_empty());
    let mut digests: Vec<String> = Vec::with_capacity(rows.len());
    for ((number, line), row) in lines.zip(rows) {
        let broken = |message: String| {
            Error::input(message)
                .at_line(path, number)
                .remedy("the journal was changed after it was written; put a copy of it back, nothing was changed now")
        };
        let expected = digests.last().map_or(genesis, String::as_str);
        if !is_checked(line, &row.check) {
            return Err(broken("this line was edited: its digest does not fit it".to_owned()));
        }
        if row.prev != expected {
            return Err(broken(if digests.is_empty() {
                if row.seq == 1 {
                    "this journal belongs to another sheet, or sheet.json was changed".to_owned()
                } else {
                    format!("the first line is event {}: the events before it were cut off", row.seq)
                }
            } else {
                format!("event {} does not follow the line before: lines were cut out, put in or moved here", row.seq)
            }));
        }
        if row.seq != digests.len() as u64 + 1 {
            return Err(broken(format!("event {} stands where event {} belongs", row.seq, digests.len() + 1)));
        }
        digests.push(digest(line));
    }
    Ok(digests)
}

/// Whether a line bears the digest of itself with the digest's field empty.
fn is_checked(line: &[u8], check: &str) -> bool {
    let ending = format!("\"check\":\"{check}\"}}");
    line.strip_suffix(ending.as_bytes())
        .is_some_and(|body| digest(&[body, b"\"check\":\"\"}".as_slice()].concat()) == check)
}
