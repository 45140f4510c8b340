//! Answers and an evalset become the cards of a sheet and the sealed mapping.

use std::collections::BTreeMap;

use super::Exchange;
use super::answers::{Answers, text_sha256};
use super::arrange::{Placed, Turns, arrange};
use super::cards::{CardRow, PictureId};
use super::leak::{self, Leak};
use super::manifest::Missing;
use super::sealed::{RepairNote, Slot};
use crate::evalset::{EvalSet, Item};
use crate::record::History;

/// Stands where an earlier turn of a conversation has no answer.
const NO_ANSWER: &str = "⟨there is no answer to this turn⟩";
/// Stands where the model was told answers of another, which are not at hand.
const TOLD_ELSEWHERE: &str = "⟨the model was told another model's answer here; its text is not on this sheet⟩";

/// All that a sheet can be made of.
pub(super) struct Material<'a> {
    pub evalset: &'a EvalSet,
    pub answers: &'a [Answers],
    /// For each item of the evalset, for each of its turns, the models that answered it.
    turns: Vec<Turns>,
}

/// The cards of a sheet, and what is sealed about them.
pub(super) struct Built {
    pub cards: Vec<CardRow>,
    pub slots: Vec<Slot>,
    pub leaks: Vec<Leak>,
}

impl<'a> Material<'a> {
    pub fn new(evalset: &'a EvalSet, answers: &'a [Answers]) -> Self {
        let models_of = |question_id| {
            let answered = |(_, answers): &(usize, &Answers)| answers.find(question_id).is_ok();
            answers.iter().enumerate().filter(answered).map(|(model, _)| model).collect()
        };
        let turns_of = |item: &Item| item.turns.iter().map(|turn| models_of(turn.question_id)).collect();
        Self { evalset, answers, turns: evalset.items.iter().map(turns_of).collect() }
    }

    /// Items that have an answer, by their index in the evalset.
    pub fn answered_items(&self) -> Vec<usize> {
        (0..self.turns.len()).filter(|item| self.cards_of(*item) > 0).collect()
    }

    /// How many answers there are to the questions of an item.
    pub fn cards_of(&self, item: usize) -> usize {
        self.turns[item].iter().map(Vec::len).sum()
    }

    /// The answers that are not there, over the questions of some items.
    pub fn missing(&self, items: &[usize]) -> Vec<Missing> {
        let mut missing = Vec::new();
        for answers in self.answers {
            for turn in items.iter().flat_map(|item| &self.evalset.items[*item].turns) {
                if let Err(why) = answers.find(turn.question_id) {
                    missing.push(Missing { model_id: answers.model_id.clone(), question_id: turn.question_id, why });
                }
            }
        }
        missing
    }

    /// What was repaired in the answers to the questions of some items, and rows that answer nothing at all.
    pub fn repairs(&self, items: &[usize]) -> Vec<RepairNote> {
        let elsewhere: std::collections::BTreeSet<u64> = (0..self.turns.len())
            .filter(|item| !items.contains(item))
            .flat_map(|item| self.evalset.items[item].turns.iter().map(|turn| turn.question_id))
            .collect();
        let all = self.answers.iter().flat_map(|answers| answers.repairs(self.evalset));
        all.filter(|note| !elsewhere.contains(&note.question_id)).collect()
    }

    /// Puts the answers to the questions of some items into order; `repeats` of them come again.
    pub fn build(&self, items: &[usize], repeats: usize, seed: u64) -> Built {
        let conversations: Vec<Turns> = items.iter().map(|item| self.turns[*item].clone()).collect();
        let placed = arrange(&conversations, repeats, seed);
        let mut pictures = BTreeMap::new();
        let models: Vec<&str> = self.answers.iter().map(|answers| answers.model_id.as_str()).collect();
        let mut built = Built { cards: Vec::new(), slots: Vec::new(), leaks: Vec::new() };
        for place in &placed {
            let item = &self.evalset.items[items[place.conversation]];
            let Some(card) = self.card(item, place, &mut pictures) else { continue };
            if place.repeats.is_none() {
                built.leaks.extend(leak::find(&card.answer, &models).into_iter().map(|what| Leak {
                    model_id: models[place.model].to_owned(),
                    question_id: card.question_id,
                    what,
                }));
            }
            built.slots.push(Slot {
                key: card.key.clone(),
                model_id: models[place.model].to_owned(),
                repeats: place.repeats.map(|first| placed[first].key()),
            });
            built.cards.push(card);
        }
        built.leaks.sort();
        built
    }

    fn card(&self, item: &Item, place: &Placed, pictures: &mut BTreeMap<String, Option<String>>) -> Option<CardRow> {
        let turn = item.turns.get(place.turn)?;
        let answers = self.answers.get(place.model)?;
        let answer = answers.find(turn.question_id).ok()?;
        let mut picture = |name: &String| {
            let read = || self.evalset.images.read(name).ok().map(|image| image.sha256);
            PictureId { name: name.clone(), sha256: pictures.entry(name.clone()).or_insert_with(read).clone() }
        };
        Some(CardRow {
            key: place.key(),
            group: place.group,
            question_id: turn.question_id,
            item: item.id.clone(),
            images: item.images.iter().map(&mut picture).collect(),
            subsets: turn.subsets.clone(),
            abilities: turn.abilities.clone(),
            before: self.before(item, place.turn, answers),
            question: turn.question.clone(),
            answer: answer.to_owned(),
            answer_sha256: text_sha256(answer),
        })
    }

    /// What the model was told of the conversation before a turn: its own answers, as a rule.
    fn before(&self, item: &Item, turn: usize, answers: &Answers) -> Vec<Exchange> {
        let told: Option<&Answers> = match &answers.history {
            History::None => return Vec::new(),
            History::Own => Some(answers),
            History::Published { sha256, .. } => self.answers.iter().find(|other| other.published.sha256() == sha256),
        };
        let exchange = |asked: &crate::evalset::Turn| {
            let answer = match told {
                Some(told) => told.find(asked.question_id).unwrap_or(NO_ANSWER),
                None => TOLD_ELSEWHERE,
            };
            Exchange { question: asked.question.clone(), answer: answer.to_owned() }
        };
        item.turns[..turn].iter().map(exchange).collect()
    }
}
