//! Every row that is written to disk and read back.
//!
//! Unknown fields are ignored on reading, so that a newer program's files can be read by an older one.

mod grade;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::backend::FailureKind;
/// The plain types of a backend that rows repeat.
pub use crate::backend::{BackendInfo, Decoding, FinishReason, TemplateId};
use crate::error::Error;
use crate::evalset::{Selection, Subset};
pub use grade::Grade;

/// A row of `answers.jsonl`: OwlEval's five fields and what a run knows about the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerRow {
    /// The first image's file name; empty for text only.
    pub image: String,
    pub question_id: u64,
    pub question: String,
    pub answer: String,
    pub model_id: String,
    /// 0-based.
    pub turn: usize,
    pub item: String,
    pub finish_reason: FinishReason,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub elapsed_ms: u64,
    pub request_sha256: String,
}

/// A row of `failures.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRow {
    pub question_id: u64,
    pub kind: FailureRowKind,
    pub message: String,
    pub attempts: u32,
    /// UTC, RFC 3339.
    pub at: String,
}

/// Why a question has no answer: its own failure, or an earlier turn's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureRowKind {
    Input,
    Transient,
    Fatal,
    /// An earlier turn of the conversation failed; a failed turn is no history.
    Blocked,
}

impl From<FailureKind> for FailureRowKind {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Input => Self::Input,
            FailureKind::Transient => Self::Transient,
            FailureKind::Fatal => Self::Fatal,
        }
    }
}

/// What earlier turns of a conversation hold: `"own"`, `{"published": {…}}` or `"none"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// The model's own answers.
    Own,
    /// The answers of a published file.
    Published { file: String, sha256: String },
    /// Nothing: each question alone.
    None,
}

/// `run.json`: what was asked of whom, and how far it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// [`RUN_SCHEMA`].
    pub schema: String,
    /// The run folder's name.
    pub id: String,
    pub model: ModelId,
    pub evalset: EvalSetId,
    /// The prompt template; null where the model's server has its own.
    pub template: Option<TemplateId>,
    pub decoding: Decoding,
    pub history: History,
    /// Which of the evalset's questions were asked.
    pub selection: SelectionId,
    pub device: String,
    pub dtype: String,
    pub software: Software,
    /// UTC, RFC 3339.
    pub started_at: String,
    /// Null until every question was either answered or tried.
    pub finished_at: Option<String>,
    pub counts: Counts,
}

/// The value of [`RunManifest::schema`] that this program writes and reads.
pub const RUN_SCHEMA: &str = "owleval-run/1";

impl RunManifest {
    /// The manifest of a run that begins at `started_at` (UTC, RFC 3339). The run folder gives it its `id`.
    pub fn new(
        backend: BackendInfo,
        evalset: EvalSetId,
        decoding: Decoding,
        history: History,
        selection: SelectionId,
        started_at: String,
    ) -> Self {
        let BackendInfo { id, kind, sha256, config, adapter, template, device, dtype } = backend;
        Self {
            schema: RUN_SCHEMA.to_owned(),
            id: String::new(),
            model: ModelId { id, kind, sha256, config, adapter },
            evalset,
            template,
            decoding,
            history,
            selection,
            device,
            dtype,
            software: Software::this(),
            started_at,
            finished_at: None,
            counts: Counts::default(),
        }
    }

    /// What makes two runs the same run, by field: all that can change an answer. Names of files, times, counts and
    /// the program's version are left out.
    ///
    /// Device and dtype are in it: another kernel or another rounding gives other logits and, sooner or later, another
    /// token. An endpoint has no digest of its weights, so its configuration (the address) stands for it; where there
    /// is a digest it says more than any configuration.
    pub fn identity(&self) -> serde_json::Value {
        let history = match &self.history {
            History::Own => serde_json::json!("own"),
            History::Published { sha256, .. } => serde_json::json!({ "published": { "sha256": sha256 } }),
            History::None => serde_json::json!("none"),
        };
        let config = if self.model.sha256.is_none() { self.model.config.clone() } else { serde_json::Value::Null };
        serde_json::json!({
            "schema": self.schema,
            "model": {
                "id": self.model.id,
                "kind": self.model.kind,
                "sha256": self.model.sha256,
                "config": config,
                "adapter": self.model.adapter,
            },
            "evalset": { "sha256": self.evalset.sha256 },
            "template": self.template,
            "decoding": self.decoding,
            "history": history,
            "selection": self.selection,
            "device": self.device,
            "dtype": self.dtype,
        })
    }
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelId {
    /// The answers' `model_id`.
    pub id: String,
    /// `owl`, `endpoint` or `published`.
    pub kind: String,
    /// Digest of the weights, where they are known.
    pub sha256: Option<String>,
    /// The model's configuration, or the endpoint's address.
    pub config: serde_json::Value,
    /// The adapter's digest and shape, where one is applied.
    pub adapter: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvalSetId {
    pub name: String,
    pub sha256: String,
}

/// Which questions of an evalset a run asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionId {
    /// Null for all.
    pub subset: Option<Subset>,
    /// Ability letters; empty for all.
    pub abilities: Vec<String>,
    pub limit: Option<usize>,
    /// `I/N`.
    pub shard: Option<String>,
}

impl From<&Selection> for SelectionId {
    fn from(selection: &Selection) -> Self {
        Self {
            subset: selection.subset,
            abilities: selection.abilities.clone(),
            limit: selection.limit,
            shard: selection.shard.map(|shard| shard.to_string()),
        }
    }
}

impl SelectionId {
    /// The selection that this is the identity of.
    ///
    /// # Errors
    /// Where the shard is none.
    pub fn selection(&self) -> Result<Selection, Error> {
        Ok(Selection {
            subset: self.subset,
            abilities: self.abilities.clone(),
            limit: self.limit,
            shard: self.shard.as_deref().map(str::parse).transpose()?,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    pub version: String,
    pub commit: Option<String>,
}

impl Software {
    /// The running program. The commit is known where the build was told it (variable `OWLEVAL_COMMIT`).
    pub fn this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("OWLEVAL_COMMIT").filter(|commit| !commit.is_empty()).map(str::to_owned),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub questions: usize,
    pub answered: usize,
    pub failed: usize,
    pub blocked: usize,
}

/// `A` to `D`, in either case.
impl FromStr for Grade {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_letter(text)
            .ok_or_else(|| Error::input(format!("{text:?} is no grade")).remedy("the grades are A, B, C and D"))
    }
}
