//! Normalisation of rows, with the gradients of input, weight and bias.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use super::{for_rows, output, rows_per_task, tensor_like, values, width, with_values};

/// Sum over a row in eight lanes, so that it vectorises.
#[inline(always)]
fn sum(row: &[f32], value: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; 8];
    let whole = row.len() / 8 * 8;
    for start in (0..whole).step_by(8) {
        for (lane, slot) in lanes.iter_mut().enumerate() {
            *slot += value(start + lane);
        }
    }
    let rest: f32 = (whole..row.len()).map(value).sum();
    lanes.iter().sum::<f32>() + rest
}

/// `x / sqrt(mean(x^2) + eps) * weight`.
pub struct RmsNorm {
    pub eps: f32,
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn rms_norm(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let inverse = inverse(x, eps);
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * inverse * weight;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn rms_norm_slope(out: &mut [f32], sums: &mut [f32], x: &[f32], weight: &[f32], grad: &[f32], eps: f32) {
    let width = weight.len();
    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(grad.chunks_exact(width));
    for ((out, x), grad) in rows {
        let inverse = inverse(x, eps);
        let mean = sum(x, |i| grad[i] * weight[i] * x[i]) * inverse / width as f32;
        for i in 0..width {
            let n = x[i] * inverse;
            out[i] = (grad[i] * weight[i] - n * mean) * inverse;
            sums[i] += grad[i] * n;
        }
    }
}

#[inline(always)]
fn inverse(row: &[f32], eps: f32) -> f32 {
    1.0 / (sum(row, |i| row[i] * row[i]) / row.len() as f32 + eps).sqrt()
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (values(s1, l1)?, values(s2, l2)?);
        let width = width(l1.shape());
        let mut out = vec![0f32; x.len()];
        for_rows(&mut out, width, |first, out| {
            rms_norm(out, &x[first * width..], weight, self.eps);
        });
        output(out, l1.shape())
    }

    /// With n = x / rms and g = grad * weight: dx = (g - n * mean(g n)) / rms, dw = sum over rows of grad * n.
    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = weight.elem_count();
        let mut grad_x = vec![0f32; x.elem_count()];
        let grad_weight = with_values(x, |x| {
            with_values(weight, |weight| {
                with_values(grad, |grad| {
                    Ok(backward_rows(&mut grad_x, width, 1, |first, out, sums| {
                        let range = first * width..first * width + out.len();
                        rms_norm_slope(out, sums, &x[range.clone()], weight, &grad[range], self.eps);
                    }))
                })
            })
        })?;
        Ok((Some(tensor_like(grad_x, x)?), Some(tensor_like(grad_weight, weight)?)))
    }
}

/// `(x - mean) / sqrt(var + eps) * weight + bias`.
pub struct LayerNorm {
    pub eps: f32,
}

/// The mean and the inverse standard deviation of a row.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let mean = sum(row, |i| row[i]) / row.len() as f32;
    let variance = sum(row, |i| (row[i] - mean) * (row[i] - mean)) / row.len() as f32;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn layer_norm(out: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
    let width = weight.len();
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let (mean, inverse) = moments(x, eps);
        for i in 0..width {
            out[i] = (x[i] - mean) * inverse * weight[i] + bias[i];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn layer_norm_slope(out: &mut [f32], sums: &mut [f32], x: &[f32], weight: &[f32], grad: &[f32], eps: f32) {
    let width = weight.len();
    let (sum_weight, sum_bias) = sums.split_at_mut(width);
    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(grad.chunks_exact(width));
    for ((out, x), grad) in rows {
        let (mean, inverse) = moments(x, eps);
        let mean_g = sum(x, |i| grad[i] * weight[i]) / width as f32;
        let mean_gn = sum(x, |i| grad[i] * weight[i] * (x[i] - mean)) * inverse / width as f32;
        for i in 0..width {
            let n = (x[i] - mean) * inverse;
            out[i] = (grad[i] * weight[i] - mean_g - n * mean_gn) * inverse;
            sum_weight[i] += grad[i] * n;
            sum_bias[i] += grad[i];
        }
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let width = width(l1.shape());
        let mut out = vec![0f32; x.len()];
        for_rows(&mut out, width, |first, out| {
            layer_norm(out, &x[first * width..], weight, bias, self.eps);
        });
        output(out, l1.shape())
    }

    /// With n = (x - mean) / sd and g = grad * weight: dx = (g - mean(g) - n * mean(g n)) / sd, dw = sum of grad * n,
    /// db = sum of grad.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = weight.elem_count();
        let mut grad_x = vec![0f32; x.elem_count()];
        let mut sums = with_values(x, |x| {
            with_values(weight, |weight| {
                with_values(grad, |grad| {
                    Ok(backward_rows(&mut grad_x, width, 2, |first, out, sums| {
                        let range = first * width..first * width + out.len();
                        layer_norm_slope(out, sums, &x[range.clone()], weight, &grad[range], self.eps);
                    }))
                })
            })
        })?;
        let grad_bias = sums.split_off(width);
        Ok((Some(tensor_like(grad_x, x)?), Some(tensor_like(sums, weight)?), Some(tensor_like(grad_bias, bias)?)))
    }
}

/// Calls `each(first_row, grad_rows, sums)` for chunks of rows and returns the sums (`kinds * width`) added up in the
/// order of the chunks, so that the result does not depend on which thread was quicker.
fn backward_rows(
    grad_x: &mut [f32],
    width: usize,
    kinds: usize,
    each: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let step = rows_per_task(grad_x.len() / width.max(1), width);
    let partial: Vec<Vec<f32>> = grad_x
        .par_chunks_mut(step * width)
        .enumerate()
        .map(|(task, chunk)| {
            let mut sums = vec![0f32; kinds * width];
            each(task * step, chunk, &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0f32; kinds * width];
    for sums in partial {
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    total
}
