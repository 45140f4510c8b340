//! `x Wᵀ` for a few rows of `x` and a `W` in blocks of Q8_0, at the speed at which memory gives the weights.
//!
//! A block is 34 bytes: a scale in f16 and 32 values in i8, as GGUF has them. Candle's own product converts the scales of both
//! sides for every block it meets; here those of `x` are converted once. The sums are taken in candle's order, so that every
//! bit is that of candle's product, and it does not show which one was taken. For more rows candle's is quicker (eight rows of
//! the model in docs/speed.md: 111 tokens/s against 96).

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result, Tensor};
use half::f16;
use rayon::prelude::*;

/// Values and bytes of a block.
const VALUES: usize = 32;
const BYTES: usize = 34;

/// Numbers of rows for which this is quicker than candle's product.
const FEW: std::ops::RangeInclusive<usize> = 1..=2;

/// `[rows, out]` of `x` `[rows, in]` and a weight `[out, in]`; nothing where candle's own product is the one to take.
pub fn few_quantized_rows(x: &Tensor, weight: &QTensor) -> Result<Option<Tensor>> {
    let (Ok((rows, inner)), Ok((out, weight_inner))) = (x.dims2(), weight.shape().dims2()) else { return Ok(None) };
    let fits = weight.dtype() == GgmlDType::Q8_0 && x.dtype() == DType::F32 && inner == weight_inner && inner > 0;
    if !fits || !FEW.contains(&rows) || !matches!(x.device(), Device::Cpu) || !is_supported() {
        return Ok(None);
    }
    let rounded = QTensor::quantize(x, GgmlDType::Q8_0)?;
    let blocks = inner / VALUES;
    let x: Vec<Row> = rounded.data()?.chunks_exact(blocks * BYTES).map(Row::new).collect();
    let weight = weight.data()?;
    // Transposed: a task owns a range of outputs.
    let mut sums = vec![0f32; rows * out];
    let step = out.div_ceil(rayon::current_num_threads() * 8).max(1);
    sums.par_chunks_mut(step * rows).enumerate().for_each(|(task, sums)| {
        let first = task * step * blocks * BYTES;
        let weight = &weight[first..first + sums.len() / rows * blocks * BYTES];
        for (sums, weight) in sums.chunks_exact_mut(rows).zip(weight.chunks_exact(blocks * BYTES)) {
            output(sums, &x, weight.as_chunks().0);
        }
    });
    let transposed = Tensor::from_vec(sums, (out, rows), &Device::Cpu)?;
    Ok(Some(if rows == 1 { transposed.reshape((1, out))? } else { transposed.t()?.contiguous()? }))
}

/// A row of `x`, its scales apart from its values.
struct Row {
    scales: Vec<f32>,
    values: Vec<[i8; VALUES]>,
}

impl Row {
    fn new(bytes: &[u8]) -> Self {
        let (blocks, _) = bytes.as_chunks::<BYTES>();
        Self {
            scales: blocks.iter().map(|block| f16::from_le_bytes([block[0], block[1]]).to_f32()).collect(),
            values: blocks.iter().map(|block| std::array::from_fn(|at| block[2 + at] as i8)).collect(),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn is_supported() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn output(_: &mut [f32], _: &[Row], _: &[[u8; BYTES]]) {}

#[cfg(target_arch = "x86_64")]
fn is_supported() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("fma") && has!("f16c")
}

/// What one output is in every row.
#[cfg(target_arch = "x86_64")]
fn output(sums: &mut [f32], x: &[Row], weight: &[[u8; BYTES]]) {
    // SAFETY: `few_quantized_rows` has asked `is_supported`.
    unsafe { avx2::output(sums, x, weight) }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{BYTES, Row};

    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn output(sums: &mut [f32], x: &[Row], weight: &[[u8; BYTES]]) {
        match x {
            [first, second] => sums.copy_from_slice(&dots([first, second], weight)),
            _ => x.iter().zip(sums).for_each(|(row, sum)| [*sum] = dots([row], weight)),
        }
    }

    /// Dot products of a weight row with `N` rows.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn dots<const N: usize>(rows: [&Row; N], weight: &[[u8; BYTES]]) -> [f32; N] {
        assert!(rows.iter().all(|row| row.values.len() == weight.len() && row.scales.len() == weight.len()));
        let mut sums = [_mm256_setzero_ps(); N];
        for (at, block) in weight.iter().enumerate() {
            let scale = i32::from(u16::from_le_bytes([block[0], block[1]]));
            let scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(scale)));
            // SAFETY: a block holds 32 values behind the two bytes of its scale.
            let values = unsafe { _mm256_loadu_si256(block.as_ptr().add(2).cast()) };
            let magnitudes = _mm256_sign_epi8(values, values);
            for (sum, row) in sums.iter_mut().zip(rows) {
                // SAFETY: all rows are as long as the weight row, and 32 values are 32 bytes.
                let (own_scale, own) =
                    unsafe { (*row.scales.get_unchecked(at), _mm256_loadu_si256(row.values.as_ptr().add(at).cast())) };
                let pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(own, values));
                let fours = _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_set1_epi16(1), pairs));
                *sum = _mm256_fmadd_ps(_mm256_set1_ps(scale * own_scale), fours, *sum);
            }
        }
        sums.map(|lanes| total(lanes))
    }

    /// The sum of the lanes.
    #[target_feature(enable = "avx2")]
    fn total(lanes: __m256) -> f32 {
        let fours = _mm_add_ps(_mm256_extractf128_ps(lanes, 1), _mm256_castps256_ps128(lanes));
        let twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
        _mm_cvtss_f32(_mm_add_ss(twos, _mm_movehdup_ps(twos)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Module;
    use candle_core::quantized::QMatMul;

    use super::*;

    #[test]
    fn every_bit_is_that_of_candles_product() {
        for (rows, out, inner) in [(1, 1, 32), (1, 9, 64), (1, 64, 320), (2, 5, 64), (2, 1000, 96)] {
            let x = Tensor::randn(0f32, 1.0, (rows, inner), &Device::Cpu).unwrap();
            let weight = Tensor::randn(0f32, 0.05, (out, inner), &Device::Cpu).unwrap();
            let weight = std::sync::Arc::new(QTensor::quantize(&weight, GgmlDType::Q8_0).unwrap());
            let candles = QMatMul::from_arc(weight.clone()).unwrap().forward(&x).unwrap();
            match few_quantized_rows(&x, &weight).unwrap() {
                Some(few) => {
                    assert_eq!(few.to_vec2::<f32>().unwrap(), candles.to_vec2::<f32>().unwrap(), "{rows} {out} {inner}")
                }
                None => assert!(!is_supported()),
            }
        }
    }

    #[test]
    fn many_rows_and_other_blocks_are_left_to_candle() {
        let weight = Tensor::randn(0f32, 0.05, (4, 256), &Device::Cpu).unwrap();
        for (rows, dtype) in [(3, GgmlDType::Q8_0), (1, GgmlDType::Q4K)] {
            let x = Tensor::randn(0f32, 1.0, (rows, 256), &Device::Cpu).unwrap();
            let weight = QTensor::quantize(&weight, dtype).unwrap();
            assert!(few_quantized_rows(&x, &weight).unwrap().is_none());
        }
    }
}
