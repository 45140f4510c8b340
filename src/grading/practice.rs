//! A short round for first-time graders, on evalset `mini`, which is not recorded.

use serde::Deserialize;

use super::answers::text_sha256;
use super::pictures::folder_of;
use super::{Card, Deck, Exchange, Grade, Rubric, Session, Suggestion};
use crate::error::{Error, Result};
use crate::evalset::EvalSet;

const EVALSET: &str = "mini";
const CARDS: &str = include_str!("practice.toml");

#[derive(Deserialize)]
struct Written {
    card: Vec<WrittenCard>,
}

#[derive(Deserialize)]
struct WrittenCard {
    question_id: u64,
    /// The answers to the turns before.
    #[serde(default)]
    before: Vec<String>,
    answer: String,
    grade: Grade,
    why: String,
}

/// The practice round. Each card has the grade that fits, and why.
///
/// # Errors
/// Where the pictures cannot be written to a temporary folder.
pub fn practice(rubric: Rubric) -> Result<Session> {
    let written: Written =
        toml::from_str(CARDS).map_err(|source| Error::failed("the practice round is broken").source(source))?;
    let evalset = EvalSet::open(EVALSET)?;
    let asked = |id: u64| {
        evalset
            .items
            .iter()
            .find_map(|item| item.turns.iter().position(|turn| turn.question_id == id).map(|turn| (item, turn)))
            .ok_or_else(|| Error::failed(format!("evalset {EVALSET} has no question {id}")))
    };
    let mut names = Vec::new();
    for card in &written.card {
        names.extend(asked(card.question_id)?.0.images.iter().map(String::as_str));
    }
    let (folder, temporary) = folder_of(&evalset.images, names.into_iter())?;
    let mut cards: Vec<Card> = Vec::new();
    for card in written.card {
        let (item, turn) = asked(card.question_id)?;
        let earlier = item.turns[..turn].iter().zip(card.before);
        let (group, slot) = match cards.last() {
            None => (0, 1),
            Some(last) if last.question_id == card.question_id => {
                let group = last.question_group;
                (group, 1 + cards.iter().filter(|card| card.question_group == group).count())
            }
            Some(last) => (last.question_group + 1, 1),
        };
        cards.push(Card {
            key: format!("{:03}-{slot}", group + 1),
            question_id: card.question_id,
            item: item.id.clone(),
            images: item.images.iter().map(|name| folder.join(name)).collect(),
            before: earlier.map(|(turn, answer)| Exchange { question: turn.question.clone(), answer }).collect(),
            question: item.turns[turn].question.clone(),
            answer_sha256: text_sha256(&card.answer),
            answer: card.answer,
            question_group: group,
            suggested: Some(Suggestion { grade: card.grade, why: card.why }),
            given: Vec::new(),
        });
    }
    let deck = Deck { title: "practice: nothing is recorded".to_owned(), rubric, cards };
    Ok(Session::practice(deck).keeping(temporary))
}
