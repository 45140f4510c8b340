//! Trains a small tokenizer of LLaMA's kind: special pieces 0-2, byte pieces 3-258, then characters and merges.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use crate::error::{Error, Result};

/// `<unk>`, `<s>`, `</s>` and one piece for each byte.
const FIXED_PIECES: usize = 3 + 256;

/// No piece is longer than LLaMA's longest, in characters.
const LONGEST_PIECE: usize = 16;

/// How to train a tokenizer.
///
/// Merges are learned inside units and never across them: a unit is a word with the space before it (`▁word`), while
/// every digit and every other character that is no letter is a unit of its own. A newline gets no piece and is its
/// byte piece, as in LLaMA's vocabulary. As no merge crosses the border of a unit, encoding needs no splitting step.
#[derive(Debug, Clone)]
pub struct TokenizerTrainer {
    /// Pieces in all, at most; fewer where the text does not offer enough pairs.
    pub vocab_size: usize,
    /// A pair that occurs fewer times than this is never merged.
    pub min_frequency: u64,
}

impl TokenizerTrainer {
    pub fn new(vocab_size: usize) -> Self {
        Self { vocab_size, min_frequency: 2 }
    }

    /// The bytes of a `tokenizer.json`, the same for the same chunks. A chunk is what will be encoded by one
    /// [`encode_chunk`](super::Tokenizer::encode_chunk).
    ///
    /// # Errors
    /// A vocabulary too small to hold the fixed pieces, or chunks without any text.
    pub fn train<'a>(&self, chunks: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>> {
        let places = self.vocab_size.checked_sub(FIXED_PIECES).filter(|places| *places > 0).ok_or_else(|| {
            Error::input(format!(
                "a vocabulary of {} pieces is too small: {FIXED_PIECES} of them are fixed",
                self.vocab_size
            ))
        })?;
        let mut units: BTreeMap<String, u64> = BTreeMap::new();
        for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
            for unit in split_into_units(chunk) {
                *units.entry(unit).or_default() += 1;
            }
        }
        if units.is_empty() {
            return Err(Error::input("there is no text to train a tokenizer on"));
        }
        let units = without_rare_characters(units, places);

        let fixed = ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter();
        let fixed = fixed.chain((0..=255).map(|byte| format!("<0x{byte:02X}>")));
        let trainer = BpeTrainer::builder()
            .vocab_size(self.vocab_size)
            .min_frequency(self.min_frequency)
            .max_token_length(Some(LONGEST_PIECE))
            .show_progress(false)
            .special_tokens(fixed.map(|piece| AddedToken::from(piece, true)).collect())
            .build();
        let mut model = BPE::default();
        let counts = units.iter().map(|(unit, count)| (unit.as_str().into(), *count)).collect();
        let failed = |error| Error::failed("training the tokenizer failed").source(error);
        trainer.do_train(&counts, &mut model).map_err(failed)?;
        let model = serde_json::to_value(&model)
            .map_err(|error| Error::failed("the trained tokenizer cannot be written").source(error))?;
        Ok(tokenizer_json(&model).to_string().into_bytes())
    }
}

/// "ab 12\nc" -> "▁ab", "▁", "1", "2", "c".
fn split_into_units(chunk: &str) -> Vec<String> {
    let mut units = Vec::new();
    let mut unit = String::from('\u{2581}');
    for character in chunk.chars() {
        if character == ' ' || character == '\u{2581}' {
            units.push(std::mem::replace(&mut unit, String::from('\u{2581}')));
        } else if character.is_alphabetic() {
            unit.push(character);
        } else {
            units.push(std::mem::take(&mut unit));
            if character != '\n' {
                units.push(character.to_string());
            }
        }
    }
    units.push(unit);
    units.retain(|unit| !unit.is_empty());
    units
}

/// Keeps the `places` most frequent characters (of equal ones the lower code points); the others, which byte pieces
/// stand for, split the units that they occur in.
fn without_rare_characters(units: BTreeMap<String, u64>, places: usize) -> BTreeMap<String, u64> {
    let mut frequency: BTreeMap<char, u64> = BTreeMap::new();
    for (unit, count) in &units {
        for character in unit.chars() {
            *frequency.entry(character).or_default() += count;
        }
    }
    if frequency.len() <= places {
        return units;
    }
    let mut ranked: Vec<(char, u64)> = frequency.into_iter().collect();
    ranked.sort_by_key(|(character, count)| (std::cmp::Reverse(*count), *character));
    let kept: BTreeSet<char> = ranked.into_iter().take(places).map(|(character, _)| character).collect();
    let mut split = BTreeMap::new();
    for (unit, count) in units {
        for part in unit.split(|character| !kept.contains(&character)).filter(|part| !part.is_empty()) {
            *split.entry(part.to_owned()).or_default() += count;
        }
    }
    split
}

