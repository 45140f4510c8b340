//! The report folder: which files there are, how they are written, and whether they are still what they would be now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::document::Document;
use super::{Input, InputKind, Options, Report, Request, SCHEMA, build, document};
use crate::error::{Error, IoContext as _, Result};
use crate::evalset::{OWLEVAL, built_in_names};
use crate::grading::Finding;
use crate::store::atomic;

/// What makes a folder a report.
pub const REPORT: &str = "report.json";

/// Folders of files that a report makes, and how those end; nothing else in the folder is touched.
const MADE: [(&str, &[&str]); 2] = [("tables", &["csv", "tex"]), ("figures", &["svg"])];

/// Every file of a report, by its path from the folder, with slashes.
pub fn files(report: &Report) -> Result<BTreeMap<String, Vec<u8>>> {
    with_json(report, &document(report))
}

/// The files of a document, and [`REPORT`] with all that it shows.
///
/// # Errors
/// Where the page or the JSON cannot be made.
pub fn with_json(model: &impl Serialize, document: &Document) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut json = serde_json::to_vec_pretty(model)
        .map_err(|source| Error::failed("the report cannot be put into JSON").source(source))?;
    json.push(b'\n');
    let mut files = document.files()?;
    files.insert(REPORT.to_owned(), json);
    Ok(files)
}

/// Builds the report and writes its files. Files of an earlier report that this one does not have are removed.
///
/// # Errors
/// Where an input cannot be used (nothing is written then), or the folder cannot be written.
pub fn write(request: &Request) -> Result<Report> {
    let report = build(request)?;
    write_files(&request.out, &files(&report)?)?;
    Ok(report)
}

/// Writes the files of a report; [`REPORT`] has to be among them. Tables and figures of an earlier report in the same folder
/// that are not among them are removed, and nothing else.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_files(out: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let was_report = out.join(REPORT).exists();
    for (folder, _) in MADE {
        let folder = out.join(folder);
        std::fs::create_dir_all(&folder).or_at("cannot make the folder", &folder)?;
    }
    for (name, bytes) in files {
        atomic::write(&out.join(name), bytes)?;
    }
    if was_report {
        for name in made(out)?.into_iter().filter(|name| !files.contains_key(name)) {
            let path = out.join(name);
            std::fs::remove_file(&path).or_at("cannot remove", &path)?;
        }
    }
    Ok(())
}

/// The files in the folders of [`MADE`], by their paths from the report's folder.
fn made(out: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (folder, endings) in MADE {
        let path = out.join(folder);
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        for entry in entries {
            let name = entry.or_at("cannot read the folder", &path)?.file_name().to_string_lossy().into_owned();
            if endings.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
                names.push(format!("{folder}/{name}"));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// What of `report.json` it takes to make a report again.
#[derive(Deserialize)]
struct Made {
    schema: String,
    inputs: Vec<Input>,
    options: Options,
    seed: u64,
}

/// Makes every file again and compares it with the one that is there. Nothing is written, but a sheet among the inputs is
/// unsealed for it, which it logs.
///
/// # Errors
/// Where the folder holds no report that this program can read.
pub fn verify(folder: &Path) -> Result<Vec<Finding>> {
    let path = folder.join(REPORT);
    let text = std::fs::read(&path).or_at("cannot read the report", &path)?;
    let made_of: Made = serde_json::from_slice(&text).map_err(|source| {
        Error::input("is no report").at(&path).source(source).remedy("make it again: owleval report")
    })?;
    if made_of.schema != SCHEMA {
        return Err(Error::input(format!("its schema is {}, this program's {SCHEMA}", made_of.schema)).at(&path));
    }
    let report = match build(&request(folder, &made_of)) {
        Ok(report) => report,
        Err(error) => {
            let says = format!("it cannot be made again: {}", error.lines().join(": "));
            return Ok(vec![Finding { what: REPORT.to_owned(), is_good: false, says }]);
        }
    };
    let mut findings = Vec::new();
    for (then, now) in made_of.inputs.iter().zip(&report.inputs) {
        let is_good = then.sha256 == now.sha256;
        let says =
            if is_good { "the same as when the report was made" } else { "was changed since the report was made" };
        findings.push(Finding { what: then.path.clone(), is_good, says: says.to_owned() });
    }
    findings.extend(compare_files(folder, &files(&report)?)?);
    Ok(findings)
}

/// What stands in a folder beside what a report would be made of now: each file that differs or is missing, and tables and
/// figures that are none of its own.
///
/// # Errors
/// Where the folder cannot be read.
pub fn compare_files(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, bytes) in files {
        let (is_good, says) = match std::fs::read(folder.join(name)) {
            Ok(there) if there == *bytes => (true, "byte for byte what it would be made now".to_owned()),
            Ok(there) => {
                (false, format!("differs from what it would be made now, first in line {}", first_line(&there, bytes)))
            }
            Err(error) => (false, format!("cannot be read: {error}")),
        };
        findings.push(Finding { what: name.clone(), is_good, says });
    }
    for name in made(folder)?.into_iter().filter(|name| !files.contains_key(name)) {
        findings.push(Finding { what: name, is_good: false, says: "is none of the report's files".to_owned() });
    }
    Ok(findings)
}

/// The first line, counted from 1, in which two files differ.
fn first_line(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a[..same].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn request(folder: &Path, made: &Made) -> Request {
    let of = |kind: InputKind| made.inputs.iter().filter(move |input| input.kind == kind);
    let path = |input: &Input| folder.join(&input.path);
    let evalset = |input: &Input| {
        let is_name = input.path == OWLEVAL || built_in_names().contains(&input.path.as_str());
        if is_name { PathBuf::from(&input.path) } else { path(input) }
    };
    Request {
        grades: of(InputKind::Grades).map(path).collect(),
        sheets: of(InputKind::Sheet).map(path).collect(),
        runs: of(InputKind::Run).map(path).collect(),
        answers: of(InputKind::Answers).map(path).collect(),
        judgements: of(InputKind::Judgements).map(path).collect(),
        evalset: of(InputKind::Evalset).map(evalset).next(),
        out: folder.to_owned(),
        options: made.options.clone(),
        seed: made.seed,
    }
}
