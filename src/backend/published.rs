//! Published answers: a file in OwlEval's format stands in for the model that wrote it.
//!
//! Such files are joined with the questions on `question_id` alone. In the six that OwlEval publishes, image names end
//! in another suffix, question texts have drifted, answers are padded with white space, and some are remarks of
//! whoever collected them (model specification, section 10). What differs is listed as [`Repair`]s, and nothing of an
//! answer is changed beyond the white space around it.

mod repairs;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::{Error, IoContext, Result};
use crate::evalset::Conversation;

use super::{Backend, BackendError, BackendInfo, Decoding, FailureKind, FinishReason, Reply, limits};

pub use repairs::{Annotation, Repair, RepairKind};

/// The answers of one model, read whole.
#[derive(Debug, Clone)]
pub struct PublishedAnswers {
    path: PathBuf,
    sha256: String,
    model_id: String,
    answers: BTreeMap<u64, PublishedAnswer>,
}

/// One row, as far as it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedAnswer {
    pub question_id: u64,
    /// As the file names it; empty where it names none.
    pub image: String,
    /// As the file words it; empty where it holds none.
    pub question: String,
    /// Without the white space around it.
    pub answer: String,
    /// Whether there was white space around it.
    pub stripped: bool,
    /// A remark in the place of an answer.
    pub annotation: Option<Annotation>,
    pub finish: FinishReason,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub elapsed: Duration,
}

/// A row as it stands in the file; what only a run of ours writes may be absent.
#[derive(Deserialize)]
struct Row {
    question_id: u64,
    answer: String,
    #[serde(default)]
    image: serde_json::Value,
    #[serde(default)]
    question: Option<String>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    finish_reason: Option<FinishReason>,
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    elapsed_ms: Option<u64>,
}

impl PublishedAnswers {
    /// Reads an answers file, or the `answers.jsonl` of a run folder.
    ///
    /// # Errors
    /// By file and line: a row that is no JSON object with `question_id` and `answer`, a second answer to a question,
    /// a second model. A torn last line is dropped with a warning where `run.json` stands beside the file, because a
    /// run that was killed leaves one; in any other file it is an error.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let given = path.as_ref();
        let file = if given.is_dir() { given.join("answers.jsonl") } else { given.to_owned() };
        let bytes = read(&file)?;
        let of_a_run = file.with_file_name("run.json").is_file();
        let mut models: Option<String> = None;
        let mut answers: BTreeMap<u64, PublishedAnswer> = BTreeMap::new();
        let mut lines: BTreeMap<u64, usize> = BTreeMap::new();
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let row: Row = match serde_json::from_slice(line) {
                Ok(row) => row,
                Err(_) if of_a_run && !line.ends_with(b"\n") => {
                    tracing::warn!("{}:{number}: the last line is torn and is left out", file.display());
                    break;
                }
                Err(source) => {
                    return Err(Error::input(format!("no row of an answers file: {source}"))
                        .at_line(&file, number)
                        .remedy("each line must be a JSON object with question_id and answer"));
                }
            };
            if let Some(first) = lines.insert(row.question_id, number) {
                let message = format!("a second answer to question {}; the first is in line {first}", row.question_id);
                return Err(Error::input(message).at_line(&file, number).remedy("keep one of the two"));
            }
            if let Some(model) = &row.model_id {
                match &models {
                    Some(first) if first != model => {
                        let message = format!("an answer of the model {model:?}, after answers of {first:?}");
                        return Err(Error::input(message)
                            .at_line(&file, number)
                            .remedy("give each model its own file"));
                    }
                    _ => models = Some(model.clone()),
                }
            }
            answers.insert(row.question_id, PublishedAnswer::of(row));
        }
        if answers.is_empty() {
            return Err(Error::input("the file holds no answers").at(&file));
        }
        let name_of_file = || file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            sha256: hex::encode(Sha256::digest(&bytes)),
            model_id: models.unwrap_or_else(name_of_file),
            path: file,
            answers,
        })
    }

    /// The file that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Digest of the file's bytes.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// `model_id` of the rows; the file's name where they have none.
    pub fn model_id(&self) -> &str {
        &self.model_id
    }

    /// The answers, by `question_id`.
    pub fn answers(&self) -> impl ExactSizeIterator<Item = &PublishedAnswer> {
        self.answers.values()
    }

    pub fn answer(&self, question_id: u64) -> Option<&PublishedAnswer> {
        self.answers.get(&question_id)
    }

    /// The answer as the earlier turn of a conversation (`--history published FILE`).
    ///
    /// # Errors
    /// `Input` where there is none, or where a remark or an unreadable text stands in its place: the model did not say
    /// that, and what comes after it would be asked of a conversation that never was.
    pub fn history(&self, question_id: u64) -> Result<&str, BackendError> {
        let row = self.required(question_id)?;
        match row.annotation {
            None => Ok(&row.answer),
            Some(annotation) => Err(BackendError {
                kind: FailureKind::Input,
                message: format!("the published answer to question {question_id} is no answer: {annotation}"),
                attempts: 0,
            }),
        }
    }

    fn required(&self, question_id: u64) -> Result<&PublishedAnswer, BackendError> {
        self.answer(question_id).ok_or_else(|| BackendError {
            kind: FailureKind::Input,
            message: format!("no published answer for question {question_id}"),
            attempts: 0,
        })
    }

    fn answer_to(&self, question_id: u64) -> Result<Reply, BackendError> {
        let row = self.required(question_id)?;
        Ok(Reply {
            text: row.answer.clone(),
            finish: row.finish,
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            elapsed: row.elapsed,
            request_sha256: hex::encode(Sha256::digest(format!("published\n{}\n{question_id}", self.sha256))),
        })
    }
}

