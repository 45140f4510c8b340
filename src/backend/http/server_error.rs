//! What a server says when it does not answer: one reader for the error bodies of all kinds of servers.

use serde_json::Value;

/// What an error body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The server's own words; empty where it said nothing that a person could read.
    pub message: String,
    /// `type` and `code`, where the server gives them as words (`insufficient_quota`).
    pub labels: Vec<String>,
    /// `code`, where the server gives an HTTP status in the body.
    pub status: Option<u16>,
    /// Whether the body had the shape of an API's error at all; a web page has not.
    pub is_api: bool,
}

impl ServerError {
    /// Reads an error body of any of the usual shapes: OpenAI and llama.cpp `{"error": {"message", "type", "code"}}`,
    /// vLLM `{"object": "error", "message", "type", "code"}`, Ollama `{"error": "…"}`, FastAPI `{"detail": …}`, Google
    /// `[{"error": …}]`, or plain text.
    pub fn read(body: &[u8]) -> Self {
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            return Self::of_value(&value);
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let message = if text.starts_with('<') { title_of_page(text) } else { text.to_owned() };
        Self { message, ..Self::default() }
    }

    pub(super) fn of_value(value: &Value) -> Self {
        let value = value.as_array().and_then(|list| list.first()).unwrap_or(value);
        let inner = ["error", "detail", "message"].into_iter().find_map(|name| value.get(name));
        let (message, holder) = match inner {
            // The message stands beside its type and code.
            Some(Value::String(text)) => (text.clone(), value),
            Some(inner @ Value::Object(_)) => (message_within(inner), inner),
            // FastAPI lists the fields that it does not like.
            Some(Value::Array(list)) => (list.iter().map(message_within).collect::<Vec<_>>().join("; "), value),
            _ => (value.as_str().map_or_else(|| value.to_string(), str::to_owned), value),
        };
        let label = |name: &str| holder.get(name).and_then(Value::as_str).map(str::to_owned);
        let code = holder.get("code");
        let number = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        Self {
            message,
            labels: ["type", "code", "error_type", "status"].into_iter().filter_map(label).collect(),
            status: number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status)),
            is_api: inner.is_some(),
        }
    }

    /// Message and labels in lower case, to be searched for what they are about.
    pub fn searchable(&self) -> String {
        format!("{} {}", self.message, self.labels.join(" ")).to_lowercase()
    }
}

fn message_within(value: &Value) -> String {
    let text = ["message", "msg", "error", "detail"].into_iter().find_map(|name| value.get(name)?.as_str());
    text.or(value.as_str()).map_or_else(|| value.to_string(), str::to_owned)
}

/// Of a web page, the title: the rest is markup.
fn title_of_page(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = start + lower[start..].find("</title>")?;
        Some(page[start..end].trim())
    });
    title.map_or_else(|| "a web page".to_owned(), |title| format!("a web page, \"{title}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> ServerError {
        ServerError::read(body.as_bytes())
    }

    #[test]
    fn the_error_bodies_of_the_usual_servers_are_understood() {
        for (server, body, message, label, status) in [
            (
                "OpenAI",
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,
                    "code":"insufficient_quota"}}"#,
                "You exceeded your current quota",
                Some("insufficient_quota"),
                None,
            ),
            (
                "vLLM",
                r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
                "The model `x` does not exist.",
                Some("NotFoundError"),
                Some(404),
            ),
            (
                "llama.cpp",
                r#"{"error":{"code":500,"message":"image input is not supported","type":"server_error"}}"#,
                "image input is not supported",
                Some("server_error"),
                Some(500),
            ),
            ("Ollama", r#"{"error":"model 'x' not found"}"#, "model 'x' not found", None, None),
            (
                "FastAPI",
                r#"{"detail":[{"loc":["body","seed"],"msg":"too large"},{"msg":"bad"}]}"#,
                "too large; bad",
                None,
                None,
            ),
            ("FastAPI, plain", r#"{"detail":"Not Found"}"#, "Not Found", None, None),
            (
                "Google",
                r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
                "slow down",
                Some("RESOURCE_EXHAUSTED"),
                Some(429),
            ),
            ("TGI", r#"{"error":"too long","error_type":"validation"}"#, "too long", Some("validation"), None),
        ] {
            let error = read(body);
            assert_eq!(error.message, message, "{server}");
            assert_eq!(error.labels.first().map(String::as_str), label, "{server}");
            assert_eq!(error.status, status, "{server}");
            assert!(error.is_api, "{server}");
        }
    }

    #[test]
    fn a_body_that_is_no_api_error_is_quoted_or_named() {
        for (body, message) in [
            ("", ""),
            (" upstream is down\n", "upstream is down"),
            ("<html><head><TITLE>502 Bad Gateway</TITLE></head></html>", "a web page, \"502 Bad Gateway\""),
            ("<html>é", "a web page"),
            ("<title>open", "a web page"),
            ("[]", "[]"),
            ("3", "3"),
            (r#""words""#, "words"),
        ] {
            let error = read(body);
            assert_eq!(error.message, message);
            assert!(!error.is_api, "{body}");
        }
    }
}
