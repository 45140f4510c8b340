use proptest::prelude::*;
use serde_json::Value;

use super::super::oracle::{assert_close, numbers, rows, whole};
use super::super::*;

/// `labels`: units × raters; every unit is a cluster of its own.
fn ratings(categories: usize, labels: &[Vec<Option<usize>>]) -> Ratings {
    let mut ratings = Ratings::new(categories, labels.first().map_or(0, Vec::len), labels.len());
    for (unit, labels) in labels.iter().enumerate() {
        ratings.add(unit, labels).unwrap();
    }
    ratings
}

fn labels(case: &Value) -> Vec<Vec<Option<usize>>> {
    let label = |value: &Value| value.as_u64().map(|label| label as usize);
    case["labels"].as_array().unwrap().iter().map(|unit| unit.as_array().unwrap().iter().map(label).collect()).collect()
}

fn case(name: &str) -> Ratings {
    let case = rows("agreement", "cases").into_iter().find(|case| case["name"] == name).unwrap();
    ratings(case["categories"].as_u64().unwrap() as usize, &labels(&case))
}

const METRICS: [(Metric, &str); 3] =
    [(Metric::Nominal, "nominal"), (Metric::Ordinal, "ordinal"), (Metric::Interval, "interval")];
const WEIGHTS: [(Weights, &str); 4] = [
    (Weights::Identity, "identity"),
    (Weights::Linear, "linear"),
    (Weights::Quadratic, "quadratic"),
    (Weights::Ordinal, "ordinal"),
];

/// Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C.
#[test]
fn alpha_of_krippendorffs_four_observers_is_as_published() {
    let ratings = case("Krippendorff 2011");
    for (metric, published) in [(Metric::Nominal, 0.743), (Metric::Ordinal, 0.815), (Metric::Interval, 0.849)] {
        let alpha = Alpha::new(&ratings, metric).unwrap();
        assert!((alpha.value().unwrap() - published).abs() < 0.000_5, "{metric:?}");
        assert_eq!(alpha.n(), 11, "the twelfth unit has one rating");
    }
}

/// Gwet's R package irrCAC, `cac.raw4raters` (the same ratings): AC1 0.77544, percent agreement 0.81818.
#[test]
fn ac1_and_percent_agreement_of_four_raters_are_as_published() {
    let ratings = case("Krippendorff 2011");
    assert_close(Gwet::new(&ratings, Weights::Identity).unwrap().value().unwrap(), 0.775_44, 1e-5);
    assert_close(ratings.agreement().unwrap().value().unwrap(), 0.818_18, 1e-5);
}

/// Fleiss, Statistical Methods for Rates and Proportions, 2nd edition (1981), table 13.1: κ = 0.68.
#[test]
fn kappa_of_fleiss_diagnoses_is_as_published() {
    let mut confusion = Confusion::new(3, 1);
    let table = [[75, 1, 4], [5, 4, 1], [0, 0, 10]];
    for (first, row) in table.iter().enumerate() {
        for (second, count) in row.iter().enumerate() {
            (0..*count).for_each(|_| confusion.add(0, first, second).unwrap());
        }
    }
    assert_eq!(confusion.counts(), table.map(Vec::from));
    assert_close(confusion.agreement().unwrap().value().unwrap(), 0.89, 1e-12);
    assert_close(confusion.kappa(Weights::Identity).value().unwrap(), (0.89 - 0.66) / (1.0 - 0.66), 1e-12);
    assert_eq!(confusion.kappa(Weights::Identity).n(), 100);
}

#[test]
fn alpha_kappa_and_gwet_are_those_of_the_python_packages() {
    for case in rows("agreement", "cases") {
        let categories = case["categories"].as_u64().unwrap() as usize;
        let ratings = ratings(categories, &labels(&case));
        for (metric, name) in METRICS {
            let expected = case["alpha"][name].as_f64().unwrap();
            assert_close(Alpha::new(&ratings, metric).unwrap().value().unwrap(), expected, 1e-9);
        }
        for (weights, name) in WEIGHTS {
            let expected = case["gwet"][name].as_f64().unwrap();
            assert_close(Gwet::new(&ratings, weights).unwrap().value().unwrap(), expected, 1e-9);
        }
        assert_close(ratings.agreement().unwrap().value().unwrap(), case["agreement"].as_f64().unwrap(), 1e-9);
        for pair in case["pairs"].as_array().unwrap() {
            let [first, second] = ["first", "second"].map(|key| pair[key].as_u64().unwrap() as usize);
            let confusion = ratings.confusion(first, second).unwrap();
            let counts: Vec<Vec<usize>> = pair["counts"].as_array().unwrap().iter().map(whole).collect();
            assert_eq!(confusion.counts(), counts);
            for (weights, name) in &WEIGHTS[..3] {
                let expected = pair["kappa"][*name].as_f64().unwrap();
                assert_close(confusion.kappa(*weights).value().unwrap(), expected, 1e-9);
            }
        }
    }
}

/// Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
#[test]
fn wilsons_interval_is_that_of_newcombe() {
    for (successes, trials, low, high) in
        [(81.0, 263, 0.2553, 0.3662), (15.0, 148, 0.0624, 0.1605), (0.0, 20, 0.0, 0.1611), (1.0, 29, 0.0061, 0.1718)]
    {
        let estimate = wilson(successes, trials).unwrap();
        assert!((estimate.low - low).abs() < 0.000_05 && (estimate.high - high).abs() < 0.000_05, "{estimate:?}");
    }
}

/// Sison and Glaz, Journal of the American Statistical Association 90 (1995), example 1, Goodman's intervals.
#[test]
fn goodmans_intervals_are_those_of_sison_and_glaz() {
    let published = [(0.085, 0.166), (0.115, 0.204), (0.116, 0.207), (0.091, 0.173), (0.096, 0.181), (0.143, 0.239)];
    let estimates = goodman(&[56, 72, 73, 59, 62, 87, 58]).unwrap();
    for (estimate, (low, high)) in estimates.iter().zip(published) {
        assert!((estimate.low - low).abs() < 0.000_51 && (estimate.high - high).abs() < 0.000_51, "{estimate:?}");
    }
}

#[test]
fn intervals_of_rates_are_those_of_statsmodels() {
    for row in rows("rates", "wilson") {
        let [count, n, low, high] = numbers(&row);
        let estimate = wilson(count, n as usize).unwrap();
        assert_close(estimate.low, low, 1e-9);
        assert_close(estimate.high, high, 1e-9);
    }
    for case in rows("rates", "goodman") {
        let estimates = goodman(&whole(&case["counts"])).unwrap();
        for (estimate, expected) in estimates.iter().zip(case["intervals"].as_array().unwrap()) {
            let [low, high] = numbers(expected);
            assert_close(estimate.low, low, 1e-9);
            assert_close(estimate.high, high, 1e-9);
        }
    }
}

#[test]
fn the_interval_of_a_rate_at_the_end_holds_the_rate() {
    for trials in 1..200 {
        let (none, all) = (wilson(0.0, trials).unwrap(), wilson(trials as f64, trials).unwrap());
        assert_eq!((none.low, all.high), (0.0, 1.0));
        assert!(none.high > 0.0 && all.low < 1.0);
    }
}

#[test]
fn constant_ratings_have_no_alpha_and_no_kappa_but_the_agreement_and_prevalence_that_they_have() {
    let ratings = ratings(4, &vec![vec![Some(2), Some(2), None]; 9]);
    for (metric, _) in METRICS {
        assert_eq!(Alpha::new(&ratings, metric).unwrap().value(), Err(Undefined::Constant));
    }
    for (weights, _) in WEIGHTS {
        assert_eq!(ratings.confusion(0, 1).unwrap().kappa(weights).value(), Err(Undefined::Constant));
        assert_eq!(Gwet::new(&ratings, weights).unwrap().value(), Ok(1.0));
    }
    assert_eq!(ratings.agreement().unwrap().value(), Ok(1.0));
    assert_eq!(ratings.prevalence(2).unwrap().value(), Ok(1.0));
    assert_eq!(ratings.prevalence(0).unwrap().value(), Ok(0.0));
    assert_eq!(ratings.prevalence(4).unwrap_err().message(), "category 4 of 4, counted from 0");
}

#[test]
fn without_two_ratings_of_anything_agreement_is_undefined() {
    for ratings in [ratings(4, &[]), ratings(4, &[vec![Some(1), None], vec![None, Some(2)], vec![None, None]])] {
        assert_eq!(Alpha::new(&ratings, Metric::Ordinal).unwrap().value(), Err(Undefined::NoPairs));
        assert_eq!(Gwet::new(&ratings, Weights::Ordinal).unwrap().value(), Err(Undefined::NoPairs));
        assert_eq!(ratings.agreement().unwrap().value(), Err(Undefined::Empty));
    }
    assert_eq!(Confusion::new(4, 0).kappa(Weights::Linear).value(), Err(Undefined::NoPairs));
    assert_eq!(Confusion::new(0, 0).kappa(Weights::Linear).value(), Err(Undefined::NoPairs));
    assert_eq!(wilson(0.0, 0), Err(Undefined::Empty));
    assert_eq!(wilson(3.0, 2), Err(Undefined::Empty));
    assert_eq!(wilson(f64::NAN, 2), Err(Undefined::Empty));
    assert_eq!(goodman(&[0, 0]), Err(Undefined::Empty));
    assert_eq!(goodman(&[]), Ok(Vec::new()));
}

