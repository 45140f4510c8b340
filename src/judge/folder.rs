//! The folder of judgements: `judgements.jsonl`, which is the truth, and `summary.json`, which is made of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::definition::Definition;
use super::row::JudgementRow;
use super::summary::Summary;
use crate::error::{Error, IoContext as _, Result};
use crate::store::{Journal, atomic, journal};

pub const JUDGEMENTS: &str = "judgements.jsonl";
pub const SUMMARY: &str = "summary.json";

/// What was asked before, and what came of it.
#[derive(Debug, Default)]
pub struct Known {
    /// By the digest of what was asked.
    rows: HashMap<String, JudgementRow>,
}

impl Known {
    /// Reads the judgements of a folder without touching it; nothing is known where there is none.
    ///
    /// # Errors
    /// Where a line other than a torn last one is no judgement.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(JUDGEMENTS);
        let rows = if path.exists() { journal::read::<JudgementRow>(&path)?.0 } else { Vec::new() };
        Ok(Self::of(rows))
    }

    fn of(rows: Vec<JudgementRow>) -> Self {
        Self { rows: rows.into_iter().map(|row| (row.request_sha256.clone(), row)).collect() }
    }

    pub fn row(&self, request_sha256: &str) -> Option<&JudgementRow> {
        self.rows.get(request_sha256)
    }

    /// All rows, also those of answers that this call does not judge, in no order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &JudgementRow> {
        self.rows.values()
    }
}

/// A folder of judgements that this process alone writes to.
#[derive(Debug)]
pub struct JudgementFolder {
    folder: PathBuf,
    journal: Journal<JudgementRow>,
    known: Known,
    warnings: Vec<String>,
}

impl JudgementFolder {
    /// Creates the folder, or carries on one of the same judge. Other answers may join those that were judged before.
    ///
    /// # Errors
    /// Where it holds judgements of another judge or model, or something else altogether, is being written to by another
    /// process, or cannot be read or written.
    pub fn create_or_resume(folder: &Path, judge: &Definition, judge_model: Option<&str>) -> Result<Self> {
        refuse_other_contents(folder)?;
        std::fs::create_dir_all(folder).or_at("cannot create the folder", folder)?;
        let path = folder.join(JUDGEMENTS);
        let opened = Journal::<JudgementRow>::open(&path)?;
        atomic::sweep(&folder.join(SUMMARY))?;
        let other = opened.rows.iter().enumerate().find_map(|(index, row)| {
            let differs = |what: &str, found: &str, now: &str| {
                (found != now).then(|| (index + 1, format!("{what}: folder {found}, now {now}")))
            };
            differs("judge", &row.judge, &judge.name)
                .or_else(|| differs("judge_sha256", &row.judge_sha256, &judge.sha256))
                .or_else(|| {
                    let model = |name: Option<&str>| name.unwrap_or("none").to_owned();
                    differs("judge_model", &model(row.judge_model.as_deref()), &model(judge_model))
                })
        });
        if let Some((line, difference)) = other {
            return Err(Error::input(format!("the folder holds judgements of another judge: {difference}"))
                .at_line(&path, line)
                .remedy("choose another folder with --out"));
        }
        Ok(Self {
            folder: folder.to_owned(),
            journal: opened.journal,
            known: Known::of(opened.rows),
            warnings: opened.warning.into_iter().collect(),
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was repaired, in words for the user.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Appends rows; they are on disk when this returns.
    pub fn record(&mut self, rows: Vec<JudgementRow>) -> Result<()> {
        self.journal.append(&rows)?;
        self.known.rows.extend(rows.into_iter().map(|row| (row.request_sha256.clone(), row)));
        Ok(())
    }

    pub fn write_summary(&self, summary: &Summary) -> Result<()> {
        atomic::write_json(&self.folder.join(SUMMARY), summary)
    }
}

/// Judgements are never spread among a user's other files.
fn refuse_other_contents(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).or_at("cannot read the folder", folder),
    };
    let mut other = None;
    for entry in entries {
        let name = entry.or_at("cannot read the folder", folder)?.file_name().to_string_lossy().into_owned();
        if name == JUDGEMENTS {
            return Ok(());
        }
        if !atomic::is_leftover(&name) {
            other = Some(name);
        }
    }
    match other {
        None => Ok(()),
        Some(name) => Err(Error::input(format!("no folder of judgements: it holds {name} and no {JUDGEMENTS}"))
            .at(folder)
            .remedy("choose a new or an empty folder with --out")),
    }
}
