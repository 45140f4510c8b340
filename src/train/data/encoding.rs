//! From the text of a conversation to token ids, image slots and the targets that bear loss.
//!
//! Two forms. `reference` is section 9.3 of the specification: every chunk is tokenised by itself, and an end token
//! follows each answer. At inference the reference tokenises the text after a picture as one string and puts no end
//! token behind earlier answers, so its model is asked in another form than it was trained in. A model of billions
//! bears that; a small one need not have to: `inference` trains in the very form that is asked later. The end token
//! is then a target only, and earlier turns appear now as they were generated, now as they are tokenised in a
//! history (see [`History`]).

use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use crate::error::{Error, Result};

/// What stands for a picture in the text.
pub const PLACEHOLDER: &str = "<image>";
const ANSWER: &str = "AI: ";
const HUMAN: &str = "\nHuman: ";
pub const BEGIN: u32 = 1;
pub const END: u32 = 2;

/// How conversations become token ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    #[default]
    Reference,
    Inference,
}

/// One position of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Token(u32),
    /// Slot `slot` of picture `picture`, both counted from 0 within the conversation.
    Slot {
        picture: u32,
        slot: u32,
    },
}

/// An encoded conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    pub positions: Vec<Position>,
    /// What the position of the same index must predict, where it bears loss.
    pub targets: Vec<Option<u32>>,
    /// The turn (counted from 0) that each target belongs to.
    pub turns: Vec<Option<u32>>,
}

/// How an earlier turn of the `inference` form appears.
///
/// A prompt ends in `AI: `, whose trailing space is a token of its own, and the first answer token brings its space
/// along; once the answer is history, the string is tokenised anew and the lone space is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// As it was generated: all its tokens bear loss.
    Generated,
    /// As it is tokenised in a history: its first token bears no loss.
    Retold,
}

/// Tokenises `text` by itself, without special tokens.
fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding = tokenizer
        .encode(text, false)
        .map_err(|source| Error::failed(format!("the tokenizer cannot encode {text:?}: {source}")))?;
    Ok(encoding.get_ids().to_vec())
}

/// The tokens of one word in running text, its space included.
pub fn word(tokenizer: &Tokenizer, word: &str) -> Result<Vec<u32>> {
    ids(tokenizer, word)
}

impl Encoded {
    fn push(&mut self, position: Position, target: Option<u32>, turn: Option<u32>) {
        self.positions.push(position);
        self.targets.push(target);
        self.turns.push(target.and(turn));
    }

    fn push_picture(&mut self, picture: u32, slots: usize) {
        for slot in 0..slots as u32 {
            self.push(Position::Slot { picture, slot }, None, None);
        }
    }

    /// How many positions bear loss.
    pub fn bearing(&self) -> usize {
        self.targets.iter().flatten().count()
    }

    fn truncate(&mut self, length: usize) {
        self.positions.truncate(length);
        self.targets.truncate(length);
        self.turns.truncate(length);
    }
}

/// Section 9.3: ids, masks and labels as the reference's training pipeline builds them.
///
/// `slots` is Q + 1, `max_length` the reference's M.
pub fn reference(tokenizer: &Tokenizer, text: &str, slots: usize, max_length: usize) -> Result<Encoded> {
    let with_pictures = text.contains(PLACEHOLDER);
    let mut sequence: Vec<(Position, bool, u32)> = vec![(Position::Token(BEGIN), false, 0)];
    let mut after_answer_mark = false;
    let mut pictures = 0;
    let mut turn = 0;
    for (index, chunk) in chunks(text, with_pictures).into_iter().enumerate() {
        let length = sequence.len();
        if index > 0 && with_pictures && chunk == PLACEHOLDER {
            if length + slots > max_length + 1 {
                break;
            }
            for slot in 0..slots as u32 {
                sequence.push((Position::Slot { picture: pictures, slot }, false, 0));
            }
            pictures += 1;
            after_answer_mark = false;
            continue;
        }
        let mut tokens = ids(tokenizer, chunk)?;
        let is_answer = std::mem::replace(&mut after_answer_mark, chunk == ANSWER);
        let mut full = false;
        if is_answer {
            if length + tokens.len() >= max_length {
                tokens.truncate(max_length.saturating_sub(length));
                full = !with_pictures;
            }
            tokens.push(END);
        } else if index > 0 && length + tokens.len() > max_length {
            tokens.truncate((max_length + 1).saturating_sub(length));
        }
        sequence.extend(tokens.into_iter().map(|token| (Position::Token(token), is_answer, turn)));
        turn += u32::from(is_answer);
        if full {
            break;
        }
    }
    sequence.truncate(max_length + 1);
    let mut encoded = Encoded::default();
    for (index, (position, ..)) in sequence.iter().enumerate() {
        let next = sequence.get(index + 1);
        let target = next.and_then(|(position, bears, turn)| match position {
            Position::Token(token) if *bears => Some((*token, *turn)),
            _ => None,
        });
        encoded.push(*position, target.map(|(token, _)| token), target.map(|(_, turn)| turn));
    }
    Ok(encoded)
}

