//! The inputs of a report, read and digested.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::answered::{self, Answered};
use super::judged;
use super::{Input, InputKind, Request};
use crate::error::{Error, IoContext as _, Result};
use crate::evalset::{EvalSet, Source, data_home};
use crate::grading::{GradeRow, Which, export, parts_of, read_grades};
use crate::judge::Summary;
use crate::store::journal;

/// The rows of one input.
#[derive(Debug)]
pub(super) struct Table {
    /// Which of the inputs, counted from 0.
    pub input: usize,
    /// For messages.
    pub path: PathBuf,
    pub rows: Vec<GradeRow>,
    /// Of a sheet the answers that were graded, by their digests.
    pub texts: BTreeMap<String, String>,
}

/// Everything that a report is made of.
#[derive(Debug)]
pub(super) struct Sources {
    pub tables: Vec<Table>,
    pub answered: Vec<Answered>,
    /// Folder of the judgements, as the inputs name it, and their summary.
    pub summaries: Vec<(String, Summary)>,
    pub evalset: Option<EvalSet>,
    pub inputs: Vec<Input>,
}

/// Who unseals a sheet for a report, in the sheet's log.
const WHO: &str = "owleval report";

/// Reads them, and says where they come from.
pub(super) fn read(request: &Request) -> Result<Sources> {
    let mut tables = Vec::new();
    let mut inputs = Vec::new();
    let mut add = |kind: InputKind, path: &Path, bytes: &[u8]| -> Result<()> {
        let rows = rows(bytes, path)?;
        let texts = if kind == InputKind::Sheet { texts(path)? } else { BTreeMap::new() };
        tables.push(Table { input: inputs.len(), path: path.to_owned(), rows, texts });
        inputs.push(Input { kind, path: seen_from(&request.out, path), sha256: sha256(bytes) });
        Ok(())
    };
    for path in &request.grades {
        add(InputKind::Grades, path, &std::fs::read(path).or_at("cannot read the grades", path)?)?;
    }
    for folder in &request.sheets {
        for sheet in sheets(folder)? {
            add(InputKind::Sheet, &sheet, &export(&sheet, Which::Grades, None, WHO)?.csv)?;
            for (kind, which) in [(InputKind::Repeats, Which::Repeats), (InputKind::Verdicts, Which::Verdicts)] {
                let exported = export(&sheet, which, None, WHO)?;
                if exported.rows > 0 {
                    add(kind, &sheet, &exported.csv)?;
                }
            }
        }
    }
    let answered = answered::read(&request.runs, &request.answers, &request.out, &mut inputs)?;
    let summaries = judged::read(&request.judgements, &answered, &request.out, &mut inputs)?;
    if tables.iter().all(|table| table.rows.is_empty()) && answered.is_empty() && summaries.is_empty() {
        return Err(Error::input("there are no grades to report")
            .remedy("give tables with --grades FILE.csv, or sheets that `owleval grade` made"));
    }
    let evalset = evalset(request, &answered)?.map(|(evalset, path)| {
        inputs.push(Input { kind: InputKind::Evalset, path, sha256: evalset.sha256.clone() });
        evalset
    });
    for (one, evalset) in answered.iter().flat_map(|one| evalset.as_ref().map(|evalset| (one, evalset))) {
        one.check(evalset)?;
    }
    refuse_other_texts(&tables, &answered)?;
    Ok(Sources { tables, answered, summaries, evalset, inputs })
}

/// Reads a file of an input, which is named as `path`, and says where it comes from.
pub(super) fn read_input(
    kind: InputKind,
    path: &Path,
    file: &Path,
    out: &Path,
    inputs: &mut Vec<Input>,
) -> Result<Vec<u8>> {
    let bytes = std::fs::read(file).or_at("cannot read", file)?;
    inputs.push(Input { kind, path: seen_from(out, path), sha256: sha256(&bytes) });
    Ok(bytes)
}

