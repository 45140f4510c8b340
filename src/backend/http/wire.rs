//! What goes over the wire: a request as the JSON of `/v1/chat/completions`, and a reply's JSON as text.
//!
//! Pure functions. The types are the project's own and forgiving: servers that call themselves OpenAI-compatible
//! (vLLM, llama.cpp, Ollama, SGLang, gateways) agree on the main fields only. Unknown fields are ignored, and a field
//! that the answer can do without may have any shape.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::backend::{Decoding, FinishReason};
use crate::evalset::{Conversation, ImageBytes, Part, Role};

use super::server_error::ServerError;

/// What a server is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    pub messages: Vec<ChatMessage>,
    pub decoding: Decoding,
    /// Further fields of the body, such as `response_format`; they take precedence over those made of `decoding`.
    pub extra: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ChatMessage {
    pub role: ChatRole,
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    System,
    User,
    Assistant,
}

impl ChatRole {
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl ChatRequest {
    /// The messages of an item as they are: no system message, the pictures where they stand.
    pub fn of(conversation: &Conversation, decoding: &Decoding) -> Self {
        let message = |message: &crate::evalset::Message| ChatMessage {
            role: match message.role {
                Role::Human => ChatRole::User,
                Role::Assistant => ChatRole::Assistant,
            },
            parts: message.parts.clone(),
        };
        Self {
            messages: conversation.messages.iter().map(message).collect(),
            decoding: decoding.clone(),
            extra: Map::new(),
        }
    }

    /// The pictures of all messages, in order.
    pub fn images(&self) -> impl Iterator<Item = &ImageBytes> {
        self.messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::Image(image) => Some(image),
            Part::Text(_) => None,
        })
    }

    /// How many tokens the request may cost, for the rate limit before the server has counted them: four bytes of
    /// text a token, [`TOKENS_OF_A_PICTURE`] a picture, and the whole answer.
    pub fn estimated_tokens(&self) -> u64 {
        let prompt: u64 = self
            .messages
            .iter()
            .flat_map(|message| &message.parts)
            .map(|part| match part {
                Part::Text(text) => text.len() as u64 / 4 + 1,
                Part::Image(_) => TOKENS_OF_A_PICTURE,
            })
            .sum();
        prompt + self.decoding.max_new_tokens as u64
    }
}

/// A rough middle of what servers count for a picture (LLaVA 576, GPT-4o up to 1,445, Qwen-VL by its size).
const TOKENS_OF_A_PICTURE: u64 = 1000;

/// How the body names the limit of new tokens. OpenAI's reasoning models refuse the older name, most other servers
/// know only that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

impl LimitField {
    fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// A body ready to be sent, and what identifies it.
#[derive(Debug, Clone)]
pub struct Body {
    pub json: Vec<u8>,
    pub sha256: String,
}

/// Makes the body of a request.
///
/// Its digest is that of the same body with every picture's data URL replaced by `data:<type>;sha256,<digest>`: it
/// depends on the picture's bytes, on the model's name and on each field that is sent, and on no key.
///
/// # Errors
/// A message to people, where a picture is of a format that cannot be named to a server.
pub fn body(model: &str, request: &ChatRequest, limit: LimitField) -> Result<Body, String> {
    let json = render(model, request, limit, |image, mime| data_url(&image.bytes, mime))?;
    Ok(Body { json, sha256: digest(model, request, limit)? })
}

/// The digest of [`body`] alone.
pub fn digest(model: &str, request: &ChatRequest, limit: LimitField) -> Result<String, String> {
    let identity = render(model, request, limit, |image, mime| format!("data:{mime};sha256,{}", image.sha256))?;
    Ok(hex::encode(Sha256::digest(&identity)))
}

fn render(
    model: &str,
    request: &ChatRequest,
    limit: LimitField,
    url: impl Fn(&ImageBytes, &str) -> String,
) -> Result<Vec<u8>, String> {
    let mut messages = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        messages.push(json!({ "role": message.role.name(), "content": content(&message.parts, &url)? }));
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), Value::Array(messages));
    add_decoding(&mut body, &request.decoding, limit);
    body.insert("stream".to_owned(), json!(false));
    for (name, value) in &request.extra {
        body.insert(name.clone(), value.clone());
    }
    serde_json::to_vec(&body).map_err(|source| format!("the request cannot be written as JSON: {source}"))
}

/// A lone text is a string, which every server takes; anything else is a list of parts.
fn content(parts: &[Part], url: &impl Fn(&ImageBytes, &str) -> String) -> Result<Value, String> {
    if let [Part::Text(text)] = parts {
        return Ok(json!(text));
    }
    let mut list = Vec::with_capacity(parts.len());
    for part in parts {
        list.push(match part {
            Part::Text(text) => json!({ "type": "text", "text": text }),
            Part::Image(image) => {
                let mime = mime_type(image)?;
                json!({ "type": "image_url", "image_url": { "url": url(image, mime) } })
            }
        });
    }
    Ok(Value::Array(list))
}

/// Writes the fields of [`Decoding`]; one that would say what the server does anyway is left out, because many servers
/// refuse fields that they do not know.
fn add_decoding(body: &mut Map<String, Value>, decoding: &Decoding, limit: LimitField) {
    let mut set = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    set("temperature", json!(decoding.temperature));
    set(limit.name(), json!(decoding.max_new_tokens));
    if let Some(top_p) = decoding.top_p {
        set("top_p", json!(top_p));
    }
    if decoding.temperature > 0.0 || decoding.seed != 0 {
        // The field is a signed integer of 64 bits in OpenAI's schema.
        set("seed", json!(decoding.seed & (u64::MAX >> 1)));
    }
    if !decoding.stop.is_empty() {
        set("stop", json!(decoding.stop));
    }
    // Not OpenAI's, but of vLLM, SGLang and llama.cpp (which calls the penalty repeat_penalty).
    if let Some(top_k) = decoding.top_k {
        set("top_k", json!(top_k));
    }
    if decoding.repetition_penalty != 1.0 {
        set("repetition_penalty", json!(decoding.repetition_penalty));
        set("repeat_penalty", json!(decoding.repetition_penalty));
    }
    if decoding.no_repeat_ngram_size > 0 {
        set("no_repeat_ngram_size", json!(decoding.no_repeat_ngram_size));
    }
}