/// Splits at `AI: `, `\nHuman: ` and, in a text with pictures, `<image>`; the separators are chunks of their own.
fn chunks(text: &str, with_pictures: bool) -> Vec<&str> {
    let mut separators = vec![ANSWER, HUMAN];
    if with_pictures {
        separators.push(PLACEHOLDER);
    }
    let mut chunks = Vec::new();
    let mut rest = text;
    loop {
        let found = separators.iter().filter_map(|mark| rest.find(mark).map(|at| (at, mark.len()))).min();
        let Some((at, length)) = found else {
            chunks.push(rest);
            break;
        };
        chunks.push(&rest[..at]);
        chunks.push(&rest[at..at + length]);
        rest = &rest[at + length..];
    }
    // Without pictures the reference keeps empty chunks; they hold no token, but one between "AI: " and the next
    // separator is an (empty) answer.
    if with_pictures {
        chunks.retain(|chunk| !chunk.is_empty());
    }
    chunks
}

/// The form that is asked at inference: see the head of this file. `history` says how each turn but the last appears.
pub fn inference(
    tokenizer: &Tokenizer,
    text: &str,
    slots: usize,
    max_length: usize,
    mut history: impl FnMut() -> History,
) -> Result<Encoded> {
    let mut encoded = Encoded::default();
    encoded.push(Position::Token(BEGIN), None, None);
    let mut turn = 0;
    for (index, piece) in text.split(PLACEHOLDER).enumerate() {
        if index > 0 {
            encoded.push_picture(index as u32 - 1, slots);
        }
        let mut rest = piece;
        let mut first = true;
        while !rest.is_empty() {
            let Some(at) = rest.find("\nAI: ") else {
                push_text(&mut encoded, tokenizer, rest, first)?;
                break;
            };
            push_text(&mut encoded, tokenizer, &rest[..at], first)?;
            let answer_and_rest = &rest[at + 1 + ANSWER.len()..];
            let end = answer_and_rest.find(HUMAN).unwrap_or(answer_and_rest.len());
            let is_last = end == answer_and_rest.len() && !text_continues(text, piece);
            let form = if is_last { History::Generated } else { history() };
            push_answer(&mut encoded, tokenizer, &answer_and_rest[..end], turn, form)?;
            turn += 1;
            first = false;
            rest = &answer_and_rest[end..];
        }
    }
    encoded.truncate(max_length);
    Ok(encoded)
}

/// Whether `piece` is not the last piece of `text`.
fn text_continues(text: &str, piece: &str) -> bool {
    piece.as_ptr() as usize + piece.len() < text.as_ptr() as usize + text.len()
}

/// Text that bears no loss. Only the first text of a piece gets the tokenizer's dummy prefix.
fn push_text(encoded: &mut Encoded, tokenizer: &Tokenizer, text: &str, first: bool) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let tokens = if first { ids(tokenizer, text)? } else { continued(tokenizer, text)? };
    for token in tokens {
        encoded.push(Position::Token(token), None, None);
    }
    Ok(())
}

/// The tokens of a text that begins with a line break and continues another text: without the dummy prefix.
fn continued(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let prefix = ids(tokenizer, "\n")?;
    let tokens = ids(tokenizer, text)?;
    let line_break = prefix.last().copied();
    let skip = tokens.iter().position(|&token| Some(token) == line_break).unwrap_or(0);
    Ok(tokens[skip..].to_vec())
}

