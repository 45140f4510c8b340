//! Whether a run folder is what its manifest says.

use std::collections::HashSet;
use std::path::Path;

use super::journal;
use super::run_folder::{ANSWERS, FAILURES, MANIFEST, read_manifest};
use crate::error::{Error, Result};
use crate::record::{AnswerRow, Counts, FailureRow, FailureRowKind, RunManifest};

/// Looks at every file of a run folder and changes nothing: a file, and what was found or is wrong.
///
/// # Errors
/// Where the folder has no readable manifest.
pub fn verify_run(folder: &Path) -> Result<Vec<(&'static str, Result<String>)>> {
    let manifest = read_manifest(folder)?;
    let answers = check_answers(folder, &manifest);
    let failures = check_failures(folder);
    let counts = match (&answers, &failures) {
        (Ok((answers, _)), Ok((failures, _))) => check_counts(&manifest, answers, failures),
        _ => Err(Error::failed("its counts cannot be compared with files that cannot be read")),
    };
    let said = |(_, says): (_, String)| says;
    Ok(vec![(MANIFEST, counts), (ANSWERS, answers.map(said)), (FAILURES, failures.map(|(_, says)| says))])
}

fn check_answers(folder: &Path, manifest: &RunManifest) -> Result<(Vec<AnswerRow>, String)> {
    let (rows, warning) = journal::read::<AnswerRow>(&folder.join(ANSWERS))?;
    let mut seen = HashSet::new();
    for row in &rows {
        if !seen.insert(row.question_id) {
            return Err(Error::failed(format!("question {} is answered twice", row.question_id)));
        }
        if row.model_id != manifest.model.id {
            return Err(Error::failed(format!(
                "question {} was answered by {:?}, and the run is of {:?}",
                row.question_id, row.model_id, manifest.model.id
            )));
        }
    }
    let says = format!("{} answers, each question once{}", rows.len(), torn(warning));
    Ok((rows, says))
}

/// A run that failed nowhere has the file all the same; one that was copied without it has failed nowhere.
fn check_failures(folder: &Path) -> Result<(Vec<FailureRow>, String)> {
    let path = folder.join(FAILURES);
    if !path.exists() {
        return Ok((Vec::new(), "none".to_owned()));
    }
    let (rows, warning) = journal::read::<FailureRow>(&path)?;
    let says = format!("{} failures{}", rows.len(), torn(warning));
    Ok((rows, says))
}

fn torn(warning: Option<String>) -> &'static str {
    if warning.is_some() { "; the last line is torn and does not count" } else { "" }
}

/// The counts are derived: they are made again from the journals. A run that has not ended may lag behind.
fn check_counts(manifest: &RunManifest, answers: &[AnswerRow], failures: &[FailureRow]) -> Result<String> {
    if manifest.finished_at.is_none() {
        return Ok(format!("not finished: {} of {} questions answered", answers.len(), manifest.counts.questions));
    }
    let answered: HashSet<u64> = answers.iter().map(|row| row.question_id).collect();
    let standing: Vec<&FailureRow> = failures.iter().filter(|row| !answered.contains(&row.question_id)).collect();
    let blocked = standing.iter().filter(|row| row.kind == FailureRowKind::Blocked).count();
    let counts = Counts {
        questions: manifest.counts.questions,
        answered: answers.len(),
        failed: standing.len() - blocked,
        blocked,
    };
    if counts == manifest.counts {
        Ok(format!("{} of {} questions answered, as counted", counts.answered, counts.questions))
    } else {
        Err(Error::failed(format!(
            "counts {} answered, {} failed, {} blocked, and the journals hold {}, {} and {}",
            manifest.counts.answered,
            manifest.counts.failed,
            manifest.counts.blocked,
            counts.answered,
            counts.failed,
            counts.blocked
        )))
    }
}
