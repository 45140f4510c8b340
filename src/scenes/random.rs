//! Seeded choices: every one is a pure function of (purpose, split, seed, index), on any machine and for good.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Split;

/// What a stream of choices is for, so that no two uses share a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Scene = 1,
    Dialogue = 2,
    Exam = 3,
    Picture = 4,
    Corpus = 5,
    Planned = 6,
}

/// A stream of choices.
///
/// The ranges are drawn here rather than by the `rand` crate, whose ranges may give other values in a later version.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(purpose: Purpose, split: Split, seed: u64, index: u64) -> Self {
        let mut key = [0; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([seed, index, split as u64 + 1, purpose as u64]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number below `end` (which must not be 0).
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    /// A whole number from `start` to `end`, both included.
    pub(super) fn between(&mut self, start: usize, end: usize) -> usize {
        start + self.below(end - start + 1)
    }

    /// In [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In [−1, 1).
    pub(super) fn jitter(&mut self) -> f32 {
        (self.unit() * 2.0 - 1.0) as f32
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        if choices.is_empty() { None } else { choices.get(self.below(choices.len())) }
    }

    /// One of at least one choices.
    pub(super) fn of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        const { assert!(N > 0) };
        choices[self.below(N)]
    }

    /// The index of one of the weights, in proportion to them; `None` where none is above 0.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let total: f64 = weights.iter().sum();
        let mut left = self.unit() * total;
        let mut last = None;
        for (index, &weight) in weights.iter().enumerate() {
            if weight > 0.0 {
                last = Some(index);
                if left < weight {
                    return last;
                }
                left -= weight;
            }
        }
        last
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}
