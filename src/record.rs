//! Every row that is written to disk and read back.
//!
//! Unknown fields are ignored on reading, so that a newer program's files can be read by an older one.

use serde::{Deserialize, Serialize};

use crate::backend::{BackendInfo, Decoding, FailureKind, FinishReason};

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

/// What earlier turns of a conversation hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum History {
    /// The model's own answers.
    Own,
    /// The answers of a published file.
    Published { file: String, sha256: String },
    /// Nothing: each question alone.
    None,
}

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// `owleval-run/1`.
    pub schema: String,
    pub id: String,
    pub model: BackendInfo,
    pub evalset: EvalSetId,
    pub decoding: Decoding,
    pub history: History,
    pub software: Software,
    /// UTC, RFC 3339.
    pub started_at: String,
    pub finished_at: Option<String>,
    pub counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvalSetId {
    pub name: String,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    pub version: String,
    pub commit: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub questions: usize,
    pub answered: usize,
    pub failed: usize,
    pub blocked: usize,
}
