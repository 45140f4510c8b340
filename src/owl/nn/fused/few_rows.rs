//! `x Wᵀ` for a few rows of `x`, at the speed at which memory gives the weights: each is read once and meets all rows.
//!
//! The general product packs `W` first, which pays only where many rows meet it. The loop wants AVX2 and FMA, which the
//! compiler does not find by itself here: on the two-core Zen 4 where it was measured (weights [16384, 2048], one core) eight
//! rows took 160 ms as plain Rust and take 28 ms.

use rayon::prelude::*;

/// Numbers of rows for which this is quicker than the general product.
const FEW: std::ops::RangeInclusive<usize> = 1..=24;

/// Whether so many rows are few, and the machine has what [`few_rows`] wants.
pub(super) fn is_quick(rows: usize) -> bool {
    FEW.contains(&rows) && is_supported()
}

/// `[rows, out]` of `x` `[rows, inner]` and `weight` `[out, inner]`, where it [`is_quick`]. `inner` is not 0.
pub(super) fn few_rows(x: &[f32], weight: &[f32], rows: usize, out: usize, inner: usize) -> Vec<f32> {
    assert!(is_supported());
    // Transposed: a task owns a range of outputs.
    let mut result = vec![0f32; rows * out];
    let step = out.div_ceil(rayon::current_num_threads() * 8).max(1);
    let x: Vec<&[f32]> = x.chunks_exact(inner).collect();
    result.par_chunks_mut(step * rows).enumerate().for_each(|(task, sums)| {
        let first = task * step * inner;
        outputs(sums, &x, &weight[first..first + sums.len() / rows * inner]);
    });
    if rows == 1 {
        return result;
    }
    let mut y = vec![0f32; rows * out];
    for (column, sums) in result.chunks_exact(rows).enumerate() {
        for (row, sum) in sums.iter().enumerate() {
            y[row * out + column] = *sum;
        }
    }
    y
}

#[cfg(not(target_arch = "x86_64"))]
fn is_supported() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn outputs(_: &mut [f32], _: &[&[f32]], _: &[f32]) {}

#[cfg(target_arch = "x86_64")]
fn is_supported() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// The sums `[outputs, rows]` of a range of outputs.
#[cfg(target_arch = "x86_64")]
fn outputs(sums: &mut [f32], x: &[&[f32]], weight: &[f32]) {
    // SAFETY: `few_rows` has asked `is_supported`.
    unsafe { avx2::outputs(sums, x, weight) }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};

    /// Values that a step of the loop takes of each row.
    const STEP: usize = 16;

    #[target_feature(enable = "avx2,fma")]
    pub fn outputs(sums: &mut [f32], x: &[&[f32]], weight: &[f32]) {
        let inner = x.first().map_or(1, |row| row.len());
        let (fours, rest) = x.as_chunks::<4>();
        for (sums, weight) in sums.chunks_exact_mut(x.len()).zip(weight.chunks_exact(inner)) {
            let (sums_of_fours, sums_of_rest) = sums.as_chunks_mut::<4>();
            for (sums, rows) in sums_of_fours.iter_mut().zip(fours) {
                *sums = dots(*rows, weight);
            }
            match rest {
                [a, b] => sums_of_rest.copy_from_slice(&dots([*a, *b], weight)),
                _ => sums_of_rest.iter_mut().zip(rest).for_each(|(sum, row)| [*sum] = dots([*row], weight)),
            }
        }
    }

    /// Dot products of a weight row with `N` rows as long.
    #[target_feature(enable = "avx2,fma")]
    fn dots<const N: usize>(rows: [&[f32]; N], weight: &[f32]) -> [f32; N] {
        assert!(rows.iter().all(|row| row.len() == weight.len()));
        let (steps, rest) = weight.as_chunks::<STEP>();
        let mut sums = [[_mm256_setzero_ps(); 2]; N];
        for (index, weight) in steps.iter().enumerate() {
            // SAFETY: a step is two times eight values, and every row has as many steps as the weight.
            unsafe {
                let low = _mm256_loadu_ps(weight.as_ptr());
                let high = _mm256_loadu_ps(weight.as_ptr().add(8));
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    let x = row.as_ptr().add(index * STEP);
                    sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(x), low, sums[0]);
                    sums[1] = _mm256_fmadd_ps(_mm256_loadu_ps(x.add(8)), high, sums[1]);
                }
            }
        }
        let mut totals = [0f32; N];
        for ((total, [low, high]), row) in totals.iter_mut().zip(sums).zip(rows) {
            let mut lanes = [0f32; 8];
            // SAFETY: eight values go into eight.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(low, high)) };
            let tail: f32 = rest.iter().zip(&row[weight.len() - rest.len()..]).map(|(w, x)| w * x).sum();
            *total = lanes.iter().sum::<f32>() + tail;
        }
        totals
    }
}
