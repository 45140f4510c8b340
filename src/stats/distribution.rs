//! The distributions that intervals and tests refer to: normal, Student's t, binomial with probability one half.
//!
//! Logarithms and the like come from the `libm` crate, not from the platform, whose last digit differs from machine to
//! machine: a report built twice must be the same to the byte.

/// P(Z > z) of a standard normal Z: ½ erfc(z/√2).
pub(super) fn normal_upper_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2)
}

/// The z with P(Z ≤ z) = `probability`, for a probability in (0, 1).
///
/// Source: Wichura, Algorithm AS 241, Applied Statistics 37 (1988), routine PPND16: relative accuracy about 1e-16.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    const CENTRE: ([f64; 8], [f64; 8]) = (
        [
            3.387_132_872_796_366_5,
            133.141_667_891_784_38,
            1_971.590_950_306_551_3,
            13_731.693_765_509_46,
            45_921.953_931_549_87,
            67_265.770_927_008_7,
            33_430.575_583_588_13,
            2_509.080_928_730_122_7,
        ],
        [
            1.0,
            42.313_330_701_600_91,
            687.187_007_492_057_9,
            5_394.196_021_424_751,
            21_213.794_301_586_597,
            39_307.895_800_092_71,
            28_729.085_735_721_943,
            5_226.495_278_852_854,
        ],
    );
    const SIDE: ([f64; 8], [f64; 8]) = (
        [
            1.423_437_110_749_683_5,
            4.630_337_846_156_546,
            5.769_497_221_460_691,
            3.647_848_324_763_204_5,
            1.270_458_252_452_368_4,
            0.241_780_725_177_450_6,
            0.022_723_844_989_269_184,
            7.745_450_142_783_414e-4,
        ],
        [
            1.0,
            2.053_191_626_637_759,
            1.676_384_830_183_803_8,
            0.689_767_334_985_1,
            0.148_103_976_427_480_08,
            0.015_198_666_563_616_457,
            5.475_938_084_995_345e-4,
            1.050_750_071_644_416_9e-9,
        ],
    );
    const TAIL: ([f64; 8], [f64; 8]) = (
        [
            6.657_904_643_501_103,
            5.463_784_911_164_114,
            1.784_826_539_917_291_3,
            0.296_560_571_828_504_87,
            0.026_532_189_526_576_124,
            0.001_242_660_947_388_078_4,
            2.711_555_568_743_487_6e-5,
            2.010_334_399_292_288_1e-7,
        ],
        [
            1.0,
            0.599_832_206_555_888,
            0.136_929_880_922_735_8,
            0.014_875_361_290_850_615,
            7.868_691_311_456_133e-4,
            1.846_318_317_510_054_8e-5,
            1.421_511_758_316_446e-7,
            2.044_263_103_389_939_8e-15,
        ],
    );
    let ratio = |(above, below): &([f64; 8], [f64; 8]), x: f64| polynomial(above, x) / polynomial(below, x);
    let centred = probability - 0.5;
    if centred.abs() <= 0.425 {
        return centred * ratio(&CENTRE, 0.180_625 - centred * centred);
    }
    let root = (-libm::log(probability.min(1.0 - probability))).sqrt();
    let size = if root <= 5.0 { ratio(&SIDE, root - 1.6) } else { ratio(&TAIL, root - 5.0) };
    size.copysign(centred)
}

/// The coefficients run from the constant upwards.
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// P(T > t) of Student's t with `freedom` degrees of freedom, for t ≥ 0: ½ I(freedom/(freedom + t²); freedom/2, ½).
///
/// Source: Abramowitz and Stegun, 26.7.1 and 26.5.8.
pub(super) fn student_upper_tail(t: f64, freedom: f64) -> f64 {
    0.5 * incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The t with P(T ≤ t) = `probability`, for a probability in [½, 1), found by halving an interval.
pub(super) fn student_quantile(probability: f64, freedom: f64) -> f64 {
    let tail = 1.0 - probability;
    let (mut low, mut high) = (0.0, 1.0);
    while student_upper_tail(high, freedom) > tail && high < 1e12 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if student_upper_tail(middle, freedom) > tail { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function I(x; a, b), by its continued fraction (Abramowitz and Stegun 26.5.8)
/// evaluated by Lentz's method.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges quickly below the mean; above it the complement does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let logarithm = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x);
    libm::exp(logarithm) / a / lentz(x, a, b)
}

/// 1 + d₁/(1 + d₂/(1 + …)) with the coefficients of the incomplete beta function.
fn lentz(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let not_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut fraction, mut numerator, mut denominator) = (1.0, 1.0, 0.0);
    for step in 1..500 {
        let m = f64::from(step / 2);
        let coefficient = if step % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        denominator = 1.0 / not_zero(1.0 + coefficient * denominator);
        numerator = not_zero(1.0 + coefficient / numerator);
        let change = numerator * denominator;
        fraction *= change;
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    fraction
}

/// P(X ≤ `most`) of a binomial X with `trials` and probability ½.
pub(super) fn fair_coin_at_most(most: u64, trials: u64) -> f64 {
    if most >= trials {
        return 1.0;
    }
    let factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    let whole = factorial(trials) - trials as f64 * std::f64::consts::LN_2;
    (0..=most).map(|k| libm::exp(whole - factorial(k) - factorial(trials - k))).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{assert_close, numbers, rows};
    use super::*;

    #[test]
    fn tails_and_quantiles_are_those_of_scipy() {
        for row in rows("distributions", "normal") {
            let [probability, quantile, z, tail] = numbers(&row);
            assert_close(normal_quantile(probability), quantile, 1e-14);
            assert_close(normal_upper_tail(z), tail, 1e-13);
        }
        for row in rows("distributions", "student") {
            let [freedom, probability, quantile, t, tail] = numbers(&row);
            assert_close(student_quantile(probability, freedom), quantile, 1e-11);
            assert_close(student_upper_tail(t, freedom), tail, 1e-11);
        }
        for row in rows("distributions", "fair_coin") {
            let [most, trials, probability] = numbers(&row);
            assert_close(fair_coin_at_most(most as u64, trials as u64), probability, 1e-11);
        }
    }

    #[test]
    fn students_quantiles_of_one_and_two_degrees_are_their_closed_forms() {
        for probability in [0.6, 0.9, 0.975, 0.999_f64] {
            let one = (std::f64::consts::PI * (probability - 0.5)).tan();
            let two = (2.0 * probability - 1.0) / (2.0 * probability * (1.0 - probability)).sqrt();
            assert_close(student_quantile(probability, 1.0), one, 1e-12);
            assert_close(student_quantile(probability, 2.0), two, 1e-12);
        }
    }

    #[test]
    fn the_normal_quantile_is_the_inverse_of_the_tail() {
        for step in 1..1000 {
            let probability = f64::from(step) / 1000.0;
            assert_close(1.0 - normal_upper_tail(normal_quantile(probability)), probability, 1e-14);
        }
    }
}
