//! `sheet.json`: what is graded, how it was put in order, and the digests of the sheet's other files.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::event::digest;
use crate::error::{Error, IoContext as _, Result};
use crate::record::Software;

pub(super) const MANIFEST: &str = "sheet.json";
pub(super) const SCHEMA: &str = "owleval-sheet/1";

/// All of `sheet.json`, for whoever makes, exports or verifies a sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The folder's name.
    pub id: String,
    /// UTC, RFC 3339.
    pub created_at: String,
    pub software: Software,
    pub evalset: EvalSetPlace,
    pub seed: u64,
    /// Which part of a split sheet this is.
    pub part: Option<PartId>,
    /// How many answers come again, hidden; null for none.
    pub repeats: Option<Repeats>,
    /// Whether the screen opens with all answers to a question side by side.
    pub side_by_side: bool,
    /// How an export counts what is missing, unless it is told otherwise.
    pub missing_counts: MissingPolicy,
    pub answers: Vec<AnswersId>,
    pub counts: Counts,
    /// Answers that there are not, and why. They are on no card.
    pub missing: Vec<Missing>,
    pub cards_sha256: String,
    pub rubric_sha256: String,
    /// Digest of the sealed mapping slot -> model.
    pub sealed_sha256: String,
}

/// What a grader's program reads of `sheet.json`: nothing that names a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct BlindManifest {
    pub id: String,
    pub evalset: EvalSetPlace,
    pub part: Option<PartId>,
    pub side_by_side: bool,
    pub cards_sha256: String,
    pub rubric_sha256: String,
}

/// The evalset that was answered, and where it was found when the sheet was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EvalSetPlace {
    pub name: String,
    pub sha256: String,
    /// A built-in name or an absolute path; another machine says its own with `--evalset`.
    pub place: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartId {
    /// From 1.
    pub index: usize,
    pub of: usize,
    /// Conversations that all parts have.
    pub overlap: usize,
}

/// The answers of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AnswersId {
    /// The model's id, or the name that it was given to tell two of the same id apart.
    pub model_id: String,
    /// The file's name; its folder is the matter of one machine.
    pub file: String,
    pub sha256: String,
    /// Answers of it that are on this sheet, repeats not counted.
    pub answers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub conversations: usize,
    pub questions: usize,
    /// With the repeats.
    pub cards: usize,
    pub missing: usize,
}

/// An answer that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub model_id: String,
    pub question_id: u64,
    pub why: String,
}

/// How an export counts a missing answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// Not at all: rates are over what was answered.
    #[default]
    Excluded,
    /// As the worst grade.
    D,
}

/// Which share of the answers comes again: `5%`, or `0.05`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Repeats(f64);

impl Repeats {
    /// More than half of a sheet cannot come again at a distance worth its name.
    const MOST: f64 = 0.5;

    /// So many of `cards`, rounded, and at least one.
    pub fn of(self, cards: usize) -> usize {
        if cards == 0 { 0 } else { ((cards as f64 * self.0).round() as usize).max(1) }
    }
}

impl std::str::FromStr for Repeats {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, unit) = match text.trim().strip_suffix('%') {
            Some(number) => (number.trim(), 100.0),
            None => (text.trim(), 1.0),
        };
        match number.parse::<f64>().map(|number| number / unit) {
            Ok(share) if share > 0.0 && share <= Self::MOST => Ok(Self(share)),
            _ => Err(Error::input(format!("{text:?} is no share of repeats"))
                .remedy("write a percentage above 0 and up to 50, as in 5%")),
        }
    }
}

/// A sheet for several raters: so many parts, and the conversations that all of them have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    pub parts: usize,
    pub overlap: usize,
}

/// Reads `sheet.json` as far as `T` knows it, and gives the digest of the file, by which its journals are tied.
///
/// # Errors
/// Where the folder holds no sheet, or one of a later schema.
pub(super) fn read<T: DeserializeOwned>(sheet: &Path) -> Result<(T, String)> {
    let path = sheet.join(MANIFEST);
    if !path.exists() {
        return Err(no_sheet(sheet));
    }
    let bytes = std::fs::read(&path).or_at("cannot read", &path)?;
    let unusable = |source: serde_json::Error| {
        Error::input(format!("no manifest of a sheet: {source}"))
            .at(&path)
            .remedy("put a copy of the file back; a sheet is made by `owleval grade ANSWERS… --sheet DIR`")
            .source(source)
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(unusable)?;
    match value.get("schema").and_then(|schema| schema.as_str()) {
        Some(SCHEMA) => Ok((serde_json::from_value(value).map_err(unusable)?, digest(&bytes))),
        other => Err(Error::input(format!(
            "the sheet's schema is {}, and this owleval knows {SCHEMA} only",
            other.unwrap_or("not given")
        ))
        .at(&path)
        .remedy("use the owleval that made the sheet")),
    }
}

fn no_sheet(sheet: &Path) -> Error {
    let parts = super::parts_of(sheet);
    let error = Error::input(format!("no sheet: the folder holds no {MANIFEST}")).at(sheet);
    match parts.as_slice() {
        [] => error.remedy("`owleval grade ANSWERS… --evalset E --sheet DIR` makes one"),
        [first, ..] => error.remedy(format!(
            "it was split into {} parts: give one of them, as in --sheet {}",
            parts.len(),
            first.display()
        )),
    }
}

/// Reads a file of the sheet whose digest stands in `sheet.json`.
///
/// # Errors
/// Where it is missing or was changed.
pub(super) fn read_checked(sheet: &Path, name: &str, sha256: &str) -> Result<Vec<u8>> {
    let path = sheet.join(name);
    let bytes = std::fs::read(&path).or_at("cannot read", &path)?;
    if digest(&bytes) == sha256 {
        Ok(bytes)
    } else {
        Err(Error::input(format!("was changed since the sheet was made: its digest is not the one in {MANIFEST}"))
            .at(&path)
            .remedy("put a copy of the file back; a sheet is never edited"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_repeats_is_a_percentage_and_gives_at_least_one() {
        let repeats = |text: &str| text.parse::<Repeats>();
        assert_eq!(repeats("5%").unwrap().of(492), 25);
        assert_eq!(repeats("0.05").unwrap(), repeats(" 5 % ").unwrap());
        assert_eq!((repeats("1%").unwrap().of(3), repeats("1%").unwrap().of(0)), (1, 0));
        for bad in ["", "0%", "-1%", "51%", "nan", "five", "5"] {
            assert!(repeats(bad).is_err(), "{bad}");
        }
    }
}
