//! Variants beside each other: rates, differences, tests. What replicates of a variant got right is averaged question by
//! question first; questions about one picture go together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::plan::Plan;
use super::results::{ResultRow, Results};
use crate::error::{Error, Result};
pub use crate::report::ALL;
use crate::report::{ABILITY, Context, Pair, of_question, tested};
use crate::stats::{Additive as _, Clusters, Mean, holm_of_defined, wilson};

/// A rate of exact answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rate {
    pub variant: String,
    pub evalset: String,
    /// `all`, `single_turn`, `multi_turn`, `ability:a`…, `kind:counting`…
    pub subset: String,
    /// Questions.
    pub n: usize,
    pub point: f64,
    /// Of 95 %, over whole pictures.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub method: String,
    /// The rate of each replicate.
    pub replicates: Vec<f64>,
}

/// Two variants on the same questions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Test {
    pub better: String,
    pub worse: String,
    pub evalset: String,
    pub subset: String,
    pub n: usize,
    /// Of the first over the second.
    pub difference: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Two-sided, by permutation of pictures; 1 where no picture differs.
    pub p_value: Option<f64>,
    /// Holm's, over the tests that stand together in a table.
    pub p_adjusted: Option<f64>,
}

/// What came out of holding a claim against the answers, at a level of 5 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Holds,
    /// The other variant is the better one.
    Contradicted,
    /// The two cannot be told apart.
    Open,
}

impl Verdict {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds here",
            Self::Contradicted => "is contradicted",
            Self::Open => "cannot be told",
        }
    }
}

impl Test {
    pub fn verdict(&self) -> Verdict {
        match (self.difference, self.p_adjusted) {
            (Some(difference), Some(p)) if p < 0.05 && difference > 0.0 => Verdict::Holds,
            (Some(difference), Some(p)) if p < 0.05 && difference < 0.0 => Verdict::Contradicted,
            _ => Verdict::Open,
        }
    }
}

/// Fills in Holm's p-values of tests that stand together.
pub fn adjust(tests: &mut [Test]) {
    let p_values: Vec<Option<f64>> = tests.iter().map(|test| test.p_value).collect();
    for (test, adjusted) in tests.iter_mut().zip(holm_of_defined(&p_values)) {
        test.p_adjusted = adjusted;
    }
}

/// One question of an evalset and what each variant's replicates made of it.
struct Question<'a> {
    cluster: usize,
    subsets: Vec<String>,
    right: HashMap<&'a str, Vec<f64>>,
}

/// The questions of one evalset.
struct Sheet<'a> {
    questions: BTreeMap<u64, Question<'a>>,
    clusters: usize,
    context: Context,
}

/// The answers, ready to be compared.
pub struct Comparer<'a> {
    sheets: BTreeMap<&'a str, Sheet<'a>>,
}

impl<'a> Comparer<'a> {
    pub fn new(plan: &'a Plan, results: &'a Results) -> Self {
        let (resamples, seed) = (plan.settings.resamples, plan.settings.seed);
        let sheets = plan.settings.evalsets.iter().map(|asked| {
            let rows = results.answers.iter().filter(|row| row.evalset == asked.name);
            (asked.name.as_str(), Sheet::new(rows, resamples, seed))
        });
        Self { sheets: sheets.collect() }
    }

    /// The subsets of an evalset's questions: all, by category, by ability, by kind.
    pub fn subsets(&self, evalset: &str) -> Vec<String> {
        let found: BTreeSet<&String> = self
            .sheets
            .get(evalset)
            .into_iter()
            .flat_map(|sheet| sheet.questions.values())
            .flat_map(|q| &q.subsets)
            .collect();
        let order = |subset: &&String| match subset.as_str() {
            ALL => 0,
            "single_turn" => 1,
            "multi_turn" => 2,
            other if other.starts_with(ABILITY) => 3,
            _ => 4,
        };
        let mut subsets: Vec<&String> = found.into_iter().collect();
        subsets.sort_by_key(order);
        subsets.into_iter().cloned().collect()
    }

