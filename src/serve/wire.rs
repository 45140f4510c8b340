//! Requests and replies of `/v1/chat/completions` as JSON.
//!
//! Pictures are `image_url` parts with a data URI; an address is refused, since nothing is fetched. A system message goes
//! before the first question: the model's own template has a system line already. `stream` is answered by the events of
//! the whole reply.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::backend::{Decoding, Reply};
use crate::evalset::{Conversation, ImageBytes, MAX_IMAGE_BYTES, Message, Part, Role};

/// A request as the backend takes it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub conversation: Conversation,
    pub decoding: Decoding,
    pub is_streamed: bool,
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Of HTTP.
    pub status: u16,
    pub message: String,
}

/// The body of a request; other fields are ignored.
#[derive(Deserialize)]
struct Request {
    messages: Vec<RawMessage>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<usize>,
    repetition_penalty: Option<f32>,
    seed: Option<u64>,
    stop: Option<OneOrMany>,
    n: Option<u64>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct RawMessage {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<RawPart>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum RawPart {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { status: 400, message: message.into() })
}

impl Asked {
    /// Reads a request's body; `usual` is the decoding where it says nothing.
    ///
    /// # Errors
    /// With what is wrong, for whoever sent it.
    pub fn read(body: &[u8], usual: &Decoding) -> Result<Self, Refused> {
        let request: Request = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return refuse(format!("the body is no chat completion request: {error}")),
        };
        if request.n.is_some_and(|n| n != 1) {
            return refuse("n: one answer a request is given");
        }
        let decoding = request.decoding(usual)?;
        let messages = messages(request.messages)?;
        // All turns of a conversation share the first message, so that its past is found again.
        let first = messages.first().map(digest).unwrap_or_default();
        let turn = messages.iter().filter(|message| message.role == Role::Assistant).count();
        let conversation = Conversation { item: first, turn, question_id: turn as u64, messages };
        Ok(Self { conversation, decoding, is_streamed: request.stream })
    }
}

impl Request {
    fn decoding(&self, usual: &Decoding) -> Result<Decoding, Refused> {
        let mut decoding = usual.clone();
        if let Some(limit) = self.max_completion_tokens.or(self.max_tokens) {
            if limit == 0 {
                return refuse("max_tokens: an answer has at least one token");
            }
            decoding.max_new_tokens = limit;
        }
        if let Some(temperature) = self.temperature {
            if !(temperature.is_finite() && temperature >= 0.0) {
                return refuse("temperature is 0 or above");
            }
            decoding.temperature = temperature;
        }
        if let Some(top_p) = self.top_p {
            if !(top_p > 0.0 && top_p <= 1.0) {
                return refuse("top_p lies above 0 and is at most 1");
            }
            decoding.top_p = Some(top_p);
        }
        if let Some(penalty) = self.repetition_penalty {
            if !(penalty.is_finite() && penalty > 0.0) {
                return refuse("repetition_penalty is above 0");
            }
            decoding.repetition_penalty = penalty;
        }
        decoding.top_k = self.top_k.filter(|k| *k > 0).or(decoding.top_k);
        decoding.seed = self.seed.unwrap_or(decoding.seed);
        match &self.stop {
            Some(OneOrMany::One(stop)) => decoding.stop = vec![stop.clone()],
            Some(OneOrMany::Many(stops)) => decoding.stop.clone_from(stops),
            None => {}
        }
        decoding.stop.retain(|stop| !stop.is_empty());
        Ok(decoding)
    }
}

fn messages(raw: Vec<RawMessage>) -> Result<Vec<Message>, Refused> {
    let mut messages: Vec<Message> = Vec::new();
    let mut system = String::new();
    for message in raw {
        let parts = parts(message.content)?;
        match message.role.as_str() {
            "system" | "developer" => {
                for part in parts {
                    let Part::Text(text) = part else { return refuse("a system message cannot hold pictures") };
                    system += &text;
                    system.push('\n');
                }
            }
            "user" => messages.push(Message { role: Role::Human, parts }),
            "assistant" => {
                if parts.iter().any(|part| matches!(part, Part::Image(_))) {
                    return refuse("an answer cannot hold pictures");
                }
                messages.push(Message { role: Role::Assistant, parts });
            }
            other => return refuse(format!("role {other:?}: there are system, user and assistant")),
        }
    }
    if messages.last().is_none_or(|message| message.role != Role::Human) {
        return refuse("messages: the last one has to be the user's");
    }
    if !system.is_empty() {
        let first = &mut messages[0];
        let after_pictures = first.parts.iter().take_while(|part| matches!(part, Part::Image(_))).count();
        first.parts.insert(after_pictures, Part::Text(system));
    }
    Ok(messages)
}

fn parts(content: Option<Content>) -> Result<Vec<Part>, Refused> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(vec![Part::Text(text)]),
        Some(Content::Parts(parts)) => parts
            .into_iter()
            .map(|part| match part {
                RawPart::Text { text } => Ok(Part::Text(text)),
                RawPart::ImageUrl { image_url } => picture(&image_url.url).map(Part::Image),
            })
            .collect(),
    }
}

