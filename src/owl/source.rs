//! Where a tower's tensors come from: a checkpoint, the variables of a training run, random numbers in a benchmark.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// Gives tensors by the names of the Hugging Face checkpoint.
pub trait TensorSource {
    /// The tensor `name` of `shape`. Errors name the tensor, the expected and the found shape, and the file.
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor>;

    /// Whether there is a tensor of this name.
    fn contains(&self, name: &str) -> bool;

    /// Like `get`, for a matrix `[out, in]` that is only ever used as `x · Wᵀ`: a source may keep it quantised.
    fn linear(&self, name: &str, out_features: usize, in_features: usize) -> Result<LinearWeight> {
        Ok(LinearWeight::Dense(self.get(name, &[out_features, in_features])?))
    }

    /// The low-rank pair that adapts the matrix `name` (without `.weight`), where there is one.
    fn adapter(&self, _name: &str, _out_features: usize, _in_features: usize) -> Result<Option<LowRank>> {
        Ok(None)
    }

    /// The device that the tensors live on.
    fn device(&self) -> Device;

    /// The dtype of activations in the tower that asks for `name`'s tensors.
    fn dtype(&self) -> DType;
}

/// A weight matrix `[out, in]`.
#[derive(Debug, Clone)]
pub enum LinearWeight {
    Dense(Tensor),
    Quantized(Arc<QTensor>),
}

/// A LoRA pair (arXiv 2106.09685): the matrix is used as `W + scaling · B A`.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// A, `[r, in]`.
    pub a: Tensor,
    /// B, `[out, r]`.
    pub b: Tensor,
    /// alpha / r.
    pub scaling: f64,
    /// Dropout on the input of A; applied in training only.
    pub dropout: f64,
}
