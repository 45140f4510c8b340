//! Asks a server: waits its turn, sends, reads within limits, and follows the rules for asking again.
//!
//! [`ChatClient`] knows nothing of evalsets' questions; whoever has messages to send can use it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Response, header, redirect};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::backend::{BackendError, FailureKind, FinishReason, limits};
use crate::error::{Error, Result};
use crate::tls;

use super::config::{Address, ApiKey, HttpConfig};
use super::pace::Pace;
use super::retry::{self, Cause, RetryRules, Verdict};
use super::server_error::ServerError;
use super::wire::{self, Body, ChatRequest, LimitField, ParsedReply, ReplyFault};

/// One server, one model, and all that is shared by the requests to it.
pub struct ChatClient {
    http: Client,
    address: Address,
    model: String,
    key: Option<ApiKey>,
    key_variable: String,
    retry: RetryRules,
    total_timeout: Duration,
    reply_bytes: usize,
    concurrency: usize,
    slots: Semaphore,
    pace: Pace,
    /// Learned from the server's first refusal: see [`LimitField`].
    wants_max_completion_tokens: AtomicBool,
}

/// A server's answer, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatReply {
    pub text: String,
    pub finish: FinishReason,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// The model as the server names it.
    pub model: Option<String>,
    /// Of the attempt that succeeded, without the waits before it.
    pub elapsed: Duration,
    pub attempts: u32,
    /// Digest of the body that was sent; see [`wire::body`].
    pub request_sha256: String,
}

/// How the message begins that says that a server takes no pictures.
const NO_VISION: &str = "the server has no vision";

/// Whether a failure says that the server takes no pictures, so that the same may be asked without them.
pub fn is_no_vision(error: &BackendError) -> bool {
    error.kind == FailureKind::Fatal && error.message.starts_with(NO_VISION)
}

/// A failed attempt, in words that hold no key.
struct Setback {
    verdict: Verdict,
    message: String,
    /// Whether the server may have counted the tokens all the same.
    spent: bool,
}

impl ChatClient {
    /// Takes the key from the variable that the configuration names.
    ///
    /// # Errors
    /// For an address, model, key or limit that cannot be used.
    pub fn new(config: &HttpConfig) -> Result<Self> {
        Self::with_key(config, ApiKey::from_env(&config.api_key_env)?)
    }

