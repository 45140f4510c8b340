//! How much more to grade: the power of a study like this one, by simulation on its own pictures.

use serde::Serialize;

use super::observed::Observed;
use super::subsets::ALL;
use super::table::{Cell, Kind, Table, column};
use super::{Comparison, Ranking, Text};
use crate::error::Result;
use crate::stats::{Design, LEVEL};

/// What its table is called.
pub(super) const NAME: &str = "plan";

/// The chance that a study should have to see a difference.
const WANTED: f64 = 0.8;
/// Simulated studies behind each number: an error of at most 4 points.
const STUDIES: usize = 600;
/// How far the latent values of one picture's questions correlate; see [`Design`].
const CORRELATION: f64 = 0.3;
/// Differences that a study may be made for.
const DIFFERENCES: [f64; 4] = [0.05, 0.10, 0.15, 0.20];

/// What it takes to tell models apart by their shares of A or B.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub pictures: usize,
    pub questions: usize,
    pub correlation: f64,
    pub wanted_power: f64,
    pub studies: usize,
    /// The share of A or B of all models, around which the differences are put.
    pub rate: f64,
    /// For differences that one might want to see.
    pub differences: Vec<Planned>,
    /// For pairs of models that the report cannot tell apart, if their observed difference is the true one.
    pub pairs: Vec<PlannedPair>,
}

/// What it takes to see one difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Planned {
    pub difference: f64,
    /// The chance to see it with the pictures of this report; null where the rates would leave 0 to 1.
    pub power_now: Option<f64>,
    /// Pictures like these that see it with the wanted power; null where forty times as many do not.
    pub pictures: Option<usize>,
    /// Questions about them.
    pub questions: Option<usize>,
    /// Grades of both models beyond those there are, one rater.
    pub more_grades: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedPair {
    pub model_a: String,
    pub model_b: String,
    #[serde(flatten)]
    pub planned: Planned,
}

/// None where there are no two graded models.
pub(super) fn of(
    observed: &Observed,
    ranking: Option<&Ranking>,
    comparisons: &[Comparison],
    seed: u64,
) -> Result<Option<Plan>> {
    let Some(ranking) = ranking else { return Ok(None) };
    let mut sizes = vec![0; observed.clusters];
    observed.questions.iter().for_each(|question| sizes[question.cluster] += 1);
    let rates: Vec<f64> = ranking.order.iter().filter_map(|ranked| ranked.rate_ab).collect();
    if rates.is_empty() {
        return Ok(None);
    }
    let rate = rates.iter().sum::<f64>() / rates.len() as f64;
    let between = |low: f64, difference: f64| planned(&sizes, low, difference, seed);
    let differences =
        DIFFERENCES.iter().map(|difference| between(rate - difference / 2.0, *difference)).collect::<Result<_>>()?;
    let rate_of =
        |model: &str| ranking.order.iter().find(|ranked| ranked.model_id == model).and_then(|one| one.rate_ab);
    let mut pairs = Vec::new();
    for row in comparisons.iter().filter(|row| row.subset == ALL && row.statistic == "rate_ab") {
        let is_open = row.p_adjusted.is_none_or(|p| p > 1.0 - LEVEL);
        let (Some(difference), true) = (row.difference.map(f64::abs), is_open) else { continue };
        let lower = rate_of(&row.model_a).into_iter().chain(rate_of(&row.model_b)).fold(1.0, f64::min);
        let planned = between(lower, difference)?;
        pairs.push(PlannedPair { model_a: row.model_a.clone(), model_b: row.model_b.clone(), planned });
    }
    Ok(Some(Plan {
        pictures: sizes.len(),
        questions: observed.questions.len(),
        correlation: CORRELATION,
        wanted_power: WANTED,
        studies: STUDIES,
        rate,
        differences,
        pairs,
    }))
}