    /// The rate of a variant; `None` where it answered none of these questions.
    ///
    /// # Errors
    /// Never for answers that are right or wrong.
    pub fn rate(&self, variant: &str, evalset: &str, subset: &str) -> Result<Option<Rate>> {
        let Some(sheet) = self.sheets.get(evalset) else { return Ok(None) };
        let mut mean = Mean::new(sheet.clusters);
        let mut by_replicate: Vec<f64> = Vec::new();
        for question in sheet.of(subset) {
            let Some(right) = question.right.get(variant) else { continue };
            mean.add(question.cluster, average(right))?;
            by_replicate.resize(right.len().max(by_replicate.len()), 0.0);
            for (sum, right) in by_replicate.iter_mut().zip(right) {
                *sum += right;
            }
        }
        let n = mean.n();
        let Ok(point) = mean.value() else { return Ok(None) };
        // Where all is right, or all wrong, there is nothing to resample.
        let is_constant = point <= 0.0 || point >= 1.0;
        let estimate = if is_constant { wilson(point * n as f64, n) } else { mean.bootstrap(&sheet.context.draws) };
        let (low, high, method) = match estimate {
            Ok(estimate) => (Some(estimate.low), Some(estimate.high), estimate.method.to_string()),
            Err(why) => (None, None, why.to_string()),
        };
        let replicates = by_replicate.into_iter().map(|sum| sum / n as f64).collect();
        let (variant, evalset, subset) = (variant.to_owned(), evalset.to_owned(), subset.to_owned());
        Ok(Some(Rate { variant, evalset, subset, n, point, low, high, method, replicates }))
    }

    /// Whether a variant is better than another.
    ///
    /// # Errors
    /// For an evalset that is not there.
    pub fn test(&self, better: &str, worse: &str, evalset: &str, subset: &str) -> Result<Test> {
        let Some(sheet) = self.sheets.get(evalset) else {
            return Err(Error::input(format!("there is no evalset {evalset:?}")));
        };
        let mut differences = Mean::new(sheet.clusters);
        for question in sheet.of(subset) {
            let (Some(first), Some(second)) = (question.right.get(better), question.right.get(worse)) else { continue };
            differences.add(question.cluster, average(first) - average(second))?;
        }
        let pair = Pair { models: [better, worse], subset, statistic: "exact_match" };
        let tested = tested(pair, &differences, None, &sheet.context);
        Ok(Test {
            better: tested.model_a,
            worse: tested.model_b,
            evalset: evalset.to_owned(),
            subset: tested.subset,
            n: tested.n,
            difference: tested.difference,
            low: tested.low,
            high: tested.high,
            p_value: tested.p_value,
            p_adjusted: None,
        })
    }
}

impl<'a> Sheet<'a> {
    fn new(rows: impl Iterator<Item = &'a ResultRow>, resamples: usize, seed: u64) -> Self {
        let mut clusters = Clusters::default();
        let mut questions: BTreeMap<u64, Question<'a>> = BTreeMap::new();
        for row in rows {
            let question = questions.entry(row.question_id).or_insert_with(|| Question {
                cluster: clusters.number(&row.picture),
                subsets: subsets(row),
                right: HashMap::new(),
            });
            question.right.entry(&row.variant).or_default().push(f64::from(row.right));
        }
        let clusters = clusters.len();
        Self { questions, clusters, context: Context::new(clusters, resamples, seed) }
    }

    fn of<'b>(&'b self, subset: &'b str) -> impl Iterator<Item = &'b Question<'a>> {
        self.questions.values().filter(move |question| question.subsets.iter().any(|own| own == subset))
    }
}

/// The subsets that a question belongs to.
fn subsets(row: &ResultRow) -> Vec<String> {
    let words = |text: &'_ str| text.split(';').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let mut subsets = of_question(&words(&row.subsets), &words(&row.abilities));
    subsets.extend(words(&row.kind).iter().map(|kind| format!("kind:{kind}")));
    subsets
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
