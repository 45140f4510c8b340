//! One weight file: its bytes, mapped or embedded, and where in them each tensor lies. The readers of the formats fill
//! in the tensors; everything after them is the same for all formats.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;

use super::byte_reader::Reading;
use crate::error::{Error, IoContext, Result};

/// How the values of a tensor are written in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    F32,
    F16,
    BF16,
    F64,
    /// Quantised, in one of GGML's block formats.
    Blocks(GgmlName),
    /// Something that is no weight (integers, booleans): only buffers may be of such a type.
    Other(String),
}

/// A block format, ordered by name so that encodings can be counted in a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GgmlName(pub GgmlDType);

impl PartialOrd for GgmlName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GgmlName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        format!("{:?}", self.0).cmp(&format!("{:?}", other.0))
    }
}

impl std::ops::Deref for GgmlName {
    type Target = GgmlDType;

    fn deref(&self) -> &GgmlDType {
        &self.0
    }
}

impl Encoding {
    /// Elements in a block and bytes of a block; (1, width) for dense types and (1, 0) for those of unknown width.
    pub(super) fn block(&self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::F64 => (1, 8),
            Self::Blocks(dtype) => (dtype.block_size(), dtype.type_size()),
            Self::Other(_) => (1, 0),
        }
    }

    /// Bytes that a tensor of `shape` takes; none where that is unknown, overflows or leaves a broken block.
    pub(super) fn bytes_of(&self, shape: &[usize]) -> Option<usize> {
        let elements = shape.iter().try_fold(1usize, |product, dimension| product.checked_mul(*dimension))?;
        let (block, width) = self.block();
        if width == 0 || !shape.last().unwrap_or(&1).is_multiple_of(block) {
            return None;
        }
        (elements / block).checked_mul(width)
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::F32 => f.write_str("f32"),
            Self::F16 => f.write_str("f16"),
            Self::BF16 => f.write_str("bf16"),
            Self::F64 => f.write_str("f64"),
            Self::Blocks(GgmlName(GgmlDType::Q4K)) => f.write_str("q4_k"),
            Self::Blocks(GgmlName(dtype)) => write!(f, "{}", format!("{dtype:?}").to_lowercase()),
            Self::Other(name) => write!(f, "{name}"),
        }
    }
}

/// Where a tensor lies in its file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) encoding: Encoding,
    pub(super) shape: Vec<usize>,
    /// Distances between neighbours along each dimension, in elements, where the values do not lie in row-major order
    /// (PyTorch saves transposed views as they are).
    pub(super) strides: Option<Vec<usize>>,
    pub(super) start: usize,
    pub(super) length: usize,
}

impl Entry {
    pub(super) fn elements(&self) -> usize {
        // Every reader has checked that the product does not overflow.
        self.shape.iter().product()
    }
}

/// Which reader a file takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Safetensors,
    PyTorch,
    Gguf,
}

enum Bytes {
    Mapped(memmap2::Mmap),
    Embedded(&'static [u8]),
}

/// What a reader finds in a file.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) entries: BTreeMap<String, Entry>,
    /// Strings that a GGUF file carries beside its tensors.
    pub(super) strings: BTreeMap<String, String>,
}

/// An opened weight file: headers read, tensors untouched.
pub(super) struct WeightFile {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) contents: Contents,
    bytes: Bytes,
}

