//! The learning rate of a step.
//!
//! Linear is what the reference's training script uses (warm-up from 0, then down to 0), cosine is what the paper
//! states (section 4), constant is for experiments.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    Linear,
    Cosine,
    Constant,
}

/// A learning rate as a function of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    pub decay: Decay,
    /// The learning rate at the end of the warm-up.
    pub peak: f64,
    /// The learning rate that linear and cosine end at.
    pub floor: f64,
    pub warmup: usize,
    pub steps: usize,
}

impl Schedule {
    /// The learning rate of the update number `step`, counted from 0.
    ///
    /// During the warm-up it is `peak * step / warmup`, so the very first update has rate 0, as in the reference.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let rest = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let done = ((step - self.warmup) as f64 / rest).min(1.0);
        let share = match self.decay {
            Decay::Linear => 1.0 - done,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Decay::Constant => 1.0,
        };
        self.floor + (self.peak - self.floor) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_matches_the_learning_rates_of_the_reference_run() {
        let schedule = Schedule { decay: Decay::Linear, peak: 0.005, floor: 0.0, warmup: 2, steps: 8 };
        let expected = [
            0.0,
            0.0025,
            0.005,
            0.004166666666666667,
            0.003333333333333333,
            0.0025,
            0.0016666666666666666,
            0.0008333333333333333,
        ];
        for (step, expected) in expected.into_iter().enumerate() {
            assert!((schedule.rate(step) - expected).abs() < 1e-12, "step {step}");
        }
    }

    #[test]
    fn cosine_starts_at_the_peak_and_ends_at_the_floor() {
        let schedule = Schedule { decay: Decay::Cosine, peak: 1e-3, floor: 1e-5, warmup: 10, steps: 110 };
        assert_eq!(schedule.rate(0), 0.0);
        assert!((schedule.rate(10) - 1e-3).abs() < 1e-12);
        assert!((schedule.rate(60) - 0.5 * (1e-3 + 1e-5)).abs() < 1e-12);
        assert!((schedule.rate(110) - 1e-5).abs() < 1e-12);
        assert!((schedule.rate(500) - 1e-5).abs() < 1e-12);
    }

    #[test]
    fn constant_stays_at_the_peak() {
        let schedule = Schedule { decay: Decay::Constant, peak: 2e-4, floor: 0.0, warmup: 0, steps: 3 };
        assert_eq!(schedule.rate(0), 2e-4);
        assert_eq!(schedule.rate(99), 2e-4);
    }
}
