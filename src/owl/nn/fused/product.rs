//! The product with a frozen weight.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Layout, MetalStorage, Result, Shape, Storage, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

/// Numbers of rows for which [`few_rows`] is quicker than the general product (`owleval bench` shows it): with one row
/// that one already reads weights as fast as memory gives them, with many it computes as fast as it can.
const FEW: std::ops::RangeInclusive<usize> = 2..=24;

/// `x Wᵀ` for `x` `[tokens, in]` and a `W` `[out, in]` that gets no gradient.
pub struct FrozenProduct {
    weight: Tensor,
}

impl FrozenProduct {
    pub fn new(weight: Tensor) -> Self {
        Self { weight }
    }

    /// Rows, columns of the result and the inner length.
    fn sizes(&self, layout: &Layout) -> Result<(usize, usize, usize)> {
        let (tokens, inner) = layout.shape().dims2()?;
        let (out, weight_inner) = self.weight.dims2()?;
        if inner != weight_inner {
            candle_core::bail!("a row of {inner} values meets a weight of {weight_inner}");
        }
        Ok((tokens, out, inner))
    }
}

/// The forward pass is the same on every backend: its own product, with the weight's axes exchanged.
macro_rules! forward {
    ($self:ident, $storage:ident, $layout:ident, $variant:ident) => {{
        let (tokens, out, inner) = $self.sizes($layout)?;
        let transposed = $self.weight.t()?;
        let (weight, weight_layout) = transposed.storage_and_layout();
        match &*weight {
            Storage::$variant(weight) => {
                let result = $storage.matmul(weight, (1, tokens, out, inner), $layout, weight_layout)?;
                Ok((result, Shape::from((tokens, out))))
            }
            _ => candle_core::bail!("input and weight live on different devices"),
        }
    }};
}

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen-product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, out, inner) = self.sizes(layout)?;
        if FEW.contains(&tokens) && storage.dtype() == DType::F32 {
            let x = super::values(storage, layout)?;
            let result = super::with_values(&self.weight, |weight| Ok(few_rows(x, weight, tokens, out, inner)))?;
            return Ok((CpuStorage::F32(result), Shape::from((tokens, out))));
        }
        forward!(self, storage, layout, Cpu)
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        forward!(self, storage, layout, Cuda)
    }

    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        forward!(self, storage, layout, Metal)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.contiguous()?.matmul(&self.weight)?))
    }
}

/// `x Wᵀ` for a few rows: each weight is read from memory once and meets all rows, four at a time.
fn few_rows(x: &[f32], weight: &[f32], rows: usize, out: usize, inner: usize) -> Vec<f32> {
    // Transposed: a task owns a range of outputs.
    let mut result = vec![0f32; rows * out];
    let step = out.div_ceil(rayon::current_num_threads() * 8).max(1);
    result.par_chunks_mut(step * rows).enumerate().for_each(|(task, chunk)| {
        let first = task * step * inner;
        few_rows_task(chunk, rows, x, &weight[first..first + chunk.len() / rows * inner]);
    });
    let mut y = vec![0f32; rows * out];
    for (column, sums) in result.chunks_exact(rows).enumerate() {
        for (row, sum) in sums.iter().enumerate() {
            y[row * out + column] = *sum;
        }
    }
    y
}

/// The sums `[outputs, rows]` of a range of outputs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn few_rows_task(sums: &mut [f32], rows: usize, x: &[f32], weight: &[f32]) {
    let inner = x.len() / rows;
    for (sums, weight) in sums.chunks_exact_mut(rows).zip(weight.chunks_exact(inner)) {
        let mut row = 0;
        while row + 4 <= rows {
            sums[row..row + 4].copy_from_slice(&dots::<4>(&x[row * inner..], weight));
            row += 4;
        }
        for row in row..rows {
            sums[row] = dots::<1>(&x[row * inner..], weight)[0];
        }
    }
}

/// Dot products of a weight row with `N` rows of `x`.
#[inline(always)]
fn dots<const N: usize>(x: &[f32], weight: &[f32]) -> [f32; N] {
    const LANES: usize = 16;
    let inner = weight.len();
    let rows: [&[f32]; N] = std::array::from_fn(|row| &x[row * inner..(row + 1) * inner]);
    let mut sums = [[0f32; LANES]; N];
    let whole = inner / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let weight = &weight[at..at + LANES];
        for (sums, row) in sums.iter_mut().zip(rows) {
            let row = &row[at..at + LANES];
            for lane in 0..LANES {
                sums[lane] += row[lane] * weight[lane];
            }
        }
    }
    std::array::from_fn(|row| {
        let rest: f32 = (whole..inner).map(|at| rows[row][at] * weight[at]).sum();
        sums[row].iter().sum::<f32>() + rest
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn few_rows_multiply_as_many_do() {
        for (rows, out, inner) in [(2, 5, 7), (4, 33, 64), (7, 16, 100), (24, 3, 31)] {
            let x = Tensor::randn(0f32, 1.0, (rows, inner), &Device::Cpu).unwrap();
            let weight = Tensor::randn(0f32, 1.0, (out, inner), &Device::Cpu).unwrap();
            let few = x.apply_op1(FrozenProduct::new(weight.clone())).unwrap();
            let general = x.matmul(&weight.t().unwrap()).unwrap();
            let difference = (few - general).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-4, "{rows} x {out} x {inner}");
        }
    }
}
