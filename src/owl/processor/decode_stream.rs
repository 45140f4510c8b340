//! Ids -> text, one id at a time: what is certain comes out at once, bytes of an unfinished character wait.

use super::tokenizer::Tokenizer;

/// Turns ids into text as they come. The concatenation of all [`push`](Self::push) results and of
/// [`finish`](Self::finish) is [`Tokenizer::decode`] of all ids.
#[derive(Debug, Clone)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    /// Bytes of a character that is not complete yet.
    pending: Vec<u8>,
    /// The first text may lose one leading space, the dummy prefix.
    at_start: bool,
    keep_special: bool,
}

impl<'a> DecodeStream<'a> {
    /// A stream that drops special pieces.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new(), at_start: true, keep_special: false }
    }

    pub(super) fn keeping_special(tokenizer: &'a Tokenizer) -> Self {
        Self { keep_special: true, ..Self::new(tokenizer) }
    }

    /// The text that `id` makes certain; often empty in the middle of a character.
    pub fn push(&mut self, id: u32) -> String {
        let mut text = String::new();
        if let Some(byte) = self.tokenizer.byte_of(id) {
            self.pending.push(byte);
            self.take_whole_characters(&mut text);
        } else if self.tokenizer.is_special(id) {
            if self.keep_special {
                self.flush(&mut text);
                text.push_str(self.tokenizer.id_to_piece(id).unwrap_or_default());
            }
        } else {
            self.flush(&mut text);
            let piece = self.tokenizer.id_to_piece(id).unwrap_or("\u{FFFD}");
            text.extend(piece.chars().map(|c| if c == '\u{2581}' { ' ' } else { c }));
        }
        self.strip_first_space(text)
    }

    /// What is left at the end: a replacement character for each byte of an unfinished character.
    pub fn finish(mut self) -> String {
        let mut text = String::new();
        self.flush(&mut text);
        self.strip_first_space(text)
    }

    /// Moves whole characters from the pending bytes to `text`. A byte that cannot belong to any character becomes
    /// U+FFFD by itself, as SentencePiece does it (and not one for several, as Rust's lossy conversion).
    fn take_whole_characters(&mut self, text: &mut String) {
        loop {
            match str::from_utf8(&self.pending) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.pending.clear();
                    return;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    if error.error_len().is_none() {
                        self.pending.drain(..valid);
                        return;
                    }
                    text.push('\u{FFFD}');
                    self.pending.drain(..=valid);
                }
            }
        }
    }

    fn flush(&mut self, text: &mut String) {
        text.extend(self.pending.drain(..).map(|_| '\u{FFFD}'));
    }

    fn strip_first_space(&mut self, text: String) -> String {
        if self.at_start && !text.is_empty() {
            self.at_start = false;
            return text.strip_prefix(' ').map(str::to_owned).unwrap_or(text);
        }
        text
    }
}
