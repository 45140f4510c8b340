//! Random weights in the shape of a configuration, for benchmarks: as large as the real ones, and as meaningless.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use super::source::{LinearWeight, TensorSource};
use super::weights::{Quantization, is_language_linear};
use crate::error::Result;

/// A source of uniformly random tensors, each a function of its name.
#[derive(Debug, Clone)]
pub struct RandomWeights {
    pub device: Device,
    pub dtype: DType,
    /// Quantises the language model's matrices, where their shapes allow it.
    pub quantization: Option<Quantization>,
}

impl TensorSource for RandomWeights {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let seed: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let mut random = ChaCha8Rng::from_seed(seed);
        let count: usize = shape.iter().product();
        // As wide as the reference's initialisation, around one for the norms' weights.
        let centre = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
        let mut values = Vec::with_capacity(count);
        while values.len() < count {
            let bits = random.next_u64();
            for half in [bits as u32, (bits >> 32) as u32] {
                values.push(centre + (half as f32 / u32::MAX as f32 - 0.5) * 0.07);
            }
        }
        values.truncate(count);
        Ok(Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?)
    }

    fn contains(&self, _: &str) -> bool {
        true
    }

    fn linear(&self, name: &str, out_features: usize, in_features: usize) -> Result<LinearWeight> {
        let shape = [out_features, in_features];
        let weight = self.get(name, &shape)?;
        match self.quantization.filter(|_| is_language_linear(name) && Quantization::fits(&shape)) {
            Some(quantization) => {
                Ok(LinearWeight::Quantized(Arc::new(QTensor::quantize(&weight, quantization.ggml())?)))
            }
            None => Ok(LinearWeight::Dense(weight)),
        }
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn dtype(&self) -> DType {
        self.dtype
    }
}