fn push_answer(encoded: &mut Encoded, tokenizer: &Tokenizer, answer: &str, turn: u32, history: History) -> Result<()> {
    let mark = continued(tokenizer, "\nAI: ")?;
    let whole = continued(tokenizer, &format!("\nAI: {answer}"))?;
    let shared = mark.iter().zip(&whole).take_while(|(one, other)| one == other).count();
    let answer = &whole[shared..];
    let prompt = match history {
        History::Generated => &mark[..],
        History::Retold => &mark[..shared],
    };
    for &token in prompt {
        encoded.push(Position::Token(token), None, None);
    }
    // The last token of the prompt predicts the first of the answer, unless the lone space is missing: then it would
    // have to predict what it never has to at inference.
    let first_bears = prompt.len() == mark.len();
    let mut next = answer.iter().copied().chain([END]);
    let first = next.next();
    if let (true, Some(last)) = (first_bears, encoded.targets.len().checked_sub(1)) {
        encoded.targets[last] = first;
        encoded.turns[last] = Some(turn);
    }
    for (&token, next) in answer.iter().zip(next) {
        encoded.push(Position::Token(token), Some(next), Some(turn));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::vocabulary;

    const TEXT: &str = "Human: <image>\nHuman: what colour?\nAI: red\nHuman: how many?\nAI: 3";

    fn tokenizer() -> Tokenizer {
        vocabulary::train([TEXT, "red red red what what"].into_iter(), 330).unwrap()
    }

    fn show(tokenizer: &Tokenizer, encoded: &Encoded) -> Vec<(String, Option<String>)> {
        let name = |token: u32| tokenizer.id_to_token(token).unwrap();
        let position = |position: &Position| match position {
            Position::Token(token) => name(*token),
            Position::Slot { picture, slot } => format!("[{picture}.{slot}]"),
        };
        encoded.positions.iter().zip(&encoded.targets).map(|(at, target)| (position(at), target.map(name))).collect()
    }

    #[test]
    fn the_reference_form_bears_loss_on_answers_and_their_end_alone() {
        let tokenizer = tokenizer();
        let encoded = reference(&tokenizer, TEXT, 3, 100).unwrap();
        let shown = show(&tokenizer, &encoded);
        let targets = shown.iter().filter_map(|(_, target)| target.clone()).collect::<Vec<_>>();
        assert_eq!(targets, ["▁red", "</s>", "▁", "3", "</s>"]);
        assert_eq!(shown.iter().filter(|(at, _)| at.starts_with("[0.")).count(), 3);
        assert_eq!(shown.last().unwrap().0, "</s>");
    }

    #[test]
    fn the_inference_form_has_the_tokens_of_the_prompt_that_will_be_asked() {
        let tokenizer = tokenizer();
        let encoded = inference(&tokenizer, TEXT, 3, 100, || History::Retold).unwrap();
        let asked = ids(&tokenizer, "\nHuman: what colour?\nAI: red\nHuman: how many?\nAI: ").unwrap();
        let found = encoded.positions.iter().filter_map(|position| match position {
            Position::Token(token) => Some(*token),
            Position::Slot { .. } => None,
        });
        let begin = 1 + ids(&tokenizer, "Human: ").unwrap().len();
        let found = found.skip(begin).collect::<Vec<_>>();
        assert_eq!(&found[..asked.len()], &asked[..]);
        let targets = encoded.targets.iter().flatten().map(|&id| tokenizer.id_to_token(id).unwrap());
        assert_eq!(targets.collect::<Vec<_>>(), ["</s>", "3", "</s>"]);
    }

    #[test]
    fn a_generated_turn_bears_loss_on_every_token() {
        let tokenizer = tokenizer();
        let encoded = inference(&tokenizer, TEXT, 3, 100, || History::Generated).unwrap();
        let targets = encoded.targets.iter().flatten().map(|&id| tokenizer.id_to_token(id).unwrap());
        assert_eq!(targets.collect::<Vec<_>>(), ["▁red", "</s>", "3", "</s>"]);
        assert_eq!(encoded.turns.iter().flatten().collect::<Vec<_>>(), [&0, &0, &1, &1]);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let tokenizer = tokenizer();
        assert_eq!(reference(&tokenizer, TEXT, 3, 20).unwrap().positions.len(), 21);
        assert_eq!(inference(&tokenizer, TEXT, 3, 20, || History::Retold).unwrap().positions.len(), 20);
    }
}
