//! The statistics of a check: the judge as a second rater beside the people, and both together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::{Check, Interval, LeftOut, Powered, passes};
use super::definition::JudgeKind;
use super::group::parts;
use super::human::Graded;
use super::plan::{Plan, Target};
use super::row::{JudgementRow, Verdict};
use super::tally::{self, Opinion, grade_of};
use crate::error::{Error, Result};
use crate::record::Grade;
use crate::stats::{Additive, Alpha, Clusters, Confusion, Draws, Estimate, Judged, Metric, Undefined, Weights};

/// How well the judge agrees with people on the questions of one subset or ability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    pub subset: String,
    pub name: Option<String>,
    pub n: usize,
    /// Rows are the people's categories, columns the judge's.
    pub confusion: Vec<Vec<usize>>,
    pub equal: Interval,
    pub kappa_linear: Interval,
    pub kappa_quadratic: Interval,
    pub alpha_ordinal: Interval,
}

/// Resamples of whole pictures behind each interval.
const RESAMPLES: usize = 10_000;

/// Answers that both people and the judge judged: category of the people, category of the judge.
struct Unit<'a> {
    target: &'a Target<'a>,
    cluster: usize,
    human: usize,
    judge: usize,
}

/// Sets the judgements beside human grades. `rows` belong to the plan's asks.
///
/// # Errors
/// Where the judge gives nothing that could be compared with grades, or no answer was both graded and judged.
pub fn check(plan: &Plan<'_>, rows: &[Option<JudgementRow>], graded: &Graded, seed: u64) -> Result<Check> {
    let cuts = plan.judge.standard.as_ref().and_then(|standard| standard.cuts);
    let is_comparable = match plan.judge.kind {
        JudgeKind::Grade | JudgeKind::Pair => true,
        JudgeKind::Single => cuts.is_some(),
        JudgeKind::Reference => false,
    };
    if !is_comparable {
        return Err(Error::input(format!(
            "the judge {} gives no grades that human ones could be set beside",
            plan.judge.name
        ))
        .remedy(
            "choose a judge of grades or pairs, or say in [check] of its judge.toml at which scores grades are cut",
        ));
    }
    let opinions = tally::opinions(plan, rows);
    let mut left_out = LeftOut { skipped: graded.skipped, ..LeftOut::default() };
    let mut clusters = Clusters::default();
    let mut units = Vec::new();
    for (target, opinion) in plan.targets.iter().zip(&opinions) {
        let Some(human) = human_category(plan, target, graded, &mut left_out) else { continue };
        let judge = opinion.as_ref().and_then(|opinion| judge_category(opinion, cuts));
        match judge {
            None => left_out.unjudged += 1,
            Some(judge) => units.push(Unit { target, cluster: clusters.number(picture(target)), human, judge }),
        }
    }
    left_out.elsewhere = graded.answers.keys().filter(|(model_id, id)| !is_judged(plan, model_id, *id)).count();
    if units.is_empty() {
        return Err(Error::input("no answer was both graded by people and judged").remedy(format!(
            "the grades must be of the same models and texts; {} graded answers are of others, {} of another text, {} unjudged",
            left_out.elsewhere, left_out.other_text, left_out.unjudged
        )));
    }
    let categories: Vec<String> = match plan.judge.kind {
        JudgeKind::Pair => ["win", "tie", "loss"].map(str::to_owned).to_vec(),
        _ => Grade::ALL.map(|grade| grade.to_string()).to_vec(),
    };
    let draws = Draws::new(clusters.len(), RESAMPLES, seed);
    let mut agreements = Vec::new();
    for (subset, name, holds) in parts(plan) {
        let mut confusion = Confusion::new(categories.len(), clusters.len());
        for unit in units.iter().filter(|unit| holds(unit.target.asked())) {
            confusion.add(unit.cluster, unit.human, unit.judge)?;
        }
        if confusion.n() > 0 {
            agreements.push(Agreement {
                subset,
                name,
                n: confusion.n(),
                confusion: confusion.counts(),
                equal: interval(confusion.agreement()?.bootstrap(&draws)),
                kappa_linear: interval(confusion.kappa(Weights::Linear).bootstrap(&draws)),
                kappa_quadratic: interval(confusion.kappa(Weights::Quadratic).bootstrap(&draws)),
                alpha_ordinal: interval(Alpha::of_pairs(&confusion, Metric::Ordinal)?.bootstrap(&draws)),
            });
        }
    }
    Ok(Check {
        grades: graded.files.clone(),
        raters: graded.raters.iter().cloned().collect(),
        compared: units.len(),
        left_out,
        categories,
        passed: passes(plan.judge.standard.as_ref(), agreements.first()),
        parts: agreements,
        standard: plan.judge.standard.clone(),
        powered: powered(plan, &opinions, graded, cuts)?,
    })
}

/// The picture that a question is about; questions about one picture are one cluster.
fn picture<'t>(target: &'t Target<'_>) -> &'t str {
    target.item.images.first().unwrap_or(&target.item.id)
}

