//! Reads a SentencePiece `tokenizer.model`: a protocol-buffer message, of which a BPE tokenizer needs the pieces with
//! their scores and types and a few flags. Also derives the list of merges that the `tokenizers` crate works with.
//!
//! Field numbers are those of SentencePiece's public `sentencepiece_model.proto`.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// Longer pieces are refused: finding their splits takes time that grows with the square of the length.
const LONGEST_PIECE: usize = 1024;

/// What a piece is; the numbers are the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    Normal,
    Unknown,
    Control,
    Byte,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: PieceKind,
}

/// A SentencePiece model, as far as it matters here. The id of a piece is its index.
#[derive(Debug, Clone, PartialEq)]
pub struct SentencePieceModel {
    pub pieces: Vec<Piece>,
    /// Unknown characters become their UTF-8 bytes.
    pub byte_fallback: bool,
    /// A space is put before every text.
    pub add_dummy_prefix: bool,
    /// Spaces at the ends go, runs of spaces become one.
    pub remove_extra_whitespaces: bool,
}

impl SentencePieceModel {
    /// Parses a `tokenizer.model`.
    ///
    /// # Errors
    /// Bytes that are no such message, a model that is not BPE, a normaliser other than `identity`, piece kinds that
    /// LLaMA's family does not have, an empty or repeated piece.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut model =
            Self { pieces: Vec::new(), byte_fallback: false, add_dummy_prefix: true, remove_extra_whitespaces: true };
        let mut is_bpe = false;
        let mut message = Message(bytes);
        while let Some((field, value)) = message.next()? {
            match (field, value) {
                (1, Value::Bytes(piece)) => {
                    let piece = parse_piece(piece, model.pieces.len())?;
                    model.pieces.push(piece);
                }
                (2, Value::Bytes(trainer)) => {
                    let mut trainer = Message(trainer);
                    while let Some(field) = trainer.next()? {
                        match field {
                            (3, Value::Varint(kind)) => is_bpe = kind == 2,
                            (35, Value::Varint(flag)) => model.byte_fallback = flag != 0,
                            (24, Value::Varint(1)) => return Err(unsupported("white space as a suffix of words")),
                            _ => {}
                        }
                    }
                }
                (3, Value::Bytes(normalizer)) => model.parse_normalizer(normalizer)?,
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err(malformed("it holds no pieces"));
        }
        if !is_bpe {
            return Err(unsupported("a model type other than BPE"));
        }
        Ok(model)
    }

    fn parse_normalizer(&mut self, bytes: &[u8]) -> Result<()> {
        let mut message = Message(bytes);
        while let Some(field) = message.next()? {
            match field {
                (2, Value::Bytes(map)) if !map.is_empty() => {
                    return Err(unsupported("a normaliser other than identity"));
                }
                (3, Value::Varint(flag)) => self.add_dummy_prefix = flag != 0,
                (4, Value::Varint(flag)) => self.remove_extra_whitespaces = flag != 0,
                (5, Value::Varint(0)) => return Err(unsupported("spaces that are not escaped")),
                _ => {}
            }
        }
        Ok(())
    }

    /// The merges, most urgent first: every split of every ordinary piece into two known pieces, ordered by the score
    /// of the merged piece (highest first), then by the ids of the left and of the right part. This is the order that
    /// the conversion in transformers 4.28 gives, checked against the published LLaMA merges.
    pub fn merges(&self) -> Result<Vec<(String, String)>> {
        let mut ids = HashMap::with_capacity(self.pieces.len());
        for (id, piece) in self.pieces.iter().enumerate() {
            if ids.insert(piece.text.as_str(), id).is_some() {
                return Err(malformed(format!("piece {id}, {:?}, occurs twice", piece.text)));
            }
        }
        let mut merges = Vec::new();
        for piece in self.pieces.iter().filter(|piece| piece.kind == PieceKind::Normal) {
            for (split, _) in piece.text.char_indices().skip(1) {
                let (left, right) = piece.text.split_at(split);
                if let (Some(&left), Some(&right)) = (ids.get(left), ids.get(right)) {
                    merges.push((piece.score, left, right));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        let text = |id: usize| self.pieces[id].text.clone();
        Ok(merges.into_iter().map(|(_, left, right)| (text(left), text(right))).collect())
    }
}

fn parse_piece(bytes: &[u8], id: usize) -> Result<Piece> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Normal };
    let mut message = Message(bytes);
    while let Some(field) = message.next()? {
        match field {
            (1, Value::Bytes(text)) => {
                let text = str::from_utf8(text).map_err(|_| malformed(format!("piece {id} is not UTF-8")))?;
                piece.text = text.to_owned();
            }
            (2, Value::Fixed32(bits)) => piece.score = f32::from_le_bytes(bits),
            (3, Value::Varint(kind)) => {
                piece.kind = match kind {
                    1 => PieceKind::Normal,
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    6 => PieceKind::Byte,
                    4 => return Err(unsupported("user-defined pieces")),
                    5 => return Err(unsupported("unused pieces")),
                    other => return Err(malformed(format!("piece {id} is of the unknown kind {other}"))),
                }
            }
            _ => {}
        }
    }
    if piece.text.is_empty() || piece.text.len() > LONGEST_PIECE {
        return Err(malformed(format!("piece {id} is {} bytes long", piece.text.len())));
    }
    if piece.score.is_nan() {
        return Err(malformed(format!("the score of piece {id} is not a number")));
    }
    Ok(piece)
}

fn malformed(why: impl std::fmt::Display) -> Error {
    Error::input(format!("not a usable SentencePiece model: {why}"))
        .remedy("check that the file was downloaded whole, and that it is not a Git LFS pointer")
}

fn unsupported(what: &str) -> Error {
    Error::input(format!("this SentencePiece model uses {what}, which is not supported"))
        .remedy("give the tokenizer as a tokenizer.json")
}

/// The unread rest of a protocol-buffer message.
struct Message<'a>(&'a [u8]);

