//! Rotary position embedding (arXiv 2104.09864), in LLaMA's rotate-half form.

use std::sync::{Arc, RwLock};

use candle_core::{DType, Device, Tensor};

use super::fused;
use crate::error::Result;

/// The base of the angles; LLaMA's constant.
const BASE: f64 = 10_000.0;

/// Cosines and sines for positions 0, 1, 2, …; grows on demand, so that no sequence is too long for it.
#[derive(Debug, Clone)]
pub struct Rotary {
    head_dim: usize,
    table: Arc<RwLock<Arc<RotaryTable>>>,
}

/// Cosines and sines `[positions, head_dim / 2]`, row-major, in f32.
#[derive(Debug)]
pub struct RotaryTable {
    pub half: usize,
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
}

impl RotaryTable {
    fn new(head_dim: usize, positions: usize) -> Self {
        let half = head_dim / 2;
        // The reference computes inverse frequencies and angles in f32.
        let inverse: Vec<f32> = (0..half).map(|i| 1.0 / (BASE as f32).powf(2.0 * i as f32 / head_dim as f32)).collect();
        let mut cos = Vec::with_capacity(positions * half);
        let mut sin = Vec::with_capacity(positions * half);
        for position in 0..positions {
            for frequency in &inverse {
                let angle = position as f32 * frequency;
                cos.push(angle.cos());
                sin.push(angle.sin());
            }
        }
        Self { half, cos, sin }
    }

    fn positions(&self) -> usize {
        self.cos.len() / self.half
    }
}

impl Rotary {
    pub fn new(head_dim: usize) -> Self {
        Self { head_dim, table: Arc::new(RwLock::new(Arc::new(RotaryTable::new(head_dim, 256)))) }
    }

    fn table(&self, positions: usize) -> Arc<RotaryTable> {
        let current = self.table.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if current.positions() >= positions {
            return current;
        }
        let longer = Arc::new(RotaryTable::new(self.head_dim, positions.next_power_of_two()));
        *self.table.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = longer.clone();
        longer
    }

    /// Turns every head of `x` `[tokens, heads * head_dim]` by the angle of its token's position.
    pub fn apply(&self, x: &Tensor, positions: &Arc<Vec<u32>>) -> Result<Tensor> {
        let table = self.table(positions.iter().max().map_or(0, |last| *last as usize + 1));
        if super::is_fusable(x) {
            return Ok(x.contiguous()?.apply_op1(fused::Rotate { table, positions: positions.clone() })?);
        }
        self.compose(x, positions, &table)
    }

    /// The same of candle's operations: `[x1, x2] -> [x1 cos - x2 sin, x2 cos + x1 sin]`.
    fn compose(&self, x: &Tensor, positions: &[u32], table: &RotaryTable) -> Result<Tensor> {
        let (tokens, width) = x.dims2()?;
        let (cos, sin) = gather(table, positions, x.dtype(), x.device())?;
        let heads = x.reshape((tokens, width / self.head_dim, self.head_dim))?;
        let first = heads.narrow(2, 0, table.half)?;
        let second = heads.narrow(2, table.half, table.half)?;
        let turned_first = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
        let turned_second = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
        Ok(Tensor::cat(&[turned_first, turned_second], 2)?.reshape((tokens, width))?)
    }
}

/// The rows of the table at `positions`, `[tokens, 1, head_dim / 2]`.
fn gather(table: &RotaryTable, positions: &[u32], dtype: DType, device: &Device) -> Result<(Tensor, Tensor)> {
    let rows = |values: &[f32]| -> Result<Tensor> {
        let picked: Vec<f32> = positions
            .iter()
            .flat_map(|&position| &values[position as usize * table.half..][..table.half])
            .copied()
            .collect();
        Ok(Tensor::from_vec(picked, (positions.len(), 1, table.half), device)?.to_dtype(dtype)?)
    };
    Ok((rows(&table.cos)?, rows(&table.sin)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fused_form_turns_as_the_composed_one() {
        let rotary = Rotary::new(8);
        let positions = Arc::new(vec![0u32, 1, 5, 300]);
        let x = Tensor::randn(0f32, 1.0, (4, 24), &Device::Cpu).unwrap();
        let fused = rotary.apply(&x, &positions).unwrap();
        let composed = rotary.compose(&x, &positions, &rotary.table(301)).unwrap();
        let difference = (fused - composed).unwrap().abs().unwrap().flatten_all().unwrap();
        assert!(difference.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }
}
