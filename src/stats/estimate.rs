//! A number with its uncertainty, and the reasons why there may be none.

use std::fmt;

/// The coverage that every interval of this room aims at; tests reject at one minus it.
pub const LEVEL: f64 = 0.95;

/// The share of resamples that may be undefined before a bootstrap interval is.
pub(super) const MOST_UNDEFINED: f64 = 0.05;

/// Why a statistic has no value. A report prints "undefined" and this; it never prints 0 or 1 in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undefined {
    /// Nothing was observed.
    Empty,
    /// No unit has two ratings.
    NoPairs,
    /// All ratings are of one category, so that chance would agree as often as the raters do.
    Constant,
    /// All pairs are equal: a test has nothing to test.
    NoDifference,
    /// A spread needs two clusters, that of a prediction-powered estimate four with human grades.
    FewClusters,
    /// More than one resample in twenty has no value.
    Resamples,
    /// The resamples were drawn for another number of clusters.
    OtherClusters,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing was observed",
            Self::NoPairs => "no answer has two ratings",
            Self::Constant => "all ratings are the same",
            Self::NoDifference => "no pair differs",
            Self::FewClusters => "too few clusters for an interval",
            Self::Resamples => "undefined in more than one resample in twenty",
            Self::OtherClusters => "the resamples were drawn for other clusters",
        })
    }
}

impl std::error::Error for Undefined {}

/// A number and the interval of [`LEVEL`] around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub point: f64,
    pub low: f64,
    pub high: f64,
    /// Observations behind the number: questions, units or pairs. Several raters of one answer are one observation.
    pub n: usize,
    pub method: Method,
}

impl Estimate {
    /// The part of it within the values that are possible, such as [0, 1] for a rate: what it misses, it missed before.
    pub fn within(self, least: f64, most: f64) -> Self {
        let clamped = |value: f64| value.clamp(least, most);
        Self { point: clamped(self.point), low: clamped(self.low), high: clamped(self.high), ..self }
    }
}

/// How an interval was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Wilson,
    /// Simultaneous over so many categories.
    Goodman {
        categories: usize,
    },
    /// Percentiles over resamples of whole clusters; `undefined` resamples had no value and were left out.
    ClusterBootstrap {
        clusters: usize,
        resamples: usize,
        undefined: usize,
    },
    /// A standard error from the spread of whole clusters, with Student's t.
    ClusterRobust {
        clusters: usize,
    },
    /// Few human grades and many judge grades; clusters that hold a human grade.
    PredictionPowered {
        clusters: usize,
    },
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wilson => f.write_str("Wilson"),
            Self::Goodman { categories } => write!(f, "Goodman, simultaneous over {categories} categories"),
            Self::ClusterBootstrap { clusters, resamples, undefined: 0 } => {
                write!(f, "percentiles of {resamples} resamples of {clusters} clusters")
            }
            Self::ClusterBootstrap { clusters, resamples, undefined } => {
                write!(f, "percentiles of {resamples} resamples of {clusters} clusters, {undefined} of them undefined")
            }
            Self::ClusterRobust { clusters } => write!(f, "cluster-robust, Student's t, {clusters} clusters"),
            Self::PredictionPowered { clusters } => {
                write!(f, "prediction-powered, cluster-robust, Student's t, {clusters} clusters with human grades")
            }
        }
    }
}

/// The `share` quantile of values, linear between neighbours (definition 7 of Hyndman and Fan, 1996). It reorders them.
///
/// There must be at least one value.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    let position = share * (values.len() - 1) as f64;
    let (_, below, others) = values.select_nth_unstable_by(position.floor() as usize, f64::total_cmp);
    let above = others.iter().copied().min_by(f64::total_cmp).unwrap_or(*below);
    *below + position.fract() * (above - *below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_the_sorted_values_beside_it() {
        let values = [4.0, -1.0, 0.5, 9.0, 4.0];
        for (share, expected) in
            [(0.0, -1.0), (0.125, -0.25), (0.25, 0.5), (0.5, 4.0), (0.75, 4.0), (0.9, 7.0), (1.0, 9.0)]
        {
            assert_eq!(quantile(&mut values.clone(), share), expected);
        }
        assert_eq!(quantile(&mut [3.0], 0.975), 3.0);
    }

    #[test]
    fn an_interval_is_cut_where_nothing_is_possible() {
        let method = Method::PredictionPowered { clusters: 20 };
        let rate = Estimate { point: 0.97, low: 0.9, high: 1.04, n: 50, method };
        assert_eq!(rate.within(0.0, 1.0), Estimate { high: 1.0, ..rate });
        let beyond = Estimate { point: 1.01, ..rate };
        assert_eq!(beyond.within(0.0, 1.0), Estimate { point: 1.0, high: 1.0, ..rate });
        assert_eq!(rate.within(-1.0, 2.0), rate);
    }

    #[test]
    fn every_reason_and_method_is_said_in_words() {
        let method = |undefined| Method::ClusterBootstrap { clusters: 50, resamples: 1000, undefined };
        assert_eq!(method(0).to_string(), "percentiles of 1000 resamples of 50 clusters");
        assert_eq!(method(7).to_string(), "percentiles of 1000 resamples of 50 clusters, 7 of them undefined");
        assert_eq!(Method::Goodman { categories: 4 }.to_string(), "Goodman, simultaneous over 4 categories");
        assert_eq!(Undefined::Constant.to_string(), "all ratings are the same");
    }
}
