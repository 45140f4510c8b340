//! The LLaMA tokenizer (section 8.2 of the specification), over the `tokenizers` crate.
//!
//! Two file forms give the same ids: `tokenizer.json`, and SentencePiece's `tokenizer.model`, which is converted while
//! loading. Every text chunk is encoded on its own and gets its own dummy prefix; concatenated text must never be
//! encoded in one piece, or training and inference see different ids.
//!
//! Where this differs from the reference, on purpose: special pieces that a *user types* (`</s>`, `<s>`, `<unk>`) stay
//! plain text here. The reference's fast tokenizer turns them into ids 2, 1 and 0, so that a question could end the
//! conversation or forge a turn.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace, Sequence};

use crate::error::{Error, IoContext, Result};

use super::decode_stream::DecodeStream;
use super::sentencepiece::SentencePieceModel;

const UNKNOWN: &str = "<unk>";
const BEGIN: &str = "<s>";
const END: &str = "</s>";

/// Text <-> ids.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The piece of every id.
    pieces: Vec<Piece>,
    bos: u32,
    eos: u32,
    unknown: u32,
    /// SentencePiece's `remove_extra_whitespaces`.
    collapse_spaces: bool,
    sha256: String,
}

#[derive(Debug, Clone)]
struct Piece {
    text: String,
    /// For byte pieces such as `<0x0A>`.
    byte: Option<u8>,
    special: bool,
}

