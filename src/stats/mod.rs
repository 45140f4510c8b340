//! Statistics of grades: pure functions of labels, numbers and cluster numbers, and of explicit seeds.
//!
//! | need | method | where |
//! |---|---|---|
//! | agreement of many raters, with holes | Krippendorff's α (2011), share of agreeing pairs, prevalence | [`Alpha`], [`Ratings`] |
//! | two raters; a judge beside humans | Cohen's κ (1960, 1968), confusion matrix | [`Confusion`], [`Kappa`] |
//! | skewed grades | Gwet's AC1 and AC2 (2008, 2014) | [`Gwet`] |
//! | how steady a rater is | the same of repeats | [`repeats`] |
//! | a rate; the shares of four grades | Wilson (1927); Goodman, simultaneous (1965) | [`wilson`], [`goodman`] |
//! | any of these over dependent items | cluster bootstrap; cluster-robust errors (Miller 2024) | [`Additive`], [`Mean`] |
//! | two models | paired permutation of clusters (primary); Wilcoxon, exact McNemar | [`sign_flip`], [`wilcoxon`], [`mcnemar`] |
//! | many comparisons | Holm (1979); groups that cannot be told apart (Piepho 2004) | [`holm`], [`indistinct_groups`] |
//! | an order of models | Bradley–Terry, ties as half | [`Contests`] |
//! | how much to grade | power by simulation on the real clusters | [`Design`] |
//! | few human and many judge grades | prediction-powered inference (2023), cluster-robust | [`Judged`] |
//!
//! **What is a unit.** Items of one cluster (questions about one picture) depend on each other: whole clusters are
//! resampled and flipped. Several raters of one answer are one observation. A–D is ordinal; means of grades are a
//! sensitivity analysis.
//!
//! **Undefined.** A statistic without a value is `Err(`[`Undefined`]`)`, with the reason; it is never 0 or 1 instead.
//! Unusable input (a category that does not exist) is the program's [`Error`](crate::error::Error).
//!
//! **Reproducible.** The same arguments and seed give the same digits on any machine and with any number of threads.
//!
//! ```text
//! labels ─> Ratings, Confusion, Mean, Contests ─> a row of sums for every cluster ─┬─> value()
//!                                                                                  └─> bootstrap(&Draws) ─> Estimate
//! ```

mod alpha;
mod bradley_terry;
mod clusters;
mod confusion;
mod distribution;
mod estimate;
mod family;
mod gwet;
#[cfg(test)]
mod oracle;
mod pairs;
mod power;
mod prediction_powered;
mod random;
mod rates;
mod ratings;
mod sign_flip;
#[cfg(test)]
mod tests;
mod weights;

pub use alpha::{Alpha, Metric};
pub use bradley_terry::{Contests, Outcome};
pub use clusters::{Additive, ClusterSums, Clusters, Draws, Mean};
pub use confusion::{Confusion, Kappa, Rating, repeats};
pub use estimate::{Estimate, LEVEL, Method, Undefined, quantile};
pub use family::{holm, holm_of_defined, indistinct_groups};
pub use gwet::Gwet;
pub use pairs::{SignedRank, Zeros, mcnemar, wilcoxon};
pub use power::{Design, Power};
pub use prediction_powered::{Judged, PredictionPowered};
pub use rates::{goodman, wilson};
pub use ratings::Ratings;
pub use sign_flip::{SignFlip, sign_flip};
pub use weights::Weights;
