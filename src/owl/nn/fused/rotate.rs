//! The rotation of heads by the angles of their positions.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::super::rotary::RotaryTable;
use super::{for_rows, output, tensor_like, values, with_values};

/// Turns the heads of `[tokens, heads * head_dim]`; the gradient is turned back by the same angles.
pub struct Rotate {
    pub table: Arc<RotaryTable>,
    /// The position of each token.
    pub positions: Arc<Vec<u32>>,
}

impl Rotate {
    fn turn(&self, x: &[f32], width: usize, direction: f32) -> Vec<f32> {
        let half = self.table.half;
        let mut out = vec![0f32; x.len()];
        for_rows(&mut out, width, |first, out| {
            for (token, (out, x)) in out.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width)).enumerate()
            {
                let offset = self.positions[first + token] as usize * half;
                let cos = &self.table.cos[offset..offset + half];
                let sin = &self.table.sin[offset..offset + half];
                for (out, x) in out.chunks_exact_mut(2 * half).zip(x.chunks_exact(2 * half)) {
                    let (out_first, out_second) = out.split_at_mut(half);
                    let (x_first, x_second) = x.split_at(half);
                    for i in 0..half {
                        let sin = sin[i] * direction;
                        out_first[i] = x_first[i] * cos[i] - x_second[i] * sin;
                        out_second[i] = x_second[i] * cos[i] + x_first[i] * sin;
                    }
                }
            }
        });
        out
    }
}

impl CustomOp1 for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = layout.shape().dims2()?;
        if tokens != self.positions.len() {
            candle_core::bail!("{tokens} tokens have {} positions", self.positions.len());
        }
        output(self.turn(values(storage, layout)?, width, 1.0), layout.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let turned = with_values(grad, |grad| Ok(self.turn(grad, width, -1.0)))?;
        Ok(Some(tensor_like(turned, x)?))
    }
}
