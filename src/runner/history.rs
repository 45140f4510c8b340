//! What the earlier turns of a conversation hold (`--history`).

use std::path::Path;

use crate::backend::BackendError;
use crate::backend::published::PublishedAnswers;
use crate::error::{Error, Result};
use crate::evalset::Selected;
use crate::record::History;

/// What the earlier turns of a conversation hold.
#[derive(Debug, Clone)]
pub enum Past {
    /// The model's own answers.
    Own,
    /// The answers of a published file.
    Published(PublishedAnswers),
    /// Nothing: each question alone.
    None,
}

impl Past {
    /// Reads a file of published answers (OwlEval's format, or a run folder) and checks that it has an answer to every
    /// question that another selected one follows. Whether that answer can serve as history is seen when it is needed:
    /// a remark in its place fails the later turns alone.
    ///
    /// # Errors
    /// Where the file cannot be read, a line of it is no answer, a question is answered twice, or an answer is missing.
    pub fn published(path: &Path, selected: &[Selected]) -> Result<Self> {
        let published = PublishedAnswers::open(path)?;
        for Selected { item, .. } in selected {
            for (turn, next) in item.turns.iter().zip(item.turns.iter().skip(1)) {
                if published.answer(turn.question_id).is_none() {
                    return Err(Error::input(format!(
                        "there is no answer to question {}, which is the history of question {}",
                        turn.question_id, next.question_id
                    ))
                    .at(published.path())
                    .remedy("choose other questions, another file, or `--history own`"));
                }
            }
        }
        Ok(Self::Published(published))
    }

    /// Whether a failed turn takes the later turns of its conversation with it.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Own)
    }

    /// What the assistant is said to have answered to a question; `None` with no history, or where the model's own
    /// answer has to be looked up.
    pub(super) fn published_answer(&self, question_id: u64) -> Option<Result<&str, BackendError>> {
        match self {
            Self::Published(published) => Some(published.history(question_id)),
            Self::Own | Self::None => None,
        }
    }

    /// As it stands in the manifest of a run.
    pub fn record(&self) -> History {
        match self {
            Self::Own => History::Own,
            Self::Published(published) => History::Published {
                // The name alone: the digest says which file it was, its folder is the matter of this machine.
                file: published.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
                sha256: published.sha256().to_owned(),
            },
            Self::None => History::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::tests::{all, evalset};

    fn read(text: &str) -> Result<Past> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        std::fs::write(&path, text).unwrap();
        // Two turns: questions 1 and 2.
        Past::published(&path, &all(&evalset(&[2])))
    }

    #[test]
    fn a_published_file_is_joined_on_the_question_alone() {
        let past =
            read("{\"image\":\"x.png\",\"question_id\":1,\"question\":\"drifted\",\"answer\":\"Yes.\"}\n").unwrap();
        assert_eq!(past.published_answer(1).unwrap().unwrap(), "Yes.");
        assert!(past.published_answer(2).unwrap().is_err());
        let History::Published { file, sha256 } = past.record() else { panic!("not published") };
        assert_eq!((file.as_str(), sha256.len()), ("answers.jsonl", 64));
    }

    #[test]
    fn a_missing_earlier_answer_is_an_error_before_anything_is_asked() {
        let error = read("{\"question_id\":2,\"answer\":\"x\"}\n").unwrap_err();
        assert!(error.to_string().contains("no answer to question 1, which is the history of question 2"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
