//! Keys and values of the tokens that a row has already read.
//!
//! Each row owns its cache, so a dialogue keeps its past from turn to turn, a cache is cut back to any length, and rows
//! of a batch need no padding. Buffers are reserved once; a new token is appended, the past is never copied again.

use candle_core::{DType, Device, Tensor};

use super::nn::attention::{Heads, Pattern, attend, compose_span};
use super::nn::fused::with_values;
use super::nn::is_fusable;
use crate::error::Result;

/// The past of one row, for all layers of the language model.
#[derive(Debug)]
pub struct Cache {
    layers: Vec<LayerCache>,
    len: usize,
}

/// `[tokens, heads * head_dim]` each.
#[derive(Debug)]
enum LayerCache {
    /// f32 in the host's memory.
    Host { keys: Vec<f32>, values: Vec<f32> },
    /// Buffers on a device, larger than what they hold.
    Device { keys: Tensor, values: Tensor },
}

impl Cache {
    /// Room for `capacity` tokens of `layers` layers of `width` = heads * head_dim.
    pub fn new(layers: usize, width: usize, capacity: usize, dtype: DType, device: &Device) -> Result<Self> {
        let host = device.is_cpu() && dtype == DType::F32;
        let layer = || -> Result<LayerCache> {
            if host {
                let buffer = || Vec::with_capacity(capacity * width);
                return Ok(LayerCache::Host { keys: buffer(), values: buffer() });
            }
            let buffer = || Tensor::zeros((capacity.max(1), width), dtype, device);
            Ok(LayerCache::Device { keys: buffer()?, values: buffer()? })
        };
        Ok(Self { layers: (0..layers).map(|_| layer()).collect::<Result<_>>()?, len: 0 })
    }

    /// Tokens read so far.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all but the first `len` tokens; the buffers are cut when the next token is read.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Called once all layers have read `tokens` more.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Appends keys and values `[new, width]` of one layer and lets the queries `[new, width]` look at all of it.
    pub(super) fn attend(
        &mut self,
        layer: usize,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        pattern: Pattern,
    ) -> Result<Tensor> {
        let (new, width) = q.dims2()?;
        let total = self.len + new;
        match &mut self.layers[layer] {
            LayerCache::Host { keys, values } if is_fusable(q) => {
                for (buffer, tensor) in [(&mut *keys, k), (&mut *values, v)] {
                    buffer.truncate(self.len * width);
                    with_values(tensor, |new| {
                        buffer.extend_from_slice(new);
                        Ok(())
                    })?;
                }
                let mut out = vec![0f32; new * width];
                with_values(q, |q| {
                    let heads = |values| Heads { values, stride: width };
                    attend(heads(q), heads(keys), heads(values), new, total, pattern, &mut out);
                    Ok(())
                })?;
                Ok(Tensor::from_vec(out, (new, width), q.device())?)
            }
            LayerCache::Host { .. } => {
                Err(candle_core::Error::Msg("a cache in the host's memory met a query on a device".into()).into())
            }
            LayerCache::Device { keys, values } => {
                for (buffer, tensor) in [(&mut *keys, k), (&mut *values, v)] {
                    if buffer.dim(0)? < total {
                        let longer = Tensor::zeros((total * 3 / 2, width), buffer.dtype(), buffer.device())?;
                        longer.slice_set(&buffer.narrow(0, 0, self.len.max(1))?.contiguous()?, 0, 0)?;
                        *buffer = longer;
                    }
                    buffer.slice_set(&tensor.contiguous()?, 0, self.len)?;
                }
                compose_span(q, &keys.narrow(0, 0, total)?, &values.narrow(0, 0, total)?, pattern)
            }
        }
    }
}
