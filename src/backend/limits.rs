//! How much of another's bytes is believed: a server or a file that sends more is told so, instead of filling the
//! memory, the terminal or a journal.

use std::time::Duration;

/// The longest reply body that is read, in bytes. A chat completion of 32,000 tokens is well under one mebibyte.
pub const REPLY_BYTES: usize = 8 << 20;

/// How much of the body of an error response is read, in bytes; the rest is left on the wire.
pub const ERROR_BODY_BYTES: usize = 64 << 10;

/// How much of a server's own words goes into a message, in characters. Messages are journalled for each failed
/// question and shown in one line of a terminal.
pub const SERVER_TEXT_CHARS: usize = 400;

/// The largest file of published answers that is read, in bytes. The six files of OwlEval have 14 to 58 thousand.
pub const ANSWERS_FILE_BYTES: u64 = 256 << 20;

/// The longest wait that a server may impose with `Retry-After`; a longer one is cut to this.
pub const RETRY_AFTER: Duration = Duration::from_secs(120);

/// A key shorter than this is taken for the placeholder that local servers are given (`EMPTY`, `none`, `x`), and is
/// not blotted out: that would damage every answer in which the word occurs.
pub const SECRET_BYTES: usize = 8;

/// Cuts a text to `limit` characters, marking the cut with an ellipsis.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn a_text_is_cut_between_characters_and_marked() {
        assert_eq!(shorten("猫头鹰", 3), "猫头鹰");
        assert_eq!(shorten("猫头鹰", 2), "猫头…");
        assert_eq!(shorten("", 0), "");
    }
}
