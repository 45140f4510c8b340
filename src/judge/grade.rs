//! The four grades of OwlEval.

use serde::{Deserialize, Serialize};

/// A grade, from A (valid and satisfying) to D (irrelevant or invalid).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grade {
    A,
    B,
    C,
    D,
}

impl Grade {
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// The grade that a letter of either case names.
    pub fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "A" | "a" => Some(Self::A),
            "B" | "b" => Some(Self::B),
            "C" | "c" => Some(Self::C),
            "D" | "d" => Some(Self::D),
            _ => None,
        }
    }

    /// 0 for A to 3 for D: the category of the statistics.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
