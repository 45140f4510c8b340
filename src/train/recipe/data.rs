//! What a stage learns from: generated scenes, or a file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scenes::DialogueMix;

/// What a stage learns from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// JSON lines (section 9.2), relative to the recipe; without it generated scenes.
    pub file: Option<PathBuf>,
    /// What the generated dialogues are made of.
    #[serde(default)]
    pub mix: DialogueMix,
    /// Gaussian noise on told slots, as a share of the embeddings' root mean square.
    #[serde(default)]
    pub told_noise: f64,
    /// The share of examples whose picture is told in words even in a stage that sees pictures.
    #[serde(default)]
    pub told_share: f64,
    /// The share of scenes with a sign that vision pre-training sees.
    #[serde(default = "half")]
    pub signs: f64,
}

fn half() -> f64 {
    0.5
}
