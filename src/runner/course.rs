//! One conversation on its way: which of its turns are settled, and what was said so far.

use std::collections::HashMap;

use super::{Past, Plan};
use crate::backend::{BackendError, FailureKind, Reply};
use crate::error::{Error, Result};
use crate::evalset::{Conversation, ImageBytes, Item, Selected};
use crate::record::{AnswerRow, FailureRow, FailureRowKind};

/// A conversation on its way. It is either waiting or in flight with one turn, never both.
pub(super) struct Course<'a> {
    pub(super) item: &'a Item,
    /// By turn: the model's own answer, where it is the history and is known.
    said: Vec<Option<String>>,
    /// By turn: not selected, answered, failed in this call, or blocked in this call.
    is_settled: Vec<bool>,
    /// Whether a failed turn takes the later ones with it.
    is_own_history: bool,
    /// Read when the first turn is asked, shared by the later ones.
    images: Option<Vec<ImageBytes>>,
}

impl<'a> Course<'a> {
    /// A conversation of which the folder may hold answers already (by question id).
    pub(super) fn new(selected: &'a Selected, past: &Past, answers: &HashMap<u64, &str>) -> Self {
        let item = &selected.item;
        let is_own_history = past.is_own();
        let asked = selected.asked(is_own_history);
        let is_settled = item
            .turns
            .iter()
            .enumerate()
            .map(|(index, turn)| !asked.contains(&index) || answers.contains_key(&turn.question_id))
            .collect();
        let own = |id: &u64| answers.get(id).filter(|_| is_own_history).map(|text| (*text).to_owned());
        let said = item.turns.iter().map(|turn| own(&turn.question_id)).collect();
        Self { item, said, is_settled, is_own_history, images: None }
    }

    /// The first turn that is not settled.
    pub(super) fn next_turn(&self) -> Option<usize> {
        self.is_settled.iter().position(|settled| !settled)
    }

    /// What the model is asked at a turn.
    ///
    /// # Errors
    /// `Input` where a picture cannot be read, or an earlier answer is missing that the history needs: the question's
    /// own failure.
    pub(super) fn conversation(&mut self, plan: Plan<'_>, turn: usize) -> Result<Conversation, BackendError> {
        let images = match &self.images {
            Some(images) => images,
            None => self.images.insert(plan.evalset.pictures(self.item).map_err(|error| cannot_ask(error.into()))?),
        };
        let mut earlier = Vec::new();
        if !matches!(plan.past, Past::None) {
            for (turn, said) in self.item.turns.iter().zip(&self.said).take(turn) {
                let answer = match (plan.past.published_answer(turn.question_id), said) {
                    (Some(published), _) => published?,
                    (None, Some(own)) => own.as_str(),
                    (None, None) => {
                        let message = format!("question {}, an earlier turn, has no answer", turn.question_id);
                        return Err(cannot_ask(Error::failed(message)));
                    }
                };
                earlier.push((turn.question.as_str(), answer));
            }
        }
        Conversation::new(self.item, turn, images, &earlier).map_err(cannot_ask)
    }

    /// Takes a reply in; gives the row to write.
    pub(super) fn answered(&mut self, turn: usize, reply: Reply, model_id: &str) -> AnswerRow {
        self.is_settled[turn] = true;
        if self.is_own_history {
            self.said[turn] = Some(reply.text.clone());
        }
        let asked = &self.item.turns[turn];
        AnswerRow {
            image: self.item.images.first().cloned().unwrap_or_default(),
            question_id: asked.question_id,
            question: asked.question.clone(),
            answer: reply.text,
            model_id: model_id.to_owned(),
            turn,
            item: self.item.id.clone(),
            finish_reason: reply.finish,
            prompt_tokens: reply.prompt_tokens,
            completion_tokens: reply.completion_tokens,
            elapsed_ms: u64::try_from(reply.elapsed.as_millis()).unwrap_or(u64::MAX),
            request_sha256: reply.request_sha256,
        }
    }

    /// Takes a failure in; gives the rows to write: the turn's own and those of the turns that it blocks.
    pub(super) fn failed(&mut self, turn: usize, error: BackendError) -> Vec<FailureRow> {
        let at = now();
        let question_id = self.item.turns[turn].question_id;
        self.is_settled[turn] = true;
        let mut rows = vec![FailureRow {
            question_id,
            kind: error.kind.into(),
            message: error.message,
            attempts: error.attempts,
            at: at.clone(),
        }];
        if self.is_own_history {
            for (later, is_settled) in self.item.turns.iter().zip(&mut self.is_settled).skip(turn + 1) {
                if !std::mem::replace(is_settled, true) {
                    rows.push(FailureRow {
                        question_id: later.question_id,
                        kind: FailureRowKind::Blocked,
                        message: format!("question {question_id} of the same conversation has no answer"),
                        attempts: 0,
                        at: at.clone(),
                    });
                }
            }
        }
        rows
    }
}

/// A question that cannot be put together is a failure of its own and stops nothing else.
fn cannot_ask(error: Error) -> BackendError {
    BackendError { kind: FailureKind::Input, message: error.lines().join(": "), attempts: 0 }
}

/// Now, in UTC, RFC 3339, to the millisecond.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}
