//! How far raters agree: all of them, each two, and each with themselves.

use serde::Serialize;

use super::estimate::{Context, Interval};
use super::observed::Observed;
use crate::error::Result;
use crate::stats::{Additive, Alpha, Confusion, Gwet, Metric, Ratings, Weights, repeats};

/// A to D.
const CATEGORIES: usize = 4;

/// A statistic of some raters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// `krippendorff_alpha_ordinal`, `krippendorff_alpha_nominal`, `gwet_ac2_ordinal`, `percent`, `cohen_kappa_linear`,
    /// `cohen_kappa_quadratic`; of a rater's hidden repeats `repeat_percent` and `repeat_kappa_quadratic`.
    pub statistic: String,
    /// One rater where it is about repeats.
    pub raters: Vec<String>,
    /// Answers with two ratings or more.
    pub units: usize,
    /// Of `percent` a share. Null where undefined.
    pub value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
}

pub(super) fn all(observed: &Observed, context: &Context) -> Result<Vec<Agreement>> {
    let raters = &observed.raters;
    let mut rows = Vec::new();
    if raters.len() >= 2 {
        let mut ratings = Ratings::new(CATEGORIES, raters.len(), observed.clusters);
        for model in 0..observed.models.len() {
            for (index, question) in observed.questions.iter().enumerate() {
                ratings.add(question.cluster, &observed.by_rater(model, index))?;
            }
        }
        let mut add = |statistic: &str, of: &dyn Additive| rows.push(row(statistic, raters, of, context));
        add("krippendorff_alpha_ordinal", &Alpha::new(&ratings, Metric::Ordinal)?);
        add("krippendorff_alpha_nominal", &Alpha::new(&ratings, Metric::Nominal)?);
        add("gwet_ac2_ordinal", &Gwet::new(&ratings, Weights::Ordinal)?);
        add("percent", &ratings.agreement()?);
        for first in 0..raters.len() {
            for second in first + 1..raters.len() {
                let pair = [raters[first].clone(), raters[second].clone()];
                let confusion = ratings.confusion(first, second)?;
                // With two raters the share is that of all, above.
                if raters.len() > 2 {
                    rows.push(row("percent", &pair, &confusion.agreement()?, context));
                }
                rows.push(row("cohen_kappa_linear", &pair, &confusion.kappa(Weights::Linear), context));
                rows.push(row("cohen_kappa_quadratic", &pair, &confusion.kappa(Weights::Quadratic), context));
            }
        }
    }
    let of_repeats: Vec<Confusion> = repeats(&observed.repeats, CATEGORIES, raters.len(), observed.clusters)?;
    for (rater, confusion) in raters.iter().zip(&of_repeats).filter(|(_, confusion)| confusion.n() > 0) {
        let rater = std::slice::from_ref(rater);
        rows.push(row("repeat_percent", rater, &confusion.agreement()?, context));
        rows.push(row("repeat_kappa_quadratic", rater, &confusion.kappa(Weights::Quadratic), context));
    }
    Ok(rows)
}

fn row(statistic: &str, raters: &[String], of: &dyn Additive, context: &Context) -> Agreement {
    let Interval { point, low, high, method, undefined } =
        Interval::with_point(of.bootstrap(&context.draws), of.value());
    Agreement {
        statistic: statistic.to_owned(),
        raters: raters.to_vec(),
        units: of.n(),
        value: point,
        low,
        high,
        method,
        undefined,
    }
}
