//! The product with a frozen weight.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Layout, MetalStorage, Result, Shape, Storage, Tensor};

use super::few_rows::{few_rows, is_quick};

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
        if inner > 0 && storage.dtype() == DType::F32 && is_quick(tokens) {
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn few_rows_multiply_as_many_do() {
        for (rows, out, inner) in [(1, 9, 40), (2, 5, 7), (4, 33, 64), (6, 8, 48), (7, 16, 100), (24, 3, 31)] {
            let x = Tensor::randn(0f32, 1.0, (rows, inner), &Device::Cpu).unwrap();
            let weight = Tensor::randn(0f32, 1.0, (out, inner), &Device::Cpu).unwrap();
            let few = x.apply_op1(FrozenProduct::new(weight.clone())).unwrap();
            let general = x.matmul(&weight.t().unwrap()).unwrap();
            let difference = (few - general).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-4, "{rows} x {out} x {inner}");
        }
    }
}
