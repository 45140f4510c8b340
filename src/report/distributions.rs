//! How each model was graded: the four grades, and the rates that the paper compares.

use serde::Serialize;

use super::estimate::{Context, Interval};
use super::observed::{Observed, label};
use crate::error::Result;
use crate::grading::Grade;
use crate::stats::{Additive as _, Mean, goodman, wilson};

/// The grades of one model in one subset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    pub model_id: String,
    pub subset: String,
    /// Questions with a grade.
    pub n: usize,
    /// Grades; where several raters graded a question, more than questions.
    pub counts: Counts,
    /// Share of A, Wilson's interval. A question of several raters counts by its share of them.
    pub rate_a: Interval,
    /// Share of A and B.
    pub rate_ab: Interval,
    /// The same by resampling whole pictures, whose questions depend on each other; null for counts only.
    pub rate_a_by_picture: Option<Interval>,
    pub rate_ab_by_picture: Option<Interval>,
    /// The shares of A, B, C, D with intervals that hold all at once; null where questions have several grades.
    pub shares: Option<Vec<Interval>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Counts {
    pub a: usize,
    pub b: usize,
    pub c: usize,
    pub d: usize,
}

impl Counts {
    pub fn list(self) -> [usize; 4] {
        [self.a, self.b, self.c, self.d]
    }

    pub fn total(self) -> usize {
        self.list().iter().sum()
    }
}

/// The share of an answer's grades that are at least as good as `worst`; `None` without a grade.
pub(super) fn share(grades: &[Grade], worst: Grade) -> Option<f64> {
    let good = grades.iter().filter(|grade| **grade <= worst).count();
    (!grades.is_empty()).then(|| good as f64 / grades.len() as f64)
}

/// By subset, then by model.
pub(super) fn all(observed: &Observed, context: &Context) -> Result<Vec<Distribution>> {
    let mut rows = Vec::new();
    for subset in observed.subsets() {
        for model in 0..observed.models.len() {
            rows.push(one(observed, context, model, &subset.subset)?);
        }
    }
    Ok(rows)
}

fn one(observed: &Observed, context: &Context, model: usize, subset: &str) -> Result<Distribution> {
    let mut counts = [0; 4];
    let mut n = 0;
    for question in observed.of_subset(subset) {
        let grades = observed.grades(model, question);
        n += usize::from(!grades.is_empty());
        grades.iter().for_each(|grade| counts[label(*grade)] += 1);
    }
    let [a, b, c, d] = counts;
    let rate = |worst: Grade| -> Result<(Interval, Option<Interval>)> {
        let mut mean = Mean::new(observed.clusters);
        let mut sum = 0.0;
        for question in observed.of_subset(subset) {
            if let Some(share) = share(&observed.grades(model, question), worst) {
                mean.add(observed.questions[question].cluster, share)?;
                sum += share;
            }
        }
        // Of a sum of thirds the rounding must not make more than all.
        let by_picture = (!context.counts_only).then(|| mean.bootstrap(&context.draws).into());
        Ok((wilson(f64::min(sum, n as f64), n).into(), by_picture))
    };
    let (rate_a, rate_a_by_picture) = rate(Grade::A)?;
    let (rate_ab, rate_ab_by_picture) = rate(Grade::B)?;
    let shares = if n > 0 && counts.iter().sum::<usize>() == n {
        goodman(&counts).ok().map(|shares| shares.into_iter().map(|share| Interval::from(Ok(share))).collect())
    } else {
        None
    };
    Ok(Distribution {
        model_id: observed.models[model].clone(),
        subset: subset.to_owned(),
        n,
        counts: Counts { a, b, c, d },
        rate_a,
        rate_ab,
        rate_a_by_picture,
        rate_ab_by_picture,
        shares,
    })
}
