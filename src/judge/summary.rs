//! What the judgements amount to: `summary.json`.

use serde::{Deserialize, Serialize};

use super::answers::AnswersId;
use super::budget::Tokens;
use super::check::Check;
use super::course::AskFailure;
use super::definition::JudgeKind;
use super::group::{Group, groups};
use super::plan::{Missing, Plan};
use super::row::{JudgementRow, PicturesShown};
use super::scale::Scale;
use super::tally;
use super::trial::{self, Trial};
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
    /// Questions outside the selections of the runs; none of them is missing.
    #[serde(default)]
    pub unselected: usize,
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
            unselected: plan.unselected,
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
