//! What to do when a server does not answer: ask again and when, give up this question, or give up altogether.
//!
//! Pure rules over statuses, headers and error bodies; the waiting itself is the client's.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::backend::{FailureKind, limits};

use super::server_error::ServerError;

/// How often and how patiently a question is asked again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryRules {
    /// The first attempt counts; 1 means never again.
    pub max_attempts: u32,
    /// The wait after the first failure; it doubles each time, and up to as much again is added at random, so that
    /// questions that failed together do not come back together.
    pub base: Duration,
    /// The longest wait, before the random part.
    pub longest: Duration,
    /// The longest wait that a server may ask for.
    pub longest_retry_after: Duration,
}

impl Default for RetryRules {
    /// Six attempts: with waits of 0.5, 1, 2, 4 and 8 s (and up to twice that), a restart of the server is survived.
    fn default() -> Self {
        Self {
            max_attempts: 6,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            longest_retry_after: limits::RETRY_AFTER,
        }
    }
}

impl RetryRules {
    /// The waits between attempts; as many as there are attempts, less one.
    pub fn waits(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_max_delay(self.longest)
            .with_factor(2.0)
            .with_max_times(self.max_attempts.saturating_sub(1) as usize)
            .with_jitter()
            .build()
    }

    /// The wait before the next attempt: what the server asked for, within bounds, but never less than its own.
    pub fn wait(&self, own: Duration, asked: Option<Duration>) -> Duration {
        own.max(asked.unwrap_or_default().min(self.longest_retry_after))
    }
}

/// What follows from a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again, after the time that the server asked for, where it did.
    Retry { after: Option<Duration> },
    /// Give this question up.
    Fail(FailureKind),
    /// Every other question would fail in the same way.
    Fatal(Cause),
}

/// Why asking on is useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The key is missing, wrong, or not allowed to do this.
    Key,
    /// What was paid for is used up.
    Quota,
    /// The server takes no pictures.
    NoVision,
    /// There is no such model, or no such address.
    NotThere,
    /// The address has moved.
    Moved,
}

/// Judges a response with a status that is not good.
///
/// `after` is what the server asked to wait; `with_images` whether the request held pictures.
pub fn judge(status: u16, error: &ServerError, after: Option<Duration>, with_images: bool) -> Verdict {
    let said = error.searchable();
    // llama.cpp says so with status 500, OpenRouter with 404.
    if with_images && says_no_vision(&said) {
        return Verdict::Fatal(Cause::NoVision);
    }
    match status {
        300..=399 => Verdict::Fatal(Cause::Moved),
        401 | 403 => Verdict::Fatal(Cause::Key),
        402 => Verdict::Fatal(Cause::Quota),
        429 if says_quota(&said) => Verdict::Fatal(Cause::Quota),
        404 if !error.is_api || says_no_model(&said) => Verdict::Fatal(Cause::NotThere),
        408 | 409 | 425 | 429 | 500..=599 => Verdict::Retry { after },
        _ => Verdict::Fail(FailureKind::Input),
    }
}

fn says_quota(said: &str) -> bool {
    ["quota", "billing", "insufficient_funds", "insufficient balance", "credit balance"]
        .iter()
        .any(|words| said.contains(words))
}

fn says_no_model(said: &str) -> bool {
    said.contains("model_not_found")
        || said.contains("model")
            && ["not found", "does not exist", "not exist", "unknown model", "no such model"]
                .iter()
                .any(|words| said.contains(words))
}

/// Whether a server says that it takes no pictures, as distinct from not taking *this* picture.
fn says_no_vision(said: &str) -> bool {
    // An unknown format or a size is the matter of one picture.
    let about_one =
        ["format", "mime", "media type", "too large", "too big", "resolution", "pixels", "corrupt", "decode"];
    let certain = [
        "not a multimodal",
        "not multimodal",
        "not a vision",
        "no vision",
        "mmproj",
        "at most 0 image",
        "unknown variant `image_url`",
        "image_url is only supported",
        "text-only model",
    ];
    if certain.iter().any(|words| said.contains(words)) {
        return true;
    }
    let about_images = ["image", "vision", "multimodal", "multi-modal"].iter().any(|words| said.contains(words));
    let refused =
        ["not support", "n't support", "unsupported", "not accept", "that support image", "cannot process image"]
            .iter()
            .any(|words| said.contains(words));
    about_images && refused && !about_one.iter().any(|words| said.contains(words))
}

