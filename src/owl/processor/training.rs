//! Conversation text -> ids and loss mask, exactly as the reference's training pipeline builds them (section 9.3).
//!
//! Loss is borne by answers and by the EOS after each, and by nothing else. Every chunk is encoded on its own.

use crate::error::{Error, Result};

use super::tokenizer::Tokenizer;
use super::{IMAGE_PLACEHOLDER, IMAGE_SLOT};

/// What follows it is an answer. The newline before it belongs to the preceding chunk.
pub(super) const ANSWER_SEPARATOR: &str = "AI: ";

/// What follows it is a question.
pub(super) const QUESTION_SEPARATOR: &str = "\nHuman: ";

/// The label of a position that bears no loss.
pub const IGNORED_LABEL: i64 = -100;

/// One conversation as the model is trained on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingSequence {
    /// BOS first, [`IMAGE_SLOT`] in the slots of pictures; at most max_length + 1 of them.
    pub ids: Vec<i64>,
    /// For each id whether it is a target that bears loss.
    pub loss: Vec<bool>,
    /// How many pictures found place: the first ones of the record.
    pub images: usize,
    /// Index into `ids` of each picture's first slot.
    pub image_starts: Vec<usize>,
}

impl TrainingSequence {
    /// Number of targets that bear loss.
    pub fn loss_tokens(&self) -> usize {
        self.loss.iter().filter(|bears| **bears).count()
    }
}

/// Rows of one length: `[batch, length]` each, the masks `[batch, length - 1]`, aligned with the targets 1..length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingBatch {
    /// Padded with the pad id.
    pub ids: Vec<Vec<i64>>,
    /// The id where it is a target that bears loss, [`IGNORED_LABEL`] elsewhere.
    pub labels: Vec<Vec<i64>>,
    /// The target is part of an answer, or the EOS after one.
    pub prompt_mask: Vec<Vec<bool>>,
    /// The target is not padding.
    pub non_padding_mask: Vec<Vec<bool>>,
    /// The target is not a slot of a picture.
    pub non_media_mask: Vec<Vec<bool>>,
    /// Pictures of each row.
    pub images: Vec<usize>,
    /// Targets that bear loss, in the whole batch: the loss is their mean.
    pub loss_tokens: usize,
}

/// Encodes a conversation for training.
///
/// `text` is the whole conversation with `<image>` for each picture, without a trailing `AI: `. `max_length` is the
/// number of targets, so that at most `max_length + 1` ids come out.
///
/// # Errors
/// A sample none of whose targets bears loss (no answer, or none left after cutting): its mean loss would be 0/0.
pub fn encode_training(
    tokenizer: &Tokenizer,
    text: &str,
    max_length: usize,
    slots_per_image: usize,
) -> Result<TrainingSequence> {
    let sequence = encode_conversation(tokenizer, text, max_length, slots_per_image)?;
    if sequence.loss_tokens() == 0 {
        let beginning: String = text.chars().take(60).collect();
        return Err(Error::input(format!(
            "no token of the sample {beginning:?} bears loss: it holds no answer after {ANSWER_SEPARATOR:?}, or the \
             answer lies beyond max_length {max_length}"
        ))
        .remedy("raise max_length, or leave the sample out"));
    }
    Ok(sequence)
}

