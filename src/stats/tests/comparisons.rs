use proptest::prelude::*;

use super::super::oracle::{assert_close, list, numbers, rows, whole};
use super::super::*;

fn mean(clusters: &[usize], values: &[f64]) -> Mean {
    let mut mean = Mean::new(clusters.iter().max().map_or(0, |most| most + 1));
    for (cluster, value) in clusters.iter().zip(values) {
        mean.add(*cluster, *value).unwrap();
    }
    mean
}

/// A cluster each.
fn singles(values: &[f64]) -> Mean {
    mean(&(0..values.len()).collect::<Vec<_>>(), values)
}

/// Darwin's maize, crossed minus self-fertilised, in eighths of an inch.
const MAIZE: [f64; 15] = [49., -67., 8., 16., 6., 23., 28., 41., 14., 29., 56., 24., 75., 60., -48.];

/// Fisher, The Design of Experiments (1935), section 21: of 2¹⁵ flips 863 give a sum of at least 314, 28 of them 314.
#[test]
fn the_permutation_test_of_darwins_maize_is_fishers() {
    let test = sign_flip(&singles(&MAIZE), 0, 0).unwrap();
    assert_close(test.difference, 314.0 / 15.0, 1e-12);
    assert_close(test.p_value, 2.0 * 863.0 / 32_768.0, 1e-12);
    assert_close(test.mid_p, 2.0 * (835.0 + 14.0) / 32_768.0, 1e-12);
    assert_eq!((test.clusters, test.flips), (15, None));
}

#[test]
fn the_permutation_test_of_clusters_is_scipys_of_their_sums() {
    for case in rows("comparisons", "sign_flip") {
        let test = sign_flip(&mean(&whole(&case["clusters"]), &list(&case["differences"])), 0, 0).unwrap();
        assert_close(test.p_value, case["p_value"].as_f64().unwrap(), 1e-9);
        assert_close(test.mid_p, case["mid_p"].as_f64().unwrap(), 1e-9);
        assert_eq!(test.flips, None);
    }
}

#[test]
fn random_flips_find_what_counting_all_of_them_finds() {
    // A hundredth that is no hundredth of anything: no whole multiples, the same order of sums.
    let crooked = MAIZE.map(|value| value * std::f64::consts::PI);
    let exact = sign_flip(&singles(&MAIZE), 0, 0).unwrap();
    let drawn = sign_flip(&singles(&crooked), 200_000, 5).unwrap();
    assert_eq!(drawn.flips, Some(200_000));
    assert!((drawn.p_value - exact.p_value).abs() < 4.0 * 0.000_5, "{drawn:?} {exact:?}");
    assert!((drawn.mid_p - exact.mid_p).abs() < 4.0 * 0.000_5, "{drawn:?} {exact:?}");
    assert_eq!(drawn, sign_flip(&singles(&crooked), 200_000, 5).unwrap());
    assert_ne!(drawn.p_value, sign_flip(&singles(&crooked), 200_000, 6).unwrap().p_value);
    // With no flip drawn nothing is known.
    assert_eq!(sign_flip(&singles(&crooked), 0, 5).unwrap().p_value, 1.0);
}

#[test]
fn more_clusters_than_bits_of_a_word_are_flipped_one_by_one() {
    let crooked: Vec<f64> = (0..130).map(|i| std::f64::consts::PI * if i < 70 { 1.0 } else { -1.0 }).collect();
    let whole: Vec<f64> = crooked.iter().map(|value| value.signum()).collect();
    let (drawn, exact) =
        (sign_flip(&singles(&crooked), 40_000, 1).unwrap(), sign_flip(&singles(&whole), 0, 0).unwrap());
    assert!((drawn.p_value - exact.p_value).abs() < 0.01, "{drawn:?} {exact:?}");
}

/// Wilcoxon's T and its exact p of the same data: Cureton, JASA 62 (1967).
#[test]
fn the_signed_ranks_of_darwins_maize_are_as_published() {
    let test = wilcoxon(&MAIZE, Zeros::Wilcox).unwrap().unwrap();
    assert_eq!((test.statistic, test.n, test.exact), (24.0, 15, true));
    assert_close(test.p_value, 0.041_259_765_625, 1e-12);
}

#[test]
fn signed_ranks_are_scipys_with_both_ways_of_treating_zeros() {
    for case in rows("comparisons", "wilcoxon") {
        for (zeros, name) in [(Zeros::Wilcox, "wilcox"), (Zeros::Pratt, "pratt")] {
            let [statistic, p_value] = numbers(&case[name]);
            let test = wilcoxon(&list(&case["differences"]), zeros).unwrap().unwrap();
            assert_close(test.statistic, statistic, 1e-12);
            assert_close(test.p_value, p_value, 1e-9);
            assert_eq!(test.exact, case["exact"].as_bool().unwrap());
        }
    }
}

/// Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13 (2013), table 1: exact conditional p = 0.070.
#[test]
fn mcnemar_of_airway_hyperresponsiveness_is_as_published() {
    assert!((mcnemar(1, 7).unwrap() - 0.070).abs() < 0.000_5);
}

