//! The folder of a run: `run.json`, `answers.jsonl`, `failures.jsonl`.
//!
//! The answers journal is the truth; the other two files are about it. Its lock is the folder's lock, because it is
//! the one file that is never replaced. A question stands in one of the two journals at most once the run has ended:
//! while it goes on, an answer supersedes an earlier failure of the same question and a later failure an earlier one,
//! and both opening and [`RunFolder::finish`] rewrite `failures.jsonl` without what is superseded.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Journal, atomic, journal};
use crate::error::{Error, IoContext as _, Result};
use crate::record::{AnswerRow, Counts, FailureRow, FailureRowKind, RUN_SCHEMA, RunManifest};

pub(super) const MANIFEST: &str = "run.json";
pub(super) const ANSWERS: &str = "answers.jsonl";
pub(super) const FAILURES: &str = "failures.jsonl";

/// A run folder that this process alone writes to.
#[derive(Debug)]
pub struct RunFolder {
    folder: PathBuf,
    manifest: RunManifest,
    answers: Journal<AnswerRow>,
    answered: Vec<AnswerRow>,
    failures: Journal<FailureRow>,
    failed: Vec<FailureRow>,
    is_carried_on: bool,
    warnings: Vec<String>,
}

impl RunFolder {
    /// Creates the folder of a run, or carries on an existing one of the same manifest.
    ///
    /// # Errors
    /// Where the folder belongs to another run (the error names every field that differs), holds something else than
    /// a run, is being written to by another process, or cannot be read or written. Nothing is changed then.
    pub fn create_or_resume(folder: &Path, mut manifest: RunManifest) -> Result<Self> {
        let path = folder.join(MANIFEST);
        // Looked at before anything is touched, and again under the lock.
        let found = read_manifest_if_any(folder)?;
        match &found {
            Some(found) => refuse_another_run(folder, found, &manifest)?,
            None => refuse_other_contents(folder)?,
        }
        std::fs::create_dir_all(folder).or_at("cannot create the folder", folder)?;
        let answers = Journal::open(&folder.join(ANSWERS))?;
        atomic::sweep(&path)?;
        atomic::sweep(&folder.join(FAILURES))?;

        let mut warnings: Vec<String> = answers.warning.into_iter().collect();
        let found = read_manifest_if_any(folder)?;
        let is_carried_on = found.is_some();
        let manifest = match found {
            Some(found) => {
                refuse_another_run(folder, &found, &manifest)?;
                if found.software != manifest.software {
                    warnings.push(format!(
                        "{}: begun by owleval {}, carried on by {}",
                        path.display(),
                        found.software.version,
                        manifest.software.version
                    ));
                }
                found
            }
            None => {
                manifest.id = name_of(folder);
                atomic::write_json(&path, &manifest)?;
                manifest
            }
        };
        refuse_repeated_answers(&folder.join(ANSWERS), &answers.rows)?;

        let failures = journal::Journal::open(&folder.join(FAILURES))?;
        warnings.extend(failures.warning);
        let mut run = Self {
            folder: folder.to_owned(),
            manifest,
            answers: answers.journal,
            answered: answers.rows,
            failures: failures.journal,
            failed: failures.rows,
            is_carried_on,
            warnings,
        };
        run.drop_superseded_failures()?;
        Ok(run)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// Whether the folder stood there before.
    pub fn is_carried_on(&self) -> bool {
        self.is_carried_on
    }

    /// What was repaired or is unusual, in words for the user.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every answer on disk, in the order of completion.
    pub fn answers(&self) -> &[AnswerRow] {
        &self.answered
    }

    /// The failures that no answer and no later failure of the same question supersedes.
    pub fn failures(&self) -> Vec<&FailureRow> {
        standing_failures(&self.failed, &self.answered)
    }

    /// Appends answers and returns them once they are on disk.
    pub fn record_answers(&mut self, rows: Vec<AnswerRow>) -> Result<&[AnswerRow]> {
        self.answers.append(&rows)?;
        let before = self.answered.len();
        self.answered.extend(rows);
        Ok(&self.answered[before..])
    }

    /// Appends failures and returns them once they are on disk.
    pub fn record_failures(&mut self, rows: Vec<FailureRow>) -> Result<&[FailureRow]> {
        self.failures.append(&rows)?;
        let before = self.failed.len();
        self.failed.extend(rows);
        Ok(&self.failed[before..])
    }

    /// Marks the run as not finished: something is about to be asked.
    pub fn begin(&mut self, questions: usize) -> Result<()> {
        self.write_state(questions, None)
    }

    /// Sets the counts and, where the run came to its end, the time of that; drops superseded failures. A folder that
    /// already says all this is left as it is, byte for byte.
    pub fn finish(&mut self, questions: usize, finished_at: Option<String>) -> Result<()> {
        self.drop_superseded_failures()?;
        let finished_at = match (&self.manifest.finished_at, finished_at) {
            (Some(before), Some(_)) => Some(before.clone()),
            (_, now) => now,
        };
        self.write_state(questions, finished_at)
    }

    fn write_state(&mut self, questions: usize, finished_at: Option<String>) -> Result<()> {
        let failures = self.failures();
        let blocked = failures.iter().filter(|row| row.kind == FailureRowKind::Blocked).count();
        let counts = Counts { questions, answered: self.answered.len(), failed: failures.len() - blocked, blocked };
        if self.manifest.counts != counts || self.manifest.finished_at != finished_at {
            self.manifest.counts = counts;
            self.manifest.finished_at = finished_at;
            atomic::write_json(&self.folder.join(MANIFEST), &self.manifest)?;
        }
        Ok(())
    }

    fn drop_superseded_failures(&mut self) -> Result<()> {
        let standing: Vec<FailureRow> = standing_failures(&self.failed, &self.answered).into_iter().cloned().collect();
        if standing.len() == self.failed.len() {
            return Ok(());
        }
        let path = self.folder.join(FAILURES);
        let mut lines = Vec::new();
        for row in &standing {
            serde_json::to_writer(&mut lines, row)
                .map_err(|source| Error::failed("a row cannot be put into JSON").at(&path).source(source))?;
            lines.push(b'\n');
        }
        atomic::write(&path, &lines)?;
        // The open journal still is the replaced file.
        self.failures = Journal::open(&path)?.journal;
        self.failed = standing;
        Ok(())
    }
}

/// Reads the manifest of a run folder.
pub fn read_manifest(folder: &Path) -> Result<RunManifest> {
    read_manifest_if_any(folder)?.ok_or_else(|| {
        Error::input(format!("no run folder: it holds no {MANIFEST}"))
            .at(folder)
            .remedy("give the folder that `owleval run` wrote")
    })
}

fn read_manifest_if_any(folder: &Path) -> Result<Option<RunManifest>> {
    let path = folder.join(MANIFEST);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).or_at("cannot read", &path),
    };
    let unusable = |source: serde_json::Error| {
        Error::input(format!("no manifest of a run: {source}"))
            .at(&path)
            .remedy("choose another folder with --out")
            .source(source)
    };
    // The schema first: a later one may have other fields, and that is what has to be said.
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(unusable)?;
    match value.get("schema").and_then(|schema| schema.as_str()) {
        Some(RUN_SCHEMA) => serde_json::from_value(value).map(Some).map_err(unusable),
        other => Err(Error::input(format!(
            "the manifest's schema is {}, and this owleval knows {RUN_SCHEMA} only",
            other.unwrap_or("not given")
        ))
        .at(&path)
        .remedy("choose another folder with --out")),
    }
}

