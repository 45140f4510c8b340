//! A reply as words, numbers and signs.

/// A piece of a reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token<'a> {
    pub kind: TokenKind<'a>,
    /// Where it begins and ends, in bytes.
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TokenKind<'a> {
    /// Letters of one kind: ASCII, or others. So "等级是B" is two words.
    Word(&'a str),
    /// Digits, with one point in between perhaps; too large for a number, it is infinite.
    Number(f64),
    Sign(char),
    Break,
}

impl Token<'_> {
    pub fn is_sign(&self, sign: char) -> bool {
        self.kind == TokenKind::Sign(sign)
    }

    pub fn is_word(&self, word: &str) -> bool {
        matches!(self.kind, TokenKind::Word(found) if found.eq_ignore_ascii_case(word))
    }
}

/// Splits a text; white space other than line breaks is left out.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let start = text.len() - rest.len();
        let length = if first.is_ascii_digit() {
            number_length(rest)
        } else if first.is_alphabetic() {
            let same = |c: char| c.is_alphabetic() && c.is_ascii() == first.is_ascii();
            rest.find(|c: char| !same(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (piece, after) = rest.split_at(length);
        let kind = if first == '\n' || first == '\r' {
            Some(TokenKind::Break)
        } else if first.is_whitespace() {
            None
        } else if first.is_ascii_digit() {
            // Digits and one point are always a number.
            Some(TokenKind::Number(piece.parse().unwrap_or(f64::INFINITY)))
        } else if first.is_alphabetic() {
            Some(TokenKind::Word(piece))
        } else {
            Some(TokenKind::Sign(first))
        };
        tokens.extend(kind.map(|kind| Token { kind, start, end: start + length }));
        rest = after;
    }
    tokens
}

/// The bytes of the number that the text begins with. A point counts where a digit follows it.
fn number_length(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, digits);
    if fraction > 0 { whole + 1 + fraction } else { whole }
}
