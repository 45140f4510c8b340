//! May this judge be believed? Its verdicts beside human grades of the same answers.

use serde::{Deserialize, Serialize};

use super::agreement::Agreement;
use super::definition::{AgreementStatistic, Standard};
use super::summary::Licence;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub grades: Vec<GradesId>,
    pub raters: Vec<String>,
    /// Answers that both people and the judge judged.
    pub compared: usize,
    pub left_out: LeftOut,
    /// What the rows and columns of the matrices are: `A` to `D`, or `win`, `tie`, `loss`.
    pub categories: Vec<String>,
    /// All, each subset, each ability.
    pub parts: Vec<Agreement>,
    /// What the judge declares that it reaches; null where it declares nothing, and then it cannot be licensed.
    pub standard: Option<Standard>,
    pub passed: bool,
    /// Few human grades and many judgements together.
    pub powered: Vec<Powered>,
}

/// A file of human grades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradesId {
    pub file: String,
    pub sha256: String,
}

/// Human grades that no judgement could be set beside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Rows without a grade.
    pub skipped: usize,
    /// Of models or questions that are not judged here.
    pub elsewhere: usize,
    /// Of another text than the one that was judged.
    pub other_text: usize,
    /// Graded answers whose judgement is missing.
    pub unjudged: usize,
}

/// A statistic with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Null where the statistic is undefined.
    pub value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// How the interval was made, or why there is none.
    pub method: String,
}

/// A prediction-powered estimate: an A-rate, or the difference of two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Powered {
    pub model_id: String,
    /// Whose rate is subtracted; null for the rate itself.
    pub minus: Option<String>,
    /// Answers (or pairs of them) with a human grade, and those that the judge alone judged.
    pub human: usize,
    pub judged: usize,
    pub rate_a: Interval,
    /// From the human grades alone.
    pub human_only: Interval,
    /// How much the judge was listened to, from 0 to 1.
    pub lambda: Option<f64>,
}

impl Check {
    pub fn licence(&self) -> Licence {
        if self.passed { Licence::Licensed } else { Licence::NotLicensed }
    }
}

/// Whether the lower bound of what was declared is reached over all answers.
pub(super) fn passes(standard: Option<&Standard>, all: Option<&Agreement>) -> bool {
    standard.zip(all).is_some_and(|(standard, all)| {
        let reached = match standard.statistic {
            AgreementStatistic::KappaLinear => &all.kappa_linear,
            AgreementStatistic::KappaQuadratic => &all.kappa_quadratic,
            AgreementStatistic::AlphaOrdinal => &all.alpha_ordinal,
        };
        reached.low.is_some_and(|low| low >= standard.at_least)
    })
}
