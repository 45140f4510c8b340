//! What the earlier turns of a conversation hold (`--history`).

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, IoContext as _, Result};
use crate::evalset::EvalSet;
use crate::record::History;

/// What the earlier turns of a conversation hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// The model's own answers.
    Own,
    /// The answers of a published file, by question id.
    Published { file: String, sha256: String, answers: HashMap<u64, String> },
    /// Nothing: each question alone.
    None,
}

/// The fields that are read of a row in OwlEval's answer format. Published files are joined on the question's id
/// alone: their image names and question texts drift.
#[derive(Deserialize)]
struct PublishedRow {
    question_id: u64,
    answer: String,
}

impl Past {
    /// Reads a file of published answers (OwlEval's format, or a run's `answers.jsonl`; for a run folder, that file in
    /// it) and checks that it has an answer to every question that another one follows.
    ///
    /// # Errors
    /// Where the file cannot be read, a line of it is no answer, a question is answered twice, or an answer is missing.
    pub fn published(path: &Path, evalset: &EvalSet) -> Result<Self> {
        let path = if path.is_dir() { path.join("answers.jsonl") } else { path.to_owned() };
        let bytes = std::fs::read(&path).or_at("cannot read the published answers", &path)?;
        let mut answers = HashMap::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let row: PublishedRow = serde_json::from_slice(line).map_err(|source| {
                Error::input(format!("no published answer: {source}")).at_line(&path, index + 1).source(source)
            })?;
            if answers.insert(row.question_id, row.answer).is_some() {
                return Err(
                    Error::input(format!("question {} is answered twice", row.question_id)).at_line(&path, index + 1)
                );
            }
        }
        for item in &evalset.items {
            for (turn, next) in item.turns.iter().zip(item.turns.iter().skip(1)) {
                if !answers.contains_key(&turn.question_id) {
                    return Err(Error::input(format!(
                        "there is no answer to question {}, which is the history of question {}",
                        turn.question_id, next.question_id
                    ))
                    .at(&path)
                    .remedy("choose other questions, another file, or `--history own`"));
                }
            }
        }
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(Self::Published { file: path.display().to_string(), sha256, answers })
    }

    /// As it stands in the manifest of a run.
    pub fn record(&self) -> History {
        match self {
            Self::Own => History::Own,
            Self::Published { file, sha256, .. } => History::Published { file: file.clone(), sha256: sha256.clone() },
            Self::None => History::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::tests::evalset;

    fn read(text: &str) -> Result<Past> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        std::fs::write(&path, text).unwrap();
        // Two turns: questions 1 and 2.
        Past::published(&path, &evalset(&[2]))
    }

    #[test]
    fn a_published_file_is_joined_on_the_question_alone() {
        let past = read(
            "{\"image\":\"other.png\",\"question_id\":1,\"question\":\"drifted\",\"answer\":\"Yes.\",\"model_id\":\"m\"}\n\n",
        );
        let Past::Published { answers, sha256, .. } = past.unwrap() else { panic!("not published") };
        assert_eq!(answers[&1], "Yes.");
        assert_eq!(sha256.len(), 64);
    }

    #[test]
    fn a_missing_earlier_answer_is_an_error_before_anything_is_asked() {
        let error = read("{\"question_id\":2,\"answer\":\"x\"}\n").unwrap_err();
        assert!(error.to_string().contains("no answer to question 1, which is the history of question 2"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_broken_line_and_a_repeated_question_are_errors_by_line() {
        let error = read("{\"question_id\":1,\"answer\":\"x\"}\nnot json\n").unwrap_err();
        assert!(error.to_string().contains("answers.jsonl:2"), "{error}");
        let error = read("{\"question_id\":1,\"answer\":\"x\"}\n{\"question_id\":1,\"answer\":\"y\"}\n").unwrap_err();
        assert!(error.to_string().contains("answers.jsonl:2"), "{error}");
    }
}
