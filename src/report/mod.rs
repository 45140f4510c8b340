//! From grades and answers to a report: one model of it, [`Report`], and exporters that only print it.
//!
//! ```text
//! grades.csv, sheets ─> Observed ─> distributions, agreement, comparisons, ranking, missing ─┬─> Report ─> report.json
//! runs, answers, evalset ─> Answered ─> scores, runs ────────────────────────────────────────┤      │
//! judgements ─> judges ──────────────────────────────────────────────────────────────────────┘      v
//! whatever else has tables and figures ─> Document (text, figures, tables, gallery) ─> index.html, report.md, tables, figures
//! ```
//!
//! A report is a function of its inputs, options and seed: [`files`] gives the same bytes whenever and wherever it is
//! called, and no file holds a time. [`verify`] makes the files again and says which differ.
//!
//! Text of models, raters and files is escaped by each exporter for its own format; only `report.json` holds it as it is.

mod agreement;
mod answered;
mod comparisons;
mod curves;
mod distributions;
mod document;
mod estimate;
mod figure;
mod figures;
mod folder;
mod gallery;
mod html;
mod judged;
mod latex;
mod markdown;
mod matrix;
mod observed;
mod plan;
mod ranking;
mod runs;
mod scores;
mod scores_shown;
mod sources;
mod subsets;
mod svg;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod thumbnails;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use agreement::Agreement;
pub use comparisons::{Comparison, Pair, tested};
pub use curves::loss_curves;
pub use distributions::{Counts, Distribution};
pub use document::{Document, Section, Text};
pub use estimate::{Context, Interval};
pub use figure::{Dot, Figure, Named, dots};
pub use folder::{REPORT, compare_files, files, verify, with_json, write, write_files};
pub use gallery::Gallery;
pub use judged::{JudgeRow, JudgedGroup, People};
pub use observed::Missing;
pub use plan::{Plan, Planned, PlannedPair};
pub use ranking::{Ranked, Ranking};
pub use runs::RunRow;
pub use scores::{ScoreRate, Scored, ScoredModel, Scores, scores};
pub use subsets::{ABILITY, ALL, SubsetRow, of_question};
pub use table::{Cell, Column, Kind, Table, column};

use crate::error::Result;
use crate::evalset::EvalSet;
use answered::Answered;
use observed::Observed;
use sources::Sources;

/// The value of [`Report::schema`].
pub const SCHEMA: &str = "owleval-report/1";

/// What a report is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Tables as `owleval grade --export` writes them.
    pub grades: Vec<PathBuf>,
    /// Sheets, whose grades, repeats and verdicts are exported for the report: they are unsealed, which is logged.
    pub sheets: Vec<PathBuf>,
    /// Folders of `owleval run`.
    pub runs: Vec<PathBuf>,
    /// Answers in OwlEval's format, of which no run is known.
    pub answers: Vec<PathBuf>,
    /// Folders of `owleval judge`.
    pub judgements: Vec<PathBuf>,
    /// A built-in name or a folder; without one, that of the runs, else what the tables say of subsets, abilities and
    /// pictures.
    pub evalset: Option<PathBuf>,
    /// The folder of the report; paths of inputs are written as seen from it.
    pub out: PathBuf,
    pub options: Options,
    pub seed: u64,
}

/// What else a report depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub title: String,
    /// Paragraphs that the report begins with.
    pub notes: Vec<String>,
    /// The grades are counts that somebody tied to questions: nothing is said that depends on which question got which.
    pub counts_only: bool,
    /// Of the bootstrap; also the number of random flips of a permutation test that cannot be computed exactly.
    pub resamples: usize,
    /// The page's gallery shows no pictures.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_pictures: bool,
    /// Simulate how many more grades it takes to tell models apart.
    #[serde(default, skip_serializing_if = "is_false")]
    pub plan: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// `report.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub schema: String,
    pub title: String,
    /// In the order in which the inputs name them.
    pub models: Vec<String>,
    /// Without the adjudication, whose verdicts take the place of the grades that they decide about.
    pub raters: Vec<String>,
    pub subsets: Vec<SubsetRow>,
    pub distributions: Vec<Distribution>,
    pub agreement: Vec<Agreement>,
    pub comparisons: Vec<Comparison>,
    /// Null where the grades are counts only, or fewer than two models were graded.
    pub ranking: Option<Ranking>,
    /// Null where no answers were given, or none to a question that has a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub judges: Vec<JudgeRow>,
    /// Null where it was not asked for, or there is nothing to plan for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    pub missing: Vec<Missing>,
    /// What every number of the report comes from: an answer's grades, a row a model and question.
    pub grades: Vec<GradedAnswer>,
    pub inputs: Vec<Input>,
    pub options: Options,
    pub seed: u64,
    pub software: Software,
    /// Of the page alone; null where the evalset or the texts of answers are not at hand.
    #[serde(skip)]
    pub gallery: Option<Gallery>,
}

/// The grades of one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GradedAnswer {
    pub model_id: String,
    pub question_id: u64,
    pub picture: String,
    pub grades: Vec<Given>,
    /// Where it was adjudicated.
    pub verdict: Option<char>,
}

/// A grade and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    pub rater: String,
    pub grade: char,
    /// Which of the inputs, counted from 0.
    pub input: usize,
    /// The line of the table, counted from 1.
    pub line: u64,
}

