//! The scale of a score.

use serde::{Deserialize, Serialize};

/// The lowest and the highest score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale(pub f64, pub f64);

impl Scale {
    pub fn holds(self, score: f64) -> bool {
        (self.0..=self.1).contains(&score)
    }
}
