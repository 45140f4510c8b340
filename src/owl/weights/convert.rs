//! From the bytes of a tensor as it lies in a file to values in memory: in parallel, chunk by chunk, with no copy of the
//! whole in between.

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;
use std::borrow::Cow;

use super::Quantization;
use super::file::Encoding;
use crate::error::{Error, Result};

/// Elements converted at a time: 16 KiB of f32 stay in the first-level cache.
const CHUNK: usize = 4096;

/// Elements quantised at a time: a multiple of every block size.
const QUANTIZE_CHUNK: usize = 64 * 1024;

/// What GGML's blocks need: the widest field of any of them is an f32.
const BLOCK_ALIGNMENT: usize = 4;

/// A type of which a dense tensor can be made.
trait Element: candle_core::WithDType + Default + Send + Sync {
    /// Decodes `from`, as many elements as `to` has.
    fn decode(encoding: &Encoding, from: &[u8], to: &mut [Self]);
}

impl Element for f32 {
    fn decode(encoding: &Encoding, from: &[u8], to: &mut [f32]) {
        match encoding {
            Encoding::F32 => {
                for (value, bytes) in to.iter_mut().zip(from.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Encoding::BF16 => {
                for (value, bytes) in to.iter_mut().zip(from.as_chunks::<2>().0) {
                    *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                }
            }
            Encoding::F16 => {
                // By way of a small array of halves, because the bytes of a file need not be aligned to two.
                let mut halves = [f16::ZERO; 256];
                for (values, bytes) in to.chunks_mut(256).zip(from.chunks(512)) {
                    for (half, pair) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
                        *half = f16::from_le_bytes(*pair);
                    }
                    halves[..values.len()].convert_to_f32_slice(values);
                }
            }
            Encoding::F64 => {
                for (value, bytes) in to.iter_mut().zip(from.as_chunks::<8>().0) {
                    *value = f64::from_le_bytes(*bytes) as f32;
                }
            }
            Encoding::Blocks(_) | Encoding::Other(_) => unreachable!("the caller decodes dense encodings only"),
        }
    }
}

macro_rules! half_element {
    ($half:ty, $same:pat) => {
        impl Element for $half {
            fn decode(encoding: &Encoding, from: &[u8], to: &mut [$half]) {
                if matches!(encoding, $same) {
                    for (value, bytes) in to.iter_mut().zip(from.as_chunks::<2>().0) {
                        *value = <$half>::from_le_bytes(*bytes);
                    }
                } else {
                    let mut values = [0f32; CHUNK];
                    let values = &mut values[..to.len()];
                    f32::decode(encoding, from, values);
                    to.convert_from_f32_slice(values);
                }
            }
        }
    };
}

half_element!(f16, Encoding::F16);
half_element!(bf16, Encoding::BF16);

/// All elements of a dense tensor.
fn elements<T: Element>(encoding: &Encoding, width: usize, bytes: &[u8]) -> Vec<T> {
    let mut values = vec![T::default(); bytes.len() / width];
    values
        .par_chunks_mut(CHUNK)
        .zip(bytes.par_chunks(CHUNK * width))
        .for_each(|(to, from)| T::decode(encoding, from, to));
    values
}

/// Every value as f32, in row-major order; block formats are dequantised.
pub(super) fn to_f32(encoding: &Encoding, shape: &[usize], bytes: &[u8]) -> Result<Vec<f32>> {
    match encoding {
        Encoding::Blocks(_) => {
            let tensor = quantized(encoding, shape, bytes, &Device::Cpu)?.dequantize(&Device::Cpu)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        }
        _ => Ok(elements(encoding, dense_width(encoding)?, bytes)),
    }
}

/// A dense tensor of `dtype` on `device`.
pub(super) fn to_tensor(
    encoding: &Encoding,
    shape: &[usize],
    bytes: &[u8],
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    if matches!(encoding, Encoding::Blocks(_)) {
        return Ok(quantized(encoding, shape, bytes, device)?.dequantize(device)?.to_dtype(dtype)?);
    }
    let width = dense_width(encoding)?;
    Ok(match dtype {
        DType::F32 => Tensor::from_vec(elements::<f32>(encoding, width, bytes), shape, device)?,
        DType::F16 => Tensor::from_vec(elements::<f16>(encoding, width, bytes), shape, device)?,
        DType::BF16 => Tensor::from_vec(elements::<bf16>(encoding, width, bytes), shape, device)?,
        other => Tensor::from_vec(elements::<f32>(encoding, width, bytes), shape, device)?.to_dtype(other)?,
    })
}

/// The tensor as it is, in the file's own block format.
pub(super) fn quantized(encoding: &Encoding, shape: &[usize], bytes: &[u8], device: &Device) -> Result<QTensor> {
    let Encoding::Blocks(dtype) = encoding else {
        return Err(Error::failed(format!("a tensor of {encoding} is not in blocks")));
    };
    // candle asserts alignment and whole blocks. `gguf.rs` has checked the blocks, and the offsets within the file; bytes
    // that are embedded in the program may still begin at any address.
    let aligned = if bytes.as_ptr().addr().is_multiple_of(BLOCK_ALIGNMENT) {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(bytes.to_vec())
    };
    let storage = QStorage::from_data(aligned, device, dtype.0)?;
    Ok(QTensor::new(storage, shape)?)
}

/// Quantises row-major values `[rows, columns]`: the bytes of the blocks, in order. Each block depends on its own
/// values only, so that chunks give the bytes that the whole would give.
pub(super) fn quantize(values: &[f32], quantization: Quantization) -> Result<Vec<u8>> {
    let dtype = quantization.ggml();
    let mut blocks = vec![0u8; values.len() / dtype.block_size() * dtype.type_size()];
    blocks
        .par_chunks_mut(QUANTIZE_CHUNK / dtype.block_size() * dtype.type_size())
        .zip(values.par_chunks(QUANTIZE_CHUNK))
        .try_for_each(|(to, from)| -> Result<()> {
            let chunk = Tensor::from_slice(from, (1, from.len()), &Device::Cpu)?;
            to.copy_from_slice(&QTensor::quantize(&chunk, dtype)?.data()?);
            Ok(())
        })?;
    Ok(blocks)
}

/// The bytes of values in a dense encoding.
pub(super) fn encode(values: &[f32], encoding: &Encoding) -> Result<Vec<u8>> {
    let width = dense_width(encoding)?;
    let mut bytes = vec![0u8; values.len() * width];
    let write = |(to, from): (&mut [u8], &[f32])| match encoding {
        Encoding::F16 => {
            for (bytes, value) in to.as_chunks_mut::<2>().0.iter_mut().zip(from) {
                *bytes = f16::from_f32(*value).to_le_bytes();
            }
        }
        Encoding::BF16 => {
            for (bytes, value) in to.as_chunks_mut::<2>().0.iter_mut().zip(from) {
                *bytes = bf16::from_f32(*value).to_le_bytes();
            }
        }
        Encoding::F64 => {
            for (bytes, value) in to.as_chunks_mut::<8>().0.iter_mut().zip(from) {
                *bytes = f64::from(*value).to_le_bytes();
            }
        }
        _ => {
            for (bytes, value) in to.as_chunks_mut::<4>().0.iter_mut().zip(from) {
                *bytes = value.to_le_bytes();
            }
        }
    };
    bytes.par_chunks_mut(CHUNK * width).zip(values.par_chunks(CHUNK)).for_each(write);
    Ok(bytes)
}

/// Bytes an element of a dense floating-point encoding.
fn dense_width(encoding: &Encoding) -> Result<usize> {
    match encoding {
        Encoding::F32 | Encoding::F16 | Encoding::BF16 | Encoding::F64 => Ok(encoding.block().1),
        other => Err(Error::input(format!("values of type {other} cannot be used as weights"))
            .remedy("convert the checkpoint to float32, float16 or bfloat16")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for several chunks and a remainder.
    fn values() -> Vec<f32> {
        (0..CHUNK * 2 + 77).map(|i| ((i * 7919) % 2003) as f32 / 64.0 - 15.0).collect()
    }

    #[test]
    fn every_dense_encoding_decodes_to_what_half_says_also_from_odd_addresses() {
        let values = values();
        for encoding in [Encoding::F32, Encoding::F16, Encoding::BF16, Encoding::F64] {
            let bytes = encode(&values, &encoding).unwrap();
            let mut shifted = vec![0u8];
            shifted.extend(&bytes);
            let expected: Vec<f32> = match encoding {
                Encoding::F16 => values.iter().map(|v| f16::from_f32(*v).to_f32()).collect(),
                Encoding::BF16 => values.iter().map(|v| bf16::from_f32(*v).to_f32()).collect(),
                _ => values.clone(),
            };
            assert_eq!(to_f32(&encoding, &[values.len()], &shifted[1..]).unwrap(), expected, "{encoding}");
        }
    }

    #[test]
    fn halves_keep_their_bits_when_the_dtype_stays() {
        let values = values();
        for (encoding, dtype) in [(Encoding::F16, DType::F16), (Encoding::BF16, DType::BF16)] {
            let bytes = encode(&values, &encoding).unwrap();
            let tensor = to_tensor(&encoding, &[values.len()], &bytes, dtype, &Device::Cpu).unwrap();
            assert_eq!(tensor.dtype(), dtype);
            let back: Vec<f32> = tensor.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
            assert_eq!(back, to_f32(&encoding, &[values.len()], &bytes).unwrap());
        }
    }

    #[test]
    fn quantising_in_chunks_gives_the_bytes_of_the_whole() {
        let values: Vec<f32> = (0..QUANTIZE_CHUNK + 512).map(|i| (i as f32 * 0.37).sin()).collect();
        let whole = Tensor::from_slice(&values, (1, values.len()), &Device::Cpu).unwrap();
        for quantization in [Quantization::Q8_0, Quantization::Q4K] {
            let expected = QTensor::quantize(&whole, quantization.ggml()).unwrap();
            assert_eq!(quantize(&values, quantization).unwrap(), expected.data().unwrap().as_ref());
        }
    }
}