fn planned(sizes: &[usize], rate: f64, difference: f64, seed: u64) -> Result<Planned> {
    let nothing = Planned { difference, power_now: None, pictures: None, questions: None, more_grades: None };
    // Nobody can plan for no difference, nor for rates beyond the ends.
    if difference < 0.005 || rate <= 0.0 || rate + difference >= 1.0 {
        return Ok(nothing);
    }
    let design = Design { sizes: sizes.to_vec(), rate, correlation: CORRELATION };
    let power_now = Some(design.power(difference, STUDIES, seed)?.exact.point);
    // By the normal approximation forty times the pictures are not enough, and simulating it would take long to say so.
    let questions: usize = sizes.iter().sum();
    let variance = rate * (1.0 - rate) + (rate + difference) * (1.0 - rate - difference);
    let needed = 7.85 * variance * (1.0 - CORRELATION) / (difference * difference);
    if needed > 60.0 * questions as f64 {
        return Ok(Planned { power_now, ..nothing });
    }
    let pictures = design.pictures_for(difference, WANTED, STUDIES, seed)?;
    let questions_needed = pictures.map(|pictures| design.with_pictures(pictures).sizes.iter().sum::<usize>());
    let more_grades = questions_needed.map(|needed| 2 * needed.saturating_sub(questions));
    Ok(Planned { difference, power_now, pictures, questions: questions_needed, more_grades })
}

/// What the plan says, in words.
pub(super) fn text(plan: &Plan) -> Text {
    let per_cent = |share: f64| format!("{:.0} %", 100.0 * share);
    let seen =
        plan.differences.iter().find(|planned| planned.power_now.is_some_and(|power| power >= plan.wanted_power));
    let first = match seen {
        Some(planned) => format!(
            "With the {} questions about {} pictures of this report, a difference of {:.0} points in the share of A or B is seen \
             with a chance of {} or more.",
            plan.questions,
            plan.pictures,
            100.0 * planned.difference,
            per_cent(plan.wanted_power)
        ),
        None => format!(
            "With the {} questions about {} pictures of this report, not even a difference of {:.0} points in the share of A or B is \
             seen with a chance of {}.",
            plan.questions,
            plan.pictures,
            100.0 * DIFFERENCES[DIFFERENCES.len() - 1],
            per_cent(plan.wanted_power)
        ),
    };
    let how = format!(
        "Simulated, {} studies a number: both models answer the same questions, each answer is A or B or not, hard pictures are hard for \
         both (latent values of a picture's questions correlate by {}), and the test is the report's own, the exact \
         permutation of pictures at 5 %, without adjustment for other pairs. More raters of the same answers are no more \
         questions and do not count here.",
        plan.studies, plan.correlation
    );
    let caution = "Of pairs it is assumed that the observed difference is the true one. It seldom is: take the first rows, for the \
                   smallest difference that would matter to you, and the pairs as a hint.";
    Text {
        name: "plan".to_owned(),
        title: "How much more to grade".to_owned(),
        paragraphs: vec![first, how, caution.to_owned()],
    }
}

pub(super) fn table(plan: &Plan) -> Table {
    let count = |count: Option<usize>| match count {
        Some(count) => Cell::text(count.to_string()),
        None => Cell::text("\u{2013}"),
    };
    let row = |what: [&str; 2], planned: &Planned| {
        vec![
            Cell::text(what[0]),
            Cell::text(what[1]),
            Cell::Interval([Some(planned.difference), None, None]),
            Cell::Interval([planned.power_now, None, None]),
            count(planned.pictures),
            count(planned.questions),
            count(planned.more_grades),
        ]
    };
    let wanted = plan.differences.iter().map(|planned| row(["any two models", ""], planned));
    let pairs = plan.pairs.iter().map(|pair| row([&pair.model_a, &pair.model_b], &pair.planned));
    Table {
        name: NAME.to_owned(),
        title: "Pictures, questions and grades it takes".to_owned(),
        caption: format!(
            "To see a difference in the share of A or B with a chance of {:.0} %. The first rows are for a difference around the \
             models' mean rate of {:.1} %, the others for pairs that this report cannot tell apart. A dash: more than forty times the \
             pictures, or no difference to see.",
            100.0 * plan.wanted_power,
            100.0 * plan.rate
        ),
        columns: vec![
            column("model_a", "Model", Kind::Text),
            column("model_b", "over", Kind::Text),
            column("difference", "Difference, points", Kind::Difference),
            column("power_now", "Chance now, %", Kind::Share),
            column("pictures", "Pictures", Kind::Text),
            column("questions", "Questions", Kind::Text),
            column("more_grades", "More grades, one rater", Kind::Text),
        ],
        rows: wanted.chain(pairs).collect(),
        is_long: false,
    }
}
