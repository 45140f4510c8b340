//! Two ratings of each unit: by two raters, by a human and a judge, or twice by the same rater.

use std::collections::HashMap;

use super::clusters::{Additive, ClusterSums, Mean};
use super::estimate::Undefined;
use super::ratings::outside;
use super::weights::Weights;
use crate::error::{Error, Result};

/// How often each pair of categories was given, by cluster: rows are the first rating, columns the second.
#[derive(Debug, Clone)]
pub struct Confusion {
    categories: usize,
    /// Categories × categories, row after row.
    sums: ClusterSums,
    n: usize,
}

impl Confusion {
    pub fn new(categories: usize, clusters: usize) -> Self {
        Self { categories, sums: ClusterSums::zeros(clusters, categories * categories), n: 0 }
    }

    /// Adds a unit with its two ratings.
    pub fn add(&mut self, cluster: usize, first: usize, second: usize) -> Result<()> {
        if let Some(&label) = [first, second].iter().find(|label| **label >= self.categories) {
            return Err(outside(label, self.categories));
        }
        self.sums.row(cluster)?[first * self.categories + second] += 1.0;
        self.n += 1;
        Ok(())
    }

    pub fn n(&self) -> usize {
        self.n
    }

    /// The matrix, summed over clusters.
    pub fn counts(&self) -> Vec<Vec<usize>> {
        let total = self.sums.total();
        total.chunks(self.categories.max(1)).map(|row| row.iter().map(|count| *count as usize).collect()).collect()
    }

    /// The share of equal ratings.
    pub fn agreement(&self) -> Result<Mean> {
        let mut mean = Mean::new(self.sums.clusters());
        for (cluster, row) in self.sums.rows().enumerate() {
            let equal = row.iter().step_by(self.categories + 1).sum();
            mean.add_sum(cluster, equal, row.iter().sum())?;
        }
        Ok(mean)
    }

    /// Cohen's κ with these weights.
    pub fn kappa(&self, weights: Weights) -> Kappa<'_> {
        Kappa { confusion: self, weights }
    }

    pub(super) fn categories(&self) -> usize {
        self.categories
    }

    pub(super) fn sums(&self) -> &ClusterSums {
        &self.sums
    }
}

/// Cohen's κ = 1 − Σ d_ij o_ij / Σ d_ij e_ij, where d_ij is one minus the weight of agreement, o_ij the share of pairs
/// (i, j) and e_ij the product of the shares of i among first and of j among second ratings.
///
/// Undefined where both ratings are the same one category throughout.
///
/// Source: Cohen, Educational and Psychological Measurement 20 (1960); weighted: Psychological Bulletin 70 (1968).
#[derive(Debug, Clone, Copy)]
pub struct Kappa<'a> {
    confusion: &'a Confusion,
    weights: Weights,
}

impl Additive for Kappa<'_> {
    fn sums(&self) -> &ClusterSums {
        &self.confusion.sums
    }

    fn of(&self, sums: &[f64]) -> Result<f64, Undefined> {
        let categories = self.confusion.categories;
        let row = |i: usize| sums[i * categories..(i + 1) * categories].iter().sum::<f64>();
        let column = |j: usize| sums[j..].iter().step_by(categories).sum::<f64>();
        let n: f64 = sums.iter().sum();
        if n == 0.0 {
            return Err(Undefined::NoPairs);
        }
        let columns: Vec<f64> = (0..categories).map(column).collect();
        let (mut observed, mut by_chance) = (0.0, 0.0);
        for i in 0..categories {
            let row = row(i);
            for (j, column) in columns.iter().enumerate() {
                let disagreement = 1.0 - self.weights.agreement(i, j, categories);
                observed += disagreement * sums[i * categories + j];
                by_chance += disagreement * row * column / n;
            }
        }
        if by_chance > 0.0 { Ok(1.0 - observed / by_chance) } else { Err(Undefined::Constant) }
    }

    fn n(&self) -> usize {
        self.confusion.n
    }
}

/// One rating among many: a rater may rate the same unit again.
#[derive(Debug, Clone, Copy)]
pub struct Rating {
    pub rater: usize,
    pub unit: usize,
    pub cluster: usize,
    pub label: usize,
}

/// Agreement of every rater with himself: of each unit that he rated again, the earlier and the later rating (of three
/// ratings, the first with the second and the second with the third). `ratings` stand in the order of time.
///
/// What is returned is a confusion a rater, whose agreement, κ and α say how steady he is. κ of repeats is the
/// test–retest reliability of Cohen (1960); no other rater can agree with him better than he does himself.
pub fn repeats(ratings: &[Rating], categories: usize, raters: usize, clusters: usize) -> Result<Vec<Confusion>> {
    let mut confusions = vec![Confusion::new(categories, clusters); raters];
    let mut earlier: HashMap<(usize, usize), usize> = HashMap::new();
    for rating in ratings {
        let confusion = confusions
            .get_mut(rating.rater)
            .ok_or_else(|| Error::input(format!("rater {} of {raters}, counted from 0", rating.rater)))?;
        if let Some(before) = earlier.insert((rating.rater, rating.unit), rating.label) {
            confusion.add(rating.cluster, before, rating.label)?;
        }
    }
    Ok(confusions)
}
