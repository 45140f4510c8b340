//! The layers that the three towers share, each with a backward.
//!
//! Several of candle's fused operations (`softmax_last_dim`, `rms_norm`, `layer_norm`, `rope`) have none, and gradients
//! stop in them without an error; and its product computes the gradient of a frozen weight as well. So the towers are
//! built of the operations here: on the CPU in f32 they are fused loops over rows ([`fused`]), elsewhere compositions
//! of candle's differentiable operations; a test holds the two against each other.

pub mod attention;
pub mod fused;
mod linear;
mod norm;
mod rotary;

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

pub use linear::{Linear, product};
pub use norm::{LayerNorm, RmsNorm};
pub use rotary::{Rotary, RotaryTable};

/// Whether the fused loops of [`fused`] can compute on this tensor.
pub(crate) fn is_fusable(tensor: &Tensor) -> bool {
    matches!(tensor.device(), Device::Cpu) && tensor.dtype() == DType::F32
}

/// `silu(gate) * up`, elementwise: the gated half of a SwiGLU feed-forward layer.
pub fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if is_fusable(gate) {
        return Ok(gate.contiguous()?.apply_op2(&up.contiguous()?, fused::SiluMul)?);
    }
    Ok((gate.silu()? * up)?)
}

/// QuickGELU, elementwise: `x * sigmoid(1.702 x)`, the activation of CLIP.
pub fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    if is_fusable(x) {
        return Ok(x.contiguous()?.apply_op1(fused::QuickGelu)?);
    }
    let gate = candle_nn::ops::sigmoid(&(x * 1.702)?)?;
    Ok((x * gate)?)
}
