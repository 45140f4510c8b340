//! Rows become judgements: one of each answer, from all orders and repeats.

use super::definition::{JudgeKind, Orders};
use super::plan::Plan;
use super::reference::Measures;
use super::row::{JudgementRow, Verdict};
use crate::record::Grade;

/// What the judge thinks of one answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Opinion {
    /// Mean over the repeats, and their standard deviation where there are two or more.
    Score {
        score: f64,
        spread: Option<f64>,
    },
    /// The middle one of the repeats, the lower of two; and whether they are not all the same.
    Grade {
        grade: Grade,
        is_divided: bool,
    },
    Pair(PairOpinion),
    Reference(Measures),
}

/// Two answers, compared in every order of every repeat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairOpinion {
    /// Mean score of the answer under judgement.
    pub own: f64,
    pub other: f64,
    /// Win, tie or loss over all repeats.
    pub verdict: Verdict,
    /// Repeats in which both orders were read.
    pub compared: usize,
    /// Of them, those in which whoever was shown first won, or whoever was shown second: they are ties.
    pub flips: usize,
    /// Standard deviation over the repeats of the difference of both scores.
    pub spread: Option<f64>,
}

/// The opinion of each target of a plan; `None` where a judgement is missing. `rows` belong to the plan's asks.
pub fn opinions(plan: &Plan<'_>, rows: &[Option<JudgementRow>]) -> Vec<Option<Opinion>> {
    let mut by_target: Vec<Vec<&JudgementRow>> = vec![Vec::new(); plan.targets.len()];
    for (ask, row) in plan.asks.iter().zip(rows) {
        if let Some(row) = row.as_ref().filter(|row| ask.probe.is_none() && row.is_read()) {
            by_target[ask.target].push(row);
        }
    }
    by_target.iter().map(|rows| opinion(plan, rows)).collect()
}

fn opinion(plan: &Plan<'_>, rows: &[&JudgementRow]) -> Option<Opinion> {
    match plan.judge.kind {
        JudgeKind::Reference => rows.first()?.measures.map(Opinion::Reference),
        JudgeKind::Single => {
            let scores: Vec<f64> = rows.iter().filter_map(|row| row.score).collect();
            Some(Opinion::Score { score: mean(&scores)?, spread: deviation(&scores) })
        }
        JudgeKind::Grade => {
            let mut grades: Vec<Grade> = rows.iter().filter_map(|row| row.grade).collect();
            grades.sort_unstable();
            let grade = *grades.get(grades.len() / 2)?;
            Some(Opinion::Grade { grade, is_divided: grades.first() != grades.last() })
        }
        JudgeKind::Pair => pair(rows, plan.judge.orders).map(Opinion::Pair),
    }
}

fn pair(rows: &[&JudgementRow], orders: Orders) -> Option<PairOpinion> {
    let (mut own, mut other, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    let (mut balance, mut flips) = (0_i64, 0);
    let repeats = rows.iter().map(|row| row.repeat).max()? + 1;
    for repeat in 0..repeats {
        let of = |order: u8| rows.iter().find(|row| row.repeat == repeat && row.order == order);
        let both: Vec<&&JudgementRow> = match (of(0), of(1), orders) {
            (Some(first), Some(second), Orders::Both) => vec![first, second],
            (Some(first), _, Orders::First) => vec![first],
            // One order alone would favour a place.
            _ => continue,
        };
        let scores: Vec<[f64; 2]> = both.iter().filter_map(|row| row.scores).collect();
        let all = |verdict: Verdict| both.iter().all(|row| row.verdict == verdict);
        let any = |verdict: Verdict| both.iter().any(|row| row.verdict == verdict);
        balance += i64::from(all(Verdict::Win)) - i64::from(all(Verdict::Loss));
        flips += usize::from(any(Verdict::Win) && any(Verdict::Loss));
        let side = |which: usize| mean(&scores.iter().map(|pair| pair[which]).collect::<Vec<f64>>());
        own.push(side(0)?);
        other.push(side(1)?);
        differences.push(side(0)? - side(1)?);
    }
    Some(PairOpinion {
        own: mean(&own)?,
        other: mean(&other)?,
        verdict: match balance.signum() {
            1 => Verdict::Win,
            -1 => Verdict::Loss,
            _ => Verdict::Tie,
        },
        compared: own.len(),
        flips,
        spread: deviation(&differences),
    })
}

/// A grade on the scale of opinions, where an opinion has one or can be cut into one.
pub fn grade_of(opinion: &Opinion, cuts: Option<[f64; 3]>) -> Option<Grade> {
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

/// The mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard deviation (n − 1); `None` of fewer than two values.
fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests;
