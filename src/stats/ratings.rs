//! Who rated what how: units × raters, with holes.

use super::clusters::Mean;
use super::confusion::Confusion;
use crate::error::{Error, Result};

/// Ratings of units (an answer of a model) by raters, each a category counted from 0 in its natural order, or missing.
#[derive(Debug, Clone)]
pub struct Ratings {
    categories: usize,
    raters: usize,
    clusters: usize,
    units: Vec<Unit>,
}

#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub cluster: usize,
    /// A rater each.
    pub labels: Vec<Option<usize>>,
    /// Ratings by category.
    pub counts: Vec<f64>,
}

impl Unit {
    /// How many rated it.
    pub fn raters(&self) -> f64 {
        self.counts.iter().sum()
    }
}

impl Ratings {
    /// No units yet; `clusters` is the number of clusters of all of them.
    pub fn new(categories: usize, raters: usize, clusters: usize) -> Self {
        Self { categories, raters, clusters, units: Vec::new() }
    }

    /// Adds a unit with one label a rater.
    pub fn add(&mut self, cluster: usize, labels: &[Option<usize>]) -> Result<()> {
        if labels.len() != self.raters {
            return Err(Error::input(format!("{} ratings of a unit, {} raters", labels.len(), self.raters))
                .remedy("give one label a rater, `None` where a rater has not rated the unit"));
        }
        if cluster >= self.clusters {
            return Err(Error::input(format!("cluster {cluster} of {}", self.clusters))
                .remedy("count the clusters of all observations before any statistic is begun"));
        }
        let mut counts = vec![0.0; self.categories];
        for &label in labels.iter().flatten() {
            *counts.get_mut(label).ok_or_else(|| outside(label, self.categories))? += 1.0;
        }
        self.units.push(Unit { cluster, labels: labels.to_vec(), counts });
        Ok(())
    }

    pub fn categories(&self) -> usize {
        self.categories
    }

    pub(super) fn clusters(&self) -> usize {
        self.clusters
    }

    pub(super) fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Percent agreement (as a share): the mean over units with two ratings or more of the share of pairs of their
    /// raters that agree, Σ_k r_k (r_k − 1) / (r (r − 1)).
    ///
    /// Source: Fleiss, Psychological Bulletin 76 (1971); of two raters it is the share of equal ratings.
    pub fn agreement(&self) -> Result<Mean> {
        let mut mean = Mean::new(self.clusters);
        for unit in &self.units {
            let raters = unit.raters();
            if raters >= 2.0 {
                let agreeing: f64 = unit.counts.iter().map(|count| count * (count - 1.0)).sum();
                mean.add(unit.cluster, agreeing / (raters * (raters - 1.0)))?;
            }
        }
        Ok(mean)
    }

    /// The share of a category: the mean over rated units of the share of their raters who chose it. It stands beside
    /// every α and κ, which are near 0 where one category has nearly all.
    ///
    /// Source: π_k of Gwet, British Journal of Mathematical and Statistical Psychology 61 (2008).
    pub fn prevalence(&self, category: usize) -> Result<Mean> {
        let mut mean = Mean::new(self.clusters);
        for unit in self.units.iter().filter(|unit| unit.raters() > 0.0) {
            let count = unit.counts.get(category).ok_or_else(|| outside(category, self.categories))?;
            mean.add(unit.cluster, count / unit.raters())?;
        }
        Ok(mean)
    }

    /// The units that both raters rated; the first one's labels are the rows.
    pub fn confusion(&self, first: usize, second: usize) -> Result<Confusion> {
        let mut confusion = Confusion::new(self.categories, self.clusters);
        for unit in &self.units {
            let label =
                |rater: usize| unit.labels.get(rater).copied().ok_or_else(|| outside_raters(rater, self.raters));
            if let (Some(first), Some(second)) = (label(first)?, label(second)?) {
                confusion.add(unit.cluster, first, second)?;
            }
        }
        Ok(confusion)
    }
}

pub(super) fn outside(category: usize, categories: usize) -> Error {
    Error::input(format!("category {category} of {categories}, counted from 0"))
}

fn outside_raters(rater: usize, raters: usize) -> Error {
    Error::input(format!("rater {rater} of {raters}, counted from 0"))
}
