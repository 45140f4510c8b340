//! The numbers of independent packages, `tests/fixtures/stats/*.json`, and how they are compared.

use serde_json::Value;

/// The rows under a key of a fixture.
pub fn rows(fixture: &str, key: &str) -> Vec<Value> {
    let text = match fixture {
        "agreement" => include_str!("../../tests/fixtures/stats/agreement.json"),
        "comparisons" => include_str!("../../tests/fixtures/stats/comparisons.json"),
        "distributions" => include_str!("../../tests/fixtures/stats/distributions.json"),
        "rates" => include_str!("../../tests/fixtures/stats/rates.json"),
        _ => panic!("no fixture {fixture}"),
    };
    let fixture: Value = serde_json::from_str(text).expect("a fixture is JSON");
    let rows = fixture[key].as_array().expect("a key of the fixture").clone();
    assert!(!rows.is_empty());
    rows
}

/// A list of numbers.
pub fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    list(value).try_into().expect("so many numbers")
}

pub fn list(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

pub fn whole(value: &Value) -> Vec<usize> {
    list(value).into_iter().map(|number| number as usize).collect()
}

/// Equal up to this share of the expected value (and, around 0, up to a millionth of the share).
#[track_caller]
pub fn assert_close(actual: f64, expected: f64, tolerance: f64) {
    let error = (actual - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1e-6), "{actual} instead of {expected}: {error:e} apart");
}
