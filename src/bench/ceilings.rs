//! What the machine gives: memory read in order, and candle's own f32 matrix product at the model's shapes.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::owl::Config;

/// The machine's limits.
#[derive(Debug, Clone, Serialize)]
pub struct Ceilings {
    /// Bytes a second over a buffer larger than the caches, all threads reading.
    pub read_bytes_per_second: f64,
    /// The best of the products below, in floating-point operations a second.
    pub product_flops: f64,
}

/// A matrix product `[rows, inner] x [inner, columns]` that a pass makes `times` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    pub times: usize,
}

impl Product {
    fn operations(&self) -> f64 {
        2.0 * (self.rows * self.inner * self.columns) as f64
    }
}

/// A buffer of 512 MiB is read several times; the best time counts.
pub fn read_bytes_per_second() -> f64 {
    const VALUES: usize = 128 << 20;
    let buffer = vec![1f32; VALUES];
    let read = || {
        let started = Instant::now();
        let sums: f32 = buffer.par_chunks(1 << 18).map(sum).sum();
        std::hint::black_box(sums);
        started.elapsed().as_secs_f64()
    };
    let best = (0..5).map(|_| read()).fold(f64::MAX, f64::min);
    (VALUES * size_of::<f32>()) as f64 / best
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; 64];
    for chunk in values.chunks_exact(64) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum()
}

/// Seconds that the products of a pass take, and the best speed among them.
pub fn time_products(products: &[Product], device: &Device, dtype: DType) -> Result<(f64, f64)> {
    let (mut total, mut best) = (0.0, 0.0f64);
    for product in products {
        let x = Tensor::ones((product.rows, product.inner), dtype, device)?;
        let weight = Tensor::ones((product.columns, product.inner), dtype, device)?;
        let weight = weight.t()?;
        let mut seconds = f64::MAX;
        for _ in 0..4 {
            let started = Instant::now();
            x.matmul(&weight)?;
            device.synchronize()?;
            seconds = seconds.min(started.elapsed().as_secs_f64());
        }
        total += seconds * product.times as f64;
        best = best.max(product.operations() / seconds);
    }
    Ok((total, best))
}

/// The products with weights of vision tower and abstractor for one picture (those of attention are not counted).
pub fn picture_products(config: &Config) -> Vec<Product> {
    let (vision, abstractor) = (&config.vision_config, &config.visual_abstractor_config);
    let (v, vi, layers) = (vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers);
    let tokens = vision.num_patches() + 1;
    let (a, ai, depth) = (abstractor.hidden_size, abstractor.intermediate_size, abstractor.num_hidden_layers);
    let queries = config.num_query_tokens;
    let of = |rows, inner, columns, times| Product { rows, inner, columns, times };
    vec![
        of(tokens - 1, 3 * vision.patch_size.pow(2), v, 1),
        of(tokens, v, 3 * v, layers),
        of(tokens, v, v, layers),
        of(tokens, v, vi, layers),
        of(tokens, vi, v, layers),
        of(queries, a, a, 2 * depth),
        of(queries + tokens, a, a, 2 * depth),
        of(queries, a, ai, 2 * depth),
        of(queries, ai, a, depth),
        of(queries, a, config.text_config.hidden_size, 1),
    ]
}

/// The products with weights of the language model for a prompt of `tokens`, of which the last gives logits.
pub fn prefill_products(config: &Config, tokens: usize) -> Vec<Product> {
    let text = &config.text_config;
    let (h, hi, layers) = (text.hidden_size, text.intermediate_size, text.num_hidden_layers);
    let of = |rows, inner, columns, times| Product { rows, inner, columns, times };
    vec![
        of(tokens, h, h, 4 * layers),
        of(tokens, h, hi, 2 * layers),
        of(tokens, hi, h, layers),
        of(1, h, text.vocab_size, 1),
    ]
}
