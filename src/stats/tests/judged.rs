use proptest::prelude::*;

use super::super::distribution::student_quantile;
use super::super::oracle::{assert_close, list, rows};
use super::super::power::successes;
use super::super::random::{Purpose, Stream};
use super::super::*;
use super::resampling::owleval_sizes;

#[test]
fn with_a_given_lambda_the_estimate_is_that_of_ppi_python() {
    for case in rows("comparisons", "prediction_powered") {
        let (human, judge) = (list(&case["human"]), list(&case["judge"]));
        let mut judged = Judged::new(judge.len());
        for (item, judge) in judge.iter().enumerate() {
            judged.add(item, *judge, human.get(item).copied()).unwrap();
        }
        let estimate = judged.with_lambda(case["lambda"].as_f64().unwrap()).unwrap();
        assert_close(estimate.point, case["point"].as_f64().unwrap(), 1e-9);
        // The package's interval is the normal one of large samples.
        let freedom = human.len() as f64 - 1.0;
        let reach = student_quantile(0.975, freedom) * (human.len() as f64 / freedom).sqrt();
        assert_close((estimate.high - estimate.low) / 2.0, reach * case["error"].as_f64().unwrap(), 1e-9);
        assert_eq!(estimate.n, human.len());
    }
}

/// A study: rates of two models, a judge who errs and is too kind to the second model, human grades of some pictures.
/// Returns the A-rate of the first model and the difference of both.
fn study(seed: u64, index: u64, pictures_with_human_grades: usize, judge_errs: f64) -> [Judged; 2] {
    let mut stream = Stream::new(Purpose::Test, seed, index);
    let sizes = owleval_sizes();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    for end in (1..order.len()).rev() {
        order.swap(end, stream.below(end + 1));
    }
    let questions = successes(&mut stream, &sizes, RATES, 0.3);
    let mut judged = [Judged::new(sizes.len()), Judged::new(sizes.len())];
    for (picture, human) in questions {
        let has_human = order[picture] < pictures_with_human_grades;
        let judge = [0, 1].map(|model| {
            let errs = stream.unit() < judge_errs;
            if errs { stream.unit() < [0.5, 0.8][model] } else { human[model] }
        });
        let number = |success: bool| f64::from(u8::from(success));
        judged[0].add(picture, number(judge[0]), has_human.then(|| number(human[0]))).unwrap();
        let [judge, human] = [judge, human].map(|of| number(of[1]) - number(of[0]));
        judged[1].add(picture, judge, has_human.then_some(human)).unwrap();
    }
    judged
}

const RATES: [f64; 2] = [0.5, 0.7];
const TRUE: [f64; 2] = [0.5, 0.2];

/// (coverage of the rate, of the difference; of the human grades alone; mean worth of the judge)
fn coverage(studies: u64, pictures: usize, judge_errs: f64) -> ([f64; 2], [f64; 2], [f64; 2]) {
    let (mut covered, mut human_only, mut worth) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    for index in 0..studies {
        for (target, judged) in study(21, index, pictures, judge_errs).iter().enumerate() {
            let found = judged.estimate().unwrap();
            let holds = |estimate: &Estimate| {
                f64::from(u8::from(estimate.low <= TRUE[target] && TRUE[target] <= estimate.high))
            };
            covered[target] += holds(&found.estimate) / studies as f64;
            human_only[target] += holds(&found.human_only) / studies as f64;
            worth[target] += found.worth() / studies as f64;
        }
    }
    (covered, human_only, worth)
}

#[test]
fn prediction_powered_intervals_cover_what_they_claim_although_the_judge_is_biased() {
    let (covered, human_only, worth) = coverage(400, 20, 0.2);
    for share in [covered, human_only].concat() {
        assert!((0.92..=0.985).contains(&share), "{covered:?} {human_only:?}");
    }
    assert!(worth.iter().all(|worth| *worth > 1.15), "{worth:?}");
}

