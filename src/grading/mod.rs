//! Blind A–D grading: sheets, sessions, journals, and the way to `grades.csv` and back.
//!
//! A *sheet* is a folder. Whoever makes it gives answers (run folders, published files) and an evalset;
//! [`NewSheet::create`] puts them into a blind, counterbalanced order and seals which model stands in which slot. A
//! grader opens a [`Session`] on it, which shows a [`Deck`] of [`Card`]s and records every grade in a journal of the
//! grader's own. [`export`] unseals the sheet and joins the grades with the models; that is logged.
//!
//! ```text
//! sheets/<id>/sheet.json       what is graded, in what order it was put, and the digests of the rest
//!             cards.jsonl      the cards in their order: questions, answers, digests of pictures; no model
//!             rubric.toml      what the grades mean
//!             sealed.json      slot -> model, hidden repeats, repairs, leaks; base64, so that no eye falls on it
//!             <rater>.jsonl    a journal a rater; <rater>.head says how far it is known to have come
//!             adjudicated.jsonl  final verdicts, beside the raters' own
//!             unblinded.jsonl  who unsealed the sheet, when and what for
//! ```
//!
//! Hidden repeats are questions that come again, as whole as they came first (`arrange.rs`): by its place, its size and its
//! order nothing tells one from any other question. A grader may still remember the picture or the text.
//!
//! What a grader's program holds is made of the types of this file. None of them has room for a model's name.

mod adjudicate;
mod answers;
mod arrange;
mod build;
mod cards;
mod clock;
mod create;
mod event;
mod export;
mod import;
mod journal;
mod leak;
mod manifest;
mod order;
mod pictures;
mod practice;
mod rater;
mod rubric;
mod sealed;
mod session;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod verify;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use adjudicate::{disagreements, undecided};
pub use answers::AnswerSource;
pub use create::{Created, NewSheet, parts_of, sheets_of};
pub use export::{Exported, REPEATS, Which, export};
pub use import::{Imported, Unplaced, import};
pub use leak::Leak;
pub use manifest::{Missing, MissingPolicy, Repeats, Split};
pub use practice::practice;
pub use rater::{ADJUDICATED, raters};
pub use sealed::{MakersNotes, RepairNote, what_the_maker_should_know};
pub use session::{Opening, Session};
pub use table::{Read as GradeRow, read as read_grades};
pub use verify::{Finding, verify};

pub use crate::record::Grade;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exchange {
    pub question: String,
    pub answer: String,
}

/// One answer to be graded, without anything that tells whose it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Card {
    /// The slot, as journals name it: the number of the question on the sheet and the place within it (`017-2`).
    pub key: String,
    pub question_id: u64,
    pub item: String,
    /// The picture files, in order; absolute paths. A file may be missing, which the screen has to say.
    pub images: Vec<PathBuf>,
    /// The conversation so far, with this same model's own earlier answers.
    pub before: Vec<Exchange>,
    pub question: String,
    /// As the model gave it; whoever shows it sanitises it.
    pub answer: String,
    pub answer_sha256: String,
    /// Cards of one question share it and are adjacent in the deck: they are what stands side by side.
    pub question_group: usize,
    /// In a practice round: the grade that fits, and why.
    pub suggested: Option<Suggestion>,
    /// In an adjudication: the grades that were given, from best to worst, so that their order names nobody.
    pub given: Vec<Grade>,
}

/// The grade that fits a card of a practice round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub grade: Grade,
    pub why: String,
}

/// What the grades mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rubric {
    pub title: String,
    /// (grade, a few words, the full wording), from A to D.
    pub grades: [(Grade, String, String); 4],
    /// What else a grader should know, in paragraphs.
    pub text: String,
}

/// What a grader sees: the cards in their order. Holds no model name.
#[derive(Debug, Clone, PartialEq)]
pub struct Deck {
    pub title: String,
    pub rubric: Rubric,
    pub cards: Vec<Card>,
}

/// What is recorded of one card. A card is graded, or skipped, or neither; never both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mark {
    pub grade: Option<Grade>,
    pub skipped: bool,
    pub flagged: bool,
    pub note: String,
    /// Active time spent on the card, over all visits.
    pub seconds: f64,
}

/// How far a grader has come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    pub total: usize,
    pub graded: usize,
    pub skipped: usize,
    pub flagged: usize,
    /// Active time so far.
    pub seconds: f64,
}
