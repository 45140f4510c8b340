//! Exams: single questions, as many of each kind, for measuring.

use std::collections::BTreeMap;

use image::RgbImage;

use super::ask::{Asker, Topic};
use super::dialogue::{QuestionAnswer, pictures};
use super::kind::{Group, Kind};
use super::random::{Dice, Purpose};
use super::scene::{Scene, Split};

/// One question with its scenes and, where it refers back, the turn before it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExamQuestion {
    pub scenes: Vec<Scene>,
    /// A seed for the picture of each scene.
    pub picture_seeds: Vec<u64>,
    /// Earlier turns with their right answers.
    pub history: Vec<QuestionAnswer>,
    pub turn: QuestionAnswer,
}

impl ExamQuestion {
    pub fn kind(&self) -> Kind {
        self.turn.kind
    }

    pub fn group(&self) -> Group {
        self.turn.kind.group()
    }

    /// The pictures, `side` pixels a side.
    pub fn pictures(&self, side: u32) -> Vec<RgbImage> {
        pictures(&self.scenes, &self.picture_seeds, side)
    }
}

/// `count` questions about pictures, every kind as often (the first kinds once more where it does not come out even).
pub fn exam(split: Split, seed: u64, count: usize) -> Vec<ExamQuestion> {
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| kind.pictures() > 0).collect();
    exam_of(&kinds, split, seed, count)
}

/// `count` questions of these kinds, every kind as often.
pub fn exam_of(kinds: &[Kind], split: Split, seed: u64, count: usize) -> Vec<ExamQuestion> {
    kinds.iter().cycle().take(count).enumerate().filter_map(|(index, &kind)| one(kind, split, seed, index)).collect()
}

fn one(kind: Kind, split: Split, seed: u64, index: usize) -> Option<ExamQuestion> {
    /// No kind needs near as many scenes until one can be asked it.
    const ATTEMPTS: usize = 10_000;
    let dice = &mut Dice::new(Purpose::Exam, split, seed, index as u64);
    let signs = match kind {
        _ if kind.needs_sign() => 1.0,
        Kind::SignExists => 0.5,
        _ => 0.3,
    };
    for _ in 0..ATTEMPTS {
        let scenes: Vec<Scene> = (0..kind.pictures()).map(|_| Scene::draw_from(dice, split, signs)).collect();
        let picture_seeds = scenes.iter().map(|_| dice.number()).collect();
        let opener = dice.pick(kind.openers()).copied();
        let mut asker = Asker { dice: &mut *dice, split, scenes: &scenes, topic: Topic::default() };
        let mut history = Vec::new();
        if let Some(opener) = opener {
            let Some(asked) = asker.ask(opener) else { continue };
            asker.topic = asked.topic;
            history.push(asked.turn);
        }
        if let Some(asked) = asker.ask(kind) {
            return Some(ExamQuestion { picture_seeds, history, turn: asked.turn, scenes });
        }
    }
    None
}

/// What somebody gets right who knows the kind of each question, but neither its picture nor its words, and always gives
/// the answer that is commonest for that kind: a share in each group.
pub fn chance(questions: &[ExamQuestion]) -> BTreeMap<Group, f64> {
    let mut answers: BTreeMap<Kind, BTreeMap<&str, usize>> = BTreeMap::new();
    for question in questions {
        *answers.entry(question.kind()).or_default().entry(&question.turn.answer).or_default() += 1;
    }
    let mut groups: BTreeMap<Group, (usize, usize)> = BTreeMap::new();
    for (kind, answers) in &answers {
        let group = groups.entry(kind.group()).or_default();
        group.0 += answers.values().max().copied().unwrap_or(0);
        group.1 += answers.values().sum::<usize>();
    }
    groups.into_iter().map(|(group, (right, all))| (group, right as f64 / all as f64)).collect()
}