impl Tokenizer {
    /// Loads a `tokenizer.json` or a SentencePiece `tokenizer.model`; of a folder, the first of the two that it holds.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let mut path = path.as_ref().to_owned();
        if path.is_dir() {
            path = ["tokenizer.json", "tokenizer.model"]
                .iter()
                .map(|name| path.join(name))
                .find(|file| file.is_file())
                .ok_or_else(|| {
                    Error::input("the folder holds no tokenizer")
                        .at(&path)
                        .remedy("put tokenizer.json or tokenizer.model there")
                })?;
        }
        let bytes = std::fs::read(&path).or_at("cannot read the tokenizer", &path)?;
        Self::from_bytes(&bytes).map_err(|error| error.at(&path))
    }

    /// Reads either form, told by the content.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let (inner, special, collapse_spaces) = if is_json { read_json(bytes)? } else { convert_model(bytes)? };
        let digest = hex::encode(Sha256::digest(bytes));
        Self::new(inner, &special, collapse_spaces, digest)
    }

    /// `special` names pieces that the model's vocabulary may lack, by id.
    fn new(
        inner: tokenizers::Tokenizer,
        special: &BTreeMap<u32, String>,
        collapse_spaces: bool,
        sha256: String,
    ) -> Result<Self> {
        let vocabulary = inner.get_vocab(true);
        let id_of = |piece: &str| {
            vocabulary.get(piece).copied().ok_or_else(|| {
                Error::input(format!("the tokenizer has no piece {piece}")).remedy("give a tokenizer of LLaMA's kind")
            })
        };
        let (unknown, bos, eos) = (id_of(UNKNOWN)?, id_of(BEGIN)?, id_of(END)?);
        let highest = vocabulary.values().chain(special.keys()).copied().max().unwrap_or(0) as usize;
        // Ids may have gaps, but a single stray one must not claim all memory.
        if highest >= 4 * (vocabulary.len() + special.len()) + 1024 {
            return Err(Error::input(format!(
                "the tokenizer's highest id, {highest}, is far above its number of pieces"
            )));
        }
        let empty = Piece { text: String::new(), byte: None, special: true };
        let mut pieces = vec![empty; highest + 1];
        for (text, id) in &vocabulary {
            pieces[*id as usize] = Piece { text: text.clone(), byte: byte_piece(text), special: false };
        }
        for (id, text) in special {
            pieces[*id as usize] = Piece { text: text.clone(), byte: None, special: true };
        }
        for id in [unknown, bos, eos] {
            pieces[id as usize].special = true;
        }
        Ok(Self { inner, pieces, bos, eos, unknown, collapse_spaces, sha256 })
    }

    /// The ids of one chunk of text, with its dummy prefix and without any special id, whatever the text holds.
    pub fn encode_chunk(&self, text: &str) -> Result<Vec<u32>> {
        let collapsed;
        let mut text = text;
        if self.collapse_spaces {
            collapsed = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            text = &collapsed;
        }
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Error::failed("the tokenizer failed on a text").source(error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`: special pieces dropped, U+2581 a space, byte pieces UTF-8 with U+FFFD for each invalid byte,
    /// and one leading space (the dummy prefix) stripped. An id outside the vocabulary becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        Self::run(DecodeStream::new(self), ids)
    }

    /// [`decode`](Self::decode) with special pieces spelled out.
    pub fn decode_with_special(&self, ids: &[u32]) -> String {
        Self::run(DecodeStream::keeping_special(self), ids)
    }

    fn run(mut stream: DecodeStream<'_>, ids: &[u32]) -> String {
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// Ids -> text one at a time, for answers that are shown while they grow.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(self)
    }

    /// The piece as it stands in the vocabulary, with U+2581 for a space; `None` for an id outside it.
    pub fn id_to_piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(|piece| piece.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The id of exactly this piece.
    pub fn piece_to_id(&self, piece: &str) -> Option<u32> {
        self.inner.token_to_id(piece)
    }

    /// One more than the highest id: the rows that an embedding table needs.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// `<s>`, the first id of every prompt.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// `</s>`, the id that ends an answer.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// `<unk>`, which the reference pads with.
    pub fn pad(&self) -> u32 {
        self.unknown
    }

    /// Lower-case hex digest of the file that this was read from.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(super) fn byte_of(&self, id: u32) -> Option<u8> {
        self.pieces.get(id as usize).and_then(|piece| piece.byte)
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.pieces.get(id as usize).is_some_and(|piece| piece.special)
    }
}

/// `<0x0A>` -> 10.
fn byte_piece(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

type Parts = (tokenizers::Tokenizer, BTreeMap<u32, String>, bool);

/// A `tokenizer.json` without its added pieces and post-processing: text is text, and special ids are set by those who
/// build prompts.
fn read_json(bytes: &[u8]) -> Result<Parts> {
    let unusable = |why: String| Error::input(format!("not a usable tokenizer.json: {why}"));
    let mut json: Value = serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()).source(error))?;
    if json["model"]["type"].as_str().is_some_and(|kind| kind != "BPE") {
        return Err(unusable(format!("its model is {}, not BPE", json["model"]["type"])));
    }
    if json.to_string().contains("\"ByteLevel\"") {
        return Err(unusable("it works on bytes as GPT-2's, not on pieces as LLaMA's".to_owned()));
    }
    let mut special = BTreeMap::new();
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let id = token["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        let (Some(id), Some(content)) = (id, token["content"].as_str()) else {
            return Err(unusable("an added token has no id or no content".to_owned()));
        };
        special.insert(id, content.to_owned());
    }
    json["added_tokens"] = Value::Array(Vec::new());
    for key in ["post_processor", "truncation", "padding"] {
        json[key] = Value::Null;
    }
    let inner = tokenizers::Tokenizer::from_bytes(json.to_string())
        .map_err(|error| unusable(error.to_string()).source(error))?;
    Ok((inner, special, false))
}

/// A SentencePiece model as a BPE of the `tokenizers` crate with the same segmentation.
fn convert_model(bytes: &[u8]) -> Result<Parts> {
    let model = SentencePieceModel::parse(bytes)?;
    let merges = model.merges()?;
    let vocabulary: Vocab = model.pieces.iter().zip(0u32..).map(|(piece, id)| (piece.text.clone(), id)).collect();
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .unk_token(UNKNOWN.to_owned())
        .byte_fallback(model.byte_fallback)
        .fuse_unk(true)
        .build()
        .map_err(|error| Error::input("the SentencePiece model cannot be converted").source(error))?;
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    if model.add_dummy_prefix {
        normalizers.push(Prepend::new("\u{2581}".to_owned()).into());
    }
    let spaces = Replace::new(" ", "\u{2581}")
        .map_err(|error| Error::failed("the tokenizer's normaliser cannot be built").source(error))?;
    normalizers.push(spaces.into());
    let mut inner = tokenizers::Tokenizer::new(bpe);
    inner
        .with_normalizer(Some(Sequence::new(normalizers)))
        .map_err(|error| Error::failed("the tokenizer's normaliser cannot be built").source(error))?;
    Ok((inner, BTreeMap::new(), model.remove_extra_whitespaces))
}

#[cfg(test)]
mod tests {
    use super::super::sentencepiece::tests::model_file;
    use super::*;
    use proptest::prelude::*;

    fn small() -> Tokenizer {
        let pieces = ["▁a", "ab", "▁ab", "er", "▁▁", "▁", "a", "b", "e", "r", "<", "/", "s", ">", "é"];
        Tokenizer::from_bytes(&model_file(&pieces)).unwrap()
    }

    #[test]
    fn typed_special_pieces_stay_text() {
        let tokenizer = small();
        for text in ["</s>", "<s>a", "a </s> b", "<unk>", "<0x41>"] {
            let ids = tokenizer.encode_chunk(text).unwrap();
            assert!(ids.iter().all(|id| *id > 2), "{text}: {ids:?}");
            assert_eq!(tokenizer.decode(&ids), text);
        }
    }

    #[test]
    fn a_chunk_gets_a_dummy_prefix_and_an_empty_one_nothing() {
        let tokenizer = small();
        let pieces = |text: &str| -> Vec<String> {
            let ids = tokenizer.encode_chunk(text).unwrap();
            ids.iter().map(|id| tokenizer.id_to_piece(*id).unwrap().to_owned()).collect()
        };
        assert_eq!(pieces(""), Vec::<String>::new());
        assert_eq!(pieces("ab"), ["▁ab"]);
        assert_eq!(pieces(" ab"), ["▁", "▁ab"]);
        assert_eq!(pieces("a\nb"), ["▁a", "<0x0A>", "b"]);
        assert_eq!(pieces("猫"), ["▁", "<0xE7>", "<0x8C>", "<0xAB>"]);
    }

    #[test]
    fn invalid_bytes_become_one_replacement_character_each_and_valid_ones_survive() {
        let tokenizer = small();
        let ids: Vec<u32> = [0x41, 0xF0, 0x9F, 0x42, 0xC3, 0xA9, 0xE7, 0x8C].map(|byte: u32| byte + 3).into();
        assert_eq!(tokenizer.decode(&ids), "A\u{FFFD}\u{FFFD}Bé\u{FFFD}\u{FFFD}");
        assert_eq!(tokenizer.decode(&[99_999]), "\u{FFFD}");
    }

    #[test]
    fn a_stream_holds_back_an_unfinished_character_only() {
        let tokenizer = small();
        let mut stream = tokenizer.decode_stream();
        let ids = tokenizer.encode_chunk("a猫b").unwrap();
        let steps: Vec<String> = ids.iter().map(|id| stream.push(*id)).collect();
        assert_eq!(steps, ["a", "", "", "猫", "b"]);
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn files_of_other_kinds_are_refused_with_a_reason() {
        for (text, reason) in [
            (r#"{"model": {"type": "Unigram"}}"#, "not BPE"),
            (r#"{"model": {"type": "BPE"}, "decoder": {"type": "ByteLevel"}}"#, "GPT-2"),
            ("{", "tokenizer.json"),
            ("", "SentencePiece"),
        ] {
            let error = Tokenizer::from_bytes(text.as_bytes()).unwrap_err();
            assert!(error.message().contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_text_without_the_space_sign_comes_back(text in "[^\u{2581}]{0,40}") {
            let tokenizer = small();
            prop_assert_eq!(tokenizer.decode(&tokenizer.encode_chunk(&text).unwrap()), text);
        }

        #[test]
        fn streaming_arbitrary_ids_gives_the_same_text_as_decoding_them_at_once(ids in prop::collection::vec(0u32..280, 0..60)) {
            let tokenizer = small();
            let mut stream = tokenizer.decode_stream();
            let mut text: String = ids.iter().map(|id| stream.push(*id)).collect();
            text.push_str(&stream.finish());
            prop_assert_eq!(text, tokenizer.decode(&ids));
        }
    }
}
