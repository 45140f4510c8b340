//! In what a published file differs from the evalset that it answers, and which of its rows are no answers.

use std::fmt;
use std::path::Path;

use crate::evalset::EvalSet;

use super::{PublishedAnswer, PublishedAnswers};

/// Something about a row that a grader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    pub question_id: u64,
    pub what: RepairKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairKind {
    /// White space around the answer was taken off.
    Stripped,
    /// The answer holds U+000B, a word processor's line break, and still does.
    VerticalTab,
    /// The image has another name; only the suffix where `same_stem`.
    ImageName { published: String, evalset: String, same_stem: bool },
    /// The question has another wording; only in its white space where `same_words`.
    QuestionText { published: String, evalset: String, same_words: bool },
    /// No answer of the model.
    Annotation(Annotation),
}

/// What stands in the place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Annotation {
    /// "无法回溯": the answer could not be traced any more.
    CannotBeTraced,
    /// "模型放弃回答": the model gave up.
    GaveUp,
    /// "模型拒绝回答": the model refused.
    Refused,
    /// Nothing but U+FFFD: the text was lost in a conversion.
    Unreadable,
    /// Nothing but white space.
    Empty,
}

impl Annotation {
    /// Reads an answer without the white space around it. The remarks may be followed by punctuation or more; the
    /// models of OwlEval answer in English, so that none begins an answer with them.
    pub(super) fn of(answer: &str) -> Option<Self> {
        let remark =
            [("无法回溯", Self::CannotBeTraced), ("模型放弃回答", Self::GaveUp), ("模型拒绝回答", Self::Refused)];
        if answer.is_empty() {
            return Some(Self::Empty);
        }
        if answer.chars().all(|character| character == '\u{fffd}' || character.is_whitespace()) {
            return Some(Self::Unreadable);
        }
        remark.into_iter().find(|(words, _)| answer.starts_with(words)).map(|(_, annotation)| annotation)
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CannotBeTraced => "a remark that it cannot be traced (无法回溯)",
            Self::GaveUp => "a remark that the model gave up (模型放弃回答)",
            Self::Refused => "a remark that the model refused (模型拒绝回答)",
            Self::Unreadable => "replacement characters only (U+FFFD)",
            Self::Empty => "empty",
        })
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "question {}: ", self.question_id)?;
        match &self.what {
            RepairKind::Stripped => f.write_str("white space around the answer was taken off"),
            RepairKind::VerticalTab => f.write_str("the answer holds U+000B"),
            RepairKind::ImageName { published, evalset, .. } => {
                write!(f, "the image is called {published:?}, in the evalset {evalset:?}")
            }
            RepairKind::QuestionText { published, evalset, .. } => {
                write!(f, "the question reads {published:?}, in the evalset {evalset:?}")
            }
            RepairKind::Annotation(annotation) => write!(f, "no answer, but {annotation}"),
        }
    }
}

impl PublishedAnswers {
    /// What differs, by `question_id`. Image names and question texts are compared where an evalset is given and has
    /// the question; a row without them does not differ in them.
    pub fn repairs(&self, evalset: Option<&EvalSet>) -> Vec<Repair> {
        let mut asked = std::collections::BTreeMap::new();
        for item in evalset.iter().flat_map(|evalset| &evalset.items) {
            for turn in &item.turns {
                asked.insert(turn.question_id, (item.images.as_slice(), turn.question.as_str()));
            }
        }
        let mut repairs = Vec::new();
        for row in self.answers() {
            let mut add = |what| repairs.push(Repair { question_id: row.question_id, what });
            if row.stripped {
                add(RepairKind::Stripped);
            }
            if row.answer.contains('\u{b}') {
                add(RepairKind::VerticalTab);
            }
            if let Some((images, question)) = asked.get(&row.question_id) {
                image_name(row, images).map(&mut add);
                question_text(row, question).map(&mut add);
            }
            if let Some(annotation) = row.annotation {
                add(RepairKind::Annotation(annotation));
            }
        }
        repairs
    }
}

fn image_name(row: &PublishedAnswer, images: &[String]) -> Option<RepairKind> {
    if row.image.is_empty() || images.contains(&row.image) {
        return None;
    }
    let evalset = images.first().cloned().unwrap_or_default();
    let same_stem = images.iter().any(|image| Path::new(image).file_stem() == Path::new(&row.image).file_stem());
    Some(RepairKind::ImageName { published: row.image.clone(), evalset, same_stem })
}

fn question_text(row: &PublishedAnswer, question: &str) -> Option<RepairKind> {
    if row.question.is_empty() || row.question == question {
        return None;
    }
    let words = |text: &str| text.split_whitespace().collect::<String>();
    let same_words = words(&row.question) == words(question);
    Some(RepairKind::QuestionText { published: row.question.clone(), evalset: question.to_owned(), same_words })
}