/// A picture from a data URI.
fn picture(url: &str) -> Result<ImageBytes, Refused> {
    let Some((_, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) else {
        return refuse("image_url: give the picture itself, as data:image/png;base64,…; nothing is fetched");
    };
    let Ok(bytes) = STANDARD.decode(data.trim()) else { return refuse("image_url: the base64 is broken") };
    if bytes.len() as u64 > MAX_IMAGE_BYTES {
        return Err(Refused { status: 413, message: "image_url: the picture is too large".to_owned() });
    }
    ImageBytes::inspected("picture", &bytes).or_else(|error| refuse(format!("image_url: {error}")))
}

fn digest(message: &Message) -> String {
    let mut digest = Sha256::new();
    for part in &message.parts {
        match part {
            Part::Text(text) => digest.update(text),
            Part::Image(image) => digest.update(&image.sha256),
        }
        digest.update([0]);
    }
    hex::encode(digest.finalize())
}

fn created() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn usage(reply: &Reply) -> Value {
    let (prompt, completion) = (reply.prompt_tokens.unwrap_or(0), reply.completion_tokens.unwrap_or(0));
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

fn id(reply: &Reply) -> String {
    format!("chatcmpl-{}", reply.request_sha256.get(..24).unwrap_or("0"))
}

/// The body of a reply.
pub fn completion(reply: &Reply, model: &str) -> Value {
    json!({
        "id": id(reply), "object": "chat.completion", "created": created(), "model": model,
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": reply.finish.name(),
        }],
        "usage": usage(reply),
    })
}

/// The reply as server-sent events.
pub fn events(reply: &Reply, model: &str) -> String {
    let created = created();
    let chunk = |delta: Value, finish: Option<&str>, usage: Option<Value>| {
        let chunk = json!({
            "id": id(reply), "object": "chat.completion.chunk", "created": created, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    chunk(json!({"role": "assistant", "content": reply.text}), None, None)
        + &chunk(json!({}), Some(reply.finish.name()), Some(usage(reply)))
        + "data: [DONE]\n\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::FinishReason;

    /// The smallest PNG: one grey pixel.
    const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGN4DAAA2QDYVslekAAAAABJRU5ErkJggg==";

    fn read(body: &Value) -> Result<Asked, Refused> {
        Asked::read(body.to_string().as_bytes(), &Decoding::default())
    }

    fn refused(body: &Value) -> String {
        read(body).expect_err("is refused").message
    }

    #[test]
    fn a_request_becomes_a_conversation_with_its_pictures_before_the_text() {
        let asked = read(&json!({
            "model": "any", "max_tokens": 7, "temperature": 0.5, "stop": "END", "stream": true,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": PIXEL}}, {"type": "text", "text": "what is it?"}]},
                {"role": "assistant", "content": "a pixel"},
                {"role": "user", "content": "which colour?"},
            ],
        }))
        .unwrap();
        let Conversation { messages, turn, .. } = &asked.conversation;
        assert_eq!((messages.len(), *turn, asked.is_streamed), (3, 1, true));
        assert!(matches!(&messages[0].parts[..],
            [Part::Image(_), Part::Text(system), Part::Text(question)] if system == "Be brief.\n" && question == "what is it?"));
        assert_eq!(asked.decoding.max_new_tokens, 7);
        assert_eq!(asked.decoding.stop, ["END"]);
    }

    #[test]
    fn the_turns_of_one_conversation_have_one_name() {
        let first = json!({"role": "user", "content": "one?"});
        let one = read(&json!({"messages": [first]})).unwrap();
        let two = read(
            &json!({"messages": [first, {"role": "assistant", "content": "1"}, {"role": "user", "content": "two?"}]}),
        );
        let other = read(&json!({"messages": [{"role": "user", "content": "two?"}]})).unwrap();
        assert_eq!(one.conversation.item, two.unwrap().conversation.item);
        assert_ne!(one.conversation.item, other.conversation.item);
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_the_reason() {
        let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
        let image = |url: &str| user(json!([{"type": "image_url", "image_url": {"url": url}}]));
        for (body, expected) in [
            (json!({}), "messages"),
            (json!({"messages": []}), "the last one"),
            (json!({"messages": [{"role": "assistant", "content": "a"}]}), "the last one"),
            (json!({"messages": [{"role": "tool", "content": "a"}]}), "tool"),
            (image("https://example.org/a.png"), "nothing is fetched"),
            (image("data:image/png;base64,???"), "base64"),
            (image("data:image/png;base64,aGVsbG8="), "image_url"),
            (json!({"n": 2, "messages": [{"role": "user", "content": "a"}]}), "one answer"),
            (json!({"temperature": -1.0, "messages": [{"role": "user", "content": "a"}]}), "temperature"),
            (json!({"max_tokens": 0, "messages": [{"role": "user", "content": "a"}]}), "max_tokens"),
        ] {
            assert!(refused(&body).contains(expected), "{body}: {}", refused(&body));
        }
        assert!(Asked::read(b"{", &Decoding::default()).is_err());
    }

    #[test]
    fn a_streamed_reply_says_the_same_as_a_whole_one() {
        let reply = Reply {
            text: "two\nlines".into(),
            finish: FinishReason::Length,
            prompt_tokens: Some(5),
            completion_tokens: Some(2),
            elapsed: std::time::Duration::ZERO,
            request_sha256: "0".repeat(64),
        };
        let whole = completion(&reply, "owl");
        let events = events(&reply, "owl");
        let chunks: Vec<&str> = events.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
        assert_eq!(chunks.last(), Some(&"[DONE]"));
        let chunk = |index: usize| serde_json::from_str::<Value>(chunks[index]).unwrap();
        assert_eq!(chunk(0)["choices"][0]["delta"]["content"], whole["choices"][0]["message"]["content"]);
        assert_eq!(chunk(1)["choices"][0]["finish_reason"], "length");
        assert_eq!(chunk(1)["usage"], whole["usage"]);
    }
}
