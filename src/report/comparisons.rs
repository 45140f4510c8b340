//! Two models on the questions that both were graded on.

use serde::Serialize;

use super::distributions::share;
use super::estimate::Context;
use super::observed::Observed;
use crate::error::Result;
use crate::grading::Grade;
use crate::stats::{Additive as _, Mean, holm_of_defined, mcnemar, sign_flip};

/// What is compared; the first is the primary one, whose tests on all questions decide about groups of models.
pub(super) const STATISTICS: [Statistic; 3] = [Statistic::RateAb, Statistic::RateA, Statistic::NetWins];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistic {
    /// The share of A and B.
    RateAb,
    RateA,
    /// The share of questions on which the first model has the better grade, less that on which it has the worse one:
    /// of the order of grades alone, no distance between them.
    NetWins,
}

impl Statistic {
    pub fn name(self) -> &'static str {
        match self {
            Self::RateAb => "rate_ab",
            Self::RateA => "rate_a",
            Self::NetWins => "net_wins",
        }
    }

    /// For one question; `None` where one of the models has no grade.
    fn difference(self, a: &[Grade], b: &[Grade]) -> Option<f64> {
        match self {
            Self::RateAb => Some(share(a, Grade::B)? - share(b, Grade::B)?),
            Self::RateA => Some(share(a, Grade::A)? - share(b, Grade::A)?),
            Self::NetWins => net_wins(a, b),
        }
    }
}

/// The share of pairs of a grade of `a` and one of `b` in which `a`'s is the better one, less that of the worse one.
pub(super) fn net_wins(a: &[Grade], b: &[Grade]) -> Option<f64> {
    let mut net = 0.0;
    for first in a {
        for second in b {
            net += f64::from(i8::from(first < second) - i8::from(first > second));
        }
    }
    let pairs = a.len() * b.len();
    (pairs > 0).then(|| net / pairs as f64)
}

/// One test. The family of `p_adjusted` is all pairs of models with the same subset and statistic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub model_a: String,
    pub model_b: String,
    pub subset: String,
    /// Of grades `rate_ab` (primary), `rate_a`, `net_wins`; of answers beside references `exact_match`.
    pub statistic: String,
    /// Questions on which both have a grade.
    pub n: usize,
    /// Of model a over model b; null where they share no question.
    pub difference: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// 1 where no picture differs: there is nothing that speaks against their being alike.
    pub p_value: Option<f64>,
    /// Holm's.
    pub p_adjusted: Option<f64>,
    /// Exact McNemar's test, which takes questions for independent; null but for `rate_ab` of questions that one rater
    /// graded, and for `exact_match`.
    pub p_mcnemar: Option<f64>,
    pub method: String,
}

/// By subset, statistic, model a, model b.
pub(super) fn all(observed: &Observed, context: &Context) -> Result<Vec<Comparison>> {
    let mut rows = Vec::new();
    for subset in observed.subsets() {
        for statistic in STATISTICS {
            let mut family = Vec::new();
            for a in 0..observed.models.len() {
                for b in a + 1..observed.models.len() {
                    family.push(one(observed, context, [a, b], &subset.subset, statistic)?);
                }
            }
            adjust(&mut family);
            rows.append(&mut family);
        }
    }
    Ok(rows)
}

/// Fills in `p_adjusted` of tests that are one family.
pub(super) fn adjust(family: &mut [Comparison]) {
    let p_values: Vec<Option<f64>> = family.iter().map(|comparison| comparison.p_value).collect();
    for (comparison, adjusted) in family.iter_mut().zip(holm_of_defined(&p_values)) {
        comparison.p_adjusted = adjusted;
    }
}

fn one(
    observed: &Observed,
    context: &Context,
    [a, b]: [usize; 2],
    subset: &str,
    statistic: Statistic,
) -> Result<Comparison> {
    let mut differences = Mean::new(observed.clusters);
    // Questions on which one model alone has an A or B: a's, b's.
    let mut alone = Some([0, 0]);
    for question in observed.of_subset(subset) {
        let (of_a, of_b) = (observed.grades(a, question), observed.grades(b, question));
        let Some(difference) = statistic.difference(&of_a, &of_b) else { continue };
        differences.add(observed.questions[question].cluster, difference)?;
        alone = match alone {
            Some([first, second]) if of_a.len() == 1 && of_b.len() == 1 && statistic == Statistic::RateAb => {
                Some([first + u64::from(difference > 0.0), second + u64::from(difference < 0.0)])
            }
            _ => None,
        };
    }
    let pair = Pair { models: [&observed.models[a], &observed.models[b]], subset, statistic: statistic.name() };
    Ok(tested(pair, &differences, alone, context))
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub models: [&'a str; 2],
    pub subset: &'a str,
    pub statistic: &'a str,
}

/// The test of differences between two models. `alone`: questions on which one alone succeeds, the first's and the second's,
/// where success is a matter of yes and no.
pub fn tested(pair: Pair<'_>, differences: &Mean, alone: Option<[u64; 2]>, context: &Context) -> Comparison {
    let interval = differences.bootstrap(&context.draws).ok();
    let tested = sign_flip(differences, context.resamples, context.seed);
    let difference = differences.value().ok();
    let (p_value, how) = match tested {
        Ok(tested) => match tested.flips {
            None => (Some(tested.p_value), "exact permutation of pictures".to_owned()),
            Some(flips) => (Some(tested.p_value), format!("permutation of pictures, {flips} random flips")),
        },
        Err(_) if difference.is_some() => (Some(1.0), "no picture differs".to_owned()),
        Err(why) => (None, why.to_string()),
    };
    let method = match interval {
        Some(interval) => format!("{how}; interval: {}", interval.method),
        None => how,
    };
    Comparison {
        model_a: pair.models[0].to_owned(),
        model_b: pair.models[1].to_owned(),
        subset: pair.subset.to_owned(),
        statistic: pair.statistic.to_owned(),
        n: differences.n(),
        difference,
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
        p_value,
        p_adjusted: None,
        p_mcnemar: alone.filter(|_| differences.n() > 0).and_then(|[first, second]| mcnemar(first, second).ok()),
        method,
    }
}
