//! An OpenAI-compatible server answers.
//!
//! ```text
//! Conversation -> wire::body -> client (pace, send, read, retry) -> wire::read_reply -> Reply
//! ```
//!
//! `wire`, `server_error` and `retry` are pure; `client` does the asking and is the only file that sends anything.
//! Pictures travel inside the request, as data URLs: no server is handed an address to fetch.

mod client;
mod config;
mod pace;
mod retry;
mod server_error;
mod wire;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use crate::error::Result;
use crate::evalset::Conversation;

use super::{Backend, BackendError, BackendInfo, Decoding, FailureKind, Reply};

pub use client::{ChatClient, ChatReply, is_no_vision};
pub use config::{Address, ApiKey, DEFAULT_KEY_VARIABLE, HttpConfig, Vision};
pub use retry::RetryRules;
pub use wire::{ChatMessage, ChatRequest, ChatRole};

/// The backend of `--endpoint`.
pub struct HttpBackend {
    client: ChatClient,
    vision: Vision,
}

impl HttpBackend {
    /// # Errors
    /// For a configuration that cannot be used; nothing is sent before the first question.
    pub fn new(config: &HttpConfig) -> Result<Self> {
        Ok(Self { client: ChatClient::new(config)?, vision: config.vision })
    }

    /// As [`HttpBackend::new`], with a key from elsewhere than the environment.
    pub fn with_key(config: &HttpConfig, key: Option<ApiKey>) -> Result<Self> {
        Ok(Self { client: ChatClient::with_key(config, key)?, vision: config.vision })
    }
}

impl Backend for HttpBackend {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            id: self.client.model().to_owned(),
            kind: "endpoint".to_owned(),
            sha256: None,
            config: json!({ "endpoint": self.client.address().shown(), "model": self.client.model() }),
            adapter: None,
            template: None,
            device: "remote".to_owned(),
            dtype: "unknown".to_owned(),
        }
    }

    fn max_in_flight(&self) -> usize {
        self.client.concurrency()
    }

    fn reply<'a>(
        &'a self,
        conversation: &'a Conversation,
        decoding: &'a Decoding,
    ) -> BoxFuture<'a, Result<Reply, BackendError>> {
        async move {
            let request = ChatRequest::of(conversation, decoding);
            if self.vision == Vision::No && request.images().next().is_some() {
                let message = "the question shows a picture, and the server is said to have no vision".to_owned();
                return Err(BackendError { kind: FailureKind::Input, message, attempts: 0 });
            }
            let reply = self.client.ask(&request).await?;
            Ok(Reply {
                text: reply.text,
                finish: reply.finish,
                prompt_tokens: reply.prompt_tokens,
                completion_tokens: reply.completion_tokens,
                elapsed: reply.elapsed,
                request_sha256: reply.request_sha256,
            })
        }
        .boxed()
    }
}
