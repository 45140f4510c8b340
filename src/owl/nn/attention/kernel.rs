//! Attention of one head of one span on the CPU, forward and backward; heads and spans in parallel.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use gemm::{Parallelism, gemm};
use multiversion::multiversion;
use rayon::prelude::*;

use super::{Pattern, Span};
use crate::owl::nn::fused::{exp, output, tensor_like, values, with_values};

/// A head's part of packed rows: `rows` vectors of `head_dim` values, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub values: &'a [f32],
    pub stride: usize,
}

impl<'a> Heads<'a> {
    /// The same rows from token `start` and column `column` on.
    fn from(self, start: usize, column: usize) -> Self {
        Heads { values: &self.values[start * self.stride + column..], stride: self.stride }
    }
}

/// A result that tasks write to in disjoint places: each head of each span has its own columns and rows.
struct Disjoint {
    pointer: *mut f32,
    length: usize,
    stride: usize,
}

unsafe impl Send for Disjoint {}
unsafe impl Sync for Disjoint {}

impl Disjoint {
    fn new(values: &mut [f32], stride: usize) -> Self {
        Self { pointer: values.as_mut_ptr(), length: values.len(), stride }
    }

    /// The address of row `start`, column `column`; `rows` rows of `columns` values must lie inside.
    fn at(&self, start: usize, rows: usize, column: usize, columns: usize) -> *mut f32 {
        let last = (start + rows - 1) * self.stride + column + columns;
        assert!(rows > 0 && last <= self.length, "a head lies outside of its tensor");
        unsafe { self.pointer.add(start * self.stride + column) }
    }
}

/// `out[m, n] = alpha * lhs[m, k] rhs[k, n] (+ out)`; every operand as (pointer, row stride, column stride).
///
/// # Safety
/// The pointers must be valid for the strided extents.
unsafe fn product(
    (m, n, k): (usize, usize, usize),
    alpha: f32,
    (lhs, lhs_row, lhs_column): (*const f32, usize, usize),
    (rhs, rhs_row, rhs_column): (*const f32, usize, usize),
    (out, out_row): (*mut f32, usize),
    add: bool,
) {
    unsafe {
        gemm(
            m,
            n,
            k,
            out,
            1,
            out_row as isize,
            add,
            lhs,
            lhs_column as isize,
            lhs_row as isize,
            rhs,
            rhs_column as isize,
            rhs_row as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Attention weights `[queries, keys]` of one head.
fn weights(q: Heads, k: Heads, queries: usize, keys: usize, pattern: Pattern) -> Vec<f32> {
    let dim = pattern.head_dim;
    assert!(q.values.len() >= (queries - 1) * q.stride + dim && k.values.len() >= (keys - 1) * k.stride + dim);
    let mut scores = vec![0f32; queries * keys];
    unsafe {
        product(
            (queries, keys, dim),
            pattern.scale(),
            (q.values.as_ptr(), q.stride, 1),
            (k.values.as_ptr(), 1, k.stride),
            (scores.as_mut_ptr(), keys),
            false,
        );
    }
    softmax_rows(&mut scores, keys, if pattern.causal { keys - queries } else { keys });
    scores
}

/// Softmax of rows of `keys` scores, of which row i sees the first `ahead + i + 1`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn softmax_rows(scores: &mut [f32], keys: usize, ahead: usize) {
    for (query, row) in scores.chunks_exact_mut(keys).enumerate() {
        let seen = (ahead + query + 1).min(keys);
        softmax(&mut row[..seen]);
        row[seen..].fill(0.0);
    }
}

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
    let mut lanes = [0f32; 8];
    let mut chunks = row.chunks_exact_mut(8);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value = exp(*value - largest);
            *lane += *value;
        }
    }
    let mut total: f32 = lanes.iter().sum();
    for value in chunks.into_remainder() {
        *value = exp(*value - largest);
        total += *value;
    }
    let inverse = 1.0 / total;
    for value in row {
        *value *= inverse;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn softmax_slope(weights: &mut [f32], slope: &[f32], dot: f32) {
    for (weight, slope) in weights.iter_mut().zip(slope) {
        *weight *= slope - dot;
    }
}

/// The spans and heads as separate tasks; in parallel where there is work for it.
fn for_heads(spans: &[Span], pattern: Pattern, each: impl Fn(&Span, usize) + Sync) {
    let work: usize = spans.iter().map(|span| span.queries * span.keys).sum::<usize>() * pattern.heads;
    let task = |index: usize| {
        let (span, head) = (&spans[index / pattern.heads], index % pattern.heads);
        if span.queries > 0 {
            each(span, head * pattern.head_dim);
        }
    };
    let tasks = spans.len() * pattern.heads;
    if work * pattern.head_dim < 32 * 1024 || rayon::current_num_threads() == 1 {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().for_each(task);
    }
}

/// Attention of one span whose keys and values may live in another buffer than its queries (a cache).
///
/// `out` `[queries, width]` is written whole.
pub(crate) fn attend(q: Heads, k: Heads, v: Heads, queries: usize, keys: usize, pattern: Pattern, out: &mut [f32]) {
    let span = Span { query_start: 0, queries, key_start: 0, keys };
    let width = pattern.heads * pattern.head_dim;
    let out = Disjoint::new(out, width);
    for_heads(&[span], pattern, |_, column| {
        let (q, k, v) = (q.from(0, column), k.from(0, column), v.from(0, column));
        attend_head(q, k, v, queries, keys, pattern, (out.at(0, queries, column, pattern.head_dim), width));
    });
}

fn attend_head(
    q: Heads,
    k: Heads,
    v: Heads,
    queries: usize,
    keys: usize,
    pattern: Pattern,
    (out, out_stride): (*mut f32, usize),
) {
    let dim = pattern.head_dim;
    let weights = weights(q, k, queries, keys, pattern);
    assert!(v.values.len() >= (keys - 1) * v.stride + dim);
    unsafe {
        product(
            (queries, dim, keys),
            1.0,
            (weights.as_ptr(), keys, 1),
            (v.values.as_ptr(), v.stride, 1),
            (out, out_stride),
            false,
        );
    }
}

/// Attention with a backward, for training and for towers without a cache.
pub(crate) struct Attention {
    pub pattern: Pattern,
    pub spans: Arc<Vec<Span>>,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let pattern = self.pattern;
        let (dim, width) = (pattern.head_dim, pattern.heads * pattern.head_dim);
        let heads = |values| Heads { values, stride: width };
        let (q, k, v) = (heads(values(s1, l1)?), heads(values(s2, l2)?), heads(values(s3, l3)?));
        let mut result = vec![0f32; q.values.len()];
        let out = Disjoint::new(&mut result, width);
        for_heads(&self.spans, pattern, |span, column| {
            attend_head(
                q.from(span.query_start, column),
                k.from(span.key_start, column),
                v.from(span.key_start, column),
                span.queries,
                span.keys,
                pattern,
                (out.at(span.query_start, span.queries, column, dim), width),
            );
        });
        output(result, l1.shape())
    }

    /// With P the weights, O the result and D = rowsum(dO * O): dV = Pᵀ dO, dS = P * (dO Vᵀ - D),
    /// dQ = scale dS K, dK = scale dSᵀ Q. The weights are computed again rather than kept.
    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = self.pattern.heads * self.pattern.head_dim;
        let mut grad_q = vec![0f32; q.elem_count()];
        let mut grad_k = vec![0f32; k.elem_count()];
        let mut grad_v = vec![0f32; v.elem_count()];
        let outputs = [&mut grad_q, &mut grad_k, &mut grad_v].map(|values| Disjoint::new(values, width));
        with_values(q, |q| {
            with_values(k, |k| {
                with_values(v, |v| {
                    with_values(result, |result| {
                        with_values(grad, |grad| {
                            let inputs = [q, k, v, result, grad].map(|values| Heads { values, stride: width });
                            for_heads(&self.spans, self.pattern, |span, column| {
                                self.head_backward(span, column, inputs, &outputs);
                            });
                            Ok(())
                        })
                    })
                })
            })
        })?;
        Ok((Some(tensor_like(grad_q, q)?), Some(tensor_like(grad_k, k)?), Some(tensor_like(grad_v, v)?)))
    }
}

