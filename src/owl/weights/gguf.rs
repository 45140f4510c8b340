//! One file for a whole quantised model: GGUF (version 3) with the tensors under the names of the Hugging Face
//! checkpoint, and the files beside the weights (configuration, processor, tokenizer) as strings in its metadata.
//!
//! Layout: the letters GGUF, version, counts, metadata, then name, dimensions (innermost first), type and offset of every
//! tensor, then the values, each tensor aligned to 32 bytes. Source: the GGUF specification of the ggml project.

use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use candle_core::quantized::GgmlDType;

use super::byte_reader::{ByteReader, Reading};
use super::checkpoint::Checkpoint;
use super::file::{Contents, Encoding, Entry, GgmlName, within};
use super::{Quantization, convert, export, is_language_linear};
use crate::error::{Error, IoContext, Result};

const ALIGNMENT: usize = 32;
const MOST_DIMENSIONS: u32 = 4;

/// Metadata keys of the files beside the weights: the file's name follows.
const TEXT_FILE: &str = "owleval.file.";
/// The same for files that are not text: base64.
const BINARY_FILE: &str = "owleval.file_base64.";

/// The numbers of GGML's types that this program reads and writes.
const TYPES: [(u32, GgmlDType); 14] = [
    (0, GgmlDType::F32),
    (1, GgmlDType::F16),
    (2, GgmlDType::Q4_0),
    (3, GgmlDType::Q4_1),
    (6, GgmlDType::Q5_0),
    (7, GgmlDType::Q5_1),
    (8, GgmlDType::Q8_0),
    (10, GgmlDType::Q2K),
    (11, GgmlDType::Q3K),
    (12, GgmlDType::Q4K),
    (13, GgmlDType::Q5K),
    (14, GgmlDType::Q6K),
    (15, GgmlDType::Q8K),
    (30, GgmlDType::BF16),
];

/// Reads the metadata and the places of the tensors.
pub(super) fn read(bytes: &[u8]) -> Reading<Contents> {
    let mut reader = ByteReader::new(bytes);
    reader.take(4)?;
    let version = reader.u32()?;
    if !matches!(version, 2 | 3) {
        return Err(format!("its version is {version}; 2 and 3 can be read"));
    }
    let tensors = reader.u64()?;
    let pairs = reader.u64()?;
    let mut contents = Contents::default();
    let mut alignment = ALIGNMENT;
    for _ in 0..pairs {
        let key = text(&mut reader)?;
        match reader.u32()? {
            8 => {
                let value = text(&mut reader)?;
                contents.strings.insert(key.to_owned(), value.to_owned());
            }
            4 if key == "general.alignment" => alignment = reader.u32()? as usize,
            kind => skip_value(&mut reader, kind)?,
        }
    }
    if !alignment.is_power_of_two() || alignment < 8 {
        return Err(format!("its alignment {alignment} is not a power of two of 8 or more"));
    }
    let mut found = Vec::new();
    for _ in 0..tensors {
        let name = text(&mut reader)?.to_owned();
        let dimensions = reader.u32()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(format!("tensor {name:?} has {dimensions} dimensions, at most {MOST_DIMENSIONS} are possible"));
        }
        let mut shape = (0..dimensions).map(|_| reader.size()).collect::<Reading<Vec<_>>>()?;
        shape.reverse();
        let kind = reader.u32()?;
        let encoding = match TYPES.iter().find(|(number, _)| *number == kind) {
            Some((_, GgmlDType::F32)) => Encoding::F32,
            Some((_, GgmlDType::F16)) => Encoding::F16,
            Some((_, GgmlDType::BF16)) => Encoding::BF16,
            Some((_, blocks)) => Encoding::Blocks(GgmlName(*blocks)),
            None => return Err(format!("tensor {name:?} is of the unknown type {kind}")),
        };
        found.push((name, encoding, shape, reader.size()?));
    }
    let data = reader.position().next_multiple_of(alignment);
    for (name, encoding, shape, offset) in found {
        let length = encoding
            .bytes_of(&shape)
            .ok_or_else(|| format!("tensor {name:?}: {encoding} cannot have the shape {shape:?}"))?;
        let start = data.checked_add(offset).ok_or_else(|| format!("tensor {name:?} lies beyond any file"))?;
        within(start, length, bytes.len(), &name)?;
        if offset % alignment != 0 {
            return Err(format!("tensor {name:?} is not aligned"));
        }
        let entry = Entry { encoding, shape, strides: None, start, length };
        if contents.entries.insert(name.clone(), entry).is_some() {
            return Err(format!("tensor {name:?} occurs twice"));
        }
    }
    Ok(contents)
}

fn text<'a>(reader: &mut ByteReader<'a>) -> Reading<&'a str> {
    let length = reader.size()?;
    reader.text(length)
}

/// Skips a metadata value of one of GGUF's types.
fn skip_value(reader: &mut ByteReader<'_>, kind: u32) -> Reading<()> {
    if kind == 9 {
        let (kind, length) = (reader.u32()?, reader.u64()?);
        // Arrays of arrays are possible in theory and occur nowhere.
        if kind == 9 {
            return Err("an array holds arrays".into());
        }
        for _ in 0..length {
            skip_value(reader, kind)?;
        }
        return Ok(());
    }
    match kind {
        0 | 1 | 7 => reader.take(1).map(drop),
        2 | 3 => reader.take(2).map(drop),
        4..=6 => reader.take(4).map(drop),
        10..=12 => reader.take(8).map(drop),
        8 => text(reader).map(drop),
        other => Err(format!("a metadata value is of the unknown type {other}")),
    }
}

