//! Elementwise activations and the addition of a bias.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::{exp, for_rows, output, sigmoid, tensor_like, values, width, with_values};

/// Elementwise loops are shared out in lines of this many values.
const LINE: usize = 1024;

fn line(length: usize) -> usize {
    if length.is_multiple_of(LINE) { LINE } else { 1 }
}

/// Calls `each(range, out)` for ranges of `out`, in parallel.
fn for_ranges(out: &mut [f32], each: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync) {
    let line = line(out.len());
    for_rows(out, line, |first, out| each(first * line..first * line + out.len(), out));
}

/// `silu(gate) * up`.
pub struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (values(s1, l1)?, values(s2, l2)?);
        let mut out = vec![0f32; gate.len()];
        for_ranges(&mut out, |range, out| silu_mul(out, &gate[range.clone()], &up[range]));
        output(out, l1.shape())
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grad_gate = vec![0f32; gate.elem_count()];
        let mut grad_up = vec![0f32; gate.elem_count()];
        with_values(gate, |gate| {
            with_values(up, |up| {
                with_values(grad, |grad| {
                    for_ranges(&mut grad_gate, |range, out| {
                        silu_mul_gate(out, &gate[range.clone()], &up[range.clone()], &grad[range]);
                    });
                    for_ranges(&mut grad_up, |range, out| silu_mul(out, &gate[range.clone()], &grad[range]));
                    Ok(())
                })
            })
        })?;
        Ok((Some(tensor_like(grad_gate, gate)?), Some(tensor_like(grad_up, up)?)))
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn silu_mul(out: &mut [f32], gate: &[f32], up: &[f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate * sigmoid(*gate) * up;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn silu_mul_gate(out: &mut [f32], gate: &[f32], up: &[f32], grad: &[f32]) {
    for (((out, gate), up), grad) in out.iter_mut().zip(gate).zip(up).zip(grad) {
        let s = sigmoid(*gate);
        *out = grad * up * s * (1.0 + gate * (1.0 - s));
    }
}

/// `x * sigmoid(1.702 x)`.
pub struct QuickGelu;

const QUICK: f32 = 1.702;

impl CustomOp1 for QuickGelu {
    fn name(&self) -> &'static str {
        "quick-gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut out = vec![0f32; x.len()];
        for_ranges(&mut out, |range, out| quick_gelu(out, &x[range]));
        output(out, layout.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut out = vec![0f32; x.elem_count()];
        with_values(x, |x| {
            with_values(grad, |grad| {
                for_ranges(&mut out, |range, out| quick_gelu_slope(out, &x[range.clone()], &grad[range]));
                Ok(())
            })
        })?;
        Ok(Some(tensor_like(out, x)?))
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn quick_gelu(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x / (1.0 + exp(-QUICK * x));
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn quick_gelu_slope(out: &mut [f32], x: &[f32], grad: &[f32]) {
    for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
        let s = sigmoid(QUICK * x);
        *out = grad * s * (1.0 + QUICK * x * (1.0 - s));
    }
}

/// `x + bias` for rows `x` `[.., width]` and `bias` `[width]`.
pub struct AddBias;

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add-bias"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, bias) = (values(s1, l1)?, values(s2, l2)?);
        let width = width(l1.shape());
        let mut out = vec![0f32; x.len()];
        for_rows(&mut out, width, |first, out| {
            for (out, x) in out.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width)) {
                for ((out, x), bias) in out.iter_mut().zip(x).zip(bias) {
                    *out = x + bias;
                }
            }
        });
        output(out, l1.shape())
    }

    fn bwd(&self, _: &Tensor, bias: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut sum = vec![0f32; bias.elem_count()];
        with_values(grad, |grad| {
            for row in grad.chunks_exact(sum.len()) {
                for (sum, grad) in sum.iter_mut().zip(row) {
                    *sum += grad;
                }
            }
            Ok(())
        })?;
        Ok((Some(grad.clone()), Some(tensor_like(sum, bias)?)))
    }
}
