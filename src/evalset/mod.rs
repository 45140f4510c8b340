//! An evalset folder becomes an [`EvalSet`]: items (conversations) with their images and turns.
//!
//! [`EvalSet::open`] reads one, [`check()`] names what is wrong with one, [`Selection`] picks items, [`ImageRoot::read`] gives a
//! picture, [`Conversation::new`] is what a model is asked for one turn, [`pull()`] fetches the official data.

mod check;
mod confined;
mod conversation;
mod defect;
#[cfg(test)]
pub(crate) mod fixture;
mod image;
mod load;
mod manifest;
mod pull;
mod row;
mod select;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::{Checked, check};
pub use defect::{Defect, DefectKind, Severity};
pub use image::{ImageError, ImageFacts, ImageProblem, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, inspect};
pub use pull::{FileList, OWLEVAL_ADDRESS, PullEvent, PullFailure, PullPlan, PullSummary, pull};
pub use select::{Selected, Selection, Shard};
pub use source::{OWLEVAL, Source, built_in_names, data_home, owleval_folder};

/// A set of questions about pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalSet {
    pub name: String,
    pub version: Option<String>,
    pub description: Option<String>,
    pub source: Option<String>,
    pub licence: Option<String>,
    /// Digest of `questions.jsonl` and of every image that it names, in the order of the file.
    pub sha256: String,
    /// The folder that image names are relative to.
    pub images: ImageRoot,
    /// Letter -> name.
    pub abilities: BTreeMap<String, String>,
    pub items: Vec<Item>,
}

/// Where the bytes of images come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageRoot {
    Folder(PathBuf),
    /// Built into the binary, by the evalset's name.
    Embedded(&'static str),
}

/// The fixed part of a conversation: its images and its turns, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Stable name: the group, or the image's file name, or `q<question_id>`.
    pub id: String,
    /// File names under the image folder; empty for text only.
    pub images: Vec<String>,
    pub turns: Vec<Turn>,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub question_id: u64,
    pub question: String,
    /// Ability letters, in the order of the file.
    pub abilities: Vec<String>,
    pub subsets: Vec<Subset>,
    /// Accepted answers; empty where the question is open.
    pub reference: Vec<String>,
}

/// OwlEval's `category`: how a turn is counted, not how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    SingleTurn,
    MultiTurn,
}

impl Subset {
    pub const ALL: [Self; 2] = [Self::SingleTurn, Self::MultiTurn];

    /// The name as `category` and the reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleTurn => "single_turn",
            Self::MultiTurn => "multi_turn",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subset| subset.name() == name)
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Human,
    Assistant,
}

/// One message of a conversation; the images of an item stand in its first human message, before the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    /// The encoded bytes of a picture file.
    Image(ImageBytes),
}

/// The encoded bytes of a picture, shared by the turns that show it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBytes {
    /// The file name, for messages to people.
    pub name: String,
    pub bytes: std::sync::Arc<[u8]>,
    pub sha256: String,
}

/// What a model is asked: everything said so far in an item, the last message being the question.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    pub item: String,
    /// 0-based.
    pub turn: usize,
    pub question_id: u64,
    pub messages: Vec<Message>,
}
