//! Where a server is, how it may be asked, and the key to it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;

use crate::backend::limits;
use crate::error::{Error, Result};

use super::retry::RetryRules;

/// The variable that holds the key where the user names no other.
pub const DEFAULT_KEY_VARIABLE: &str = "OPENAI_API_KEY";

/// An OpenAI-compatible server and how it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    /// As the user gave it; [`Address`] says which forms are understood.
    pub base_url: String,
    /// The model's name as the server knows it.
    pub model: String,
    /// The *name* of the environment variable that holds the key. Unset or empty, no key is sent.
    pub api_key_env: String,
    /// How many requests may be under way at the same time.
    pub concurrency: usize,
    /// Requests are spread evenly over the minute; repeated attempts count too.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens of prompts and answers together, in any 60 seconds.
    pub tokens_per_minute: Option<NonZeroU32>,
    pub connect_timeout: Duration,
    /// The longest silence of the server. It is silent while it computes the whole answer.
    pub read_timeout: Duration,
    /// The longest time of one attempt, from connecting to the last byte.
    pub total_timeout: Duration,
    pub retry: RetryRules,
    pub vision: Vision,
    /// The longest reply body, in bytes.
    pub reply_bytes: usize,
}

/// Whether pictures are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vision {
    /// They are sent, and the server says if it cannot take them.
    #[default]
    Auto,
    /// The server is known to take none: a question with a picture fails by itself, without being sent.
    No,
}

impl HttpConfig {
    /// The defaults for a server: 4 requests at a time, no rate limit, 10 s to connect, 10 minutes an attempt.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key_env: DEFAULT_KEY_VARIABLE.to_owned(),
            concurrency: 4,
            requests_per_minute: None,
            tokens_per_minute: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(600),
            total_timeout: Duration::from_secs(600),
            retry: RetryRules::default(),
            vision: Vision::Auto,
            reply_bytes: limits::REPLY_BYTES,
        }
    }
}

