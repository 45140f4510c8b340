//! From grades to a report: one model of it, [`Report`], and exporters that only print it.
//!
//! ```text
//! grades.csv, sheets ─> Observed ─> distributions, agreement, comparisons, ranking, missing ─> Report
//! Report ─> report.json, report.md, tables/*.csv, tables/*.tex, figures/*.svg, index.html
//! ```
//!
//! A report is a function of its inputs, options and seed: [`files`] gives the same bytes whenever and wherever it is
//! called, and no file holds a time. [`verify`] makes the files again and says which differ.
//!
//! Text of models, raters and files is escaped by each exporter for its own format; only `report.json` holds it as it is.

mod agreement;
mod comparisons;
mod distributions;
mod estimate;
mod figures;
mod folder;
mod html;
mod latex;
mod markdown;
mod observed;
mod ranking;
mod sources;
mod svg;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use folder::{REPORT, files, verify, write};

use crate::error::Result;
use agreement::Agreement;
use comparisons::Comparison;
use distributions::Distribution;
use observed::{Missing, Observed};
use ranking::Ranking;

/// The value of [`Report::schema`].
pub const SCHEMA: &str = "owleval-report/1";

/// What a report is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Tables as `owleval grade --export` writes them.
    pub grades: Vec<PathBuf>,
    /// Sheets, whose grades, repeats and verdicts are exported for the report: they are unsealed, which is logged.
    pub sheets: Vec<PathBuf>,
    /// A built-in name or a folder; without one, what the tables say of subsets, abilities and pictures counts.
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
    pub missing: Vec<Missing>,
    /// What every number of the report comes from: an answer's grades, a row a model and question.
    pub grades: Vec<GradedAnswer>,
    pub inputs: Vec<Input>,
    pub options: Options,
    pub seed: u64,
    pub software: Software,
}

/// A part of the questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubsetRow {
    /// `all`, `single_turn`, `multi_turn`, `ability:a`…
    pub subset: String,
    /// For people.
    pub name: String,
    pub questions: usize,
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
}

/// What made the report. The commit is left out: a report is the same whoever built the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Software {
    pub name: String,
    pub version: String,
}

/// Reads the inputs and computes everything that a report says.
///
/// # Errors
/// Where an input cannot be read or contradicts another one.
pub fn build(request: &Request) -> Result<Report> {
    let (tables, evalset, inputs) = sources::read(request)?;
    let observed = Observed::new(&tables, evalset.as_ref(), &inputs)?;
    let options = &request.options;
    let context = estimate::Context::new(&observed, options, request.seed);
    let comparisons = if options.counts_only { Vec::new() } else { comparisons::all(&observed, &context)? };
    let ranking = if options.counts_only { None } else { ranking::of(&observed, &context, &comparisons)? };
    Ok(Report {
        schema: SCHEMA.to_owned(),
        title: options.title.clone(),
        models: observed.models.clone(),
        raters: observed.raters.clone(),
        subsets: observed.subsets(),
        distributions: distributions::all(&observed, &context)?,
        agreement: agreement::all(&observed, &context)?,
        comparisons,
        ranking,
        missing: observed.missing(),
        grades: observed.graded_answers(),
        inputs,
        options: options.clone(),
        seed: request.seed,
        software: Software { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
    })
}
