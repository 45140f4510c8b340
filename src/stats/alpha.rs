//! Krippendorff's α: agreement of any number of raters, with holes.

use super::clusters::{Additive, ClusterSums};
use super::confusion::Confusion;
use super::estimate::Undefined;
use super::ratings::Ratings;
use crate::error::Result;

/// How far apart two categories are, δ².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// 1 where they differ.
    Nominal,
    /// (Σ_{g=c..k} n_g − (n_c + n_k)/2)²: how many ratings lie between them.
    Ordinal,
    /// (c − k)², the categories being equally spaced.
    Interval,
}

/// Krippendorff's α = 1 − (n − 1) Σ_{c<k} o_ck δ²_ck / Σ_{c<k} n_c n_k δ²_ck, where a unit of m ≥ 2 ratings adds
/// 1/(m − 1) to o_ck for each ordered pair of its ratings, n_c = Σ_k o_ck and n = Σ_c n_c.
///
/// Undefined where all ratings that can be paired are one category. Where nearly all are, one disagreement makes it 0:
/// show the prevalence beside it.
///
/// Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).
#[derive(Debug, Clone)]
pub struct Alpha {
    metric: Metric,
    categories: usize,
    /// The coincidence matrix o, row after row.
    sums: ClusterSums,
    n: usize,
}

impl Alpha {
    pub fn new(ratings: &Ratings, metric: Metric) -> Result<Self> {
        let categories = ratings.categories();
        let mut sums = ClusterSums::zeros(ratings.clusters(), categories * categories);
        let mut n = 0;
        for unit in ratings.units().iter().filter(|unit| unit.raters() >= 2.0) {
            n += 1;
            let share = 1.0 / (unit.raters() - 1.0);
            let row = sums.row(unit.cluster)?;
            for (c, count) in unit.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
                for (k, other) in unit.counts.iter().enumerate() {
                    row[c * categories + k] += count * (other - f64::from(u8::from(c == k))) * share;
                }
            }
        }
        Ok(Self { metric, categories, sums, n })
    }

    /// Of pairs, such as repeats, whose order does not matter.
    pub fn of_pairs(pairs: &Confusion, metric: Metric) -> Result<Self> {
        let categories = pairs.categories();
        let mut sums = ClusterSums::zeros(pairs.sums().clusters(), categories * categories);
        for (cluster, counts) in pairs.sums().rows().enumerate() {
            let row = sums.row(cluster)?;
            for (cell, count) in counts.iter().enumerate() {
                let (first, second) = (cell / categories, cell % categories);
                row[first * categories + second] += count;
                row[second * categories + first] += count;
            }
        }
        Ok(Self { metric, categories, sums, n: pairs.n() })
    }
}

impl Additive for Alpha {
    fn sums(&self) -> &ClusterSums {
        &self.sums
    }

    fn of(&self, sums: &[f64]) -> Result<f64, Undefined> {
        let marginals: Vec<f64> = sums.chunks(self.categories.max(1)).map(|row| row.iter().sum()).collect();
        let n: f64 = marginals.iter().sum();
        if n == 0.0 {
            return Err(Undefined::NoPairs);
        }
        let (mut observed, mut by_chance) = (0.0, 0.0);
        for (c, of_c) in marginals.iter().enumerate() {
            let mut between = 0.0;
            for (k, of_k) in marginals.iter().enumerate().skip(c + 1) {
                let apart: f64 = match self.metric {
                    Metric::Nominal => 1.0,
                    Metric::Ordinal => between + (of_c + of_k) / 2.0,
                    Metric::Interval => (k - c) as f64,
                };
                between += of_k;
                observed += sums[c * self.categories + k] * apart * apart;
                by_chance += of_c * of_k * apart * apart;
            }
        }
        if by_chance > 0.0 { Ok(1.0 - (n - 1.0) * observed / by_chance) } else { Err(Undefined::Constant) }
    }

    fn n(&self) -> usize {
        self.n
    }
}