#[test]
fn one_disagreement_among_equal_grades_makes_alpha_zero_and_leaves_ac1_high() {
    let mut labels = vec![vec![Some(0), Some(0)]; 20];
    labels[7][1] = Some(1);
    let ratings = ratings(4, &labels);
    let alpha = Alpha::new(&ratings, Metric::Nominal).unwrap().value().unwrap();
    assert!(alpha.abs() < 1e-12, "{alpha}");
    assert!(Gwet::new(&ratings, Weights::Identity).unwrap().value().unwrap() > 0.94);
    assert_close(ratings.prevalence(0).unwrap().value().unwrap(), 0.975, 1e-12);
}

#[test]
fn what_no_rating_can_be_is_refused() {
    let mut ratings = Ratings::new(4, 2, 3);
    assert_eq!(ratings.add(0, &[Some(1)]).unwrap_err().message(), "1 ratings of a unit, 2 raters");
    assert_eq!(ratings.add(0, &[Some(1), Some(4)]).unwrap_err().message(), "category 4 of 4, counted from 0");
    assert_eq!(ratings.add(3, &[None, None]).unwrap_err().message(), "cluster 3 of 3");
    ratings.add(2, &[None, Some(0)]).unwrap();
    assert_eq!(ratings.confusion(0, 2).unwrap_err().message(), "rater 2 of 2, counted from 0");
    let rating = Rating { rater: 5, unit: 0, cluster: 0, label: 0 };
    assert_eq!(repeats(&[rating], 4, 5, 1).unwrap_err().message(), "rater 5 of 5, counted from 0");
}

#[test]
fn a_rater_who_rates_again_is_compared_with_himself() {
    let rating = |rater, unit, label| Rating { rater, unit, cluster: unit, label };
    let events = [
        rating(0, 0, 1),
        rating(1, 0, 3),
        rating(0, 1, 2),
        rating(0, 0, 1),
        rating(0, 1, 3),
        rating(0, 2, 0),
        rating(0, 1, 3),
        rating(1, 0, 3),
    ];
    let repeats = repeats(&events, 4, 2, 3).unwrap();
    let mut steady = Confusion::new(4, 3);
    for (unit, earlier, later) in [(0, 1, 1), (1, 2, 3), (1, 3, 3)] {
        steady.add(unit, earlier, later).unwrap();
    }
    assert_eq!(repeats[0].counts(), steady.counts());
    assert_close(repeats[0].agreement().unwrap().value().unwrap(), 2.0 / 3.0, 1e-12);
    assert_eq!(repeats[1].n(), 1);
    assert_eq!(repeats[1].kappa(Weights::Quadratic).value(), Err(Undefined::Constant));
}

#[test]
fn alpha_of_pairs_is_alpha_of_two_raters() {
    for case in rows("agreement", "cases") {
        let labels: Vec<_> = labels(&case).into_iter().map(|unit| unit[..2].to_vec()).collect();
        let ratings = ratings(case["categories"].as_u64().unwrap() as usize, &labels);
        for (metric, _) in METRICS {
            let of_pairs = Alpha::of_pairs(&ratings.confusion(0, 1).unwrap(), metric).unwrap();
            let alpha = Alpha::new(&ratings, metric).unwrap();
            assert_close(of_pairs.value().unwrap(), alpha.value().unwrap(), 1e-12);
            assert_eq!(of_pairs.n(), alpha.n());
        }
    }
}

fn any_labels() -> impl Strategy<Value = Vec<Vec<Option<usize>>>> {
    (2usize..5).prop_flat_map(|raters| {
        prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, 0usize..4), raters), 2..30)
    })
}

/// Every statistic of agreement that there is.
fn all_of(ratings: &Ratings) -> Vec<Result<f64, Undefined>> {
    let mut values = vec![ratings.agreement().unwrap().value()];
    values.extend(METRICS.map(|(metric, _)| Alpha::new(ratings, metric).unwrap().value()));
    values.extend(WEIGHTS.map(|(weights, _)| Gwet::new(ratings, weights).unwrap().value()));
    values
}

