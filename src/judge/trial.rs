//! What the probes showed: how often the judge was fooled.

use serde::{Deserialize, Serialize};

use super::definition::JudgeKind;
use super::plan::Plan;
use super::probe::ProbeKind;
use super::row::{JudgementRow, Verdict};
use super::tally::{Opinion, mean};

/// The outcome of one probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// `order` (of a judge of pairs), `same`, `longer`, `injected`, `swapped` or `constant` (of one answer).
    pub probe: String,
    /// What a fooled judge does.
    pub fault: String,
    pub asked: usize,
    /// Those that could be read, and that could show anything: what is best already cannot be raised.
    pub judged: usize,
    pub fooled: usize,
    pub share: Option<f64>,
    /// The share that the judge declares as bearable.
    pub at_most: f64,
    /// Null where nothing was judged.
    pub passed: Option<bool>,
    /// By how much the altered answer was rated higher than the true one: scores, or grades as steps.
    pub mean_change: Option<f64>,
}

/// The trials of a plan. `rows` belong to its asks, `opinions` to its targets.
pub fn trials(plan: &Plan<'_>, rows: &[Option<JudgementRow>], opinions: &[Option<Opinion>]) -> Vec<Trial> {
    let mut trials = Vec::new();
    if plan.judge.kind == JudgeKind::Pair {
        let pairs = opinions.iter().flatten().filter_map(|opinion| match opinion {
            Opinion::Pair(pair) => Some((pair.compared, pair.flips)),
            _ => None,
        });
        let (compared, flips) = pairs.fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
        let asked = plan.targets.len() * plan.repeats as usize;
        trials.push(trial(plan, "order", "prefers a place, not an answer", asked, compared, flips, None));
    }
    for probe in ProbeKind::ALL {
        let asks: Vec<usize> = (0..plan.asks.len()).filter(|index| plan.asks[*index].probe == Some(probe)).collect();
        if asks.is_empty() {
            continue;
        }
        let (mut judged, mut fooled, mut changes) = (0, 0, Vec::new());
        for index in &asks {
            let Some(row) = rows[*index].as_ref().filter(|row| row.is_read()) else { continue };
            let outcome = match plan.judge.kind {
                JudgeKind::Pair => Some((
                    match probe {
                        ProbeKind::Same => row.verdict != Verdict::Tie,
                        ProbeKind::Longer | ProbeKind::Injected => row.verdict == Verdict::Win,
                        ProbeKind::Swapped => row.verdict != Verdict::Loss,
                    },
                    row.scores.map_or(0.0, |[altered, own]| altered - own),
                )),
                _ => base_row(plan, rows, plan.asks[*index].target).and_then(|base| raised(plan, probe, row, base)),
            };
            if let Some((is_fooled, change)) = outcome {
                judged += 1;
                fooled += usize::from(is_fooled);
                changes.push(change);
            }
        }
        trials.push(trial(
            plan,
            probe.name(),
            probe.fault(plan.judge.kind),
            asks.len(),
            judged,
            fooled,
            mean(&changes),
        ));
    }
    trials.extend(constant(plan, rows));
    trials
}

/// Whether the judge says the same of everything, altered answers included. Such a judge is raised by nothing and would
/// pass most probes; of a judge of pairs the others tell it.
fn constant(plan: &Plan<'_>, rows: &[Option<JudgementRow>]) -> Option<Trial> {
    let has_probes = plan.asks.iter().any(|ask| ask.probe.is_some());
    if !has_probes || plan.judge.kind == JudgeKind::Pair {
        return None;
    }
    let values: Vec<f64> = rows.iter().flatten().filter_map(value).collect();
    let judged = if values.len() > 1 { values.len() } else { 0 };
    let fooled = if values.windows(2).all(|pair| pair[0] == pair[1]) { judged } else { 0 };
    Some(trial(plan, "constant", "says the same of every answer", rows.len(), judged, fooled, None))
}

/// A score, or a grade in steps above D.
fn value(row: &JudgementRow) -> Option<f64> {
    row.score.or_else(|| row.grade.map(|grade| 3.0 - grade.index() as f64))
}

fn trial(
    plan: &Plan<'_>,
    probe: &str,
    fault: &str,
    asked: usize,
    judged: usize,
    fooled: usize,
    mean_change: Option<f64>,
) -> Trial {
    let share = (judged > 0).then(|| fooled as f64 / judged as f64);
    let at_most = plan.judge.probes.at_most;
    Trial {
        probe: probe.to_owned(),
        fault: fault.to_owned(),
        asked,
        judged,
        fooled,
        share,
        at_most,
        passed: share.map(|share| share <= at_most),
        mean_change,
    }
}

/// The first rating of the answer as it is.
fn base_row<'r>(plan: &Plan<'_>, rows: &'r [Option<JudgementRow>], target: usize) -> Option<&'r JudgementRow> {
    let index = plan.asks.iter().position(|ask| ask.target == target && ask.probe.is_none())?;
    rows[index].as_ref().filter(|row| row.is_read())
}

/// Whether one rating was fooled, and by how much it is higher; `None` where it could not have been.
fn raised(plan: &Plan<'_>, probe: ProbeKind, altered: &JudgementRow, base: &JudgementRow) -> Option<(bool, f64)> {
    let (lowest, highest) = match plan.judge.kind {
        JudgeKind::Grade => (0.0, 3.0),
        _ => (plan.judge.scale.0, plan.judge.scale.1),
    };
    let (altered, base) = (value(altered)?, value(base)?);
    let is_fooled = match probe {
        ProbeKind::Same => altered != base,
        ProbeKind::Longer | ProbeKind::Injected if base >= highest => return None,
        ProbeKind::Longer | ProbeKind::Injected => altered > base,
        ProbeKind::Swapped if base <= lowest => return None,
        ProbeKind::Swapped => altered >= base,
    };
    Some((is_fooled, altered - base))
}