/// The type of a picture by its first bytes; names lie (OwlEval's `49.jpg` is a PNG).
fn mime_type(image: &ImageBytes) -> Result<&'static str, String> {
    use image::ImageFormat;
    match image::guess_format(&image.bytes) {
        Ok(
            format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP | ImageFormat::Bmp),
        ) => Ok(format.to_mime_type()),
        _ => Err(format!("the picture {} is no PNG, JPEG, GIF, WebP or BMP file", image.name)),
    }
}

fn data_url(bytes: &[u8], mime: &str) -> String {
    let mut url = format!("data:{mime};base64,");
    STANDARD.encode_string(bytes, &mut url);
    url
}

/// A chat completion, read from the body of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedReply {
    pub text: String,
    pub finish: FinishReason,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// The model as the server names it, which may say more than the name it was asked by.
    pub model: Option<String>,
}

/// Why a body with a good status is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyFault {
    /// The bytes are no chat completion; the server or the way to it is at fault, and asking again may help.
    Malformed(String),
    /// The server answered as it meant to, and there is no text: asking the same again is useless.
    NoText(String),
    /// An error in the disguise of a good status, as gateways send it.
    Error(ServerError),
}

/// Reads the body of a reply whose status was good.
///
/// `max_new_tokens` decides what a missing or unknown finish reason means: an answer that used them all was cut.
pub fn read_reply(body: &[u8], max_new_tokens: usize) -> Result<ParsedReply, ReplyFault> {
    let body: Completion = serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_eof() { "ends early" } else { "is no chat completion" };
        ReplyFault::Malformed(format!("the server's reply {what} ({error})"))
    })?;
    if let Some(error) = body.error.filter(|error| !error.is_null()) {
        return Err(ReplyFault::Error(ServerError::of_value(&json!({ "error": error }))));
    }
    let Some(choice) = body.choices.into_iter().flatten().next() else {
        return Err(ReplyFault::Malformed("the server's reply holds no choice".to_owned()));
    };
    let usage = body.usage.unwrap_or_default();
    let reason = choice.finish_reason.unwrap_or_default();
    let message = choice.message.unwrap_or_default();
    let thought = message.reasoning_content.or(message.reasoning).is_some_and(|text| !text.trim().is_empty());
    let text = match message.content.map(Content::into_text) {
        Some(text) if !(text.trim().is_empty() && thought) => text,
        content => {
            let found = if content.is_none() { "content is null" } else { "content is empty after its reasoning" };
            return Err(no_text(found, &reason, message.refusal.as_deref()));
        }
    };
    let finish = match reason.as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "content_filter" => {
            return Err(ReplyFault::NoText("the server's content filter cut the answer off".to_owned()));
        }
        _ if usage.completion_tokens.is_some_and(|used| used >= max_new_tokens as u64) => FinishReason::Length,
        _ => FinishReason::Stop,
    };
    Ok(ParsedReply {
        text,
        finish,
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        model: body.model,
    })
}

/// Whether a reply of this content type may hold a chat completion. One without a type, or sent as plain text, is
/// read; what it holds is checked anyway.
pub fn may_be_json(content_type: Option<&str>) -> bool {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "" | "application/json" | "text/json" | "text/plain") || essence.ends_with("+json")
}

fn no_text(found: &str, reason: &str, refusal: Option<&str>) -> ReplyFault {
    match (reason, refusal) {
        (_, Some(refusal)) => ReplyFault::NoText(format!("the server refused to answer: {refusal}")),
        ("content_filter", None) => ReplyFault::NoText("the server's content filter withheld the answer".to_owned()),
        ("length" | "max_tokens", None) => ReplyFault::NoText(format!(
            "the server's reply holds no text ({found}): all tokens were spent before the answer began; \
             raise --max-new-tokens"
        )),
        ("tool_calls" | "function_call", None) => {
            ReplyFault::NoText(format!("the server's reply holds no text ({found}): it calls a tool"))
        }
        _ => ReplyFault::Malformed(format!("the server's reply holds no text ({found})")),
    }
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default, deserialize_with = "or_none")]
    usage: Option<Usage>,
    #[serde(default, deserialize_with = "or_none")]
    model: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Option<ReplyMessage>,
    #[serde(default, deserialize_with = "or_none")]
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct ReplyMessage {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default, deserialize_with = "or_none")]
    refusal: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    reasoning_content: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    reasoning: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "content must be a string or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ContentPart {
    Typed {
        #[serde(default, deserialize_with = "or_none")]
        text: Option<String>,
    },
    Bare(String),
}

impl Content {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts
                .into_iter()
                .filter_map(|part| match part {
                    ContentPart::Typed { text } => text,
                    ContentPart::Bare(text) => Some(text),
                })
                .collect(),
        }
    }
}

#[derive(Deserialize, Default)]
struct Usage {
    #[serde(default, deserialize_with = "or_none")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "or_none")]
    completion_tokens: Option<u64>,
}

/// A field that is not needed: of any other shape than ours, it counts as absent.
fn or_none<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
