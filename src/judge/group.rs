//! Opinions by model, subset and ability.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::reference::Measures;
use super::row::Verdict;
use super::tally::{self, Opinion, PairOpinion};
use crate::evalset::{Subset, Turn};

/// The answers of one model to the questions of one subset or ability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub model_id: String,
    /// `all`, `single_turn`, `multi_turn`, `ability:a`.
    pub subset: String,
    /// The ability's name.
    pub name: Option<String>,
    /// Questions that the model was asked and that such a judge could judge.
    pub questions: usize,
    pub answers: usize,
    pub judged: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoreLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grades: Option<GradeLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<MeasureLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreLine {
    pub mean: f64,
    pub total: f64,
    /// Mean standard deviation over the repeats of a question; null without repeats.
    pub spread: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GradeLine {
    #[serde(rename = "A")]
    pub a: usize,
    #[serde(rename = "B")]
    pub b: usize,
    #[serde(rename = "C")]
    pub c: usize,
    #[serde(rename = "D")]
    pub d: usize,
    pub rate_a: f64,
    pub rate_ab: f64,
    /// Answers whose repeats were not all given the same grade.
    pub divided: usize,
}

/// As Vicuna's evaluation has it: the sum of all scores, and the ratio of both sums.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairLine {
    pub total: f64,
    pub total_against: f64,
    /// `total / total_against`; null where that is nought.
    pub ratio: Option<f64>,
    pub wins: usize,
    pub ties: usize,
    pub losses: usize,
    /// Comparisons whose verdict flipped with the order, of so many; they are ties.
    pub flips: usize,
    pub compared: usize,
    pub spread: Option<f64>,
}

/// Means of [`Measures`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasureLine {
    pub exact: f64,
    pub normalised: f64,
    /// Of the questions whose reference holds a number.
    pub number: Option<f64>,
    pub numbers: usize,
    pub contains: f64,
    pub overlap: f64,
}

/// All, each subset and each ability that occurs, of each model.
pub(super) fn groups(plan: &Plan<'_>, opinions: &[Option<Opinion>]) -> Vec<Group> {
    let mut groups = Vec::new();
    for (index, answers) in plan.answers.iter().enumerate() {
        for (subset, name, holds) in parts(plan) {
            let is_counted = |turn: &&Turn| holds(turn) && plan.judges(turn) && plan.was_asked(index, turn);
            let questions = plan.evalset.turns().map(|(_, turn)| turn).filter(is_counted).count();
            let chosen: Vec<Option<&Opinion>> = plan
                .targets
                .iter()
                .zip(opinions)
                .filter(|(target, _)| target.answers == index && holds(target.asked()))
                .map(|(_, opinion)| opinion.as_ref())
                .collect();
            if questions == 0 {
                continue;
            }
            let judged: Vec<&Opinion> = chosen.iter().copied().flatten().collect();
            groups.push(Group {
                model_id: answers.model_id.clone(),
                subset,
                name,
                questions,
                answers: chosen.len(),
                judged: judged.len(),
                scores: scores(&judged),
                grades: grades(&judged),
                pairs: pairs(&judged),
                measures: measures(&judged),
            });
        }
    }
    groups
}

type Holds = Box<dyn Fn(&Turn) -> bool>;

/// The groups of questions: their name in files, the ability's name, and which questions they hold.
pub(super) fn parts(plan: &Plan<'_>) -> Vec<(String, Option<String>, Holds)> {
    let mut parts: Vec<(String, Option<String>, Holds)> = vec![("all".to_owned(), None, Box::new(|_| true))];
    for subset in Subset::ALL {
        parts.push((subset.name().to_owned(), None, Box::new(move |turn| turn.subsets.contains(&subset))));
    }
    let mut letters: Vec<&String> = plan.evalset.turns().flat_map(|(_, turn)| &turn.abilities).collect();
    letters.sort();
    letters.dedup();
    for letter in letters {
        let name = plan.evalset.abilities.get(letter).cloned();
        let own = letter.clone();
        parts.push((format!("ability:{letter}"), name, Box::new(move |turn| turn.abilities.contains(&own))));
    }
    parts
}

fn scores(judged: &[&Opinion]) -> Option<ScoreLine> {
    let found = judged.iter().filter_map(|opinion| match opinion {
        Opinion::Score { score, spread } => Some((*score, *spread)),
        _ => None,
    });
    let (scores, spreads): (Vec<f64>, Vec<Option<f64>>) = found.unzip();
    let spreads: Vec<f64> = spreads.into_iter().flatten().collect();
    Some(ScoreLine { mean: tally::mean(&scores)?, total: scores.iter().sum(), spread: tally::mean(&spreads) })
}

fn grades(judged: &[&Opinion]) -> Option<GradeLine> {
    let mut counts = [0; 4];
    let mut divided = 0;
    for opinion in judged {
        if let Opinion::Grade { grade, is_divided } = opinion {
            counts[grade.index()] += 1;
            divided += usize::from(*is_divided);
        }
    }
    let [a, b, c, d] = counts;
    let n = a + b + c + d;
    let rate = |count: usize| count as f64 / n as f64;
    (n > 0).then(|| GradeLine { a, b, c, d, rate_a: rate(a), rate_ab: rate(a + b), divided })
}

fn pairs(judged: &[&Opinion]) -> Option<PairLine> {
    let found: Vec<&PairOpinion> = judged
        .iter()
        .filter_map(|opinion| match opinion {
            Opinion::Pair(pair) => Some(pair),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return None;
    }
    let count = |verdict: Verdict| found.iter().filter(|pair| pair.verdict == verdict).count();
    let total: f64 = found.iter().map(|pair| pair.own).sum();
    let total_against: f64 = found.iter().map(|pair| pair.other).sum();
    let spreads: Vec<f64> = found.iter().filter_map(|pair| pair.spread).collect();
    Some(PairLine {
        total,
        total_against,
        ratio: (total_against > 0.0).then(|| total / total_against),
        wins: count(Verdict::Win),
        ties: count(Verdict::Tie),
        losses: count(Verdict::Loss),
        flips: found.iter().map(|pair| pair.flips).sum(),
        compared: found.iter().map(|pair| pair.compared).sum(),
        spread: tally::mean(&spreads),
    })
}

fn measures(judged: &[&Opinion]) -> Option<MeasureLine> {
    let found: Vec<&Measures> = judged
        .iter()
        .filter_map(|opinion| match opinion {
            Opinion::Reference(measures) => Some(measures),
            _ => None,
        })
        .collect();
    let of = |field: fn(&Measures) -> f64| tally::mean(&found.iter().map(|one| field(one)).collect::<Vec<f64>>());
    let numbers: Vec<f64> = found.iter().filter_map(|one| one.number).collect();
    Some(MeasureLine {
        exact: of(|one| one.exact)?,
        normalised: of(|one| one.normalised)?,
        number: tally::mean(&numbers),
        numbers: numbers.len(),
        contains: of(|one| one.contains)?,
        overlap: of(|one| one.overlap)?,
    })
}
