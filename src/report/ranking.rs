//! Models in one order, and those that cannot be told apart.

use serde::Serialize;

use super::comparisons::{Comparison, STATISTICS, net_wins};
use super::distributions::share;
use super::estimate::{Context, Interval};
use super::observed::Observed;
use super::subsets::ALL;
use crate::error::Result;
use crate::grading::Grade;
use crate::stats::{Contests, LEVEL, Outcome, indistinct_groups};

/// The order of models on all questions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// What the order goes by: `rate_ab`.
    pub statistic: String,
    /// From best to worst; models of equal rates in the order of the inputs.
    pub order: Vec<Ranked>,
    /// The largest groups of models no two of which differ by the adjusted tests of the statistic.
    pub indistinct: Vec<Vec<String>>,
    /// Why there are no strengths.
    pub no_strengths: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    pub model_id: String,
    pub rate_ab: Option<f64>,
    /// Bradley and Terry's, a logarithm of odds, mean 0; a comparison is a question and a pair of models, the better grade
    /// wins, equal grades are half a win for each.
    pub strength: Option<Interval>,
}

/// None where there are not two models to compare.
pub(super) fn of(observed: &Observed, context: &Context, comparisons: &[Comparison]) -> Result<Option<Ranking>> {
    let models = observed.models.len();
    if models < 2 {
        return Ok(None);
    }
    let (strengths, no_strengths) = strengths(observed, context)?;
    let mut order: Vec<(usize, Option<f64>)> = (0..models).map(|model| (model, rate_ab(observed, model))).collect();
    order.sort_by(|(_, a), (_, b)| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0)));
    let is_primary = |row: &&Comparison| row.subset == ALL && row.statistic == STATISTICS[0].name();
    let differ = |a: usize, b: usize| {
        let pair = [&observed.models[a], &observed.models[b]];
        comparisons
            .iter()
            .filter(is_primary)
            .find(|row| pair == [&row.model_a, &row.model_b] || pair == [&row.model_b, &row.model_a])
            .and_then(|row| row.p_adjusted)
            .is_some_and(|p| p <= 1.0 - LEVEL)
    };
    // Groups in the order of the ranking.
    let place: Vec<usize> = order.iter().map(|(model, _)| *model).collect();
    let groups = indistinct_groups(models, |a, b| differ(place[a], place[b]));
    let names = |group: Vec<usize>| group.into_iter().map(|index| observed.models[place[index]].clone()).collect();
    Ok(Some(Ranking {
        statistic: STATISTICS[0].name().to_owned(),
        order: order
            .iter()
            .map(|(model, rate_ab)| Ranked {
                model_id: observed.models[*model].clone(),
                rate_ab: *rate_ab,
                strength: strengths.as_ref().map(|strengths| strengths[*model].clone()),
            })
            .collect(),
        indistinct: groups.into_iter().map(names).collect(),
        no_strengths,
    }))
}

fn rate_ab(observed: &Observed, model: usize) -> Option<f64> {
    let shares: Vec<f64> =
        observed.of_subset(ALL).filter_map(|question| share(&observed.grades(model, question), Grade::B)).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// Strengths, or why there are none.
fn strengths(observed: &Observed, context: &Context) -> Result<(Option<Vec<Interval>>, Option<String>)> {
    let models = observed.models.len();
    let mut contests = Contests::new(observed.models.clone(), observed.clusters);
    for (index, question) in observed.questions.iter().enumerate() {
        let grades: Vec<Vec<Grade>> = (0..models).map(|model| observed.grades(model, index)).collect();
        for a in 0..models {
            for b in a + 1..models {
                let outcome = match net_wins(&grades[a], &grades[b]) {
                    None => continue,
                    Some(net) if net > 0.0 => Outcome::First,
                    Some(net) if net < 0.0 => Outcome::Second,
                    Some(_) => Outcome::Tie,
                };
                contests.add(question.cluster, a, b, outcome)?;
            }
        }
    }
    let fitted = match contests.fit() {
        Ok(fitted) => fitted,
        Err(error) => return Ok((None, Some(error.message().to_owned()))),
    };
    Ok(match contests.bootstrap(&fitted, &context.draws) {
        Ok(estimates) => (Some(estimates.into_iter().map(|estimate| Interval::from(Ok(estimate))).collect()), None),
        Err(why) => {
            let alone = fitted.iter().map(|strength| Interval::with_point(Err(why), Ok(*strength))).collect();
            (Some(alone), None)
        }
    })
}
