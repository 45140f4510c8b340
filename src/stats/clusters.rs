//! Observations come in clusters: questions about one picture are no independent questions. Whatever is resampled,
//! flipped or summed is a whole cluster.
//!
//! A statistic here is a function of sums over clusters ([`Additive`]). A resample of clusters is then a weighted sum of
//! a few numbers a cluster instead of a copy of the rows, and ten thousand resamples take milliseconds.

use std::collections::HashMap;

use rayon::prelude::*;

use super::distribution::student_quantile;
use super::estimate::{Estimate, LEVEL, MOST_UNDEFINED, Method, Undefined, quantile};
use super::random::{Purpose, Stream};
use crate::error::{Error, Result};

/// Numbers the names of clusters, in the order of their first appearance.
#[derive(Debug, Clone, Default)]
pub struct Clusters(HashMap<String, usize>);

impl Clusters {
    /// The number of this cluster, the next one where the name is new.
    pub fn number(&mut self, name: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A row of sums for every cluster: clusters × width.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSums {
    clusters: usize,
    width: usize,
    rows: Vec<f64>,
}

impl ClusterSums {
    pub(super) fn zeros(clusters: usize, width: usize) -> Self {
        Self { clusters, width, rows: vec![0.0; clusters * width] }
    }

    /// The row to which an observation of this cluster is added; an error where there are not so many clusters.
    pub(super) fn row(&mut self, cluster: usize) -> Result<&mut [f64]> {
        let (clusters, width) = (self.clusters, self.width);
        self.rows.get_mut(cluster * width..(cluster + 1) * width).ok_or_else(|| {
            Error::input(format!("cluster {cluster} of {clusters}"))
                .remedy("count the clusters of all observations before any statistic is begun")
        })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.rows.chunks_exact(self.width.max(1))
    }

    pub(super) fn clusters(&self) -> usize {
        self.clusters
    }

    /// The sum over all clusters.
    pub(super) fn total(&self) -> Vec<f64> {
        let mut total = vec![0.0; self.width];
        for row in self.rows() {
            for (sum, value) in total.iter_mut().zip(row) {
                *sum += value;
            }
        }
        total
    }
}

/// Resamples that are worked on together: their counts and sums stay in the processor's cache.
const BLOCK: usize = 256;

/// How often each cluster was drawn in each resample, so many clusters with replacement as there are.
///
/// All statistics of a report share one of these: their uncertainties then belong together. Clusters are drawn from all
/// there are, also for a statistic of a subset that only some of them touch (the estimation of a domain, whose size
/// varies too).
#[derive(Debug, Clone)]
pub struct Draws {
    clusters: usize,
    resamples: usize,
    /// Blocks of clusters × resamples of the block.
    counts: Vec<f64>,
}

impl Draws {
    /// A function of its arguments alone.
    pub fn new(clusters: usize, resamples: usize, seed: u64) -> Self {
        let mut counts = vec![0.0; clusters * resamples];
        let mut stream = Stream::new(Purpose::Bootstrap, seed, clusters as u64);
        let size = (clusters * BLOCK).max(1);
        for block in counts.chunks_mut(size) {
            let resamples = block.len() / clusters;
            for resample in 0..resamples {
                for _ in 0..clusters {
                    block[stream.below(clusters) * resamples + resample] += 1.0;
                }
            }
        }
        Self { clusters, resamples, counts }
    }

    pub fn resamples(&self) -> usize {
        self.resamples
    }

    /// A value of every resample, from its sums; the order, and every digit, is the same with any number of threads.
    pub(super) fn map<T: Send>(
        &self,
        sums: &ClusterSums,
        value: impl Fn(&[f64]) -> T + Sync,
    ) -> Result<Vec<T>, Undefined> {
        if self.clusters != sums.clusters {
            return Err(Undefined::OtherClusters);
        }
        if self.clusters == 0 {
            return Err(Undefined::Empty);
        }
        let blocks = self.counts.par_chunks(self.clusters * BLOCK).flat_map_iter(|block| {
            let resamples = block.len() / self.clusters;
            // Width × resamples: the inner loop runs over resamples, whatever the width.
            let mut resampled = vec![0.0; sums.width * resamples];
            for (counts, row) in block.chunks_exact(resamples).zip(sums.rows()) {
                for (column, &number) in resampled.chunks_exact_mut(resamples).zip(row) {
                    if number != 0.0 {
                        for (sum, count) in column.iter_mut().zip(counts) {
                            *sum += count * number;
                        }
                    }
                }
            }
            let mut one = vec![0.0; sums.width];
            (0..resamples)
                .map(|resample| {
                    for (sum, column) in one.iter_mut().zip(resampled.chunks_exact(resamples)) {
                        *sum = column[resample];
                    }
                    value(&one)
                })
                .collect::<Vec<T>>()
        });
        Ok(blocks.collect())
    }
}

/// The interval of [`LEVEL`] from the values of resamples, of which some may be undefined (Efron and Tibshirani, An
/// Introduction to the Bootstrap, 1993, section 13.3: percentiles).
pub(super) fn percentile_interval(
    values: impl Iterator<Item = Option<f64>>,
    resamples: usize,
) -> Result<(f64, f64, usize), Undefined> {
    let mut defined: Vec<f64> = values.flatten().collect();
    let undefined = resamples - defined.len();
    if defined.is_empty() || undefined as f64 > MOST_UNDEFINED * resamples as f64 {
        return Err(Undefined::Resamples);
    }
    defined.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    Ok((quantile(&defined, tail), quantile(&defined, 1.0 - tail), undefined))
}

/// A statistic that is a function of sums over clusters.
pub trait Additive: Sync {
    /// What is summed.
    fn sums(&self) -> &ClusterSums;

    /// The statistic of a sum of rows.
    fn of(&self, sums: &[f64]) -> Result<f64, Undefined>;

    /// Observations behind it.
    fn n(&self) -> usize;

    /// The statistic of all observations.
    fn value(&self) -> Result<f64, Undefined> {
        self.of(&self.sums().total())
    }

    /// The statistic with its cluster bootstrap interval (percentiles).
    ///
    /// Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8, strategy 1.
    fn bootstrap(&self, draws: &Draws) -> Result<Estimate, Undefined> {
        let point = self.value()?;
        let values = draws.map(self.sums(), |sums| self.of(sums).ok())?;
        let (low, high, undefined) = percentile_interval(values.into_iter(), draws.resamples)?;
        let method = Method::ClusterBootstrap { clusters: draws.clusters, resamples: draws.resamples, undefined };
        Ok(Estimate { point, low, high, n: self.n(), method })
    }
}

/// A mean, a rate, or a mean difference of pairs: Σ values / n.
#[derive(Debug, Clone)]
pub struct Mean {
    /// Sum of values, number of values.
    sums: ClusterSums,
    n: usize,
}

impl Mean {
    pub fn new(clusters: usize) -> Self {
        Self { sums: ClusterSums::zeros(clusters, 2), n: 0 }
    }

    /// Adds the value of one item; of several raters of one answer, their mean.
    pub fn add(&mut self, cluster: usize, value: f64) -> Result<()> {
        if !value.is_finite() {
            return Err(Error::input(format!("{value} is no value that a mean can be taken of")));
        }
        self.add_sum(cluster, value, 1.0)
    }

    /// Adds the sum of so many values, a whole number.
    pub(super) fn add_sum(&mut self, cluster: usize, sum: f64, number: f64) -> Result<()> {
        let row = self.sums.row(cluster)?;
        row[0] += sum;
        row[1] += number;
        self.n += number as usize;
        Ok(())
    }

    /// (sum, number) of the clusters that hold anything.
    pub(super) fn clusters(&self) -> impl Iterator<Item = (f64, f64)> {
        self.sums.rows().map(|row| (row[0], row[1])).filter(|(_, number)| *number > 0.0)
    }

    /// The mean with a standard error from whole clusters and Student's t with G − 1 degrees of freedom:
    /// se² = G/(G − 1) Σ_c (Σ_{i∈c} (xᵢ − x̄))² / n².
    ///
    /// Source: Miller, Adding Error Bars to Evals (arXiv 2411.00640), section 2.2, with the small-sample factor and the t
    /// of Cameron and Miller, Journal of Human Resources 50 (2015), section VI.
    pub fn cluster_robust(&self) -> Result<Estimate, Undefined> {
        let point = self.value()?;
        let clusters = self.clusters().count();
        if clusters < 2 {
            return Err(Undefined::FewClusters);
        }
        let (clusters_less_one, number) = (clusters as f64 - 1.0, self.n as f64);
        let squares: f64 = self.clusters().map(|(sum, number)| (sum - number * point).powi(2)).sum();
        let error = (clusters as f64 / clusters_less_one * squares).sqrt() / number;
        let reach = student_quantile(1.0 - (1.0 - LEVEL) / 2.0, clusters_less_one) * error;
        let method = Method::ClusterRobust { clusters };
        Ok(Estimate { point, low: point - reach, high: point + reach, n: self.n, method })
    }
}

impl Additive for Mean {
    fn sums(&self) -> &ClusterSums {
        &self.sums
    }

    fn of(&self, sums: &[f64]) -> Result<f64, Undefined> {
        if sums[1] > 0.0 { Ok(sums[0] / sums[1]) } else { Err(Undefined::Empty) }
    }

    fn n(&self) -> usize {
        self.n
    }
}