    /// As [`ChatClient::new`], with a key from elsewhere.
    pub fn with_key(config: &HttpConfig, key: Option<ApiKey>) -> Result<Self> {
        let address: Address = config.base_url.parse()?;
        if config.model.trim().is_empty() {
            return Err(Error::input("an endpoint needs the name of a model").remedy("give it with --model"));
        }
        if config.concurrency == 0 {
            return Err(Error::input("a concurrency of 0 would ask nothing").remedy("give at least 1"));
        }
        if key.is_some() && !address.is_encrypted() && !address.is_loopback() {
            tracing::warn!("the key is sent to {} without encryption", address.shown());
        }
        Ok(Self {
            http: http_client(config, &address)?,
            address,
            model: config.model.clone(),
            key,
            key_variable: config.api_key_env.clone(),
            retry: config.retry,
            total_timeout: config.total_timeout,
            reply_bytes: config.reply_bytes,
            concurrency: config.concurrency,
            slots: Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS)),
            pace: Pace::new(config.requests_per_minute, config.tokens_per_minute),
            wants_max_completion_tokens: AtomicBool::new(false),
        })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Digest of a request as it would be sent first: that of its reply, unless the server insists on another name for
    /// the limit of tokens. An error is `Input`: a picture that cannot be named to a server.
    pub fn request_sha256(&self, request: &ChatRequest) -> Result<String, BackendError> {
        wire::digest(&self.model, request, LimitField::MaxTokens).map_err(|message| BackendError {
            kind: FailureKind::Input,
            message,
            attempts: 0,
        })
    }

    /// Asks until there is an answer, or until asking on is useless.
    ///
    /// # Errors
    /// `Input` where the server refuses this request, `Transient` where it failed at every attempt, `Fatal` where it
    /// would refuse every request. Dropping the future gives the request up.
    pub async fn ask(&self, request: &ChatRequest) -> Result<ChatReply, BackendError> {
        // A waiting request keeps its slot: a server in trouble is not asked by others meanwhile. Never closed.
        let _slot = self.slots.acquire().await;
        let with_images = request.images().next().is_some();
        let mut limit = match self.wants_max_completion_tokens.load(Ordering::Relaxed) {
            true => LimitField::MaxCompletionTokens,
            false => LimitField::MaxTokens,
        };
        let unusable = |message| BackendError { kind: FailureKind::Input, message, attempts: 0 };
        let mut body = wire::body(&self.model, request, limit).map_err(unusable)?;
        let mut waits = self.retry.waits();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let ticket = self.pace.enter(request.estimated_tokens()).await;
            let started = Instant::now();
            let setback = match self.attempt(&body, request.decoding.max_new_tokens, with_images).await {
                Ok(reply) => {
                    if let (Some(prompt), Some(completion)) = (reply.prompt_tokens, reply.completion_tokens) {
                        self.pace.settle(ticket, prompt.saturating_add(completion));
                    }
                    return Ok(self.reply(reply, started.elapsed(), attempts, body.sha256));
                }
                Err(setback) => setback,
            };
            if !setback.spent {
                self.pace.settle(ticket, 0);
            }
            let fail = |kind| BackendError { kind, message: setback.message.clone(), attempts };
            match setback.verdict {
                Verdict::Fail(_)
                    if limit == LimitField::MaxTokens && setback.message.contains("max_completion_tokens") =>
                {
                    self.wants_max_completion_tokens.store(true, Ordering::Relaxed);
                    limit = LimitField::MaxCompletionTokens;
                    body = wire::body(&self.model, request, limit).map_err(unusable)?;
                }
                Verdict::Fail(kind) => return Err(fail(kind)),
                Verdict::Fatal(_) => return Err(fail(FailureKind::Fatal)),
                Verdict::Retry { after } => {
                    if let Some(after) = after {
                        self.pace.pause(self.retry.wait(Duration::ZERO, Some(after)));
                    }
                    let Some(own) = waits.next() else { return Err(fail(FailureKind::Transient)) };
                    let wait = self.retry.wait(own, after);
                    tracing::warn!(attempt = attempts, wait_ms = wait.as_millis() as u64, "{}", setback.message);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn reply(&self, parsed: ParsedReply, elapsed: Duration, attempts: u32, request_sha256: String) -> ChatReply {
        ChatReply {
            text: self.redact(&parsed.text),
            finish: parsed.finish,
            prompt_tokens: parsed.prompt_tokens,
            completion_tokens: parsed.completion_tokens,
            model: parsed.model.map(|model| self.quote(&model)),
            elapsed,
            attempts,
            request_sha256,
        }
    }

    async fn attempt(&self, body: &Body, max_new_tokens: usize, with_images: bool) -> Result<ParsedReply, Setback> {
        let mut request = self
            .http
            .post(self.address.completions().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body.json.clone());
        if let Some(key) = &self.key {
            // reqwest marks this header as sensitive, so that no log shows it.
            request = request.bearer_auth(key.expose());
        }
        let mut response = request.send().await.map_err(|error| self.broken(error, 0))?;
        let status = response.status().as_u16();
        if !(200..300).contains(&status) {
            return Err(self.refused(response, with_images).await);
        }
        let content_type = header_text(&response, header::CONTENT_TYPE.as_str());
        if !wire::may_be_json(content_type) {
            let found = self.quote(content_type.unwrap_or_default());
            return Err(transient(format!(
                "{} answered with {found} instead of JSON; is it an OpenAI-compatible server?",
                self.address.shown()
            )));
        }
        let bytes = self.read(&mut response).await?;
        wire::read_reply(&bytes, max_new_tokens).map_err(|fault| match fault {
            ReplyFault::Malformed(message) => transient(self.quote(&message)),
            ReplyFault::NoText(message) => {
                Setback { verdict: Verdict::Fail(FailureKind::Input), message: self.quote(&message), spent: true }
            }
            ReplyFault::Error(error) => {
                let status = error.status.unwrap_or(500);
                self.judged(status, &error, None, None, with_images)
            }
        })
    }

    /// The whole body, unless it is longer than is believed.
    async fn read(&self, response: &mut Response) -> Result<Vec<u8>, Setback> {
        let too_long = || Setback {
            verdict: Verdict::Fail(FailureKind::Transient),
            message: format!("the server's reply is longer than {} bytes", self.reply_bytes),
            spent: true,
        };
        if response.content_length().is_some_and(|length| length > self.reply_bytes as u64) {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > self.reply_bytes => return Err(too_long()),
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes),
                Err(error) => return Err(self.broken(error, bytes.len())),
            }
        }
    }

    /// A response whose status is not good: as much of its body as is needed to say why.
    async fn refused(&self, mut response: Response, with_images: bool) -> Setback {
        let after = retry::retry_after(|name| header_text(&response, name), Timestamp::now());
        let location = header_text(&response, header::LOCATION.as_str()).map(str::to_owned);
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        // An error body that breaks off is read as far as it came: the status says the most.
        while bytes.len() < limits::ERROR_BODY_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            bytes.extend_from_slice(&chunk[..chunk.len().min(limits::ERROR_BODY_BYTES - bytes.len())]);
        }
        self.judged(status, &ServerError::read(&bytes), after, location, with_images)
    }

    fn judged(
        &self,
        status: u16,
        error: &ServerError,
        after: Option<Duration>,
        location: Option<String>,
        with_images: bool,
    ) -> Setback {
        let verdict = retry::judge(status, error, after, with_images);
        let said = match error.message.trim() {
            "" => format!("status {status}"),
            message => format!("status {status}: {}", self.quote(message)),
        };
        let address = self.address.shown();
        let variable = &self.key_variable;
        let message = match verdict {
            Verdict::Fatal(Cause::Key) if self.key.is_some() => format!(
                "the server refused the key from {variable} ({said}); set the variable named by --api-key-env to a \
                 key that may use the model {}",
                self.model
            ),
            Verdict::Fatal(Cause::Key) => format!(
                "the server wants a key ({said}); set the variable named by --api-key-env, {variable}, which is not \
                 set"
            ),
            Verdict::Fatal(Cause::Quota) => {
                format!(
                    "the quota of the key to {address} is used up ({said}); asking again is useless until it is raised"
                )
            }
            Verdict::Fatal(Cause::NoVision) => {
                format!("{NO_VISION}: {said}; choose a model or server that takes pictures")
            }
            Verdict::Fatal(Cause::NotThere) => {
                format!("there is no model {} at {address} ({said}); check --model and --endpoint", self.model)
            }
            Verdict::Fatal(Cause::Moved) => {
                let location = location.as_deref().map_or("another address".to_owned(), |to| {
                    // A query may hold a secret.
                    self.quote(to.split(['?', '#']).next().unwrap_or_default())
                });
                format!("{address} sends its callers on to {location} (status {status}); give that to --endpoint")
            }
            Verdict::Retry { .. } => format!("the server is busy or in trouble ({said})"),
            Verdict::Fail(_) => format!("the server refused the request ({said})"),
        };
        Setback { verdict, message, spent: false }
    }

    /// A connection that failed before or within a reply.
    fn broken(&self, error: reqwest::Error, received: usize) -> Setback {
        let address = self.address.shown();
        // The error would show the whole URL, with a query that may hold a secret.
        let error = error.without_url();
        let why = self.quote(&chain(&error));
        let message = if error.is_connect() {
            format!("cannot connect to {address}: {why}")
        } else if error.is_timeout() {
            let seconds = self.total_timeout.as_secs_f64();
            format!("{address} did not finish its answer in time ({seconds} s at most); --timeout allows more")
        } else if received > 0 {
            format!("the reply of {address} broke off after {received} bytes: {why}")
        } else {
            format!("the connection to {address} broke off: {why}")
        };
        // A request that cannot be built will not be better next time.
        let verdict = match error.is_builder() {
            true => Verdict::Fail(FailureKind::Input),
            false => Verdict::Retry { after: None },
        };
        Setback { verdict, message, spent: !error.is_connect() }
    }

    fn redact(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.redact(text))
    }

    /// A server's words, without the key (first, so that no cut leaves half of it) and not too many of them.
    fn quote(&self, text: &str) -> String {
        limits::shorten(&self.redact(text), limits::SERVER_TEXT_CHARS)
    }
}

fn transient(message: String) -> Setback {
    Setback { verdict: Verdict::Retry { after: None }, message, spent: true }
}

fn header_text<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// An error and its causes in one line; those that only repeat the one before are left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

fn http_client(config: &HttpConfig, address: &Address) -> Result<Client> {
    tls::install_provider();
    let mut builder = Client::builder()
        .user_agent(concat!("owleval/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout.min(config.total_timeout))
        .timeout(config.total_timeout)
        // A redirect would hand pictures and key to another address than the one that the user gave.
        .redirect(redirect::Policy::none())
        // The rules for asking again are ours, and every attempt is counted.
        .retry(reqwest::retry::never());
    if address.is_loopback() {
        builder = builder.no_proxy();
    }
    if !address.is_encrypted() {
        // Without TLS no certificates are needed, and a machine without any can still ask a local server.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|source| Error::failed("cannot set up the HTTP client").source(source))
}