fn same(values: &[Result<f64, Undefined>], others: &[Result<f64, Undefined>]) -> bool {
    values.iter().zip(others).all(|pair| match pair {
        (Ok(value), Ok(other)) => (value - other).abs() < 1e-9,
        (one, other) => one == other,
    })
}

proptest! {
    #[test]
    fn the_order_of_raters_and_units_changes_no_agreement(labels in any_labels(), turn in 1usize..4) {
        let values = all_of(&ratings(4, &labels));
        let mut turned = labels.clone();
        turned.rotate_left(turn % labels.len());
        turned.iter_mut().for_each(|unit| { let raters = unit.len(); unit.rotate_left(turn % raters); });
        prop_assert!(same(&values, &all_of(&ratings(4, &turned))));
    }

    #[test]
    fn counting_the_categories_from_the_other_end_changes_no_agreement(labels in any_labels()) {
        let reversed: Vec<Vec<Option<usize>>> =
            labels.iter().map(|unit| unit.iter().map(|label| label.map(|label| 3 - label)).collect()).collect();
        prop_assert!(same(&all_of(&ratings(4, &labels)), &all_of(&ratings(4, &reversed))));
    }

    #[test]
    fn other_names_of_the_categories_change_no_nominal_agreement(labels in any_labels(), names in Just([2, 0, 3, 1])) {
        let renamed: Vec<Vec<Option<usize>>> =
            labels.iter().map(|unit| unit.iter().map(|label| label.map(|label| names[label])).collect()).collect();
        let nominal = |ratings: &Ratings| [
            Alpha::new(ratings, Metric::Nominal).unwrap().value(),
            Gwet::new(ratings, Weights::Identity).unwrap().value(),
            ratings.confusion(0, 1).unwrap().kappa(Weights::Identity).value(),
        ];
        prop_assert!(same(&nominal(&ratings(4, &labels)), &nominal(&ratings(4, &renamed))));
    }

    #[test]
    fn a_category_that_nobody_used_changes_no_alpha_and_no_kappa_of_two_raters(labels in any_labels()) {
        let values = |categories| {
            let ratings = ratings(categories, &labels);
            let confusion = ratings.confusion(0, 1).unwrap();
            let mut values = METRICS.map(|(metric, _)| Alpha::new(&ratings, metric).unwrap().value()).to_vec();
            values.extend(WEIGHTS[..3].iter().map(|(weights, _)| confusion.kappa(*weights).value()));
            values
        };
        prop_assert!(same(&values(4), &values(6)));
    }

    #[test]
    fn exchanging_two_raters_changes_no_kappa_and_no_coefficient_is_above_one(labels in any_labels()) {
        let ratings = ratings(4, &labels);
        for (weights, _) in WEIGHTS {
            let there = ratings.confusion(0, 1).unwrap().kappa(weights).value();
            let back = ratings.confusion(1, 0).unwrap().kappa(weights).value();
            prop_assert!(same(&[there], &[back]));
            prop_assert!(there.is_err() || there.unwrap() <= 1.0);
        }
        prop_assert!(all_of(&ratings).iter().flatten().all(|value| *value <= 1.0 + 1e-12));
    }

    #[test]
    fn raters_who_always_agree_have_one_or_nothing(labels in any_labels()) {
        let agreed: Vec<Vec<Option<usize>>> =
            labels.iter().map(|unit| vec![unit.iter().flatten().next().copied(); 2]).collect();
        for value in all_of(&ratings(4, &agreed)) {
            prop_assert!(value.map_or_else(|why| why != Undefined::Resamples, |value| (value - 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn the_intervals_of_rates_hold_the_rate_and_shrink_with_more_trials(trials in 1usize..500, share in 0.0..=1.0) {
        let few = wilson(share * trials as f64, trials).unwrap();
        let many = wilson(share * 4.0 * trials as f64, 4 * trials).unwrap();
        prop_assert!(0.0 <= few.low && few.low <= few.point && few.point <= few.high && few.high <= 1.0);
        prop_assert!(many.high - many.low < few.high - few.low);
    }
}

#[test]
fn the_shares_of_categories_add_up_to_one() {
    let ratings = case("five raters, a third missing");
    let shares: f64 = (0..4).map(|category| ratings.prevalence(category).unwrap().value().unwrap()).sum();
    assert_close(shares, 1.0, 1e-12);
}
