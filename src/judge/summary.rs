//! What the judgements amount to: `summary.json`.

use serde::{Deserialize, Serialize};

use super::answers::AnswersId;
use super::budget::Tokens;
use super::check::Check;
use super::course::AskFailure;
use super::definition::{JudgeKind, Scale};
use super::grade::Grade;
use super::plan::{Missing, Plan};
use super::reference::Measures;
use super::row::{JudgementRow, PicturesShown, Verdict};
use super::tally::{self, Opinion, PairOpinion};
use super::trial::{self, Trial};
use crate::evalset::{Subset, Turn};
use crate::record::{EvalSetId, Software};

/// The value of [`Summary::schema`] that this program writes.
pub const SUMMARY_SCHEMA: &str = "owleval-judgements/1";

/// A summary is made of the judgements alone, and nothing in it depends on when or in which order they were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub schema: String,
    pub judge: JudgeId,
    pub evalset: EvalSetId,
    pub answers: Vec<AnswersId>,
    pub against: Option<AnswersId>,
    pub asks: AskCounts,
    /// Answers that were judged, of those that are there.
    pub coverage: Coverage,
    /// `unchecked` without human grades.
    pub licence: Licence,
    /// Whether the judge saw the pictures: answers judged with them, without them, and of questions that have none.
    pub pictures: PictureCounts,
    /// Empty where the coverage is below the declared one.
    pub groups: Vec<Group>,
    pub probes: Vec<Trial>,
    pub check: Option<Check>,
    pub tokens: Tokens,
    pub cost: Option<f64>,
    pub missing: Vec<Missing>,
    pub software: Software,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeId {
    pub name: String,
    pub version: Option<String>,
    pub sha256: String,
    pub kind: JudgeKind,
    pub scale: Scale,
    pub repeats: u32,
    /// Null for a reference judge.
    pub model: Option<String>,
    /// The server's address without its query.
    pub endpoint: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskCounts {
    /// Probes included; those that had to be asked again count once.
    pub planned: usize,
    pub read: usize,
    pub unparsed: usize,
    pub failed: usize,
    /// Replies that could only be read at the second attempt.
    pub read_again: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    pub answers: usize,
    pub judged: usize,
    pub share: f64,
    pub declared: f64,
    pub is_enough: bool,
}

/// Whether the judge may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Licence {
    Licensed,
    NotLicensed,
    Unchecked,
}

impl Licence {
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Licensed => "licensed",
            Self::NotLicensed => "not licensed",
            Self::Unchecked => "unchecked",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureCounts {
    pub shown: usize,
    pub withheld: usize,
    pub none: usize,
}

/// The answers of one model to the questions of one subset or ability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub model_id: String,
    /// `all`, `single_turn`, `multi_turn`, `ability:a`.
    pub subset: String,
    /// The ability's name.
    pub name: Option<String>,
    /// Questions of the evalset that such a judge could judge.
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

/// What a summary is made of, beside the plan.
#[derive(Debug)]
pub struct Material<'a> {
    /// By ask of the plan.
    pub rows: &'a [Option<JudgementRow>],
    pub failures: &'a [AskFailure],
    /// Why an ask without a row and without a failure was not made.
    pub not_asked: &'a str,
    pub model: Option<String>,
    pub endpoint: Option<String>,
    pub tokens: Tokens,
    pub cost: Option<f64>,
    pub check: Option<Check>,
}