impl Attention {
    fn head_backward(&self, span: &Span, column: usize, inputs: [Heads; 5], outputs: &[Disjoint; 3]) {
        let Span { query_start, queries, key_start, keys } = *span;
        let (dim, stride) = (self.pattern.head_dim, inputs[0].stride);
        let [q, k, v, result, grad] = inputs;
        let (q, result, grad) =
            (q.from(query_start, column), result.from(query_start, column), grad.from(query_start, column));
        let (k, v) = (k.from(key_start, column), v.from(key_start, column));
        let [grad_q, grad_k, grad_v] = outputs;
        let grad_q = grad_q.at(query_start, queries, column, dim);
        let grad_k = grad_k.at(key_start, keys, column, dim);
        let grad_v = grad_v.at(key_start, keys, column, dim);
        let mut weights = weights(q, k, queries, keys, self.pattern);
        let mut slope = vec![0f32; queries * keys];
        unsafe {
            let p = weights.as_ptr();
            let g = grad.values.as_ptr();
            product((keys, dim, queries), 1.0, (p, 1, keys), (g, stride, 1), (grad_v, stride), true);
            let v = v.values.as_ptr();
            product((queries, keys, dim), 1.0, (g, stride, 1), (v, 1, stride), (slope.as_mut_ptr(), keys), false);
        }
        for query in 0..queries {
            let row = query * stride..query * stride + dim;
            let dot = grad.values[row.clone()].iter().zip(&result.values[row]).map(|(a, b)| a * b).sum();
            softmax_slope(
                &mut weights[query * keys..(query + 1) * keys],
                &slope[query * keys..(query + 1) * keys],
                dot,
            );
        }
        let scale = self.pattern.scale();
        unsafe {
            let s = weights.as_ptr();
            let (q, k) = (q.values.as_ptr(), k.values.as_ptr());
            product((queries, dim, keys), scale, (s, keys, 1), (k, stride, 1), (grad_q, stride), true);
            product((keys, dim, queries), scale, (s, 1, keys), (q, stride, 1), (grad_k, stride), true);
        }
    }
}
