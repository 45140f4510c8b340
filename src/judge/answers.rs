//! The answers under judgement: a run folder or a bare file, told apart from what only stands in an answer's place.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::backend::published::PublishedAnswers;
use crate::error::{Error, Result};
use crate::evalset::{EvalSet, Item};
use crate::record::{History, RunManifest};
use crate::store::run_folder;

/// The answers of one model.
#[derive(Debug)]
pub struct Answers {
    pub model_id: String,
    published: PublishedAnswers,
    /// The questions that the model was asked; `None` where only the evalset tells.
    asked: Option<BTreeSet<u64>>,
}

/// Which answers they were, for the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersId {
    pub model_id: String,
    /// The file's name; its folder is the matter of one machine.
    pub file: String,
    pub sha256: String,
}

impl Answers {
    /// Reads a run folder or an answers file in OwlEval's format.
    ///
    /// # Errors
    /// Where it cannot be read, is a run of another evalset, or answers no question of this one.
    pub fn open(path: &Path, evalset: &EvalSet) -> Result<Self> {
        let mut asked = None;
        if path.is_dir() {
            let manifest = run_folder::read_manifest(path)?;
            let answered = &manifest.evalset;
            if answered.sha256 != evalset.sha256 {
                return Err(Error::input(format!(
                    "the run answered the evalset {} of another digest than that of {}",
                    answered.name, evalset.name
                ))
                .at(path)
                .remedy("name the evalset that was answered, with --evalset"));
            }
            asked = Some(asked_by(&manifest, evalset)?);
        }
        let published = PublishedAnswers::open(path)?;
        if !evalset.turns().any(|(_, turn)| published.answer(turn.question_id).is_some()) {
            return Err(Error::input(format!("it answers no question of the evalset {}", evalset.name))
                .at(path)
                .remedy("name the evalset that was answered, with --evalset"));
        }
        Ok(Self { model_id: published.model_id().to_owned(), published, asked })
    }

    /// Whether the model was asked the question: a run over a part of an evalset has no answers to the rest, and none of
    /// them is missing.
    pub fn was_asked(&self, question_id: u64) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.contains(&question_id))
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// Why there is none: a remark of whoever collected the answers is not judged.
    pub fn find(&self, question_id: u64) -> Result<&str, String> {
        match self.published.answer(question_id) {
            None => Err("there is no answer".to_owned()),
            Some(row) => match row.annotation {
                None => Ok(&row.answer),
                Some(annotation) => Err(format!("no answer, but {annotation}")),
            },
        }
    }

    /// The answers to the turns of an item before this one.
    pub fn earlier(&self, item: &Item, turn: usize) -> Vec<Option<&str>> {
        item.turns.iter().take(turn).map(|turn| self.find(turn.question_id).ok()).collect()
    }

    pub fn id(&self) -> AnswersId {
        AnswersId {
            model_id: self.model_id.clone(),
            file: self.published.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: self.published.sha256().to_owned(),
        }
    }
}

/// The questions of a run's own selection.
fn asked_by(manifest: &RunManifest, evalset: &EvalSet) -> Result<BTreeSet<u64>> {
    let selected = manifest.selection.selection()?.pick(evalset)?;
    let history_is_own = manifest.history == History::Own;
    let ids = selected.iter().flat_map(|one| {
        one.asked(history_is_own).into_iter().map(|turn| one.item.turns[turn].question_id).collect::<Vec<u64>>()
    });
    Ok(ids.collect())
}

/// Digest of the text of an answer, which ties a rating to what was rated.
pub fn text_sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
