//! How fast the model is here, beside what this machine allows: its ceilings are measured in the same run.

mod ceilings;
mod measure;

use serde::Serialize;

pub use ceilings::Ceilings;
pub use measure::{Options, measure};

/// What a benchmark found. Times in seconds, rates per second.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub model: String,
    pub dtype: String,
    pub threads: usize,
    pub parameters: Parameters,
    pub ceilings: Ceilings,
    pub vision: Measured,
    pub prefill: Measured,
    pub decode: Vec<Decode>,
    pub first_token: FirstToken,
    pub memory: Memory,
}

/// Weights of the towers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Parameters {
    pub vision: usize,
    pub abstractor: usize,
    pub language: usize,
}

/// A time beside the time that the ceiling allows.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    /// Pictures or tokens that were computed.
    pub count: usize,
    pub seconds: f64,
    /// The matrix products of this pass alone, at candle's own speed.
    pub ceiling_seconds: f64,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// How much of the ceiling is reached, 1 being all.
    pub fn share(&self) -> f64 {
        self.ceiling_seconds / self.seconds
    }
}

/// Decoding of `batch` rows that have read `positions` tokens.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Decode {
    pub batch: usize,
    pub positions: usize,
    /// Of all rows together.
    pub tokens_per_second: f64,
    /// Bytes of weights and cache that one step reads, over what the memory gives.
    pub bandwidth_share: f64,
}

/// Time to the first token of a question on a picture.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FirstToken {
    pub first_question: f64,
    /// The next question of the same dialogue.
    pub second_question: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// What the weights would take in f32.
    pub weights_f32_bytes: usize,
    /// The process's largest resident size while it serves one conversation of up to 1,024 positions, where the system
    /// tells.
    pub peak_bytes: Option<usize>,
    /// The same with the caches of eight such conversations.
    pub peak_bytes_of_eight: Option<usize>,
}
