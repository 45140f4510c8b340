//! Generated scenes as training data: dialogues for the language model, labels for vision pre-training.

use rand::RngExt;

use super::{Conversations, Example, Labelled, Picture, Split};
use crate::error::Result;
use crate::owl::processor::IMAGE_PLACEHOLDER;
use crate::scenes::{self, DialogueMix};
use crate::train::parameters::generator;
use crate::train::probe::Head;

/// The generator's own name for a split. Pictures keep the held-out pairs back, words do not: LLaMA, too, has read of
/// more than a vision tower was ever shown.
fn scenes_split(split: Split, told: bool) -> scenes::Split {
    match split {
        Split::Train if told => scenes::Split::Told,
        Split::Train => scenes::Split::Train,
        Split::HeldOut => scenes::Split::Fresh,
        Split::HeldOutPairs => scenes::Split::HeldOut,
    }
}

/// What vision pre-training asks: three things of each of nine places, the row of the sign and its characters.
pub const HEADS: [Head; 5] = [
    Head { name: "colour", first: 0, queries: 9, classes: scenes::COLOUR_CLASSES },
    Head { name: "shape", first: 0, queries: 9, classes: scenes::SHAPE_CLASSES },
    Head { name: "size", first: 0, queries: 9, classes: scenes::SIZE_CLASSES },
    Head { name: "sign_row", first: 9, queries: 1, classes: scenes::SIGN_ROW_CLASSES },
    Head { name: "character", first: 10, queries: scenes::SIGN_POSITIONS, classes: scenes::CHARACTER_CLASSES },
];

/// A picture and its labels in the order of [`HEADS`].
pub fn labelled(split: Split, seed: u64, index: u64, side: u32, signs: f64) -> Labelled {
    let scene = scenes::Scene::sample(scenes_split(split, false), seed, index, signs);
    let image = scenes::draw_with_side(&scene, picture_seed(seed, index), side);
    let found = scenes::labels(&scene);
    let all = [&found.colour[..], &found.shape, &found.size, &[found.sign_row], &found.characters];
    Labelled {
        id: format!("scene {index} of seed {seed}"),
        image,
        labels: all.concat().into_iter().map(u32::from).collect(),
    }
}

/// The seed that a picture of vision pre-training is drawn with: other tints and jitter for every picture.
fn picture_seed(seed: u64, index: u64) -> u64 {
    generator(seed, &["picture", &index.to_string()]).random()
}

/// Dialogues about generated scenes.
pub struct Scenes {
    seed: u64,
    /// Pixels a side.
    side: u32,
    mix: DialogueMix,
}

impl Scenes {
    pub fn new(seed: u64, mix: &DialogueMix, side: u32) -> Result<Self> {
        mix.check()?;
        Ok(Self { seed, side, mix: mix.clone() })
    }
}

impl Conversations for Scenes {
    fn example(&self, split: Split, index: u64, told: bool) -> Result<Example> {
        let dialogue = scenes::dialogue(scenes_split(split, told), self.seed, index, &self.mix);
        let mut lines = vec![format!("Human: {IMAGE_PLACEHOLDER}"); dialogue.scenes.len()];
        for turn in &dialogue.turns {
            lines.push(format!("Human: {}", turn.question));
            lines.push(format!("AI: {}", turn.answer));
        }
        let words = |slot: &Vec<&str>| slot.iter().map(|&word| word.to_owned()).collect();
        let pictures = if told {
            let told = |scene| Picture::Told(scenes::told(scene).iter().map(words).collect());
            dialogue.scenes.iter().map(told).collect()
        } else {
            dialogue.pictures(self.side).into_iter().map(Picture::Drawn).collect()
        };
        let kind = |turn: &scenes::QuestionAnswer| format!("{:?}", turn.kind.group()).to_lowercase();
        Ok(Example {
            id: format!("dialogue {index} of seed {} ({split:?})", self.seed),
            text: lines.join("\n"),
            pictures,
            kinds: dialogue.turns.iter().map(kind).collect(),
        })
    }
}
