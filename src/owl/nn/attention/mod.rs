//! Scaled dot-product attention over packed rows.
//!
//! Queries, keys and values are `[tokens, heads * head_dim]`: the tokens of all rows one after the other. A [`Span`]
//! says which queries may look at which keys, so that rows of different lengths need no padding.

mod kernel;

use std::sync::Arc;

use candle_core::{D, DType, Tensor};

use crate::error::Result;

pub(crate) use kernel::{Heads, attend};

/// One row: `queries` tokens from `query_start` look at `keys` tokens from `key_start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub query_start: usize,
    pub queries: usize,
    pub key_start: usize,
    pub keys: usize,
}

impl Span {
    /// Rows of the given lengths, each looking at itself.
    pub fn rows(lengths: &[usize]) -> Vec<Span> {
        let mut start = 0;
        lengths
            .iter()
            .map(|&length| {
                let span = Span { query_start: start, queries: length, key_start: start, keys: length };
                start += length;
                span
            })
            .collect()
    }
}

/// How the heads of one attention layer are laid out and whether they may look ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pattern {
    pub heads: usize,
    pub head_dim: usize,
    /// Query i of a span sees keys up to i + (keys - queries).
    pub causal: bool,
}

impl Pattern {
    /// `head_dim^-0.5`.
    pub fn scale(&self) -> f32 {
        (self.head_dim as f32).powf(-0.5)
    }
}

/// `softmax(q kᵀ / sqrt(head_dim)) v` for every head and span; softmax in f32.
///
/// `q` `[Tq, heads * head_dim]`, `k` and `v` `[Tk, heads * head_dim]`, result as `q`.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, pattern: Pattern, spans: &Arc<Vec<Span>>) -> Result<Tensor> {
    if super::is_fusable(q) {
        let op = kernel::Attention { pattern, spans: spans.clone() };
        return Ok(q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)?);
    }
    compose(q, k, v, pattern, spans)
}

/// The same of candle's operations, a span at a time.
pub(crate) fn compose(q: &Tensor, k: &Tensor, v: &Tensor, pattern: Pattern, spans: &[Span]) -> Result<Tensor> {
    let rows = spans
        .iter()
        .map(|span| {
            let q = q.narrow(0, span.query_start, span.queries)?;
            let k = k.narrow(0, span.key_start, span.keys)?;
            let v = v.narrow(0, span.key_start, span.keys)?;
            compose_span(&q, &k, &v, pattern)
        })
        .collect::<Result<Vec<_>>>()?;
    if rows.len() == 1 { Ok(rows[0].clone()) } else { Ok(Tensor::cat(&rows, 0)?) }
}

/// One span: `q` `[queries, width]`, `k` and `v` `[keys, width]`.
pub(crate) fn compose_span(q: &Tensor, k: &Tensor, v: &Tensor, pattern: Pattern) -> Result<Tensor> {
    let (queries, keys) = (q.dim(0)?, k.dim(0)?);
    let split = |x: &Tensor| -> Result<Tensor> {
        Ok(x.reshape((x.dim(0)?, pattern.heads, pattern.head_dim))?.transpose(0, 1)?.contiguous()?)
    };
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let mut scores = (q.matmul(&k.t()?)? * pattern.scale() as f64)?.to_dtype(DType::F32)?;
    if pattern.causal && queries > 1 {
        let ahead = keys - queries;
        let mask: Vec<f32> = (0..queries)
            .flat_map(|query| (0..keys).map(move |key| if key > query + ahead { f32::MIN } else { 0.0 }))
            .collect();
        scores = scores.broadcast_add(&Tensor::from_vec(mask, (1, queries, keys), scores.device())?)?;
    }
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?.to_dtype(v.dtype())?;
    let read = weights.matmul(&v)?.transpose(0, 1)?.contiguous()?;
    Ok(read.reshape((queries, pattern.heads * pattern.head_dim))?)
}
