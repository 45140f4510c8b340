//! What a judge said: its last verdict, or none.
//!
//! Judges were asked to end with `Score: [[8]]`, `Scores: [[8, 6]]` or `Grade: [[B]]`. What they write instead is read
//! leniently: JSON, "8/10", "8 out of 10", a line with nothing but the verdict, Markdown around it, full-width digits
//! and signs. And honestly:
//!
//! - The last thing that has the form of a verdict counts. A judge that changes its mind meant the later one, and what
//!   it quotes from an answer stands before its own conclusion.
//! - If that one is not on the menu (11 of 10, grade E, "7-8", "A or B") the reply is unreadable; an earlier one is not
//!   taken in its place.
//! - What stands in a block of reasoning is no verdict, and a block that does not end has none after it.
//!
//! A pure function: the same text gives the same verdict, and no text makes it fail otherwise than by `None`.

mod json;
mod patterns;
mod tokens;

use serde::{Deserialize, Serialize};

use super::scale::Scale;
use crate::record::Grade;

/// The form of the verdict that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// One score.
    Score(Scale),
    /// A score for each of two answers.
    Scores(Scale),
    Grade,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    Score(f64),
    /// Of the answer that was shown first, and of the other.
    Scores([f64; 2]),
    Grade(Grade),
}

/// Something that has the form of a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    /// Where it ends, in bytes of the text.
    end: usize,
    /// `None` where it is not on the menu.
    said: Option<Said>,
}

/// No more of a reply is looked at, from its end, in bytes.
const LONGEST: usize = 64 << 10;

/// Reads a reply.
pub fn parse(reply: &str, wanted: Wanted) -> Option<Said> {
    let text = without_reasoning(reply)?;
    let text = half_width(tail(text, LONGEST));
    let tokens = tokens::tokens(&text);
    let spoken = match wanted {
        Wanted::Score(scale) => patterns::score(&tokens, scale),
        Wanted::Scores(scale) => patterns::scores(&tokens, scale),
        Wanted::Grade => patterns::grade(&tokens),
    };
    let written = json::last(&text, wanted);
    // A number within a JSON value ends before the value does.
    [spoken, written].into_iter().flatten().max_by_key(|candidate| candidate.end)?.said
}

/// The text after the last block of reasoning; `None` where one begins and does not end.
fn without_reasoning(text: &str) -> Option<&str> {
    let after = text.rsplit_once("</think>").map_or(text, |(_, after)| after);
    if after.contains("<think>") { None } else { Some(after) }
}

/// The last `bytes` bytes, from the next character on.
fn tail(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Full-width letters, digits and signs (U+FF01 to U+FF5E) and the marks of Chinese and Japanese as the plain ones.
fn half_width(text: &str) -> String {
    let plain = |character: char| match character {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character),
        '\u{3000}' => ' ',
        '、' => ',',
        '【' | '「' | '『' | '〔' => '[',
        '】' | '」' | '』' | '〕' => ']',
        '。' => '.',
        _ => character,
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
