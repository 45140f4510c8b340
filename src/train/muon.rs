//! Muon: momentum whose directions are made equally long (Jordan et al. 2024; Liu et al., arXiv 2502.16982).
//!
//! The momentum M of a matrix is replaced by the nearest semi-orthogonal matrix, U Vᵀ of its singular value
//! decomposition U S Vᵀ, so that rare directions of the gradient are learnt as fast as common ones. What that
//! is worth for `owl-mini` stands in its recipe (`recipes/owl-mini.toml`).

use candle_core::{Tensor, Var};

use crate::error::Result;

/// The momentum's memory.
const MOMENTUM: f64 = 0.95;
/// Iterations of [`orthogonalize`].
const ITERATIONS: usize = 5;
/// What makes an update as large as AdamW's usually is (root mean square 0.2; arXiv 2502.16982, equation 4), so that
/// both share one learning rate.
const LIKE_ADAMW: f64 = 0.2;

/// Whether a variable is a matrix of a layer: not an embedding, an output layer, a vector or an adapter.
pub fn suits(name: &str, shape: &[usize]) -> bool {
    let layer = ["language_model.model.layers.", "vision_model.encoder.layers.", "abstractor.encoder.layers."];
    shape.len() == 2 && name.ends_with(".weight") && layer.iter().any(|prefix| name.starts_with(prefix))
}

/// Moves `var` [out, in] by its `gradient` and its `momentum`, both of the same shape, then multiplies it by `keep`.
pub fn update(var: &Var, gradient: &Tensor, momentum: &mut Tensor, rate: f64, keep: f64) -> Result<()> {
    *momentum = ((&*momentum * MOMENTUM)? + gradient)?;
    // Nesterov's look ahead.
    let direction = orthogonalize(&(gradient + (&*momentum * MOMENTUM)?)?)?;
    let (rows, columns) = var.dims2()?;
    let length = rate * LIKE_ADAMW * (rows.max(columns) as f64).sqrt();
    var.set(&((var.as_detached_tensor() - (direction * length)?)? * keep)?)?;
    Ok(())
}

/// Nearly U Vᵀ of a matrix U S Vᵀ: singular values come out between 0.7 and 1.2, by a Newton–Schulz iteration of the
/// fifth degree whose coefficients are Jordan's.
fn orthogonalize(matrix: &Tensor) -> Result<Tensor> {
    let (a, b, c) = (3.4445, -4.7750, 2.0315);
    let (rows, columns) = matrix.dims2()?;
    let wide = if rows > columns { matrix.t()?.contiguous()? } else { matrix.clone() };
    let norm = f64::from(wide.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
    let mut x = (wide * (1.0 / (norm + 1e-7)))?;
    for _ in 0..ITERATIONS {
        let square = x.matmul(&x.t()?)?;
        let polynomial = ((&square * b)? + (square.matmul(&square)? * c)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    Ok(if rows > columns { x.t()?.contiguous()? } else { x })
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device};

    use super::*;

    #[test]
    fn every_direction_comes_out_nearly_equally_long() {
        let device = Device::Cpu;
        // Singular values from 1 down to a hundredth.
        let scales =
            Tensor::from_vec((0..16).map(|i| 10f32.powf(-i as f32 / 7.5)).collect(), (16, 1), &device).unwrap();
        for shape in [(16, 40), (16, 16)] {
            let random = Tensor::randn(0f32, 1.0, shape, &device).unwrap().broadcast_mul(&scales).unwrap();
            for matrix in [random.clone(), random.t().unwrap().contiguous().unwrap()] {
                let found = orthogonalize(&matrix).unwrap();
                assert_eq!(found.dims(), matrix.dims());
                // The direction is kept: the product with the matrix is positive on the diagonal.
                let along = (&found * &matrix).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(along > 0.0);
                let wide = if found.dims()[0] > found.dims()[1] { found.t().unwrap() } else { found };
                let square = wide.matmul(&wide.t().unwrap().contiguous().unwrap()).unwrap();
                let trace = (0..16).map(|i| square.get(i).unwrap().get(i).unwrap().to_scalar::<f32>().unwrap());
                assert!((trace.sum::<f32>() / 16.0 - 0.9).abs() < 0.35, "{square}");
                let largest = square.abs().unwrap().sum(D::Minus1).unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
                assert!(largest < 3.0, "{largest}");
            }
        }
    }

    #[test]
    fn a_step_is_as_large_as_adamws_would_be() {
        let device = Device::Cpu;
        let var = Var::zeros((32, 96), candle_core::DType::F32, &device).unwrap();
        let gradient = Tensor::randn(0f32, 1e-3, (32, 96), &device).unwrap();
        let mut momentum = var.zeros_like().unwrap();
        update(&var, &gradient, &mut momentum, 0.01, 1.0).unwrap();
        let mean_square = var.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
        let expected = 0.2 * 0.01;
        assert!((f64::from(mean_square.sqrt()) / expected - 1.0).abs() < 0.2, "{}", mean_square.sqrt());
    }

    #[test]
    fn only_matrices_of_layers_are_moved_by_it() {
        assert!(suits("language_model.model.layers.0.self_attn.q_proj.weight", &[8, 8]));
        assert!(!suits("language_model.model.layers.0.input_layernorm.weight", &[8]));
        assert!(!suits("language_model.model.embed_tokens.weight", &[9, 8]));
        assert!(!suits("language_model.lm_head.weight", &[9, 8]));
        assert!(!suits("base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_A.weight", &[2, 8]));
        assert!(!suits("vision_model.encoder.layers.0.mlp.fc1.bias", &[8]));
    }
}