/// The content of a file beside the weights, where the strings of a GGUF file hold it.
pub(super) fn side_file(contents: &Contents, name: &str) -> Result<Option<Vec<u8>>> {
    if let Some(text) = contents.strings.get(&format!("{TEXT_FILE}{name}")) {
        return Ok(Some(text.clone().into_bytes()));
    }
    match contents.strings.get(&format!("{BINARY_FILE}{name}")) {
        Some(encoded) => BASE64
            .decode(encoded)
            .map(Some)
            .map_err(|error| Error::input(format!("the embedded file {name:?} is damaged")).source(error)),
        None => Ok(None),
    }
}

/// What [`quantize`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantizeOptions {
    /// For the language model's linear layers.
    pub language: Quantization,
    /// Writes every other matrix (vision tower, abstractor, embeddings) as f16 instead of f32. Norms and biases are
    /// always f32.
    pub half: bool,
}

impl QuantizeOptions {
    fn encoding(&self, name: &str, shape: &[usize]) -> Encoding {
        if is_language_linear(name) && Quantization::fits(shape) {
            Encoding::Blocks(GgmlName(self.language.ggml()))
        } else if self.half && shape.len() > 1 {
            Encoding::F16
        } else {
            Encoding::F32
        }
    }
}

/// Writes a checkpoint into one GGUF file that loads mapped, one tensor in memory at a time.
///
/// Returns the names of the language model's matrices whose shape cannot be quantised (see [`Quantization::fits`]).
///
/// # Errors
/// A checkpoint that is quantised already; a file that cannot be written.
pub fn quantize(checkpoint: &Checkpoint, out: &Path, options: QuantizeOptions) -> Result<Vec<String>> {
    checkpoint.refuse_loose_adapter()?;
    let tensors: Vec<(String, Vec<usize>, Encoding)> = checkpoint
        .weights()
        .map(|(name, found)| {
            if matches!(found.encoding, Encoding::Blocks(_)) {
                return Err(Error::input(format!("tensor {name:?} is quantised already ({})", found.encoding))
                    .at(checkpoint.place())
                    .remedy("quantise the original checkpoint"));
            }
            let encoding = options.encoding(name, &found.shape);
            Ok((name.to_owned(), found.shape.clone(), encoding))
        })
        .collect::<Result<_>>()?;
    let left: Vec<String> = tensors
        .iter()
        .filter(|(name, _, encoding)| is_language_linear(name) && !matches!(encoding, Encoding::Blocks(_)))
        .map(|(name, ..)| name.clone())
        .collect();

    let mut strings = vec![
        ("general.architecture".to_owned(), "mplug-owl".to_owned()),
        ("owleval.quantization".to_owned(), options.language.name().to_owned()),
        ("owleval.source_sha256".to_owned(), checkpoint.weights_sha256()?),
    ];
    for file in checkpoint.side_files()? {
        strings.push(match String::from_utf8(file.content) {
            Ok(text) => (format!("{TEXT_FILE}{}", file.name), text),
            Err(binary) => (format!("{BINARY_FILE}{}", file.name), BASE64.encode(binary.as_bytes())),
        });
    }

    let header = header(&strings, &tensors)?;
    export::write_whole(out, |to| {
        to.write_all(&header).or_at("cannot write", out)?;
        for (name, shape, encoding) in &tensors {
            let values = checkpoint.values(name)?;
            let bytes = match encoding {
                Encoding::Blocks(_) => convert::quantize(&values, options.language)?,
                _ => convert::encode(&values, encoding)?,
            };
            debug_assert_eq!(Some(bytes.len()), encoding.bytes_of(shape));
            to.write_all(&bytes).or_at("cannot write", out)?;
            to.write_all(&padding(bytes.len())).or_at("cannot write", out)?;
        }
        Ok(())
    })?;
    checkpoint.end_progress();
    Ok(left)
}

/// Everything before the values, with the padding that aligns them.
fn header(strings: &[(String, String)], tensors: &[(String, Vec<usize>, Encoding)]) -> Result<Vec<u8>> {
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((strings.len() as u64).to_le_bytes());
    for (key, value) in strings {
        put_text(&mut header, key);
        header.extend(8u32.to_le_bytes());
        put_text(&mut header, value);
    }
    let mut offset = 0usize;
    for (name, shape, encoding) in tensors {
        put_text(&mut header, name);
        header.extend((shape.len() as u32).to_le_bytes());
        for dimension in shape.iter().rev() {
            header.extend((*dimension as u64).to_le_bytes());
        }
        let dtype = match encoding {
            Encoding::F16 => GgmlDType::F16,
            Encoding::Blocks(GgmlName(dtype)) => *dtype,
            _ => GgmlDType::F32,
        };
        let (number, _) = TYPES.iter().find(|(_, known)| *known == dtype).unwrap_or(&TYPES[0]);
        header.extend(number.to_le_bytes());
        header.extend((offset as u64).to_le_bytes());
        let length = encoding
            .bytes_of(shape)
            .ok_or_else(|| Error::input(format!("tensor {name:?} cannot be written with the shape {shape:?}")))?;
        offset += length.next_multiple_of(ALIGNMENT);
    }
    header.extend(padding(header.len()));
    Ok(header)
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}

fn padding(length: usize) -> Vec<u8> {
    vec![0; length.next_multiple_of(ALIGNMENT) - length]
}
