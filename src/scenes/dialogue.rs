//! Dialogues: scenes, and several turns about them.

use std::collections::BTreeMap;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::ask::{Asker, Topic};
use super::draw::draw_with_side;
use super::kind::{Group, Kind};
use super::random::{Dice, Purpose};
use super::scene::{Scene, Split};
use crate::error::{Error, Result};

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct QuestionAnswer {
    pub question: String,
    /// The canonical answer: short, lower case, no full stop.
    pub answer: String,
    /// Other forms that a grader would accept.
    pub accepted: Vec<String>,
    pub kind: Kind,
    /// OwlEval's ability letters.
    pub abilities: &'static [char],
}

impl QuestionAnswer {
    /// Whether a reply is right, in the canonical or another accepted form; case, a full stop and spaces aside.
    pub fn accepts(&self, reply: &str) -> bool {
        let reply = plain(reply);
        std::iter::once(&self.answer).chain(&self.accepted).any(|form| plain(form) == reply)
    }
}

fn plain(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches(['.', '!', ' ']).to_owned()
}

/// Scenes (none, one or two) and the turns about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialogue {
    pub scenes: Vec<Scene>,
    /// A seed for the picture of each scene.
    pub picture_seeds: Vec<u64>,
    pub turns: Vec<QuestionAnswer>,
}

impl Dialogue {
    /// The pictures, `side` pixels a side.
    pub fn pictures(&self, side: u32) -> Vec<RgbImage> {
        pictures(&self.scenes, &self.picture_seeds, side)
    }
}

pub(super) fn pictures(scenes: &[Scene], seeds: &[u64], side: u32) -> Vec<RgbImage> {
    scenes.iter().zip(seeds).map(|(scene, &seed)| draw_with_side(scene, seed, side)).collect()
}

/// What dialogues are made of. A recipe may name only what differs from the usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialogueMix {
    /// The fewest and the most turns of a dialogue.
    pub turns: [usize; 2],
    /// Share of the dialogues without a picture.
    pub text_only: f64,
    /// Share of the dialogues with a picture that have two.
    pub two_pictures: f64,
    /// Share of the scenes that bear a sign.
    pub signs: f64,
    /// Weights in place of the usual ones ([`Kind::usual_weight`]).
    pub kinds: BTreeMap<Kind, f64>,
    /// What the weights of a whole group are multiplied by.
    pub groups: BTreeMap<Group, f64>,
}

impl Default for DialogueMix {
    /// Everything that can be asked of pictures.
    fn default() -> Self {
        Self {
            turns: [4, 8],
            text_only: 0.0,
            two_pictures: 0.15,
            signs: 0.45,
            kinds: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }
}

impl DialogueMix {
    /// Of pictures without what only text teaches ([`Group::Knowledge`]): what picture training may see, so that an
    /// answer about knowledge is a carry-over.
    pub fn without_knowledge() -> Self {
        Self { groups: BTreeMap::from([(Group::Knowledge, 0.0)]), ..Self::default() }
    }

    /// Text only.
    pub fn text() -> Self {
        Self { text_only: 1.0, ..Self::default() }
    }

    /// All of it, for the language model's pre-training (scenes told in words) and for the tokenizer.
    pub fn everything() -> Self {
        Self { text_only: 0.2, ..Self::default() }
    }

    /// Refuses shares outside 0 to 1, weights that are negative or not finite, and dialogues without turns.
    pub fn check(&self) -> Result<()> {
        for (name, share) in [("text_only", self.text_only), ("two_pictures", self.two_pictures), ("signs", self.signs)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::input(format!("`{name}` is {share}")).remedy("a share lies between 0 and 1"));
            }
        }
        let weights = self.kinds.values().chain(self.groups.values());
        if let Some(weight) = weights.copied().find(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err(Error::input(format!("the weight {weight} of a kind or group of questions is not usable"))
                .remedy("a weight is 0 or above"));
        }
        if self.turns.contains(&0) || self.turns[0] > self.turns[1] {
            return Err(Error::input(format!("`turns` is {:?}", self.turns))
                .remedy("give the fewest and the most turns, both at least 1, as in [4, 8]"));
        }
        Ok(())
    }

    pub fn weight(&self, kind: Kind) -> f64 {
        let own = self.kinds.get(&kind).copied().unwrap_or_else(|| kind.usual_weight());
        own * self.groups.get(&kind.group()).copied().unwrap_or(1.0)
    }
}

