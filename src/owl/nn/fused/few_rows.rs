//! `x Wᵀ` for a few rows of `x`, at the speed at which memory gives the weights: each is read once and meets all rows.
//!
//! The general product packs `W` first, which pays only where many rows meet it. The loop wants AVX2 and FMA, which the
//! compiler does not find by itself here: on the two-core Zen 4 where it was measured (weights [16384, 2048], one core) eight
//! rows took 160 ms as plain Rust and take 17 ms.

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
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};

    /// Values that a step of the loop takes of each row.
    const STEP: usize = 8;

    /// Weight rows that meet a block of rows together: what is loaded of the rows is used as often.
    const WEIGHTS: usize = 2;

    #[target_feature(enable = "avx2,fma")]
    pub fn outputs(sums: &mut [f32], x: &[&[f32]], weight: &[f32]) {
        let inner = x.first().map_or(1, |row| row.len());
        let rows = x.len();
        for (sums, weight) in sums.chunks_mut(WEIGHTS * rows).zip(weight.chunks(WEIGHTS * inner)) {
            match weight.split_at_checked(inner) {
                Some((first, second)) if !second.is_empty() => together(sums, x, [first, second]),
                _ => together(sums, x, [weight]),
            }
        }
    }

    /// The sums `[M, rows]` of `M` outputs.
    #[target_feature(enable = "avx2,fma")]
    fn together<const M: usize>(sums: &mut [f32], x: &[&[f32]], weights: [&[f32]; M]) {
        let rows = x.len();
        let mut keep = |first: usize, found: &[[f32; M]]| {
            for (row, found) in found.iter().enumerate() {
                for (output, sum) in found.iter().enumerate() {
                    sums[output * rows + first + row] = *sum;
                }
            }
        };
        let (fours, rest) = x.as_chunks::<4>();
        for (block, rows) in fours.iter().enumerate() {
            keep(block * 4, &dots(*rows, weights));
        }
        let first = rows - rest.len();
        match *rest {
            [] => {}
            [a] => keep(first, &dots([a], weights)),
            [a, b] => keep(first, &dots([a, b], weights)),
            _ => keep(first, &dots([rest[0], rest[1], rest[2]], weights)),
        }
    }

    /// Dot products of `M` weight rows with `N` rows as long.
    #[target_feature(enable = "avx2,fma")]
    fn dots<const N: usize, const M: usize>(rows: [&[f32]; N], weights: [&[f32]; M]) -> [[f32; M]; N] {
        let inner = rows[0].len();
        assert!(rows.iter().chain(&weights).all(|row| row.len() == inner));
        let mut sums = [[_mm256_setzero_ps(); M]; N];
        for at in (0..inner / STEP).map(|step| step * STEP) {
            // SAFETY: every row and every weight row is at least `at + STEP` long.
            unsafe {
                let weights = weights.map(|weight| _mm256_loadu_ps(weight.as_ptr().add(at)));
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    let x = _mm256_loadu_ps(row.as_ptr().add(at));
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = _mm256_fmadd_ps(x, weight, *sum);
                    }
                }
            }
        }
        let rest = inner / STEP * STEP;
        let mut totals = [[0f32; M]; N];
        for ((totals, sums), row) in totals.iter_mut().zip(sums).zip(rows) {
            for ((total, sum), weight) in totals.iter_mut().zip(sums).zip(weights) {
                let mut lanes = [0f32; STEP];
                // SAFETY: eight values go into eight.
                unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
                let tail: f32 = row[rest..].iter().zip(&weight[rest..]).map(|(x, w)| x * w).sum();
                *total = lanes.iter().sum::<f32>() + tail;
            }
        }
        totals
    }
}