#[test]
#[ignore = "some seconds: 2,000 studies of each of six kinds"]
fn prediction_powered_intervals_cover_what_they_claim_in_two_thousand_studies() {
    for pictures in [10, 20, 35] {
        for judge_errs in [0.1, 0.6] {
            let (covered, human_only, worth) = coverage(2000, pictures, judge_errs);
            println!(
                "{pictures} pictures, judge errs {judge_errs}: {covered:.3?}, humans alone {human_only:.3?}, worth {worth:.2?}"
            );
            assert!(covered.iter().all(|share| (0.925..=0.98).contains(share)), "{covered:?}");
        }
    }
}

#[test]
fn a_judge_who_is_always_right_counts_as_a_human_and_one_who_guesses_is_not_listened_to() {
    let mean = |judge_errs: f64, of: fn(PredictionPowered) -> f64| {
        (0..200).map(|index| of(study(4, index, 20, judge_errs)[0].estimate().unwrap())).sum::<f64>() / 200.0
    };
    // All 82 grades weigh the same where the weight of the others is N/(n + N), about 49/82.
    let lambda = mean(0.0, |found| found.lambda);
    assert!((lambda - 0.6).abs() < 0.05, "{lambda}");
    let worth = mean(0.0, |found| found.worth());
    assert!((2.0..3.5).contains(&worth), "{worth}");
    let lambda = mean(1.0, |found| found.lambda);
    assert!(lambda < 0.15, "{lambda}");
}

#[test]
fn the_judge_alone_and_few_human_grades_give_no_estimate() {
    let mut judged = Judged::new(10);
    judged.add(0, 1.0, None).unwrap();
    assert_eq!(judged.estimate(), Err(Undefined::Empty));
    (0..3).for_each(|picture| judged.add(picture, 1.0, Some(0.0)).unwrap());
    assert_eq!(judged.estimate(), Err(Undefined::FewClusters));
    judged.add(3, 0.0, Some(1.0)).unwrap();
    assert!(judged.estimate().is_ok());
    assert!(judged.add(3, f64::NAN, None).is_err());
    assert!(judged.add(3, 0.0, Some(f64::INFINITY)).is_err());
    assert!(judged.add(10, 0.0, None).is_err());
}

#[test]
fn where_humans_graded_everything_the_judge_changes_nothing() {
    let mut judged = Judged::new(12);
    let mut mean = Mean::new(12);
    for (item, human) in [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0].into_iter().enumerate() {
        judged.add(item, 1.0 - human, Some(human)).unwrap();
        mean.add(item, human).unwrap();
    }
    let (found, alone) = (judged.estimate().unwrap(), mean.cluster_robust().unwrap());
    assert_eq!(found.lambda, 0.0);
    assert_close(found.worth(), 1.0, 1e-12);
    for estimate in [found.estimate, found.human_only] {
        assert_close(estimate.point, alone.point, 1e-12);
        assert_close(estimate.low, alone.low, 1e-12);
        assert_close(estimate.high, alone.high, 1e-12);
    }
}

proptest! {
    #[test]
    fn no_other_lambda_has_a_smaller_variance(index in 0u64..500, other in 0.0..1.0) {
        let judged = &study(5, index, 20, 0.3)[0];
        let found = judged.estimate().unwrap();
        // With the same degrees of freedom, so that the widths compare the variances.
        let width = |lambda| judged.with_lambda(lambda).map(|estimate| estimate.high - estimate.low).unwrap();
        prop_assert!(width(found.lambda) <= width(other) + 1e-12);
    }

    #[test]
    fn the_unit_of_grades_changes_the_estimate_by_the_unit(index in 0u64..500, scale in 0.1..10.0_f64, shift in -5.0..5.0_f64) {
        let mut stream = Stream::new(Purpose::Test, 6, index);
        let (mut judged, mut other) = (Judged::new(8), Judged::new(8));
        for item in 0..40 {
            let (judge, human) = (stream.normal(), (item % 3 == 0).then(|| stream.normal()));
            judged.add(item % 8, judge, human).unwrap();
            other.add(item % 8, judge * scale + shift, human.map(|human| human * scale + shift)).unwrap();
        }
        let (found, other) = (judged.estimate().unwrap(), other.estimate().unwrap());
        prop_assert!((found.estimate.low * scale + shift - other.estimate.low).abs() < 1e-9);
        prop_assert!((found.estimate.high * scale + shift - other.estimate.high).abs() < 1e-9);
        prop_assert!((found.lambda - other.lambda).abs() < 1e-9);
    }
}
