//! How much of an agreement two unlike categories are.

/// Weights of agreement between categories i and j of q, 1 on the diagonal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// 0 off the diagonal: unweighted κ, AC1.
    Identity,
    /// 1 − |i − j| / (q − 1) (Cicchetti and Allison 1971).
    Linear,
    /// 1 − (i − j)² / (q − 1)² (Fleiss and Cohen 1973).
    Quadratic,
    /// 1 − C(|i − j| + 1, 2) / C(q, 2) (Gwet, Handbook of Inter-Rater Reliability, 4th edition, section 3.5).
    Ordinal,
}

impl Weights {
    /// The weight of a pair of categories, of at least two categories.
    pub(super) fn agreement(self, i: usize, j: usize, categories: usize) -> f64 {
        if i == j {
            return 1.0;
        }
        let (apart, most) = (i.abs_diff(j) as f64, categories as f64 - 1.0);
        match self {
            Self::Identity => 0.0,
            Self::Linear => 1.0 - apart / most,
            Self::Quadratic => 1.0 - (apart / most).powi(2),
            Self::Ordinal => 1.0 - (apart + 1.0) * apart / ((most + 1.0) * most),
        }
    }
}
