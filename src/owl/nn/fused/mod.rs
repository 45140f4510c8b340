//! Fused loops over f32 rows on the CPU, each with its backward.
//!
//! Every operation makes one pass over memory where a composition makes four to eight, and gives its gradient in
//! closed form. The loops are compiled for several instruction sets, of which the machine's is taken (`multiversion`);
//! rows are shared out over rayon's threads.

mod activations;
mod few_rows;
mod norms;
mod product;
mod quantized;
mod rotate;

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

pub use activations::{AddBias, QuickGelu, SiluMul};
pub use norms::{LayerNorm, RmsNorm};
pub use product::FrozenProduct;
pub use quantized::few_quantized_rows;
pub use rotate::Rotate;

/// The values of a contiguous f32 storage.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => candle_core::bail!("a fused operation needs contiguous rows"),
    }
}

/// Runs `with` on the values of a contiguous f32 tensor on the CPU.
pub(crate) fn with_values<T>(tensor: &Tensor, with: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => with(values(storage, layout)?),
        _ => candle_core::bail!("a fused operation needs a tensor on the CPU"),
    }
}

/// A new tensor of the shape of `like`.
pub(crate) fn tensor_like(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

pub(crate) fn output(values: Vec<f32>, shape: &Shape) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(values), shape.clone()))
}

/// The length of the last axis.
pub(crate) fn width(shape: &Shape) -> usize {
    shape.dims().last().copied().unwrap_or(1).max(1)
}

/// Values below which a loop is not worth sharing out over threads.
const SHARE_ABOVE: usize = 16 * 1024;

/// Rows that one task takes, so that a task is worth its hand-over.
pub(crate) fn rows_per_task(rows: usize, width: usize) -> usize {
    let threads = rayon::current_num_threads();
    if threads == 1 || rows * width < SHARE_ABOVE {
        return rows.max(1);
    }
    rows.div_ceil(threads * 4).max(1)
}

/// Calls `each(first_row, rows)` on chunks of `out`, in parallel.
pub(crate) fn for_rows(out: &mut [f32], width: usize, each: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = out.len() / width.max(1);
    let step = rows_per_task(rows, width);
    if step >= rows {
        return each(0, out);
    }
    out.par_chunks_mut(step * width).enumerate().for_each(|(task, chunk)| each(task * step, chunk));
}

/// e^x within 2 units in the last place for every finite result; without branches, so that loops over it vectorise
/// (Cephes' `expf`: range reduction by ln 2 in two parts, a polynomial of degree 6, scaling by bits).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.7);
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let scale = f32::from_bits((((n as i32) + 127) << 23) as u32);
    p * scale
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    #[test]
    fn exp_is_right_to_a_few_units_in_the_last_place() {
        let mut worst = 0f64;
        for step in -87_000..88_000 {
            let x = step as f32 * 1e-3;
            let exact = (x as f64).exp();
            worst = worst.max(((super::exp(x) as f64 - exact) / exact).abs());
        }
        assert!(worst < 2.5e-7, "{worst:e}");
        assert!(super::exp(f32::NEG_INFINITY) < 1e-37);
    }
}
