//! The language-modelling loss: mean cross-entropy over the tokens that bear loss, and over nothing else.
//!
//! The rows that bear loss are selected *before* the output layer, so logits exist only where they are needed: with
//! answers of one or two words that is a sixth of the positions. Softmax and logarithm are one custom operation with
//! a backward of its own; two passes over the logits forward, one backward.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};

use crate::error::Result;

/// Mean cross-entropy of `logits` [n, classes] against `targets` (n class numbers), a scalar.
///
/// The mean is over all n rows: token-weighted, as in section 9.3 of the specification (not per sample).
pub fn cross_entropy(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let logits = logits.to_dtype(DType::F32)?.contiguous()?;
    if !logits.device().is_cpu() {
        return by_tensor_operations(&logits, targets);
    }
    Ok(logits.apply_op1(CrossEntropy { targets: targets.to_vec() })?)
}

/// The same by ready-made operations, for devices without the custom operation.
fn by_tensor_operations(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let targets = Tensor::from_slice(targets, (targets.len(), 1), logits.device())?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?.detach())?;
    let normaliser = shifted.exp()?.sum_keepdim(1)?.log()?;
    Ok((normaliser - shifted.gather(&targets, 1)?)?.mean_all()?)
}

struct CrossEntropy {
    targets: Vec<u32>,
}

/// The contiguous values of a tensor's storage.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("a training operation needs contiguous values"),
    }
}

impl CrossEntropy {
    fn dimensions(&self, layout: &Layout) -> candle_core::Result<(usize, usize)> {
        let (rows, classes) = layout.shape().dims2()?;
        if rows != self.targets.len() {
            candle_core::bail!("cross-entropy: {rows} rows of logits, {} targets", self.targets.len());
        }
        if let Some(target) = self.targets.iter().find(|&&target| target as usize >= classes) {
            candle_core::bail!("cross-entropy: target {target} of {classes} classes");
        }
        Ok((rows, classes))
    }
}

/// The largest value of a row and the logarithm of the sum of exponentials above it.
fn largest_and_normaliser(row: &[f32]) -> (f32, f32) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = row.iter().map(|&value| (value - largest).exp()).sum();
    (largest, sum.ln())
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, classes) = self.dimensions(layout)?;
        let logits = values(storage, layout)?;
        let mut sum = 0f64;
        for (row, &target) in logits.chunks_exact(classes).zip(&self.targets) {
            let (largest, normaliser) = largest_and_normaliser(row);
            sum += f64::from(normaliser) - f64::from(row[target as usize] - largest);
        }
        Ok((CpuStorage::F32(vec![(sum / rows as f64) as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let scale = gradient.to_scalar::<f32>()? / self.targets.len() as f32;
        let backward = CrossEntropyBackward { scale, forward: CrossEntropy { targets: self.targets.clone() } };
        Ok(Some(logits.apply_op1_no_bwd(&backward)?))
    }
}

/// scale * (softmax - one hot), row by row.
struct CrossEntropyBackward {
    forward: CrossEntropy,
    scale: f32,
}

impl CustomOp1 for CrossEntropyBackward {
    fn name(&self) -> &'static str {
        "cross-entropy-backward"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, classes) = self.forward.dimensions(layout)?;
        let logits = values(storage, layout)?;
        let mut gradient = vec![0f32; logits.len()];
        let rows = gradient.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)).zip(&self.forward.targets);
        for ((out, row), &target) in rows {
            let (largest, normaliser) = largest_and_normaliser(row);
            let shift = largest + normaliser;
            for (out, &value) in out.iter_mut().zip(row) {
                *out = self.scale * (value - shift).exp();
            }
            out[target as usize] -= self.scale;
        }
        Ok((CpuStorage::F32(gradient), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn cross_entropy_and_its_gradient_match_ready_made_operations() {
        let logits = Var::randn(0f32, 3f32, (7, 11), &Device::Cpu).unwrap();
        let targets = [0u32, 10, 3, 3, 7, 1, 5];
        let mine = cross_entropy(&logits, &targets).unwrap();
        let other = by_tensor_operations(&logits, &targets).unwrap();
        let difference = mine.to_scalar::<f32>().unwrap() - other.to_scalar::<f32>().unwrap();
        assert!(difference.abs() < 1e-5);
        let of = |loss: &Tensor| {
            let gradients = loss.backward().unwrap();
            gradients.get(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        for (mine, other) in of(&mine).into_iter().zip(of(&other)) {
            assert!((mine - other).abs() < 1e-6);
        }
    }

    #[test]
    fn cross_entropy_stays_finite_for_huge_logits() {
        let logits = Tensor::new(&[[1e4f32, -1e4, 0.0]], &Device::Cpu).unwrap();
        assert_eq!(cross_entropy(&logits, &[0]).unwrap().to_scalar::<f32>().unwrap(), 0.0);
        assert_eq!(cross_entropy(&logits, &[1]).unwrap().to_scalar::<f32>().unwrap(), 2e4);
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_an_error() {
        let logits = Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(cross_entropy(&logits, &[3]).is_err());
    }
}