fn refuse_another_run(folder: &Path, found: &RunManifest, wanted: &RunManifest) -> Result<()> {
    let mut differences = Vec::new();
    compare("", &found.identity(), &wanted.identity(), &mut differences);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!("the folder holds another run:\n    {}", differences.join("\n    ")))
        .at(folder)
        .remedy("choose another folder with --out, or give the options that the folder was begun with"))
}

/// Names every field in which two values differ, by its path.
fn compare(path: &str, found: &serde_json::Value, wanted: &serde_json::Value, differences: &mut Vec<String>) {
    if let (Some(a), Some(b)) = (found.as_object(), wanted.as_object()) {
        let names: Vec<&String> = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let null = serde_json::Value::Null;
            compare(&path, a.get(name).unwrap_or(&null), b.get(name).unwrap_or(&null), differences);
        }
    } else if found != wanted {
        differences.push(format!("{path}: folder {}, now {}", shown(found), shown(wanted)));
    }
}

/// A value in a message; a digest by its first characters.
fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "none".to_owned(),
        serde_json::Value::String(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("{}…", &text[..12])
        }
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A folder without a manifest may hold what an earlier call left that was killed at its very beginning, and nothing
/// else: a run never spreads itself among a user's other files.
fn refuse_other_contents(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).or_at("cannot read the folder", folder),
    };
    for entry in entries {
        let entry = entry.or_at("cannot read the folder", folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_empty = entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
        if !(atomic::is_leftover(&name) || name == ANSWERS && is_empty) {
            return Err(Error::input(format!("no run folder: it holds {name} and no {MANIFEST}"))
                .at(folder)
                .remedy("choose a new or an empty folder with --out"));
        }
    }
    Ok(())
}

fn refuse_repeated_answers(path: &Path, answers: &[AnswerRow]) -> Result<()> {
    let mut seen = HashSet::new();
    match answers.iter().find(|row| !seen.insert(row.question_id)) {
        None => Ok(()),
        Some(row) => Err(Error::input(format!("question {} is answered twice", row.question_id))
            .at(path)
            .remedy("remove one of the two lines by hand")),
    }
}

fn standing_failures<'a>(failures: &'a [FailureRow], answers: &[AnswerRow]) -> Vec<&'a FailureRow> {
    let answered: HashSet<u64> = answers.iter().map(|row| row.question_id).collect();
    let last: HashMap<u64, usize> = failures.iter().enumerate().map(|(index, row)| (row.question_id, index)).collect();
    failures
        .iter()
        .enumerate()
        .filter(|(index, row)| last[&row.question_id] == *index && !answered.contains(&row.question_id))
        .map(|(_, row)| row)
        .collect()
}

fn name_of(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
