//! A small tokenizer in LLaMA's form, trained on the words of a corpus.
//!
//! Pieces 0 to 2 are `<unk>`, `<s>`, `</s>`, 3 to 258 the 256 bytes, then characters, then merged pieces: the layout of
//! LLaMA's own vocabulary (section 8.2 of the specification), with byte-pair merges (Sennrich et al., arXiv 1508.07909)
//! learnt here. Merges never join a word with its neighbour, digits stay single, punctuation stands alone.

use std::collections::BTreeMap;

use tokenizers::Tokenizer;

use crate::error::{Error, Result};

/// The mark of a space.
const SPACE: char = '\u{2581}';

/// Trains a tokenizer of exactly `size` pieces, or fewer where the corpus holds no more pairs to merge.
pub fn train<'a>(corpus: impl Iterator<Item = &'a str>, size: usize) -> Result<Tokenizer> {
    let mut words: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut characters: BTreeMap<char, usize> = [(SPACE, 1)].into();
    for text in corpus {
        for unit in units(text) {
            for character in unit.chars() {
                *characters.entry(character).or_default() += 1;
            }
            *words.entry(unit.chars().map(String::from).collect()).or_default() += 1;
        }
    }
    let mut pieces = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    pieces.extend((0..=255).map(|byte: u8| format!("<0x{byte:02X}>")));
    pieces.extend(characters.keys().filter(|character| **character != '\n').map(char::to_string));
    if pieces.len() > size {
        let least = pieces.len();
        return Err(Error::input(format!("vocab_size {size} is too small: bytes and characters alone are {least}")));
    }
    let mut words = words.into_iter().collect::<Vec<_>>();
    let mut merges: Vec<(String, String)> = Vec::new();
    while pieces.len() < size {
        let Some((left, right)) = most_frequent_pair(&words) else { break };
        let joined = format!("{left}{right}");
        for (word, _) in &mut words {
            merge(word, &left, &right);
        }
        if !pieces.contains(&joined) {
            pieces.push(joined);
        }
        merges.push((left, right));
    }
    from_pieces(&pieces, &merges)
}

/// The units that merges stay within: a word with its space, a digit, a sign of punctuation.
fn units(text: &str) -> Vec<String> {
    let mut units: Vec<String> = Vec::new();
    let mut at_start = true;
    for line in text.split('\n') {
        for (index, word) in line.split(' ').enumerate() {
            let mut unit = String::new();
            // Only the very first line has the dummy prefix.
            if index > 0 || at_start {
                unit.push(SPACE);
            }
            for character in word.chars() {
                if character.is_alphabetic() {
                    unit.push(character);
                    continue;
                }
                if !unit.is_empty() {
                    units.push(std::mem::take(&mut unit));
                }
                units.push(character.to_string());
            }
            if !unit.is_empty() {
                units.push(unit);
            }
        }
        at_start = false;
    }
    units
}

/// The pair of neighbours that occurs most often; the first in alphabetical order among equals.
fn most_frequent_pair(words: &[(Vec<String>, usize)]) -> Option<(String, String)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (word, count) in words {
        for pair in word.windows(2) {
            *counts.entry((&pair[0], &pair[1])).or_default() += count;
        }
    }
    let best = counts.into_iter().max_by(|(one, first), (other, second)| first.cmp(second).then(other.cmp(one)))?;
    Some((best.0.0.to_owned(), best.0.1.to_owned()))
}

fn merge(word: &mut Vec<String>, left: &str, right: &str) {
    let mut index = 0;
    while index + 1 < word.len() {
        if word[index] == left && word[index + 1] == right {
            let right = word.remove(index + 1);
            word[index].push_str(&right);
        }
        index += 1;
    }
}

/// The `tokenizer.json` that transformers would write for a LLaMA vocabulary of these pieces.
fn from_pieces(pieces: &[String], merges: &[(String, String)]) -> Result<Tokenizer> {
    let special = |id: usize| {
        serde_json::json!({
            "id": id, "content": pieces[id], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let vocabulary: serde_json::Map<_, _> =
        pieces.iter().enumerate().map(|(id, piece)| (piece.clone(), id.into())).collect();
    let json = serde_json::json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE.to_string()},
            {"type": "Replace", "pattern": {"String": " "}, "content": SPACE.to_string()},
        ]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE.to_string()}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary,
            "merges": merges.iter().map(|(left, right)| [left, right]).collect::<Vec<_>>()},
    });
    json.to_string()
        .parse()
        .map_err(|source| Error::failed(format!("the trained vocabulary is no tokenizer: {source}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        tokenizer.encode(text, false).unwrap().get_tokens().to_vec()
    }

    #[test]
    fn frequent_words_become_one_piece_and_every_text_comes_back() {
        let corpus = ["what colour is the circle?", "the circle is red.", "is the circle red? 12 circles"];
        let tokenizer = train(corpus.iter().copied().cycle().take(30), 400).unwrap();
        assert_eq!(tokens(&tokenizer, "the circle"), ["▁the", "▁circle"]);
        assert_eq!(tokens(&tokenizer, "is 12"), ["▁is", "▁", "1", "2"]);
        for text in ["the red circle?", "a\nline ß 漢", "  two spaces"] {
            let ids = tokenizer.encode(text, false).unwrap();
            assert_eq!(tokenizer.decode(ids.get_ids(), true).unwrap(), text);
        }
    }

    #[test]
    fn a_line_break_is_one_byte_piece() {
        let tokenizer = train(["a\nb"].into_iter(), 300).unwrap();
        assert_eq!(tokens(&tokenizer, "\n"), ["▁", "<0x0A>"]);
        assert_eq!(tokenizer.token_to_id("<0x0A>"), Some(13));
    }

    #[test]
    fn the_same_corpus_gives_the_same_tokenizer() {
        let corpus = ["yes no maybe", "no yes"];
        let [one, two] = [0, 1].map(|_| train(corpus.into_iter(), 300).unwrap().to_string(false).unwrap());
        assert_eq!(one, two);
    }

    #[test]
    fn a_vocabulary_without_room_for_the_characters_is_refused() {
        assert!(train(["abc"].into_iter(), 260).unwrap_err().to_string().contains("260"));
    }
}
