//! Few human grades and many judge grades: the judge narrows the interval, the humans keep it honest.

use super::clusters::ClusterSums;
use super::distribution::student_quantile;
use super::estimate::{Estimate, LEVEL, Method, Undefined};
use crate::error::{Error, Result};

/// Items that a judge graded, of which humans graded some: of one model (its A-rate: 1 for A, 0 otherwise), or of the
/// differences of two models on the same items.
///
/// The items that humans graded must be a random choice of pictures (or of items); otherwise the judge's error on the
/// others is not the one that was measured.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Of items with a human grade: number, Σ human, Σ judge; of the others: number, Σ judge.
    sums: ClusterSums,
}

/// What the grades say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictionPowered {
    pub estimate: Estimate,
    /// What the human grades say alone, with the same kind of interval.
    pub human_only: Estimate,
    /// How much the judge is listened to: 0 not at all, 1 as in plain prediction-powered inference.
    pub lambda: f64,
}

impl PredictionPowered {
    /// How many times more human grades would have made the interval as narrow; 1 where the judge says nothing.
    pub fn worth(&self) -> f64 {
        let width = |estimate: &Estimate| estimate.high - estimate.low;
        if width(&self.estimate) > 0.0 { (width(&self.human_only) / width(&self.estimate)).powi(2) } else { 1.0 }
    }
}

/// Two means of the human-graded items and two of the others, and what each cluster adds to their errors.
struct Parts {
    /// (mean of human grades, mean of the judge's grades of the same items, mean of the judge's grades of the others)
    means: (f64, f64, f64),
    /// By cluster: its part in the error of the human mean, and in that of the judge's difference between both sets.
    errors: Vec<(f64, f64)>,
    human_items: usize,
    human_clusters: usize,
}

impl Judged {
    pub fn new(clusters: usize) -> Self {
        Self { sums: ClusterSums::zeros(clusters, 5) }
    }

    /// Adds an item that the judge graded and, perhaps, a human.
    pub fn add(&mut self, cluster: usize, judge: f64, human: Option<f64>) -> Result<()> {
        if let Some(wrong) = [Some(judge), human].into_iter().flatten().find(|grade| !grade.is_finite()) {
            return Err(Error::input(format!("{wrong} is no grade that a mean can be taken of")));
        }
        let row = self.sums.row(cluster)?;
        if let Some(human) = human {
            row[0] += 1.0;
            row[1] += human;
            row[2] += judge;
        } else {
            row[3] += 1.0;
            row[4] += judge;
        }
        Ok(())
    }

    /// θ = Ȳ + λ (f̄_N − f̄_n), where Ȳ is the mean of the n human grades, f̄_n the judge's mean of the same items and
    /// f̄_N its mean of the N others, with the λ in [0, 1] of least variance.
    ///
    /// The variance is summed over clusters, so that a picture may have items of both kinds: with a_c = Σ (Y − Ȳ)/n and
    /// b_c = Σ (f − f̄_n)/n − Σ (f − f̄_N)/N over the cluster's items, var θ = G/(G − 1) Σ_c (a_c − λ b_c)², of which
    /// λ = Σ a b / Σ b² is the minimum. G counts the clusters with a human grade; Student's t has G − 1 degrees of freedom
    /// (G − 2 where λ was estimated, and the factor is G/(G − 2)).
    ///
    /// Undefined with fewer than four clusters with human grades.
    ///
    /// Source: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Prediction-Powered Inference, Science 382 (2023); λ:
    /// Angelopoulos, Duchi and Zrnic, PPI++ (arXiv 2311.01453), section 6, here with clusters.
    pub fn estimate(&self) -> Result<PredictionPowered, Undefined> {
        let parts = self.parts()?;
        let product: f64 = parts.errors.iter().map(|(human, judge)| human * judge).sum();
        let square: f64 = parts.errors.iter().map(|(_, judge)| judge * judge).sum();
        let lambda = if square > 0.0 { (product / square).clamp(0.0, 1.0) } else { 0.0 };
        let lost = if lambda > 0.0 { 2 } else { 1 };
        Ok(PredictionPowered {
            estimate: parts.estimate(lambda, lost)?,
            human_only: Estimate {
                method: Method::ClusterRobust { clusters: parts.human_clusters },
                ..parts.estimate(0.0, 1)?
            },
            lambda,
        })
    }

    /// The estimate with a λ that was chosen before the grades were seen: 1 is plain prediction-powered inference.
    pub fn with_lambda(&self, lambda: f64) -> Result<Estimate, Undefined> {
        self.parts()?.estimate(lambda, 1)
    }

    fn parts(&self) -> Result<Parts, Undefined> {
        let total = self.sums.total();
        let [n, human, judge, others, judge_others] = [0, 1, 2, 3, 4].map(|column| total[column]);
        if n == 0.0 {
            return Err(Undefined::Empty);
        }
        // Without other items there is nothing that the judge could add.
        let (judge_mean, others_mean) = if others > 0.0 { (judge / n, judge_others / others) } else { (0.0, 0.0) };
        let means = (human / n, judge_mean, others_mean);
        let errors = self.sums.rows().map(|row| {
            let human = (row[1] - row[0] * means.0) / n;
            let judge = if others > 0.0 {
                (row[2] - row[0] * judge_mean) / n - (row[4] - row[3] * others_mean) / others
            } else {
                0.0
            };
            (human, judge)
        });
        let human_clusters = self.sums.rows().filter(|row| row[0] > 0.0).count();
        Ok(Parts { means, errors: errors.collect(), human_items: n as usize, human_clusters })
    }
}

impl Parts {
    /// `lost` are the degrees of freedom that the means, and perhaps λ, have used up.
    fn estimate(&self, lambda: f64, lost: usize) -> Result<Estimate, Undefined> {
        let clusters = self.human_clusters;
        if clusters < 4 {
            return Err(Undefined::FewClusters);
        }
        let (human, judge, others) = self.means;
        let point = human + lambda * (others - judge);
        let freedom = (clusters - lost) as f64;
        let squares: f64 = self.errors.iter().map(|(human, judge)| (human - lambda * judge).powi(2)).sum();
        let error = (clusters as f64 / freedom * squares).sqrt();
        let reach = student_quantile(1.0 - (1.0 - LEVEL) / 2.0, freedom) * error;
        let method = Method::PredictionPowered { clusters };
        Ok(Estimate { point, low: point - reach, high: point + reach, n: self.human_items, method })
    }
}
