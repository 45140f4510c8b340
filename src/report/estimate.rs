//! Numbers with their uncertainty, as a report holds them.

use serde::Serialize;

use crate::stats::{Draws, Estimate, Undefined};

/// What all statistics of a report share.
pub struct Context {
    /// The resamples of pictures: one set for all statistics, so that their uncertainties belong together.
    pub draws: Draws,
    pub seed: u64,
    pub resamples: usize,
    pub counts_only: bool,
}

impl Context {
    /// Of so many pictures, all of whose observations are real.
    pub fn new(clusters: usize, resamples: usize, seed: u64) -> Self {
        Self { draws: Draws::new(clusters, resamples, seed), seed, resamples, counts_only: false }
    }
}

/// A number and its interval of 95 %; nulls where it is undefined, with the reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interval {
    pub point: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub method: Option<String>,
    /// Why there is no value, or no interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
}

impl From<Result<Estimate, Undefined>> for Interval {
    fn from(estimate: Result<Estimate, Undefined>) -> Self {
        match estimate {
            Ok(Estimate { point, low, high, method, .. }) => Self {
                point: Some(point),
                low: Some(low),
                high: Some(high),
                method: Some(method.to_string()),
                undefined: None,
            },
            Err(why) => Self { point: None, low: None, high: None, method: None, undefined: Some(why.to_string()) },
        }
    }
}

impl Interval {
    /// The value alone where the interval is undefined.
    pub fn with_point(estimate: Result<Estimate, Undefined>, point: Result<f64, Undefined>) -> Self {
        Self { point: point.ok(), ..Self::from(estimate) }
    }
}