/// A file, sheet or evalset that the report was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub kind: InputKind,
    /// As seen from the report's folder; of an evalset that is built in, its name.
    pub path: String,
    /// Of a sheet, that of its exported grades.
    pub sha256: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    Grades,
    Sheet,
    Repeats,
    Verdicts,
    Evalset,
    /// A run folder; the digest is that of its `run.json`.
    Run,
    RunAnswers,
    RunFailures,
    /// Answers in OwlEval's format.
    Answers,
    /// A folder of judgements; the digest is that of its `judgements.jsonl`.
    Judgements,
    JudgeSummary,
}

/// What made the report. The commit is left out: a report is the same whoever built the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Software {
    pub name: String,
    pub version: String,
}

impl Software {
    /// This program.
    pub fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// Reads the inputs and computes everything that a report says.
///
/// # Errors
/// Where an input cannot be read or contradicts another one.
pub fn build(request: &Request) -> Result<Report> {
    let Sources { tables, answered, summaries, evalset, inputs } = sources::read(request)?;
    let observed = Observed::new(&tables, evalset.as_ref(), &inputs)?;
    let options = &request.options;
    let context = Context::new(observed.clusters, options.resamples, request.seed);
    let context = Context { counts_only: options.counts_only, ..context };
    let comparisons = if options.counts_only { Vec::new() } else { comparisons::all(&observed, &context)? };
    let ranking = if options.counts_only { None } else { ranking::of(&observed, &context, &comparisons)? };
    let mut models = observed.models.clone();
    models.extend(answered.iter().map(|one| one.model_id.clone()).filter(|id| !observed.models.contains(id)));
    let mut missing = observed.missing();
    missing.extend(answered.iter().flat_map(Answered::missing));
    let distributions = distributions::all(&observed, &context)?;
    let judges = judged::all(summaries, &observed, &distributions);
    for group in judges.iter().flat_map(|judge| &judge.groups) {
        if !models.contains(&group.judged.model_id) {
            models.push(group.judged.model_id.clone());
        }
    }
    let plan = options.plan.then(|| plan::of(&observed, ranking.as_ref(), &comparisons, request.seed));
    let gallery = evalset.as_ref().and_then(|evalset| {
        let with_pictures = !options.no_pictures;
        let (tables, answered) = (tables.as_slice(), answered.as_slice());
        Gallery::of(&gallery::Material {
            evalset,
            observed: &observed,
            tables,
            answered,
            models: &models,
            with_pictures,
        })
    });
    Ok(Report {
        schema: SCHEMA.to_owned(),
        title: options.title.clone(),
        models,
        raters: observed.raters.clone(),
        subsets: observed.subsets(),
        distributions,
        agreement: agreement::all(&observed, &context)?,
        comparisons,
        ranking,
        scores: evalset.as_ref().map(|evalset| scored(&answered, evalset, request)).transpose()?.flatten(),
        runs: runs::all(&answered),
        judges,
        plan: plan.transpose()?.flatten(),
        missing,
        grades: observed.graded_answers(),
        inputs,
        options: options.clone(),
        seed: request.seed,
        software: Software::this(),
        gallery,
    })
}

/// Scores of the answers to questions that have a reference, where there are any.
fn scored(answered: &[Answered], evalset: &EvalSet, request: &Request) -> Result<Option<Scores>> {
    let models: Vec<ScoredModel> = answered.iter().map(|one| one.scored(evalset)).collect();
    if models.iter().all(|model| model.answers.is_empty()) {
        return Ok(None);
    }
    scores(&models, &evalset.abilities, request.seed, request.options.resamples).map(Some)
}

/// The report as a reader meets it.
fn document(report: &Report) -> Document {
    let (tables, figures) = (tables::all(report), figures::all(report));
    let mut sections: Vec<Section> = figures.into_iter().map(Section::Figure).collect();
    for table in tables {
        if let Some(plan) = report.plan.as_ref().filter(|_| table.name == plan::NAME) {
            sections.push(Section::Text(plan::text(plan)));
        }
        sections.push(Section::Table(table));
    }
    sections.extend(report.gallery.clone().map(Section::Gallery));
    Document { title: report.title.clone(), notes: report.options.notes.clone(), summary: summary(report), sections }
}

/// What the report is about, in one line.
fn summary(report: &Report) -> String {
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let mut parts = vec![count(report.models.len(), "model", "models")];
    if report.grades.is_empty() {
        let scored = report.scores.iter().filter_map(|scores| scores.subsets.first());
        parts.extend(scored.map(|row| count(row.questions, "scored question", "scored questions")));
    } else {
        parts.push(count(report.subsets.first().map_or(0, |row| row.questions), "question", "questions"));
    }
    if !report.grades.is_empty() {
        let grades = report.grades.iter().map(|answer| answer.grades.len()).sum();
        parts.extend([count(report.raters.len(), "rater", "raters"), count(grades, "grade", "grades")]);
    }
    if !report.runs.is_empty() {
        parts.push(count(report.runs.len(), "run", "runs"));
    }
    if !report.judges.is_empty() {
        parts.push(count(report.judges.len(), "judge", "judges"));
    }
    parts.join(", ")
}
