//! Layer normalisation and root-mean-square normalisation over the last axis.

use candle_core::{D, DType, Tensor};

use super::fused;
use crate::error::Result;
use crate::owl::source::TensorSource;

/// `(x - mean) / sqrt(var + eps) * weight + bias`, computed in f32 and cast back.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Asks for `<name>.weight` and `<name>.bias`, both `[width]`.
    pub fn load(source: &dyn TensorSource, name: &str, width: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: source.get(&format!("{name}.weight"), &[width])?,
            bias: source.get(&format!("{name}.bias"), &[width])?,
            eps,
        })
    }

    /// `[.., width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if super::is_fusable(x) {
            let op = fused::LayerNorm { eps: self.eps as f32 };
            return Ok(x.contiguous()?.apply_op3(&self.weight, &self.bias, op)?);
        }
        let wide = x.to_dtype(DType::F32)?;
        let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        let scaled = scaled.broadcast_mul(&self.weight.to_dtype(DType::F32)?)?;
        Ok(scaled.broadcast_add(&self.bias.to_dtype(DType::F32)?)?.to_dtype(x.dtype())?)
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight`: variance in f32, cast to the weight's dtype before the product (LLaMA).
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Asks for `<name>.weight`, `[width]`.
    pub fn load(source: &dyn TensorSource, name: &str, width: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: source.get(&format!("{name}.weight"), &[width])?, eps })
    }

    /// `[.., width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if super::is_fusable(x) {
            return Ok(x.contiguous()?.apply_op2(&self.weight, fused::RmsNorm { eps: self.eps as f32 })?);
        }
        let wide = x.to_dtype(DType::F32)?;
        let mean_square = wide.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = wide.broadcast_div(&(mean_square + self.eps)?.sqrt()?)?;
        Ok(scaled.to_dtype(self.weight.dtype())?.broadcast_mul(&self.weight)?)
    }
}