/// [`encode_training`] without the check that some token bears loss.
pub fn encode_conversation(
    tokenizer: &Tokenizer,
    text: &str,
    max_length: usize,
    slots_per_image: usize,
) -> Result<TrainingSequence> {
    let has_images = text.contains(IMAGE_PLACEHOLDER);
    let mut chunks = split_chunks(text, has_images);
    if has_images {
        chunks.retain(|chunk| !chunk.is_empty());
    }
    let mut sequence =
        TrainingSequence { ids: vec![tokenizer.bos().into()], loss: vec![false], images: 0, image_starts: Vec::new() };
    for (index, chunk) in chunks.iter().enumerate() {
        let length = sequence.ids.len();
        if index > 0 && length > max_length {
            break;
        }
        if index > 0 && has_images && *chunk == IMAGE_PLACEHOLDER {
            if length + slots_per_image > max_length + 1 {
                break;
            }
            sequence.images += 1;
            sequence.image_starts.push(length);
            sequence.extend(std::iter::repeat_n(IMAGE_SLOT, slots_per_image), false);
            continue;
        }
        let mut ids = tokenizer.encode_chunk(chunk)?;
        let is_answer = index > 0 && chunks[index - 1] == ANSWER_SEPARATOR;
        if index == 0 {
            // The first chunk is text whatever it holds, and is never cut.
            sequence.extend(ids.into_iter().map(i64::from), false);
            continue;
        }
        let room = if is_answer { max_length } else { max_length + 1 };
        let is_cut = length + ids.len() >= room;
        if is_cut {
            ids.truncate(room - length);
        }
        if is_answer {
            ids.push(tokenizer.eos());
        }
        sequence.extend(ids.into_iter().map(i64::from), is_answer);
        if is_cut && !has_images {
            break;
        }
    }
    Ok(sequence)
}

impl TrainingSequence {
    fn extend(&mut self, ids: impl Iterator<Item = i64>, loss: bool) {
        self.ids.extend(ids);
        self.loss.resize(self.ids.len(), loss);
    }
}

/// Splits at the separators (and at `<image>` if `images`), which become chunks of their own. Empty chunks between
/// adjacent separators are kept: an empty answer is one.
fn split_chunks(text: &str, images: bool) -> Vec<&str> {
    let separators = [ANSWER_SEPARATOR, QUESTION_SEPARATOR, IMAGE_PLACEHOLDER];
    let separators = &separators[..if images { 3 } else { 2 }];
    let mut chunks = Vec::new();
    let mut rest = text;
    loop {
        let next = separators.iter().filter_map(|separator| Some((rest.find(separator)?, *separator))).min();
        let Some((position, separator)) = next else {
            chunks.push(rest);
            return chunks;
        };
        chunks.push(&rest[..position]);
        chunks.push(separator);
        rest = &rest[position + separator.len()..];
    }
}