impl WeightFile {
    /// Maps a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).or_at("cannot open the weights", path)?;
        if file.metadata().or_at("cannot open the weights", path)?.len() == 0 {
            return Err(Error::input("the file is empty").at(path).remedy(AGAIN));
        }
        // SAFETY: the map is read only. As with every mapped file, another process that truncates it meanwhile would
        // end this one; weights are not edited in place.
        let map = unsafe { memmap2::Mmap::map(&file) }.or_at("cannot map the weights", path)?;
        Self::read(path.to_owned(), Bytes::Mapped(map))
    }

    /// Weights that are part of the program; `label` stands for a path in messages.
    pub(super) fn embedded(label: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::read(PathBuf::from(label), Bytes::Embedded(bytes))
    }

    fn read(path: PathBuf, bytes: Bytes) -> Result<Self> {
        let content: &[u8] = match &bytes {
            Bytes::Mapped(map) => map,
            Bytes::Embedded(bytes) => bytes,
        };
        let (format, contents) = match content {
            [b'G', b'G', b'U', b'F', ..] => (Format::Gguf, super::gguf::read(content)),
            [b'P', b'K', ..] => (Format::PyTorch, super::pytorch::read(content)),
            _ if path.extension().is_some_and(|extension| extension == "gguf") => {
                (Format::Gguf, Err("it does not begin with the letters GGUF".into()))
            }
            _ if path.extension().is_some_and(|extension| ["bin", "pth", "pt"].iter().any(|e| extension == *e)) => {
                return Err(Error::input("this is no PyTorch file of the zip format").at(path).remedy(
                    "download it again if it was cut; a file saved by PyTorch before 1.6 has to be loaded and saved \
                     once with a newer PyTorch",
                ));
            }
            _ => (Format::Safetensors, super::safetensors::read(content)),
        };
        let contents = contents.map_err(|problem: String| {
            let format = match format {
                Format::Safetensors => "safetensors",
                Format::PyTorch => "PyTorch",
                Format::Gguf => "GGUF",
            };
            Error::input(format!("the {format} file cannot be read: {problem}")).at(&path).remedy(AGAIN)
        })?;
        Ok(Self { path, format, contents, bytes })
    }

    /// The whole file.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Embedded(bytes) => bytes,
        }
    }

    /// The tensor's values, row-major.
    pub(super) fn values(&self, entry: &Entry) -> Cow<'_, [u8]> {
        // Every reader has checked that the range lies within the file.
        let stored = &self.bytes()[entry.start..entry.start + entry.length];
        match &entry.strides {
            None => Cow::Borrowed(stored),
            Some(strides) => Cow::Owned(gather(stored, &entry.shape, strides, entry.encoding.block().1)),
        }
    }

    /// Tells the system that a tensor's pages will not be needed again, so that they no longer count as the process's
    /// memory beside the tensor made of them.
    pub(super) fn release(&self, entry: &Entry) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.bytes {
            // SAFETY: the map is private, read only and backed by the file: dropped pages are read again when touched.
            let released =
                unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, entry.start, entry.length) };
            if let Err(error) = released {
                tracing::debug!(%error, "the pages of a loaded tensor could not be given back");
            }
        }
        #[cfg(not(unix))]
        let _ = entry;
    }
}

const AGAIN: &str =
    "the file is probably cut short or damaged: download or copy it again, and compare its size and sha256";

/// Values in row-major order from values that lie `strides` apart; the reader has checked the extent.
fn gather(stored: &[u8], shape: &[usize], strides: &[usize], width: usize) -> Vec<u8> {
    let elements: usize = shape.iter().product();
    let mut gathered = Vec::with_capacity(elements * width);
    let mut index = vec![0usize; shape.len()];
    for _ in 0..elements {
        let at: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>() * width;
        gathered.extend_from_slice(&stored[at..at + width]);
        for dimension in (0..shape.len()).rev() {
            index[dimension] += 1;
            if index[dimension] < shape[dimension] {
                break;
            }
            index[dimension] = 0;
        }
    }
    gathered
}

/// Checks that a range lies within `total` bytes.
pub(super) fn within(start: usize, length: usize, total: usize, name: &str) -> Reading<()> {
    match start.checked_add(length) {
        Some(end) if end <= total => Ok(()),
        _ => Err(format!("tensor {name:?} takes {length} bytes from byte {start} on, but the file ends at {total}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_view_is_gathered_row_by_row() {
        let stored: Vec<u8> = (0..6).collect();
        // [3, 2] as the transpose of a stored [2, 3].
        assert_eq!(gather(&stored, &[3, 2], &[1, 3], 1), [0, 3, 1, 4, 2, 5]);
        assert_eq!(gather(&stored, &[], &[], 1), [0]);
        assert_eq!(gather(&stored, &[0, 2], &[1, 3], 1), [0u8; 0]);
    }

    #[test]
    fn sizes_that_overflow_or_break_a_block_are_unknown() {
        assert_eq!(Encoding::F32.bytes_of(&[usize::MAX, 2]), None);
        assert_eq!(Encoding::Blocks(GgmlName(GgmlDType::Q8_0)).bytes_of(&[4, 48]), None);
        assert_eq!(Encoding::Blocks(GgmlName(GgmlDType::Q8_0)).bytes_of(&[4, 64]), Some(4 * 2 * 34));
    }
}