impl Summary {
    pub fn new(plan: &Plan<'_>, material: Material<'_>) -> Self {
        let judge = plan.judge;
        let Material { rows, failures, not_asked, model, endpoint, tokens, cost, check } = material;
        let opinions = tally::opinions(plan, rows);
        let judged = opinions.iter().flatten().count();
        let share = judged as f64 / plan.targets.len().max(1) as f64;
        let is_enough = share >= judge.coverage;
        let mut missing = plan.missing.clone();
        for (index, target) in plan.targets.iter().enumerate().filter(|(index, _)| opinions[*index].is_none()) {
            missing.push(Missing {
                model_id: plan.answers[target.answers].model_id.clone(),
                question_id: target.asked().question_id,
                why: why_missing(plan, index, rows, failures, not_asked),
            });
        }
        let licence = check.as_ref().map_or(Licence::Unchecked, Check::licence);
        Self {
            schema: SUMMARY_SCHEMA.to_owned(),
            judge: JudgeId {
                name: judge.name.clone(),
                version: judge.version.clone(),
                sha256: judge.sha256.clone(),
                kind: judge.kind,
                scale: judge.scale,
                repeats: plan.repeats,
                model,
                endpoint,
            },
            evalset: EvalSetId { name: plan.evalset.name.clone(), sha256: plan.evalset.sha256.clone() },
            answers: plan.answers.iter().map(super::Answers::id).collect(),
            against: plan.against.map(super::Answers::id),
            asks: count_asks(rows),
            coverage: Coverage { answers: plan.targets.len(), judged, share, declared: judge.coverage, is_enough },
            licence,
            pictures: count_pictures(plan, rows),
            groups: if is_enough { groups(plan, &opinions) } else { Vec::new() },
            probes: trial::trials(plan, rows, &opinions),
            check,
            tokens,
            cost,
            missing,
            software: Software::this(),
        }
    }

    /// Whether every answer is there and was judged.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

fn why_missing(
    plan: &Plan<'_>,
    target: usize,
    rows: &[Option<JudgementRow>],
    failures: &[AskFailure],
    not_asked: &str,
) -> String {
    let of_target = |ask: &super::Ask| ask.target == target && ask.probe.is_none();
    if let Some(failure) = failures.iter().find(|failure| of_target(&failure.ask)) {
        return format!("the judge failed: {}", failure.message);
    }
    let has_unread =
        plan.asks.iter().zip(rows).any(|(ask, row)| of_target(ask) && row.as_ref().is_some_and(|row| !row.is_read()));
    if has_unread { "the judge's reply could not be read".to_owned() } else { not_asked.to_owned() }
}

fn count_asks(rows: &[Option<JudgementRow>]) -> AskCounts {
    let mut counts = AskCounts { planned: rows.len(), ..AskCounts::default() };
    for row in rows {
        match row {
            None => counts.failed += 1,
            Some(row) if row.is_read() => {
                counts.read += 1;
                counts.read_again += usize::from(row.attempt > 0);
            }
            Some(_) => counts.unparsed += 1,
        }
    }
    counts
}

fn count_pictures(plan: &Plan<'_>, rows: &[Option<JudgementRow>]) -> PictureCounts {
    let mut counts = PictureCounts::default();
    for (ask, row) in plan.asks.iter().zip(rows) {
        if let Some(row) = row.as_ref().filter(|_| ask.probe.is_none() && ask.order == 0 && ask.repeat == 0) {
            match row.pictures {
                PicturesShown::Shown => counts.shown += 1,
                PicturesShown::Withheld => counts.withheld += 1,
                PicturesShown::None => counts.none += 1,
            }
        }
    }
    counts
}

/// All, each subset and each ability that occurs, of each model.
fn groups(plan: &Plan<'_>, opinions: &[Option<Opinion>]) -> Vec<Group> {
    let mut groups = Vec::new();
    let judgeable = |turn: &&Turn| plan.judge.kind != JudgeKind::Reference || !turn.reference.is_empty();
    for (index, answers) in plan.answers.iter().enumerate() {
        for (subset, name, holds) in parts(plan) {
            let questions =
                plan.evalset.turns().map(|(_, turn)| turn).filter(judgeable).filter(|turn| holds(turn)).count();
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

/// A grade on the scale of opinions, where an opinion has one or can be cut into one.
pub(super) fn grade_of(opinion: &Opinion, cuts: Option<[f64; 3]>) -> Option<Grade> {
    match opinion {
        Opinion::Grade { grade, .. } => Some(*grade),
        Opinion::Score { score, .. } => {
            let [a, b, c] = cuts?;
            Some(match *score {
                score if score >= a => Grade::A,
                score if score >= b => Grade::B,
                score if score >= c => Grade::C,
                _ => Grade::D,
            })
        }
        Opinion::Pair(_) | Opinion::Reference(_) => None,
    }
}