/// The form in which LLaMA's own `tokenizer.json` is published.
fn tokenizer_json(model: &Value) -> Value {
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        })
    };
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u{2581}"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}
        ]},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}
        ]},
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": "<unk>",
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": true,
            "vocab": model["vocab"],
            "merges": model["merges"]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Tokenizer;
    use super::*;

    fn corpus() -> Vec<String> {
        let nouns = ["circle", "square", "triangle", "star", "heart", "cross", "naïve café"];
        let colours = ["red", "green", "blue", "yellow", "purple", "orange"];
        let mut chunks = Vec::new();
        for (i, noun) in nouns.iter().enumerate() {
            for (j, colour) in colours.iter().enumerate() {
                chunks.push(format!("There is a {colour} {noun}, number {}, on the left.\n", i * 100 + j));
                chunks.push(format!("What colour is the {noun}? It is {colour}."));
            }
        }
        chunks
    }

    fn train(size: usize) -> Vec<u8> {
        TokenizerTrainer::new(size).train(corpus().iter().map(String::as_str)).unwrap()
    }

    #[test]
    fn the_same_corpus_gives_the_same_bytes() {
        let first = train(400);
        for _ in 0..4 {
            assert!(first == train(400));
        }
    }

    #[test]
    fn pieces_stand_where_llama_has_them() {
        let tokenizer = Tokenizer::from_bytes(&train(400)).unwrap();
        assert_eq!((tokenizer.pad(), tokenizer.bos(), tokenizer.eos()), (0, 1, 2));
        assert_eq!(tokenizer.id_to_piece(3), Some("<0x00>"));
        assert_eq!(tokenizer.id_to_piece(258), Some("<0xFF>"));
        assert_eq!(tokenizer.encode_chunk("\n").unwrap().last(), Some(&13));
        assert!(tokenizer.vocab_size() <= 400);
    }

    #[test]
    fn encoding_finds_the_words_and_splits_digits_and_punctuation() {
        let tokenizer = Tokenizer::from_bytes(&train(700)).unwrap();
        let ids = tokenizer.encode_chunk("What colour is the circle? 205.\nred").unwrap();
        let pieces: Vec<&str> = ids.iter().map(|id| tokenizer.id_to_piece(*id).unwrap()).collect();
        let expected = ["▁What", "▁colour", "▁is", "▁the", "▁circle", "?", "▁", "2", "0", "5", ".", "<0x0A>"];
        assert_eq!(pieces[..expected.len()], expected);
    }

    #[test]
    fn no_piece_crosses_the_border_of_a_word() {
        let tokenizer = Tokenizer::from_bytes(&train(700)).unwrap();
        for id in 259..tokenizer.vocab_size() as u32 {
            let piece = tokenizer.id_to_piece(id).unwrap();
            assert!(!piece.chars().skip(1).any(|c| c == '▁'), "{piece}");
            let single = piece.chars().count() == 1;
            assert!(single || piece.chars().all(|c| c == '▁' || c.is_alphabetic()), "{piece}");
        }
    }

    #[test]
    fn what_was_never_seen_still_comes_back() {
        let tokenizer = Tokenizer::from_bytes(&train(300)).unwrap();
        for text in ["猫 and Ω\tzq", " two  spaces ", "</s>", "a\n\nb"] {
            assert_eq!(tokenizer.decode(&tokenizer.encode_chunk(text).unwrap()), text);
        }
    }

    #[test]
    fn rare_characters_give_way_when_places_are_few() {
        let bytes = TokenizerTrainer::new(261).train(["aaaa bb", "aa b c"]).unwrap();
        let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
        let pieces: Vec<&str> = (259..261).filter_map(|id| tokenizer.id_to_piece(id)).collect();
        assert_eq!(pieces, ["a", "▁"]);
        assert!(TokenizerTrainer::new(259).train(["a"]).is_err());
        assert!(TokenizerTrainer::new(300).train([""]).is_err());
    }
}