/// The wait that a response asks for: `retry-after-ms` (milliseconds), else `Retry-After` (seconds, or an HTTP date,
/// RFC 9110, section 10.2.3). `None` where it asks for none, or in no way that can be read. A date in the past asks
/// for no wait at all.
pub fn retry_after<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Option<Duration> {
    let number = |name: &str, unit: f64| {
        let number: f64 = header(name)?.trim().parse().ok()?;
        // Also refuses what is not a number, and negative ones.
        Duration::try_from_secs_f64(number * unit).ok()
    };
    number("retry-after-ms", 0.001).or_else(|| number("retry-after", 1.0)).or_else(|| {
        let date = rfc2822::DateTimeParser::new().parse_timestamp(header("retry-after")?.trim()).ok()?;
        Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> ServerError {
        ServerError { message: message.to_owned(), is_api: true, ..ServerError::default() }
    }

    #[test]
    fn passing_trouble_is_retried_and_keeps_the_wait_that_was_asked_for() {
        let after = Some(Duration::from_secs(3));
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert_eq!(judge(status, &error("busy"), after, true), Verdict::Retry { after }, "{status}");
        }
    }

    #[test]
    fn a_bad_request_fails_alone() {
        for status in [400, 404, 405, 413, 415, 422] {
            assert_eq!(judge(status, &error("bad field"), None, true), Verdict::Fail(FailureKind::Input), "{status}");
        }
    }

    #[test]
    fn what_would_fail_for_every_question_is_fatal() {
        for (status, message, cause) in [
            (401, "", Cause::Key),
            (403, "", Cause::Key),
            (402, "", Cause::Quota),
            (429, "You exceeded your current quota, check your plan and billing details", Cause::Quota),
            (404, "The model `x` does not exist", Cause::NotThere),
            (404, "model 'x' not found, try pulling it first", Cause::NotThere),
            (308, "", Cause::Moved),
        ] {
            assert_eq!(judge(status, &error(message), None, true), Verdict::Fatal(cause), "{status} {message}");
        }
        assert_eq!(judge(404, &ServerError::read(b"<html>"), None, true), Verdict::Fatal(Cause::NotThere));
        let labelled = ServerError { labels: vec!["insufficient_quota".to_owned()], ..error("Sorry") };
        assert_eq!(judge(429, &labelled, None, true), Verdict::Fatal(Cause::Quota));
    }

    #[test]
    fn a_server_without_vision_is_told_from_one_that_dislikes_a_picture() {
        for (status, message) in [
            (400, "Invalid content type. image_url is only supported by certain models."),
            (400, "llama-7b is not a multimodal model"),
            (400, "At most 0 image(s) may be provided in one request."),
            (404, "No endpoints found that support image input"),
            (400, "This model does not support images"),
            (422, "unknown variant `image_url`, expected `text`"),
            (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
        ] {
            assert_eq!(judge(status, &error(message), None, true), Verdict::Fatal(Cause::NoVision), "{message}");
            assert_ne!(judge(status, &error(message), None, false), Verdict::Fatal(Cause::NoVision), "{message}");
        }
        for message in [
            "You uploaded an unsupported image. Please make sure your image has of one the following formats",
            "Unsupported image format: bmp",
            "image too large: this size is not supported",
            "could not decode the image",
        ] {
            assert_eq!(judge(400, &error(message), None, true), Verdict::Fail(FailureKind::Input), "{message}");
        }
    }

    fn asked(headers: &[(&str, &'static str)]) -> Option<Duration> {
        let now = "2015-10-21T07:28:00Z".parse().expect("a time");
        retry_after(|name| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value), now)
    }

    #[test]
    fn every_form_of_retry_after_is_read() {
        assert_eq!(asked(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(asked(&[("retry-after", " 0.5 ")]), Some(Duration::from_millis(500)));
        assert_eq!(asked(&[("retry-after-ms", "250"), ("retry-after", "3")]), Some(Duration::from_millis(250)));
        assert_eq!(asked(&[("retry-after", "Wed, 21 Oct 2015 07:28:09 GMT")]), Some(Duration::from_secs(9)));
        assert_eq!(asked(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT")]), Some(Duration::ZERO));
        for unreadable in ["", "soon", "-1", "NaN", "inf", "1e400", "Wed, 99 Oct 2015"] {
            assert_eq!(asked(&[("retry-after", unreadable)]), None, "{unreadable}");
        }
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn waits_double_within_their_bounds_and_are_as_many_as_the_attempts_left() {
        let rules = RetryRules { max_attempts: 5, longest: Duration::from_secs(2), ..RetryRules::default() };
        let waits: Vec<f64> = rules.waits().map(|wait| wait.as_secs_f64()).collect();
        assert_eq!(waits.len(), 4);
        for (wait, least) in waits.iter().zip([0.5, 1.0, 2.0, 2.0]) {
            assert!((least..=2.0 * least).contains(wait), "{waits:?}");
        }
        assert_eq!(RetryRules { max_attempts: 1, ..rules }.waits().count(), 0);
        assert_eq!(RetryRules { max_attempts: 0, ..rules }.waits().count(), 0);
    }

    #[test]
    fn the_server_may_lengthen_a_wait_but_not_without_end() {
        let rules = RetryRules { longest_retry_after: Duration::from_secs(60), ..RetryRules::default() };
        let own = Duration::from_secs(1);
        assert_eq!(rules.wait(own, None), own);
        assert_eq!(rules.wait(own, Some(Duration::ZERO)), own);
        assert_eq!(rules.wait(own, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(rules.wait(own, Some(Duration::from_secs(9999))), Duration::from_secs(60));
    }
}
