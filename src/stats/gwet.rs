//! Gwet's AC1 and AC2: agreement that a skewed prevalence does not pull to 0.

use super::clusters::{Additive, ClusterSums};
use super::estimate::Undefined;
use super::ratings::Ratings;
use super::weights::Weights;
use crate::error::Result;

/// Gwet's coefficient (pₐ − pₑ)/(1 − pₑ): AC1 with [`Weights::Identity`], AC2 with the others.
///
/// pₐ is the mean over units with r ≥ 2 ratings of Σ_k r_k (Σ_l w_kl r_l − 1) / (r (r − 1)); with π_k the mean over
/// rated units of r_k / r, pₑ = Σ_kl w_kl Σ_k π_k (1 − π_k) / (q (q − 1)).
///
/// Unlike α and κ it has a value (1) where all ratings are one of two categories or more: what might have been chosen
/// is declared, not observed. It is undefined for a single category.
///
/// Source: Gwet, British Journal of Mathematical and Statistical Psychology 61 (2008); Handbook of Inter-Rater
/// Reliability, 4th edition (2014), section 5.
#[derive(Debug, Clone)]
pub struct Gwet {
    weights: Weights,
    categories: usize,
    /// Σ agreement of units, units with two ratings, rated units, Σ r_k / r of every category.
    sums: ClusterSums,
    n: usize,
}

impl Gwet {
    pub fn new(ratings: &Ratings, weights: Weights) -> Result<Self> {
        let categories = ratings.categories();
        let mut sums = ClusterSums::zeros(ratings.clusters(), 3 + categories);
        let mut n = 0;
        for unit in ratings.units().iter().filter(|unit| unit.raters() > 0.0) {
            let raters = unit.raters();
            let row = sums.row(unit.cluster)?;
            row[2] += 1.0;
            for (sum, count) in row[3..].iter_mut().zip(&unit.counts) {
                *sum += count / raters;
            }
            if raters >= 2.0 {
                n += 1;
                let counts = unit.counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
                let agreeing: f64 = counts
                    .clone()
                    .map(|(k, count)| {
                        let weighted: f64 =
                            counts.clone().map(|(l, other)| weights.agreement(k, l, categories) * other).sum();
                        count * (weighted - 1.0)
                    })
                    .sum();
                row[0] += agreeing / (raters * (raters - 1.0));
                row[1] += 1.0;
            }
        }
        Ok(Self { weights, categories, sums, n })
    }
}

impl Additive for Gwet {
    fn sums(&self) -> &ClusterSums {
        &self.sums
    }

    fn of(&self, sums: &[f64]) -> Result<f64, Undefined> {
        if sums[1] == 0.0 {
            return Err(Undefined::NoPairs);
        }
        if self.categories < 2 {
            return Err(Undefined::Constant);
        }
        let q = self.categories;
        let weights: f64 = (0..q * q).map(|cell| self.weights.agreement(cell / q, cell % q, q)).sum();
        let spread: f64 = sums[3..].iter().map(|sum| sum / sums[2]).map(|share| share * (1.0 - share)).sum();
        let observed = sums[0] / sums[1];
        let by_chance = weights * spread / (q * (q - 1)) as f64;
        Ok((observed - by_chance) / (1.0 - by_chance))
    }

    fn n(&self) -> usize {
        self.n
    }
}
