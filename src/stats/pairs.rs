//! Tests of paired items that know no clusters, beside the permutation test that does: Wilcoxon's signed ranks, exact
//! McNemar.

use super::distribution::{fair_coin_at_most, normal_upper_tail};
use super::estimate::Undefined;
use crate::error::{Error, Result};

/// What becomes of pairs that do not differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// Left out before ranking (Wilcoxon 1945).
    Wilcox,
    /// Ranked, then left out (Pratt, JASA 54 (1959)): with many equal grades the better choice.
    Pratt,
}

/// What Wilcoxon's test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// The smaller one of the rank sums of positive and negative differences.
    pub statistic: f64,
    /// Two-sided.
    pub p_value: f64,
    /// Pairs that differ.
    pub n: usize,
    /// Whether the distribution is exact, otherwise it is the normal one.
    pub exact: bool,
}

/// Pairs up to which, without ties and zeros, the exact distribution is used.
const MOST_EXACT: usize = 50;

/// Wilcoxon's signed-rank test of paired differences, two-sided.
///
/// Exact for up to 50 pairs without ties and zeros; otherwise the normal approximation with the variance corrected for
/// ties (and, by Pratt's method, for zeros) and a continuity correction of ½. Undefined where no pair differs.
///
/// Source: Wilcoxon, Biometrics Bulletin 1 (1945); Cureton, JASA 62 (1967) for the variance with Pratt's zeros.
///
/// # Errors
///
/// A difference is no finite number.
pub fn wilcoxon(differences: &[f64], zeros: Zeros) -> Result<Result<SignedRank, Undefined>> {
    if let Some(wrong) = differences.iter().find(|difference| !difference.is_finite()) {
        return Err(Error::input(format!("{wrong} is no difference that can be ranked")));
    }
    let mut sorted = differences.to_vec();
    if zeros == Zeros::Wilcox {
        sorted.retain(|difference| *difference != 0.0);
    }
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let without_difference = sorted.iter().filter(|difference| **difference == 0.0).count();
    let n = sorted.len() - without_difference;
    if n == 0 {
        return Ok(Err(Undefined::NoDifference));
    }
    let (mut positive, mut negative, mut ties) = (0.0, 0.0, 0.0);
    let mut rank = 0.0;
    for tied in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let size = tied.len() as f64;
        let mean_rank = rank + (size + 1.0) / 2.0;
        rank += size;
        if tied[0] != 0.0 {
            let up = tied.iter().filter(|difference| **difference > 0.0).count() as f64;
            positive += up * mean_rank;
            negative += (size - up) * mean_rank;
            ties += size * (size * size - 1.0);
        }
    }
    let statistic = f64::min(positive, negative);
    let exact = n <= MOST_EXACT && without_difference == 0 && ties == 0.0;
    let p_value = if exact {
        exact_signed_rank(statistic as usize, n)
    } else {
        let moment = |n: f64| (n * (n + 1.0) / 4.0, n * (n + 1.0) * (2.0 * n + 1.0));
        let ((all, all_squares), (zero, zero_squares)) = (moment(rank), moment(without_difference as f64));
        let deviation = ((all_squares - zero_squares - ties / 2.0) / 24.0).sqrt();
        let apart = ((all - zero - statistic).abs() - 0.5).max(0.0);
        2.0 * normal_upper_tail(apart / deviation)
    };
    Ok(Ok(SignedRank { statistic, p_value: p_value.min(1.0), n, exact }))
}

/// Twice the probability of a rank sum of at most `statistic`, of the 2ⁿ equally likely ones.
fn exact_signed_rank(statistic: usize, n: usize) -> f64 {
    let mut ways = vec![0.0; n * (n + 1) / 2 + 1];
    ways[0] = 1.0;
    for rank in 1..=n {
        for sum in (rank..ways.len()).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    2.0 * ways.iter().take(statistic + 1).sum::<f64>() / libm::exp2(n as f64)
}

/// The exact two-sided McNemar test: of the pairs in which one model alone succeeds (grade A or B), is either of them
/// that one more often? p = min(1, 2 P(X ≤ min)) of a binomial X with `first_only + second_only` trials and ½.
///
/// Undefined where no pair differs.
///
/// Source: McNemar, Psychometrika 12 (1947); Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13 (2013).
pub fn mcnemar(first_only: u64, second_only: u64) -> Result<f64, Undefined> {
    match first_only + second_only {
        0 => Err(Undefined::NoDifference),
        trials => Ok((2.0 * fair_coin_at_most(first_only.min(second_only), trials)).min(1.0)),
    }
}
