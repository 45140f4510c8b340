//! A linear layer: dense or quantised, with or without a bias, with or without a low-rank adapter.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Module, Tensor};

use super::fused;
use crate::error::Result;
use crate::owl::source::{LinearWeight, LowRank, TensorSource};

/// `y = x Wᵀ + b`, and `+ scaling · (x Aᵀ) Bᵀ` where there is an adapter.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    adapter: Option<LowRank>,
}

#[derive(Debug, Clone)]
enum Weight {
    /// `[out, in]`.
    Dense(Tensor),
    /// The blocks, and candle's product with them.
    Quantized(Arc<QTensor>, QMatMul),
}

impl Linear {
    /// Asks for `<name>.weight` `[out, in]` and `<name>.bias` `[out]`.
    pub fn load(source: &dyn TensorSource, name: &str, out_features: usize, in_features: usize) -> Result<Self> {
        let mut linear = Self::load_without_bias(source, name, out_features, in_features)?;
        linear.bias = Some(source.get(&format!("{name}.bias"), &[out_features])?);
        Ok(linear)
    }

    /// Asks for `<name>.weight` `[out, in]` alone.
    pub fn load_without_bias(
        source: &dyn TensorSource,
        name: &str,
        out_features: usize,
        in_features: usize,
    ) -> Result<Self> {
        let weight = match source.linear(&format!("{name}.weight"), out_features, in_features)? {
            LinearWeight::Dense(weight) => Weight::Dense(weight),
            LinearWeight::Quantized(weight) => Weight::Quantized(weight.clone(), QMatMul::from_arc(weight)?),
        };
        Ok(Self { weight, bias: None, adapter: source.adapter(name, out_features, in_features)? })
    }

    /// Bytes of the weight, which a step of decoding reads.
    pub fn bytes(&self) -> usize {
        match &self.weight {
            Weight::Dense(weight) => weight.elem_count() * weight.dtype().size_in_bytes(),
            Weight::Quantized(blocks, _) => blocks.storage_size_in_bytes(),
        }
    }

    /// `[tokens, in]` to `[tokens, out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Dense(weight) => product(x, weight)?,
            Weight::Quantized(blocks, product) => match fused::few_quantized_rows(x, blocks)? {
                Some(y) => y,
                None => product.forward(x)?,
            },
        };
        let y = match &self.adapter {
            Some(LowRank { a, b, scaling, dropout }) => {
                let x = if *dropout > 0.0 { candle_nn::ops::dropout(x, *dropout as f32)? } else { x.clone() };
                (y + (product(&product(&x, a)?, b)? * *scaling)?)?
            }
            None => y,
        };
        match &self.bias {
            Some(bias) if super::is_fusable(&y) => Ok(y.apply_op2(bias, fused::AddBias)?),
            Some(bias) => Ok(y.broadcast_add(bias)?),
            None => Ok(y),
        }
    }
}

/// `x Wᵀ` for `x` `[tokens, in]` and `W` `[out, in]`.
///
/// Where the weight is no variable its gradient is neither computed nor kept: the backward of candle's own product
/// computes both, which makes training an adapter on a frozen model nearly twice as slow.
pub fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if weight.track_op() {
        return Ok(x.matmul(&weight.t()?)?);
    }
    Ok(x.apply_op1(fused::FrozenProduct::new(weight.detach()))?)
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Var};

    use super::*;

    #[test]
    fn a_frozen_weight_passes_the_gradient_on_and_gets_none() {
        let device = Device::Cpu;
        let x = Var::randn(0f32, 1.0, (5, 3), &device).unwrap();
        let weight = Tensor::randn(0f32, 1.0, (4, 3), &device).unwrap();
        let loss = |y: Tensor| y.sqr().unwrap().sum_all().unwrap();
        let frozen = loss(product(&x, &weight).unwrap()).backward().unwrap();
        let plain = loss(x.matmul(&weight.t().unwrap()).unwrap()).backward().unwrap();
        let difference = (frozen.get(&x).unwrap() - plain.get(&x).unwrap()).unwrap().abs().unwrap();
        let largest = difference.flatten_all().unwrap().max(D::Minus1).unwrap().to_scalar::<f32>().unwrap();
        assert!(largest < 1e-5, "{largest}");
        assert!(frozen.get(&weight).is_none());
    }
}