fn is_judged(plan: &Plan<'_>, model_id: &str, question_id: u64) -> bool {
    let of_model = |target: &Target<'_>| {
        plan.answers[target.answers].model_id == model_id || plan.against.is_some_and(|a| a.model_id == model_id)
    };
    plan.targets.iter().any(|target| target.asked().question_id == question_id && of_model(target))
}

/// What people think of one text; `None` where nobody graded it, or graded another text.
fn consensus(graded: &Graded, model_id: &str, question_id: u64, text: &str, other_text: &mut usize) -> Option<Grade> {
    let grades = graded.answers.get(&(model_id.to_owned(), question_id))?;
    if !grades.texts.is_empty() && !grades.texts.contains(&super::answers::text_sha256(text)) {
        *other_text += 1;
        return None;
    }
    grades.consensus()
}

fn human_category(plan: &Plan<'_>, target: &Target<'_>, graded: &Graded, left_out: &mut LeftOut) -> Option<usize> {
    let id = target.asked().question_id;
    let own = &plan.answers[target.answers].model_id;
    let own = consensus(graded, own, id, target.answer, &mut left_out.other_text)?;
    let Some((against, text)) = plan.against.zip(target.against) else { return Some(own.index()) };
    let other = consensus(graded, &against.model_id, id, text, &mut left_out.other_text)?;
    // A is the least.
    Some(match own.cmp(&other) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => 1,
        std::cmp::Ordering::Greater => 2,
    })
}

fn judge_category(opinion: &Opinion, cuts: Option<[f64; 3]>) -> Option<usize> {
    match opinion {
        Opinion::Pair(pair) => match pair.verdict {
            Verdict::Win => Some(0),
            Verdict::Tie => Some(1),
            Verdict::Loss => Some(2),
            _ => None,
        },
        other => grade_of(other, cuts).map(Grade::index),
    }
}

fn interval(estimate: Result<Estimate, Undefined>) -> Interval {
    match estimate {
        Ok(Estimate { point, low, high, method, .. }) => {
            Interval { value: Some(point), low: Some(low), high: Some(high), method: method.to_string() }
        }
        Err(undefined) => Interval { value: None, low: None, high: None, method: format!("undefined: {undefined}") },
    }
}

/// An answer's part in an A-rate: 1 for A by the judge, and by people where they graded it.
type AnswerRate = (f64, Option<f64>);

/// A-rates of each model and their differences, from all judgements and the human grades there are.
fn powered(
    plan: &Plan<'_>,
    opinions: &[Option<Opinion>],
    graded: &Graded,
    cuts: Option<[f64; 3]>,
) -> Result<Vec<Powered>> {
    let mut clusters = Clusters::default();
    // By model: question -> (cluster, rate).
    let mut rates: Vec<BTreeMap<u64, (usize, AnswerRate)>> = vec![BTreeMap::new(); plan.answers.len()];
    for (target, opinion) in plan.targets.iter().zip(opinions) {
        let Some(judge) = opinion.as_ref().and_then(|opinion| grade_of(opinion, cuts)) else { continue };
        let id = target.asked().question_id;
        let is_a = |grade: Grade| f64::from(u8::from(grade == Grade::A));
        let model_id = &plan.answers[target.answers].model_id;
        let human = consensus(graded, model_id, id, target.answer, &mut 0).map(is_a);
        rates[target.answers].insert(id, (clusters.number(picture(target)), (is_a(judge), human)));
    }
    let mut powered = Vec::new();
    for (first, own) in rates.iter().enumerate() {
        let name = |index: usize| plan.answers[index].model_id.clone();
        let all = own.values().map(|(cluster, rate)| (*cluster, *rate)).collect::<Vec<_>>();
        powered.extend(estimate(clusters.len(), &all, name(first), None)?);
        for (second, other) in rates.iter().enumerate().skip(first + 1) {
            let both: Vec<(usize, AnswerRate)> = own
                .iter()
                .filter_map(|(id, (cluster, rate))| {
                    let (_, (judge, human)) = other.get(id)?;
                    Some((*cluster, (rate.0 - judge, rate.1.zip(*human).map(|(own, other)| own - other))))
                })
                .collect();
            powered.extend(estimate(clusters.len(), &both, name(first), Some(name(second)))?);
        }
    }
    Ok(powered)
}

/// `None` where nothing was judged.
fn estimate(
    clusters: usize,
    rates: &[(usize, AnswerRate)],
    model_id: String,
    minus: Option<String>,
) -> Result<Option<Powered>> {
    if rates.is_empty() {
        return Ok(None);
    }
    let mut both = Judged::new(clusters);
    for (cluster, (judge, human)) in rates {
        both.add(*cluster, *judge, *human)?;
    }
    let human = rates.iter().filter(|(_, (_, human))| human.is_some()).count();
    let found = both.estimate();
    let least = if minus.is_some() { -1.0 } else { 0.0 };
    Ok(Some(Powered {
        model_id,
        minus,
        human,
        judged: rates.len() - human,
        lambda: found.as_ref().ok().map(|found| found.lambda),
        rate_a: interval(found.map(|found| found.estimate.within(least, 1.0))),
        human_only: interval(found.map(|found| found.human_only.within(least, 1.0))),
    }))
}
