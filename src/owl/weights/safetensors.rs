//! The safetensors format: a JSON header that names each tensor's type, shape and range, then the values.

use ::safetensors::{Dtype, SafeTensors};

use super::byte_reader::Reading;
use super::file::{Contents, Encoding, Entry, within};

/// Bytes before the header: its length.
const LENGTH_BYTES: usize = 8;

/// Reads the header; the library has checked that the ranges are gapless and end where the file ends.
pub(super) fn read(bytes: &[u8]) -> Reading<Contents> {
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let mut contents = Contents::default();
    for (name, info) in metadata.tensors() {
        let (start, end) = info.data_offsets;
        let start = start.saturating_add(LENGTH_BYTES + header);
        let length = end.saturating_sub(info.data_offsets.0);
        within(start, length, bytes.len(), &name)?;
        let encoding = match info.dtype {
            Dtype::F32 => Encoding::F32,
            Dtype::F16 => Encoding::F16,
            Dtype::BF16 => Encoding::BF16,
            Dtype::F64 => Encoding::F64,
            other => Encoding::Other(other.to_string()),
        };
        contents.entries.insert(name, Entry { encoding, shape: info.shape.clone(), strides: None, start, length });
    }
    Ok(contents)
}

/// The library's name of an encoding that safetensors can hold.
pub(super) fn dtype_of(encoding: &Encoding) -> Option<Dtype> {
    match encoding {
        Encoding::F32 => Some(Dtype::F32),
        Encoding::F16 => Some(Dtype::F16),
        Encoding::BF16 => Some(Dtype::BF16),
        Encoding::F64 => Some(Dtype::F64),
        Encoding::Blocks(_) | Encoding::Other(_) => None,
    }
}