/// Pads rows to `length` ids (the reference: max_length + 1; anything from the longest row up gives the same loss).
///
/// # Errors
/// A row longer than `length`, or no targets at all.
pub fn collate(sequences: &[TrainingSequence], length: usize, pad: u32) -> Result<TrainingBatch> {
    if length < 2 {
        return Err(Error::failed(format!("rows of {length} ids have no targets")));
    }
    let mut batch = TrainingBatch {
        ids: Vec::with_capacity(sequences.len()),
        labels: Vec::with_capacity(sequences.len()),
        prompt_mask: Vec::with_capacity(sequences.len()),
        non_padding_mask: Vec::with_capacity(sequences.len()),
        non_media_mask: Vec::with_capacity(sequences.len()),
        images: Vec::with_capacity(sequences.len()),
        loss_tokens: 0,
    };
    for sequence in sequences {
        let real = sequence.ids.len();
        if real > length {
            return Err(Error::failed(format!("a row of {real} ids does not fit into {length}")));
        }
        let mut ids = sequence.ids.clone();
        ids.resize(length, pad.into());
        let bears = |target: usize| sequence.loss.get(target).copied().unwrap_or(false);
        let is_real = |target: usize| target < real;
        let is_text = |target: usize| ids[target] >= 0;
        let label = |target: usize| {
            let is_target = target > 0 && bears(target) && is_real(target) && is_text(target);
            if is_target { ids[target] } else { IGNORED_LABEL }
        };
        let labels: Vec<i64> = (0..length).map(label).collect();
        batch.loss_tokens += labels.iter().filter(|label| **label != IGNORED_LABEL).count();
        batch.labels.push(labels);
        batch.prompt_mask.push((1..length).map(bears).collect());
        batch.non_padding_mask.push((1..length).map(is_real).collect());
        batch.non_media_mask.push((1..length).map(is_text).collect());
        batch.images.push(sequence.images);
        batch.ids.push(ids);
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::super::TokenizerTrainer;
    use super::*;
    use proptest::prelude::*;

    fn tokenizer() -> Tokenizer {
        let bytes = TokenizerTrainer::new(320).train(["Human: hi there", "AI: yes", "one two three"]).unwrap();
        Tokenizer::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn separators_are_chunks_and_the_newline_stays_before_the_answer() {
        let chunks = split_chunks("S\nHuman: <image>\nHuman: q\nAI: a\nHuman: r\nAI: ", true);
        let expected =
            ["S", "\nHuman: ", "", "<image>", "", "\nHuman: ", "q\n", "AI: ", "a", "\nHuman: ", "r\n", "AI: ", ""];
        assert_eq!(chunks, expected);
        assert_eq!(split_chunks("<image> and AI: x", false), ["<image> and ", "AI: ", "x"]);
    }

    #[test]
    fn answers_and_their_end_bear_loss_and_nothing_else() {
        let tokenizer = tokenizer();
        let sequence = encode_training(&tokenizer, "Human: hi\nAI: yes\nHuman: two\nAI: no", 100, 5).unwrap();
        let borne: Vec<u32> =
            sequence.ids.iter().zip(&sequence.loss).filter(|(_, loss)| **loss).map(|(id, _)| *id as u32).collect();
        assert_eq!(tokenizer.decode_with_special(&borne), "yes</s> no</s>");
    }

    #[test]
    fn a_sample_without_any_answer_is_an_error_that_says_so() {
        let tokenizer = tokenizer();
        for (text, max_length) in [("Human: hi", 100), ("Human: <image>\nAI: ", 100), ("Human: hi\nAI: yes", 6)] {
            let error = encode_training(&tokenizer, text, max_length, 5).unwrap_err();
            assert!(error.message().contains("bears loss") && error.message().contains("Human: "), "{error}");
        }
    }

    #[test]
    fn collating_pads_and_masks_and_refuses_what_does_not_fit() {
        let tokenizer = tokenizer();
        let long = encode_training(&tokenizer, "Human: <image>\nHuman: hi\nAI: yes", 60, 4).unwrap();
        let short = encode_training(&tokenizer, "hi\nAI: yes", 60, 4).unwrap();
        let batch = collate(&[long.clone(), short.clone()], 61, tokenizer.pad()).unwrap();
        assert_eq!(batch.images, [1, 0]);
        assert_eq!(batch.loss_tokens, long.loss_tokens() + short.loss_tokens());
        assert!(batch.ids.iter().all(|row| row.len() == 61) && batch.prompt_mask.iter().all(|row| row.len() == 60));
        assert_eq!(batch.non_media_mask[0].iter().filter(|text| !**text).count(), 4);
        assert_eq!(batch.non_padding_mask[1].iter().filter(|real| **real).count(), short.ids.len() - 1);
        assert!(collate(&[long], 10, 0).is_err());
    }

    proptest! {
        #[test]
        fn a_sequence_is_never_longer_than_max_length_and_one(
            parts in prop::collection::vec(prop::sample::select(vec!["AI: ", "\nHuman: ", "<image>", "one two", "\n", "é", ""]), 0..20),
            max_length in 12usize..60,
        ) {
            let text = format!("S{}", parts.concat());
            let sequence = encode_conversation(&tokenizer(), &text, max_length, 5).unwrap();
            // The first chunk, which is never cut, is the only exception.
            let first = split_chunks(&text, text.contains(IMAGE_PLACEHOLDER))[0];
            let first = tokenizer().encode_chunk(first).unwrap().len() + 1;
            prop_assert!(sequence.ids.len() <= (max_length + 1).max(first));
            prop_assert_eq!(sequence.ids.len(), sequence.loss.len());
            let slots = sequence.ids.iter().filter(|id| **id == IMAGE_SLOT).count();
            prop_assert_eq!(slots, 5 * sequence.images);
            if sequence.ids.len() <= max_length + 1 {
                prop_assert!(collate(&[sequence], max_length + 1, 0).is_ok());
            }
        }
    }
}
