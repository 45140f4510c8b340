//! Elementwise activations and the addition of a bias.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::{exp, for_rows, output, sigmoid, tensor_like, values, width, with_values};

/// Elementwise loops are shared out in lines of this many values.
const LINE: usize = 1024;

fn line(length: usize) -> usize {
    if length.is_multiple_of(LINE) { LINE } else { 1 }
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
        let line = line(out.len());
        for_rows(&mut out, line, |first, out| {
            let range = first * line..first * line + out.len();
            for ((out, gate), up) in out.iter_mut().zip(&gate[range.clone()]).zip(&up[range]) {
                *out = gate * sigmoid(*gate) * up;
            }
        });
        output(out, l1.shape())
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grad_gate = vec![0f32; gate.elem_count()];
        let mut grad_up = vec![0f32; gate.elem_count()];
        with_values(gate, |gate| {
            with_values(up, |up| {
                with_values(grad, |grad| {
                    let line = line(gate.len());
                    for_rows(&mut grad_gate, line, |first, out| {
                        let range = first * line..first * line + out.len();
                        let inputs = gate[range.clone()].iter().zip(&up[range.clone()]).zip(&grad[range]);
                        for (out, ((gate, up), grad)) in out.iter_mut().zip(inputs) {
                            let s = sigmoid(*gate);
                            *out = grad * up * s * (1.0 + gate * (1.0 - s));
                        }
                    });
                    for_rows(&mut grad_up, line, |first, out| {
                        let range = first * line..first * line + out.len();
                        for ((out, gate), grad) in out.iter_mut().zip(&gate[range.clone()]).zip(&grad[range]) {
                            *out = grad * gate * sigmoid(*gate);
                        }
                    });
                    Ok(())
                })
            })
        })?;
        Ok((Some(tensor_like(grad_gate, gate)?), Some(tensor_like(grad_up, up)?)))
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
        let line = line(out.len());
        for_rows(&mut out, line, |first, out| {
            for (out, x) in out.iter_mut().zip(&x[first * line..]) {
                *out = x / (1.0 + exp(-QUICK * x));
            }
        });
        output(out, layout.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut out = vec![0f32; x.elem_count()];
        with_values(x, |x| {
            with_values(grad, |grad| {
                let line = line(x.len());
                for_rows(&mut out, line, |first, out| {
                    let range = first * line..first * line + out.len();
                    for ((out, x), grad) in out.iter_mut().zip(&x[range.clone()]).zip(&grad[range]) {
                        let s = sigmoid(QUICK * x);
                        *out = grad * s * (1.0 + QUICK * x * (1.0 - s));
                    }
                });
                Ok(())
            })
        })?;
        Ok(Some(tensor_like(out, x)?))
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
