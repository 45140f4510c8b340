//! Intervals of a rate and of the shares of categories.

use super::distribution::normal_quantile;
use super::estimate::{Estimate, LEVEL, Method, Undefined};

/// A rate with Wilson's interval: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
///
/// `successes` may be a fraction where an answer of several raters counts by its share of them. Undefined without
/// trials, or where there are more successes than trials. It takes the trials for independent: beside it stands the
/// cluster bootstrap of [`super::Mean`].
///
/// Source: Wilson, Journal of the American Statistical Association 22 (1927).
pub fn wilson(successes: f64, trials: usize) -> Result<Estimate, Undefined> {
    let z = normal_quantile(1.0 - (1.0 - LEVEL) / 2.0);
    score_interval(successes, trials, z * z, Method::Wilson)
}

/// The shares of categories with intervals that hold all at once: of each, Wilson's with z² = χ²(1 − α/k; 1).
///
/// Undefined where nothing was counted.
///
/// Source: Goodman, Technometrics 7 (1965).
pub fn goodman(counts: &[usize]) -> Result<Vec<Estimate>, Undefined> {
    let categories = counts.len();
    let n = counts.iter().sum();
    // A χ² with one degree of freedom is the square of a normal: its upper tail is twice the normal's.
    let z = normal_quantile(1.0 - (1.0 - LEVEL) / (2.0 * categories.max(1) as f64));
    counts.iter().map(|&count| score_interval(count as f64, n, z * z, Method::Goodman { categories })).collect()
}

fn score_interval(successes: f64, trials: usize, z_squared: f64, method: Method) -> Result<Estimate, Undefined> {
    let n = trials as f64;
    if trials == 0 || !(0.0..=n).contains(&successes) {
        return Err(Undefined::Empty);
    }
    let point = successes / n;
    let reach = (z_squared * (point * (1.0 - point) / n + z_squared / (4.0 * n * n))).sqrt();
    let centre = point + z_squared / (2.0 * n);
    let bound = |value: f64| (value / (1.0 + z_squared / n)).clamp(0.0, 1.0);
    // At the ends the bound is the point itself; rounding must not move it inside.
    let low = bound(centre - reach).min(point);
    let high = bound(centre + reach).max(point);
    Ok(Estimate { point, low, high, n: trials, method })
}
