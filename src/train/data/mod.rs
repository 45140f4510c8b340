//! What a stage learns from: examples, their encoding, and the batches made of them.
//!
//! A batch is a pure function of the recipe, the stage and the step. So a run that is killed and resumed sees what an
//! uninterrupted one would have seen, and batches can be made on another thread, ahead of the loop.

pub mod batch;
pub mod file;
pub mod scenes;

use image::RgbImage;

use crate::error::Result;

/// Which examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// Only ever asked about.
    HeldOut,
    /// Only ever asked about, and each with a pair of shape and colour that the others never show; generated scenes alone
    /// have such.
    HeldOutPairs,
}

/// One conversation to learn from.
#[derive(Debug, Clone)]
pub struct Example {
    /// What errors name: the line of a file, or the number of a generated dialogue.
    pub id: String,
    /// The whole conversation (section 9.2 of the specification), `<image>` where a picture stands.
    pub text: String,
    /// As many as there are placeholders in the text.
    pub pictures: Vec<Picture>,
    /// What each answer of the text is about, for the figures by kind; may be shorter than the text's turns.
    pub kinds: Vec<String>,
}

/// A picture as the language model gets to know it.
#[derive(Debug, Clone)]
pub enum Picture {
    /// Pixels, for the vision tower.
    Drawn(RgbImage),
    /// The words that each image slot would say: language pre-training without a tower.
    Told(Vec<Vec<String>>),
}

/// A picture with what is true of it: one class number a head of vision pre-training.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// What errors name.
    pub id: String,
    pub image: RgbImage,
    pub labels: Vec<u32>,
}

/// A source of conversations.
pub trait Conversations: Send + Sync {
    /// Example number `index`, with its pictures told in words instead of drawn if `told`.
    fn example(&self, split: Split, index: u64, told: bool) -> Result<Example>;
}
