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

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST_TEXT: &str = r#"{"schema": "owleval-run/1", "id": "r",
        "model": {"id": "m", "kind": "owl", "sha256": null, "config": {}, "adapter": null},
        "evalset": {"name": "e", "sha256": "0"}, "template": null,
        "decoding": {"max_new_tokens": 1, "temperature": 0.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0,
            "no_repeat_ngram_size": 0, "stop": [], "seed": 0},
        "history": "own", "selection": {"subset": null, "abilities": [], "limit": null, "shard": null},
        "device": "cpu", "dtype": "f32", "software": {"version": "0", "commit": null},
        "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:01Z",
        "counts": {"questions": 3, "answered": 1, "failed": 1, "blocked": 1}}"#;
    const ANSWER: &str = r#"{"image": "", "question_id": 1, "question": "q", "answer": "a", "model_id": "m", "turn": 0,
        "item": "i", "finish_reason": "stop", "prompt_tokens": null, "completion_tokens": null, "elapsed_ms": 1,
        "request_sha256": ""}"#;
    const FAILURE: &str =
        r#"{"question_id": 2, "kind": "transient", "message": "m", "attempts": 1, "at": "2026-01-01T00:00:00Z"}"#;

    /// What is found in a run of these files: good or not, by file.
    fn found(answers: &[String], failures: &[String]) -> Vec<bool> {
        let folder = tempfile::tempdir().unwrap();
        let lines = |rows: &[String]| rows.iter().map(|row| row.replace('\n', " ") + "\n").collect::<String>();
        std::fs::write(folder.path().join(MANIFEST), MANIFEST_TEXT).unwrap();
        std::fs::write(folder.path().join(ANSWERS), lines(answers)).unwrap();
        std::fs::write(folder.path().join(FAILURES), lines(failures)).unwrap();
        verify_run(folder.path()).unwrap().iter().map(|(_, result)| result.is_ok()).collect()
    }

    #[test]
    fn a_run_is_good_where_its_counts_are_those_of_its_journals() {
        let answer = ANSWER.to_owned();
        let failures = [
            FAILURE.to_owned(),
            FAILURE.replace("\"question_id\": 2", "\"question_id\": 3").replace("transient", "blocked"),
        ];
        assert_eq!(found(&[answer.clone()], &failures), [true, true, true]);
        // A failure that an answer supersedes does not count.
        let superseded = FAILURE.replace("\"question_id\": 2", "\"question_id\": 1");
        assert_eq!(found(&[answer.clone()], &[failures.as_slice(), &[superseded]].concat()), [true, true, true]);
        assert_eq!(found(&[answer.clone()], &failures[..1]), [false, true, true]);
        assert_eq!(found(&[answer.clone(), answer.clone()], &failures), [false, false, true]);
        assert_eq!(found(&[answer.replace("\"m\"", "\"n\"")], &failures), [false, false, true]);
        assert_eq!(found(&["{}".to_owned(), answer], &failures), [false, false, true]);
    }
}