#[test]
fn exact_mcnemar_is_that_of_statsmodels() {
    for row in rows("comparisons", "mcnemar") {
        let [first, second, p_value] = numbers(&row);
        assert_close(mcnemar(first as u64, second as u64).unwrap(), p_value, 1e-9);
        assert_close(mcnemar(second as u64, first as u64).unwrap(), p_value, 1e-9);
    }
}

#[test]
fn holms_adjustment_is_that_of_statsmodels() {
    for case in rows("comparisons", "holm") {
        for (adjusted, expected) in holm(&list(&case["p"])).into_iter().zip(list(&case["adjusted"])) {
            assert_close(adjusted, expected, 1e-12);
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn the_cluster_robust_interval_is_that_of_statsmodels() {
    for case in rows("comparisons", "cluster_robust") {
        let estimate = mean(&whole(&case["clusters"]), &list(&case["values"])).cluster_robust().unwrap();
        let [low, high] = numbers(&case["interval"]);
        assert_close(estimate.point, case["mean"].as_f64().unwrap(), 1e-9);
        assert_close(estimate.low, low, 1e-9);
        assert_close(estimate.high, high, 1e-9);
    }
    assert_eq!(mean(&[3, 3, 3], &[1.0, 2.0, 3.0]).cluster_robust(), Err(Undefined::FewClusters));
}

#[test]
fn pairs_that_are_all_equal_test_nothing() {
    let equal = [0.0; 12];
    assert_eq!(sign_flip(&singles(&equal), 100, 1), Err(Undefined::NoDifference));
    assert_eq!(sign_flip(&singles(&[]), 100, 1), Err(Undefined::Empty));
    assert_eq!(wilcoxon(&equal, Zeros::Pratt).unwrap(), Err(Undefined::NoDifference));
    assert_eq!(wilcoxon(&[], Zeros::Wilcox).unwrap(), Err(Undefined::NoDifference));
    assert_eq!(mcnemar(0, 0), Err(Undefined::NoDifference));
    assert!(wilcoxon(&[1.0, f64::NAN], Zeros::Pratt).is_err());
    assert!(Mean::new(1).add(0, f64::INFINITY).is_err());
}

fn contests(wins: &[Vec<f64>]) -> Contests {
    let names = (0..wins.len()).map(|model| format!("m{model}")).collect();
    let mut contests = Contests::new(names, 1);
    for (first, row) in wins.iter().enumerate() {
        for (second, won) in row.iter().enumerate().skip(first + 1) {
            let halves = |count: f64| (2.0 * count).round() as usize;
            let (won, lost) = (halves(*won), halves(wins[second][first]));
            // A half left over on both sides is a tie.
            (0..won / 2).for_each(|_| contests.add(0, first, second, Outcome::First).unwrap());
            (0..lost / 2).for_each(|_| contests.add(0, first, second, Outcome::Second).unwrap());
            if won % 2 == 1 {
                assert_eq!(lost % 2, 1, "halves come in pairs");
                contests.add(0, first, second, Outcome::Tie).unwrap();
            }
        }
    }
    contests
}

fn matrix(value: &serde_json::Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(list).collect()
}

/// Agresti, Categorical Data Analysis, 2nd edition (2002), table 10.10 (American League 1987) and its estimates against
/// Baltimore.
#[test]
fn the_strengths_of_the_american_league_are_as_published() {
    let case = &rows("comparisons", "bradley_terry")[0];
    assert_eq!(case["name"], "baseball");
    let strengths = contests(&matrix(&case["wins"])).fit().unwrap();
    for (strength, published) in strengths.iter().zip([1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]) {
        assert!((strength - strengths[6] - published).abs() < 0.005, "{strengths:?}");
    }
}

#[test]
fn strengths_are_those_of_choix_also_with_ties_and_few_comparisons() {
    for case in rows("comparisons", "bradley_terry") {
        let strengths = contests(&matrix(&case["wins"])).fit().unwrap();
        for (strength, expected) in strengths.into_iter().zip(list(&case["strengths"])) {
            assert_close(strength, expected, 1e-8);
        }
    }
}

#[test]
fn models_that_were_never_compared_are_named() {
    let mut contests = Contests::new(["owl", "blip", "llava", "gpt"].map(String::from).to_vec(), 1);
    contests.add(0, 0, 2, Outcome::Tie).unwrap();
    contests.add(0, 1, 3, Outcome::Tie).unwrap();
    let error = contests.fit().unwrap_err();
    assert_eq!(error.message(), "the comparisons do not connect all models: {owl, llava} | {blip, gpt}");
    assert!(error.remedy_text().is_some());
    contests.add(0, 0, 1, Outcome::First).unwrap();
    let error = contests.fit().unwrap_err();
    assert_eq!(
        error.message(),
        "no finite strengths: one group of models never lost a point to the other: {owl, llava} | {blip, gpt}"
    );
    contests.add(0, 3, 2, Outcome::First).unwrap();
    assert!(contests.fit().is_ok());
    assert!(contests.add(0, 1, 1, Outcome::Tie).is_err());
    assert!(contests.add(0, 1, 4, Outcome::Tie).is_err());
}

#[test]
fn strengths_have_intervals_and_none_where_resamples_often_fall_apart() {
    let mut even = Contests::new(vec!["a".into(), "b".into(), "c".into()], 40);
    let mut thin = even.clone();
    for cluster in 0..40 {
        for (first, second) in [(0, 1), (1, 2), (0, 2)] {
            even.add(cluster, first, second, if cluster % 5 == 0 { Outcome::Second } else { Outcome::First }).unwrap();
        }
        thin.add(cluster, cluster % 2, cluster % 2 + 1, Outcome::First).unwrap();
    }
    // One single victory of c: a third of the resamples lack it.
    thin.add(0, 2, 0, Outcome::First).unwrap();
    let draws = Draws::new(40, 1000, 3);
    let intervals = |contests: &Contests| contests.bootstrap(&contests.fit().unwrap(), &draws);
    let estimates = intervals(&even).unwrap();
    assert!(estimates[0].low > estimates[2].high, "{estimates:?}");
    assert!(estimates.iter().all(|estimate| estimate.low < estimate.point && estimate.point < estimate.high));
    assert_eq!(intervals(&thin), Err(Undefined::Resamples));
}

#[test]
fn models_that_do_not_differ_stand_in_one_group() {
    // 0 and 1, 1 and 2 and 3 are alike; 4 is alone.
    let alike = [(0, 1), (1, 2), (1, 3), (2, 3)];
    let groups = indistinct_groups(5, |a, b| !alike.contains(&(a, b)));
    assert_eq!(groups, [vec![0, 1], vec![1, 2, 3], vec![4]]);
    assert_eq!(indistinct_groups(3, |_, _| false), [vec![0, 1, 2]]);
    assert!(indistinct_groups(0, |_, _| true).is_empty());
}

fn grade_differences() -> impl Strategy<Value = Vec<(usize, f64)>> {
    prop::collection::vec((0usize..7, (-3i32..=3).prop_map(f64::from)), 1..40)
}

proptest! {
    #[test]
    fn the_order_of_models_items_and_clusters_and_the_scale_change_no_test(differences in grade_differences()) {
        let test = |pairs: &[(usize, f64)]| {
            let (clusters, values): (Vec<usize>, Vec<f64>) = pairs.iter().copied().unzip();
            (sign_flip(&mean(&clusters, &values), 0, 0).map(|test| test.p_value),
             [Zeros::Wilcox, Zeros::Pratt].map(|zeros| wilcoxon(&values, zeros).unwrap().map(|test| test.p_value)))
        };
        let close = |a: Result<f64, Undefined>, b: Result<f64, Undefined>| match (a, b) {
            (Ok(a), Ok(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        };
        let expected = test(&differences);
        let changed: Vec<(usize, f64)> =
            differences.iter().rev().map(|(cluster, value)| (6 - cluster, -0.5 * value)).collect();
        let found = test(&changed);
        prop_assert!(close(expected.0, found.0));
        prop_assert!(close(expected.1[0], found.1[0]) && close(expected.1[1], found.1[1]));
        if let Ok(p) = expected.0 {
            prop_assert!(p > 0.0 && p <= 1.0);
        }
    }

    #[test]
    fn adjusted_p_values_are_no_smaller_keep_their_order_and_end_at_one(p in prop::collection::vec(0.0..=1.0, 1..20)) {
        let adjusted = holm(&p);
        for i in 0..p.len() {
            prop_assert!(p[i] <= adjusted[i] && adjusted[i] <= 1.0);
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
            }
        }
    }

    #[test]
    fn exchanging_victory_and_defeat_turns_the_strengths_around(counts in prop::collection::vec(1usize..9, 12)) {
        let won = |i: usize, j: usize| if i == j { 0.0 } else { counts[3 * i + j - usize::from(j > i)] as f64 };
        let wins: Vec<Vec<f64>> = (0..4).map(|i| (0..4).map(|j| won(i, j)).collect()).collect();
        let lost: Vec<Vec<f64>> = (0..4).map(|i| (0..4).map(|j| won(j, i)).collect()).collect();
        let (there, back) = (contests(&wins).fit().unwrap(), contests(&lost).fit().unwrap());
        for (there, back) in there.iter().zip(&back) {
            prop_assert!((there + back).abs() < 1e-9);
        }
        prop_assert!(there.iter().sum::<f64>().abs() < 1e-9);
    }

    #[test]
    fn every_group_of_alike_models_is_alike_and_none_can_grow(differing in prop::collection::vec(any::<bool>(), 49)) {
        let differ = |a: usize, b: usize| differing[a.min(b) * 7 + a.max(b)];
        let groups = indistinct_groups(7, differ);
        for group in &groups {
            prop_assert!(group.iter().all(|a| group.iter().all(|b| a == b || !differ(*a, *b))));
            let outside = (0..7).filter(|model| !group.contains(model));
            prop_assert!(outside.into_iter().all(|model| group.iter().any(|other| differ(model, *other))));
        }
        prop_assert!((0..7).all(|model| groups.iter().any(|group| group.contains(&model))));
    }
}
