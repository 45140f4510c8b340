//! The primary test of two models: the paired permutation test over clusters.

use super::clusters::{Additive, Mean};
use super::estimate::Undefined;
use super::random::{Purpose, Stream};

/// What a permutation test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignFlip {
    /// The mean difference that was tested.
    pub difference: f64,
    /// Two-sided. Valid whatever the number of clusters; where few outcomes are possible it is on the safe side.
    pub p_value: f64,
    /// The same with half the probability of what was observed (Lancaster, JASA 56 (1961)): it rejects a true null
    /// hypothesis as often as it says in the mean, not in every case.
    pub mid_p: f64,
    /// Clusters whose sum is not 0; the others say nothing.
    pub clusters: usize,
    /// How many random flips; `None` where all were counted.
    pub flips: Option<usize>,
}

/// Tests whether the mean of paired differences is 0 by flipping the signs of whole clusters: if neither model is the
/// better one, a cluster's differences might as well have been their negatives. p is the share of the 2^G flips whose sum
/// is at least as far from 0 as the observed one.
///
/// Where the sums of clusters are whole multiples of one number, as differences of grades are, the distribution is
/// computed exactly, by convolution. Otherwise `flips` random ones are drawn and p = (1 + extreme)/(1 + flips).
///
/// Undefined where no cluster differs.
///
/// Source: Fisher, The Design of Experiments (1935), section 21; random flips: Phipson and Smyth, Statistical
/// Applications in Genetics and Molecular Biology 9 (2010).
pub fn sign_flip(differences: &Mean, flips: usize, seed: u64) -> Result<SignFlip, Undefined> {
    let difference = differences.value()?;
    let sums: Vec<f64> = differences.clusters().map(|(sum, _)| sum).filter(|sum| *sum != 0.0).collect();
    if sums.is_empty() {
        return Err(Undefined::NoDifference);
    }
    let clusters = sums.len();
    Ok(match whole_multiples(&sums) {
        Some(sums) => {
            let (beyond, equal) = exact(&sums);
            let p_value = (beyond + equal).min(1.0);
            SignFlip { difference, p_value, mid_p: beyond + equal / 2.0, clusters, flips: None }
        }
        None => {
            let (beyond, equal) = drawn(&sums, flips, seed);
            let all = 1.0 + flips as f64;
            let p_value = (1.0 + beyond + equal) / all;
            SignFlip { difference, p_value, mid_p: (beyond + (1.0 + equal) / 2.0) / all, clusters, flips: Some(flips) }
        }
    })
}

/// The largest sum, in units, whose distribution is still computed exactly.
const MOST_UNITS: i64 = 1 << 16;

/// The sums as whole multiples of 1/s, for the smallest s up to 60 that has them all (60 holds the means of up to six
/// raters).
fn whole_multiples(sums: &[f64]) -> Option<Vec<i64>> {
    (1..=60).map(f64::from).find_map(|scale| {
        let mut units = 0;
        sums.iter()
            .map(|sum| {
                let scaled = sum * scale;
                let whole = scaled.round();
                if (scaled - whole).abs() > 1e-9 || whole.abs() > MOST_UNITS as f64 {
                    return None;
                }
                units += whole.abs() as i64;
                (units <= MOST_UNITS).then_some(whole as i64)
            })
            .collect()
    })
}

/// The probabilities that the flipped sum is further from 0 than the observed one, and that it is as far.
fn exact(sums: &[i64]) -> (f64, f64) {
    let observed = sums.iter().sum::<i64>().abs();
    let all: i64 = sums.iter().map(|sum| sum.abs()).sum();
    // probability[s] that the sizes of the clusters flipped upwards add up to s; the flipped sum is then 2s − all.
    let mut probability = vec![0.0; all as usize + 1];
    probability[0] = 1.0;
    for sum in sums {
        let size = sum.unsigned_abs() as usize;
        for up in (0..probability.len()).rev() {
            let before = if up >= size { probability[up - size] } else { 0.0 };
            probability[up] = 0.5 * (probability[up] + before);
        }
    }
    let (mut beyond, mut equal) = (0.0, 0.0);
    for (up, probability) in (0..).zip(probability) {
        match (2 * up - all).abs().cmp(&observed) {
            std::cmp::Ordering::Greater => beyond += probability,
            std::cmp::Ordering::Equal => equal += probability,
            std::cmp::Ordering::Less => {}
        }
    }
    (beyond, equal)
}

/// How many random flips are further from 0 than the observed sum, and how many as far, but for rounding.
fn drawn(sums: &[f64], flips: usize, seed: u64) -> (f64, f64) {
    let observed = sums.iter().sum::<f64>().abs();
    let rounding = 1e-12 * sums.iter().map(|sum| sum.abs()).sum::<f64>();
    let mut stream = Stream::new(Purpose::SignFlips, seed, 0);
    let (mut beyond, mut equal) = (0.0, 0.0);
    for _ in 0..flips {
        let mut flipped = 0.0;
        for sums in sums.chunks(64) {
            let mut bits = stream.bits();
            for sum in sums {
                flipped += if bits & 1 == 0 { *sum } else { -sum };
                bits >>= 1;
            }
        }
        let apart = f64::abs(flipped) - observed;
        if apart > rounding {
            beyond += 1.0;
        } else if apart >= -rounding {
            equal += 1.0;
        }
    }
    (beyond, equal)
}