/// The evalset that is named, or that of the runs, and its name or its path from the report.
fn evalset(request: &Request, answered: &[Answered]) -> Result<Option<(EvalSet, String)>> {
    let of_run = answered.iter().find_map(|one| Some((&one.path, &one.run.as_ref()?.manifest.evalset.name)));
    let (name, source) = match (&request.evalset, of_run) {
        (Some(name), _) => (name.clone(), Source::find(name, data_home().as_deref())?),
        (None, None) => return Ok(None),
        (None, Some((run, name))) => {
            let source = Source::find(name, data_home().as_deref()).map_err(|error| {
                Error::input(format!("the run answered the evalset {name}, which is not at hand"))
                    .at(run)
                    .remedy("give its folder with --evalset")
                    .source(error)
            })?;
            (PathBuf::from(name), source)
        }
    };
    let evalset = EvalSet::open_source(&source)?;
    let path = match source {
        Source::BuiltIn(name) | Source::Folder { name: Some(name), .. } => name.to_owned(),
        Source::Folder { name: None, .. } => seen_from(&request.out, &name),
    };
    Ok(Some((evalset, path)))
}

/// Grades of another text than the one that is given for the same model and question.
fn refuse_other_texts(tables: &[Table], answered: &[Answered]) -> Result<()> {
    for table in tables {
        for row in &table.rows {
            let given = answered.iter().find(|one| one.model_id == row.model_id);
            let text = given.and_then(|one| one.answer(row.question_id));
            if let Some((graded, text)) = row.answer_sha256.as_ref().zip(text)
                && *graded != sha256(text.as_bytes())
            {
                let what = format!(
                    "another text of {} to question {} was graded than the one given",
                    row.model_id, row.question_id
                );
                return Err(Error::input(what)
                    .at_line(&table.path, usize::try_from(row.line).unwrap_or(usize::MAX))
                    .remedy("give the answers that were graded, or leave them out"));
            }
        }
    }
    Ok(())
}

/// Of a card of a sheet, what a reader of the report wants to see.
#[derive(Deserialize)]
struct Graded {
    answer: String,
    answer_sha256: String,
}

fn texts(sheet: &Path) -> Result<BTreeMap<String, String>> {
    let (cards, _) = journal::read::<Graded>(&sheet.join("cards.jsonl"))?;
    Ok(cards.into_iter().map(|card| (card.answer_sha256, card.answer)).collect())
}

/// A sheet, or the parts of a split one.
fn sheets(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join("sheet.json").exists() {
        return Ok(vec![folder.to_owned()]);
    }
    let parts = parts_of(folder);
    if parts.is_empty() {
        return Err(Error::input("is no sheet: it holds no sheet.json")
            .at(folder)
            .remedy("give a folder that `owleval grade` made, or a table with --grades FILE.csv"));
    }
    Ok(parts)
}

fn rows(bytes: &[u8], path: &Path) -> Result<Vec<GradeRow>> {
    let rows = read_grades(bytes, path, None)?;
    let unusable = rows.iter().filter(|row| row.is_err()).count();
    rows.into_iter()
        .map(|row| {
            row.map_err(|(line, why)| {
                let others =
                    if unusable > 1 { format!(" ({} more rows are unusable)", unusable - 1) } else { String::new() };
                Error::input(format!("{why}{others}")).at_line(path, usize::try_from(line).unwrap_or(usize::MAX))
            })
        })
        .collect()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A path as seen from a folder, with slashes, so that a report does not depend on where the user stood; the path as
/// it was given where the two have nothing in common.
pub(super) fn seen_from(folder: &Path, path: &Path) -> String {
    let given = || path.to_string_lossy().replace('\\', "/");
    let (Ok(folder), Ok(absolute)) = (std::path::absolute(folder), std::path::absolute(path)) else { return given() };
    let (folder, absolute) = (without_dots(&folder), without_dots(&absolute));
    let common = folder.iter().zip(&absolute).take_while(|(a, b)| a == b).count();
    // The first component is the root.
    if common <= 1 {
        return given();
    }
    let up = std::iter::repeat_n("..".to_owned(), folder.len() - common);
    let down = absolute[common..].iter().cloned();
    let steps: Vec<String> = up.chain(down).collect();
    if steps.is_empty() { ".".to_owned() } else { steps.join("/") }
}

fn without_dots(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::ParentDir if parts.len() > 1 => {
                parts.pop();
            }
            Component::CurDir | Component::ParentDir => {}
            other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    parts
}