impl PublishedAnswer {
    fn of(row: Row) -> Self {
        let answer = row.answer.trim();
        let image = match &row.image {
            serde_json::Value::String(name) => name.clone(),
            // Several images: OwlEval's rows name the first.
            serde_json::Value::Array(names) => {
                names.first().and_then(|name| name.as_str()).unwrap_or_default().to_owned()
            }
            _ => String::new(),
        };
        Self {
            question_id: row.question_id,
            image,
            question: row.question.unwrap_or_default(),
            annotation: Annotation::of(answer),
            stripped: answer.len() != row.answer.len(),
            answer: answer.to_owned(),
            finish: row.finish_reason.unwrap_or(FinishReason::Stop),
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            elapsed: Duration::from_millis(row.elapsed_ms.unwrap_or(0)),
        }
    }
}

impl Backend for PublishedAnswers {
    fn info(&self) -> BackendInfo {
        // The name alone: the folder is the matter of this machine, and the digest says which file it was.
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        BackendInfo {
            id: self.model_id.clone(),
            kind: "published".to_owned(),
            sha256: None,
            config: json!({ "file": name, "sha256": self.sha256 }),
            adapter: None,
            template: None,
            device: "none".to_owned(),
            dtype: "none".to_owned(),
        }
    }

    fn max_in_flight(&self) -> usize {
        1
    }

    fn reply<'a>(
        &'a self,
        conversation: &'a Conversation,
        _decoding: &'a Decoding,
    ) -> BoxFuture<'a, Result<Reply, BackendError>> {
        async move { self.answer_to(conversation.question_id) }.boxed()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let file = fs::File::open(path).or_at("cannot read the answers", path)?;
    let mut bytes = Vec::new();
    file.take(limits::ANSWERS_FILE_BYTES + 1).read_to_end(&mut bytes).or_at("cannot read the answers", path)?;
    if bytes.len() as u64 > limits::ANSWERS_FILE_BYTES {
        let message = format!("larger than {} MiB; this is no answers file", limits::ANSWERS_FILE_BYTES >> 20);
        return Err(Error::input(message).at(path));
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "published/tests.rs"]
mod tests;