/// The dialogue `index` of a split. It has fewer turns than asked for only where nothing else can be asked.
pub fn dialogue(split: Split, seed: u64, index: u64, mix: &DialogueMix) -> Dialogue {
    let dice = &mut Dice::new(Purpose::Dialogue, split, seed, index);
    let pictures = if dice.chance(mix.text_only) {
        0
    } else if dice.chance(mix.two_pictures) {
        2
    } else {
        1
    };
    let scenes: Vec<Scene> = (0..pictures).map(|_| Scene::draw_from(dice, split, mix.signs)).collect();
    let picture_seeds = scenes.iter().map(|_| dice.number()).collect();
    let wanted = dice.between(mix.turns[0].min(mix.turns[1]), mix.turns[1].max(mix.turns[0]));
    let turns = turns(dice, split, &scenes, mix, wanted);
    Dialogue { scenes, picture_seeds, turns }
}

fn turns(dice: &mut Dice, split: Split, scenes: &[Scene], mix: &DialogueMix, wanted: usize) -> Vec<QuestionAnswer> {
    let has_sign = scenes.iter().any(|scene| scene.sign.is_some());
    let weights: Vec<f64> = Kind::ALL
        .iter()
        .map(|&kind| match kind {
            _ if kind.pictures() != scenes.len() => 0.0,
            // As many yes as no, whatever the share of signs.
            Kind::SignExists => mix.weight(kind) * 2.0 * if has_sign { 1.0 - mix.signs } else { mix.signs },
            _ => mix.weight(kind),
        })
        .collect();
    let mut turns: Vec<QuestionAnswer> = Vec::with_capacity(wanted);
    let mut asker = Asker { dice, split, scenes, topic: Topic::default() };
    while turns.len() < wanted {
        let mut left = weights.clone();
        let asked = loop {
            let Some(index) = asker.dice.weighted(&left) else { break None };
            match asker.ask(Kind::ALL[index]) {
                Some(asked) if !is_repeated(&turns, &asked.turn) => break Some(asked),
                _ => left[index] = 0.0,
            }
        };
        let Some(asked) = asked else { break };
        asker.topic = asked.topic;
        turns.push(asked.turn);
    }
    turns
}

/// A dialogue whose turns are of these kinds in this order, on the first scenes of the stream that allow it; `None`
/// where none of very many does, or where the kinds are not all about as many pictures.
pub fn dialogue_of(kinds: &[Kind], split: Split, seed: u64, index: u64) -> Option<Dialogue> {
    const ATTEMPTS: usize = 100_000;
    let pictures = kinds.first()?.pictures();
    let dice = &mut Dice::new(Purpose::Planned, split, seed, index);
    let signs = if kinds.iter().any(|kind| kind.needs_sign()) { 1.0 } else { 0.3 };
    'attempt: for _ in 0..ATTEMPTS {
        let scenes: Vec<Scene> = (0..pictures).map(|_| Scene::draw_from(dice, split, signs)).collect();
        let picture_seeds = scenes.iter().map(|_| dice.number()).collect();
        let mut turns = Vec::with_capacity(kinds.len());
        let mut asker = Asker { dice: &mut *dice, split, scenes: &scenes, topic: Topic::default() };
        for &kind in kinds {
            match asker.ask(kind) {
                Some(asked) if !is_repeated(&turns, &asked.turn) => {
                    asker.topic = asked.topic;
                    turns.push(asked.turn);
                }
                _ => continue 'attempt,
            }
        }
        return Some(Dialogue { scenes, picture_seeds, turns });
    }
    None
}

/// The same words may be asked again only where they mean something else by what was said before.
fn is_repeated(turns: &[QuestionAnswer], turn: &QuestionAnswer) -> bool {
    turn.kind.openers().is_empty() && turns.iter().any(|earlier| earlier.question == turn.question)
}
