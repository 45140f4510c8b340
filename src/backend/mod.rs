//! Who answers: the built-in model, an OpenAI-compatible server, or a file of published answers.

pub mod http;
pub mod limits;
pub mod local;
pub mod published;

use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::evalset::Conversation;

/// How answers are drawn from the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    pub max_new_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
    pub top_k: Option<usize>,
    pub top_p: Option<f64>,
    pub repetition_penalty: f32,
    pub no_repeat_ngram_size: usize,
    pub stop: Vec<String>,
    pub seed: u64,
}

impl Default for Decoding {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            stop: Vec::new(),
            seed: 0,
        }
    }
}

/// What identifies a backend in a run's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// Shown as `model_id`.
    pub id: String,
    /// `owl`, `endpoint` or `published`.
    pub kind: String,
    /// Digest of the weights, where they are known.
    pub sha256: Option<String>,
    /// The model's configuration or the endpoint's address, as shown to a reader of `run.json`.
    pub config: serde_json::Value,
    /// Adapter folder's digest and shape, where one is applied.
    pub adapter: Option<serde_json::Value>,
    /// Name and digest of the prompt template.
    pub template: Option<TemplateId>,
    pub device: String,
    pub dtype: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TemplateId {
    pub name: String,
    pub sha256: String,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its answer, or a stop string was reached.
    Stop,
    /// The limit of new tokens was reached.
    Length,
}

impl FinishReason {
    /// As files and OpenAI's interface write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// An answer as a backend gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub text: String,
    pub finish: FinishReason,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub elapsed: Duration,
    /// Digest of all that the model was asked: prompt, image bytes, decoding.
    pub request_sha256: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BackendError {
    pub kind: FailureKind,
    pub message: String,
    /// How often the backend tried.
    pub attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The item itself cannot be asked (a corrupt picture, a prompt longer than the model takes).
    Input,
    /// The server or the model failed; asking again may help.
    Transient,
    /// Asking on is useless for every item: wrong key, quota used up, no vision.
    Fatal,
}

/// One way of answering; see the design of the trait in `ARCHITECTURE.md`.
pub trait Backend: Send + Sync {
    /// What goes into `run.json`.
    fn info(&self) -> BackendInfo;
    /// How many conversations may be asked at the same time.
    fn max_in_flight(&self) -> usize;
    /// Answers the last question of a conversation.
    fn reply<'a>(
        &'a self,
        conversation: &'a Conversation,
        decoding: &'a Decoding,
    ) -> BoxFuture<'a, Result<Reply, BackendError>>;
}
