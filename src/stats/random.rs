//! Seeded choices: every one is a pure function of (purpose, seed, index), on any machine and for good.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::distribution::normal_quantile;

/// What a stream of choices is for, so that no two uses share a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Bootstrap = 1,
    SignFlips = 2,
    Power = 3,
    #[cfg(test)]
    Test = 4,
}

/// A stream of choices.
///
/// The ranges are drawn here rather than by the `rand` crate, whose ranges may give other values in a later version.
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    pub fn new(purpose: Purpose, seed: u64, index: u64) -> Self {
        let mut key = [0; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([seed, index, purpose as u64]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 64 independent fair bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number below `end` (which must not be 0).
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    /// In (0, 1), both ends left out, so that a quantile of it is finite.
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, by the inverse of its distribution function: one number drawn, one number used.
    pub fn normal(&mut self) -> f64 {
        normal_quantile(self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_gives_these_numbers_for_good() {
        let mut stream = Stream::new(Purpose::Test, 7, 1);
        let drawn: Vec<usize> = (0..8).map(|_| stream.below(100)).collect();
        assert_eq!(drawn, [40, 41, 70, 61, 71, 1, 26, 80]);
        assert_eq!((stream.unit(), stream.normal()), (0.080_271_708_455_377_73, -0.413_934_832_696_542_63));
    }

    #[test]
    fn seed_index_and_purpose_each_make_another_stream() {
        let first = |purpose, seed, index| Stream::new(purpose, seed, index).bits();
        let base = first(Purpose::Bootstrap, 1, 2);
        assert_eq!(base, first(Purpose::Bootstrap, 1, 2));
        for other in [first(Purpose::Power, 1, 2), first(Purpose::Bootstrap, 2, 2), first(Purpose::Bootstrap, 1, 1)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_hundred_thousand_normal_numbers_have_the_moments_of_the_normal_distribution() {
        let mut stream = Stream::new(Purpose::Test, 1, 1);
        let numbers: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let moment = |power: i32| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / numbers.len() as f64;
        // Five standard errors of each moment.
        assert!(moment(1).abs() < 5.0 * 0.003_2, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 5.0 * 0.004_5, "{}", moment(2));
        assert!(moment(3).abs() < 5.0 * 0.012_3, "{}", moment(3));
        assert!((moment(4) - 3.0).abs() < 5.0 * 0.031, "{}", moment(4));
    }
}