/// The address that chat completions are posted to.
///
/// `http://host:8000`, `http://host:8000/v1`, `http://host:8000/v1/chat/completions` and any of them with a slash at
/// the end mean the same. Another path is taken for the base of the API, as in `https://host/api/openai/v1`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// The URL that requests are posted to, with the query that the user gave.
    pub fn completions(&self) -> &Url {
        &self.0
    }

    /// What people are shown: the base of the API without the query, which may hold a secret.
    pub fn shown(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        let text = url.to_string();
        text.strip_suffix("/chat/completions").unwrap_or(&text).to_owned()
    }

    /// Whether requests stay on this machine, so that no proxy can take part and no key can be overheard.
    pub fn is_loopback(&self) -> bool {
        let Some(host) = self.0.host_str() else { return false };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self> {
        let remedy = "give an address such as http://127.0.0.1:8000/v1";
        let given = given.trim();
        if given.is_empty() {
            return Err(Error::input("the endpoint's address is empty").remedy(remedy));
        }
        let with_scheme = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
        // The text itself is not repeated: it may hold a password.
        let mut url = Url::parse(&with_scheme)
            .map_err(|source| Error::input("the endpoint's address is not a URL").source(source).remedy(remedy))?;
        if !matches!(url.scheme(), "http" | "https") {
            let message =
                format!("the endpoint's address begins with {}://, not with http:// or https://", url.scheme());
            return Err(Error::input(message).remedy(remedy));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::input("the endpoint's address holds a user name or password")
                .remedy("put the key into an environment variable and name it with --api-key-env"));
        }
        let base = url.path().trim_end_matches('/').to_owned();
        let path = if base.is_empty() {
            "/v1/chat/completions".to_owned()
        } else if base.ends_with("/chat/completions") {
            base
        } else {
            format!("{base}/chat/completions")
        };
        url.set_path(&path);
        url.set_fragment(None);
        Ok(Self(url))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// A key to a server. It leaves this type in one place only, the header of a request; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key; white space around it (the newline of a file) is no part of it.
    ///
    /// # Errors
    /// Where it holds something that cannot stand in a header; the key itself is not named.
    pub fn new(key: &str) -> Result<Self> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(Error::input("the key to the endpoint is empty or holds a character that no key can have"));
        }
        Ok(Self(key.to_owned()))
    }

    /// The key in an environment variable, if it is set and not empty.
    pub fn from_env(variable: &str) -> Result<Option<Self>> {
        let unusable = || {
            Error::input(format!("the environment variable {variable} holds something that cannot be a key"))
                .remedy("set it to the key alone, without quotes or line breaks, or unset it")
        };
        if variable.is_empty() || variable.contains(['=', '\0']) {
            return Err(Error::input("--api-key-env does not name an environment variable"));
        }
        match std::env::var(variable) {
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(unusable()),
            Ok(value) if value.trim().is_empty() => Ok(None),
            Ok(value) => Self::new(&value).map(Some).map_err(|_| unusable()),
        }
    }

    /// For the header of a request, and for nothing else.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Blots the key out of a text that came from a server.
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < limits::SECRET_BYTES { text.to_owned() } else { text.replace(&self.0, "[key]") }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completions(given: &str) -> String {
        given.parse::<Address>().expect("an address").completions().to_string()
    }

    #[test]
    fn every_usual_form_of_an_address_means_the_same() {
        for given in [
            "http://host:8000",
            "host:8000",
            "http://host:8000/",
            "http://host:8000/v1",
            "http://host:8000/v1/",
            " http://host:8000/v1/chat/completions ",
            "http://host:8000/v1/chat/completions/#here",
        ] {
            assert_eq!(completions(given), "http://host:8000/v1/chat/completions", "{given}");
        }
        assert_eq!(completions("https://h/api/v3?version=2"), "https://h/api/v3/chat/completions?version=2");
    }

    #[test]
    fn an_address_is_shown_without_its_query() {
        let address: Address = "https://h/v1?key=secret".parse().expect("an address");
        assert_eq!(address.shown(), "https://h/v1");
        assert_eq!(format!("{address:?}"), "https://h/v1");
    }

    #[test]
    fn an_address_with_a_password_or_another_scheme_is_refused_without_repeating_it() {
        for given in ["http://user:hunter22@host/v1", "ftp://hunter22/", "http://:hunter22", ""] {
            let error = given.parse::<Address>().expect_err(given);
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter22"), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (given, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(given.parse::<Address>().expect(given).is_loopback(), loopback, "{given}");
        }
    }

    #[test]
    fn a_key_is_never_shown_and_is_blotted_out_of_what_others_say() {
        let key = ApiKey::new(" sk-abcdef-123456\n").expect("a key");
        assert_eq!(key.expose(), "sk-abcdef-123456");
        assert_eq!(format!("{key:?}"), "[key]");
        assert_eq!(key.redact("bad key sk-abcdef-123456."), "bad key [key].");
        let placeholder = ApiKey::new("EMPTY").expect("a key");
        assert_eq!(placeholder.redact("the room is EMPTY"), "the room is EMPTY");
    }

    #[test]
    fn a_key_that_cannot_stand_in_a_header_is_refused_without_repeating_it() {
        for key in ["", "  ", "two\nlines-secret", "schlüssel-secret"] {
            let error = ApiKey::new(key).expect_err(key);
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn a_key_is_read_from_the_named_variable() {
        // Cargo sets this one for every test.
        assert!(ApiKey::from_env("CARGO_MANIFEST_DIR").expect("a variable").is_some());
        assert!(ApiKey::from_env("OWLEVAL_NO_SUCH_VARIABLE").expect("an unset variable").is_none());
        assert!(ApiKey::from_env("").is_err());
        assert!(ApiKey::from_env("A=B").is_err());
    }
}
