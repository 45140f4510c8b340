//! `cards.jsonl`: the cards of a sheet in their order, with all that is shown of them but the pixels.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::manifest;
use super::{Card, Exchange};
use crate::error::{Error, Result};
use crate::evalset::Subset;

pub(super) const CARDS: &str = "cards.jsonl";
pub(super) const RUBRIC: &str = "rubric.toml";

/// A row of `cards.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CardRow {
    pub key: String,
    /// Cards of one question share it; counted from 0.
    pub group: usize,
    pub question_id: u64,
    pub item: String,
    /// Under the evalset's image folder.
    pub images: Vec<PictureId>,
    pub subsets: Vec<Subset>,
    pub abilities: Vec<String>,
    pub before: Vec<Exchange>,
    pub question: String,
    pub answer: String,
    /// Of the answer's UTF-8 bytes.
    pub answer_sha256: String,
}

/// A picture by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PictureId {
    pub name: String,
    /// None where the picture could not be read when the sheet was made.
    pub sha256: Option<String>,
}

impl CardRow {
    /// The card as a grader sees it; `picture` says where the file of a name is.
    pub fn card(&self, picture: impl Fn(&str) -> std::path::PathBuf) -> Card {
        Card {
            key: self.key.clone(),
            question_id: self.question_id,
            item: self.item.clone(),
            images: self.images.iter().map(|image| picture(&image.name)).collect(),
            before: self.before.clone(),
            question: self.question.clone(),
            answer: self.answer.clone(),
            answer_sha256: self.answer_sha256.clone(),
            question_group: self.group,
            suggested: None,
            given: Vec::new(),
        }
    }
}

/// Puts the cards into the bytes of their file.
pub(super) fn to_bytes(cards: &[CardRow]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for card in cards {
        serde_json::to_writer(&mut bytes, card)
            .map_err(|source| Error::failed("a card cannot be put into JSON").source(source))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Reads the cards of a sheet; `sha256` is the digest of their file that `sheet.json` tells of.
pub(super) fn read(sheet: &Path, sha256: &str) -> Result<Vec<CardRow>> {
    let bytes = manifest::read_checked(sheet, CARDS, sha256)?;
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|source| {
                Error::input(format!("no card: {source}"))
                    .at_line(sheet.join(CARDS), index + 1)
                    .remedy("use the owleval that made the sheet")
                    .source(source)
            })
        })
        .collect()
}