enum Value<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Message<'a> {
    /// The next field's number and value, or `None` at the end.
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| malformed("a length is too large"))?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Fixed32([bytes[0], bytes[1], bytes[2], bytes[3]])
            }
            other => return Err(malformed(format!("wire type {other} is not known"))),
        };
        Ok(Some((key >> 3, value)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| malformed("it ends in the middle"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a number is too long"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
    }

    fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    /// A model file of LLaMA's layout whose ordinary pieces are those given, in order of decreasing score.
    pub(in super::super) fn model_file(ordinary: &[&str]) -> Vec<u8> {
        let piece = |text: &str, score: f32, kind: u64| {
            let score = [&[2 << 3 | 5][..], &score.to_le_bytes()].concat();
            field(1, &[field(1, text.as_bytes()), score, number(3, kind)].concat())
        };
        let mut bytes = [piece("<unk>", 0.0, 2), piece("<s>", 0.0, 3), piece("</s>", 0.0, 3)].concat();
        for byte in 0..=255 {
            bytes.extend(piece(&format!("<0x{byte:02X}>"), 0.0, 6));
        }
        for (rank, text) in ordinary.iter().enumerate() {
            bytes.extend(piece(text, -(rank as f32), 1));
        }
        bytes.extend(field(2, &[number(3, 2), number(35, 1)].concat()));
        bytes.extend(field(3, &[number(3, 1), number(4, 0)].concat()));
        bytes
    }

    #[test]
    fn pieces_flags_and_merges_are_read() {
        let model = SentencePieceModel::parse(&model_file(&["▁a", "ab", "▁ab", "▁", "a", "b"])).unwrap();
        assert_eq!(model.pieces.len(), 259 + 6);
        assert!(model.byte_fallback && model.add_dummy_prefix && !model.remove_extra_whitespaces);
        let merges: Vec<String> = model.merges().unwrap().iter().map(|(a, b)| format!("{a}+{b}")).collect();
        // The first piece has the score 0 and must not be lost; both splits of the third are merges.
        assert_eq!(merges, ["▁+a", "a+b", "▁a+b", "▁+ab"]);
    }

    #[test]
    fn other_models_are_refused_with_a_reason() {
        let unigram = [field(1, &field(1, b"a")), field(2, &number(3, 1))].concat();
        assert!(SentencePieceModel::parse(&unigram).unwrap_err().message().contains("BPE"));
        let twice = SentencePieceModel::parse(&model_file(&["a", "a"])).unwrap();
        assert!(twice.merges().unwrap_err().message().contains("twice"));
        assert!(SentencePieceModel::parse(b"").is_err());
        assert!(SentencePieceModel::parse(b"version https://git-lfs.github.com/spec/v1").is_err());
    }

    #[test]
    fn a_file_cut_anywhere_inside_its_pieces_is_refused() {
        let file = model_file(&["▁a", "a"]);
        for end in 0..file.len() - 10 {
            assert!(SentencePieceModel::parse(&file[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = SentencePieceModel::parse(&bytes);
        }

        #[test]
        fn a_changed_byte_never_panics(position in 0usize..6000, value: u8) {
            let mut file = model_file(&["▁a", "ab", "a", "b"]);
            let position = position % file.len();
            file[position] = value;
            let _ = SentencePieceModel::parse(&file).and_then(|model| model.merges());
        }
    }
}
