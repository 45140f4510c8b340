use super::super::oracle::assert_close;
use super::super::power::successes;
use super::super::random::{Purpose, Stream};
use super::super::*;

/// Questions of each of OwlEval's 50 pictures, sorted.
pub fn owleval_sizes() -> Vec<usize> {
    let mut sizes = vec![1; 30];
    sizes.extend([2; 16]);
    sizes.extend([3, 4, 5, 8]);
    sizes
}

/// Grades of three raters on simulated answers: (picture, label of each rater).
fn simulated(seed: u64) -> Vec<(usize, [Option<usize>; 3])> {
    let mut stream = Stream::new(Purpose::Test, seed, 0);
    let mut units = Vec::new();
    for (picture, &size) in owleval_sizes().iter().enumerate() {
        let hard = stream.normal();
        for _ in 0..size {
            let quality = 0.6 * hard + 0.8 * stream.normal();
            let labels = [0; 3].map(|_| {
                let seen = quality + 0.6 * stream.normal();
                (stream.unit() > 0.1).then_some([-0.8, 0.0, 0.9].iter().filter(|cut| seen > **cut).count())
            });
            units.push((picture, labels));
        }
    }
    units
}

fn ratings(units: &[(usize, [Option<usize>; 3])]) -> Ratings {
    let mut ratings = Ratings::new(4, 3, 50);
    units.iter().for_each(|(picture, labels)| ratings.add(*picture, labels).unwrap());
    ratings
}

/// How often each cluster was drawn in each resample: the sums of unit vectors.
fn counts(draws: &Draws, clusters: usize) -> Vec<Vec<usize>> {
    let mut sums = ClusterSums::zeros(clusters, clusters);
    (0..clusters).for_each(|cluster| sums.row(cluster).unwrap()[cluster] = 1.0);
    draws.map(&sums, |counts| counts.iter().map(|count| *count as usize).collect()).unwrap()
}

#[test]
fn a_resample_of_sums_is_a_copy_of_the_rows_drawn() {
    let units = simulated(1);
    let whole = ratings(&units);
    // More than one block of resamples, the last one not full.
    let draws = Draws::new(50, 300, 9);
    let alpha = Alpha::new(&whole, Metric::Ordinal).unwrap();
    let gwet = Gwet::new(&whole, Weights::Quadratic).unwrap();
    let confusion = whole.confusion(0, 2).unwrap();
    let resampled = draws.map(alpha.sums(), |sums| alpha.of(sums).unwrap()).unwrap();
    let gwets = draws.map(gwet.sums(), |sums| gwet.of(sums).unwrap()).unwrap();
    let kappa = confusion.kappa(Weights::Linear);
    let kappas = draws.map(kappa.sums(), |sums| kappa.of(sums).unwrap()).unwrap();
    for (resample, counts) in counts(&draws, 50).into_iter().enumerate() {
        assert_eq!(counts.iter().sum::<usize>(), 50);
        let copied: Vec<_> = units.iter().flat_map(|unit| std::iter::repeat_n(*unit, counts[unit.0])).collect();
        let copied = ratings(&copied);
        assert_close(resampled[resample], Alpha::new(&copied, Metric::Ordinal).unwrap().value().unwrap(), 1e-9);
        assert_close(gwets[resample], Gwet::new(&copied, Weights::Quadratic).unwrap().value().unwrap(), 1e-9);
        let copied = copied.confusion(0, 2).unwrap();
        assert_close(kappas[resample], copied.kappa(Weights::Linear).value().unwrap(), 1e-9);
    }
}

#[test]
fn every_cluster_is_drawn_equally_often() {
    let mut drawn = [0; 50];
    for counts in counts(&Draws::new(50, 10_000, 2), 50) {
        drawn.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    // Mean 10,000, standard deviation 99.
    assert!(drawn.iter().all(|count| (9_500..10_500).contains(count)), "{drawn:?}");
}

#[test]
fn intervals_are_the_same_with_any_number_of_threads_and_others_with_another_seed() {
    let alpha = Alpha::new(&ratings(&simulated(1)), Metric::Ordinal).unwrap();
    let estimate = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| alpha.bootstrap(&Draws::new(50, 2000, seed)).unwrap())
    };
    let one = estimate(1, 1);
    assert_eq!(one, estimate(5, 1));
    assert_ne!(one, estimate(1, 2));
    let shown = format!("{:.6} ({:.6} to {:.6}), n = {}, {}", one.point, one.low, one.high, one.n, one.method);
    assert_eq!(shown, "0.686383 (0.584581 to 0.769556), n = 80, percentiles of 2000 resamples of 50 clusters");
}

#[test]
fn the_bootstrap_of_a_mean_is_as_wide_as_its_cluster_robust_interval() {
    let mut mean = Mean::new(50);
    for (picture, labels) in simulated(4) {
        if let Some(label) = labels[0] {
            mean.add(picture, label as f64).unwrap();
        }
    }
    let (bootstrap, robust) = (mean.bootstrap(&Draws::new(50, 10_000, 1)).unwrap(), mean.cluster_robust().unwrap());
    assert_eq!(bootstrap.point, robust.point);
    let ratio = (bootstrap.high - bootstrap.low) / (robust.high - robust.low);
    assert!((0.9..1.05).contains(&ratio), "{bootstrap:?} {robust:?}");
}

#[test]
fn a_statistic_that_most_resamples_lack_has_no_interval() {
    let mut units = vec![(0, [Some(0), Some(0), None]); 6];
    units.iter_mut().enumerate().for_each(|(picture, unit)| unit.0 = picture);
    units[5].1[1] = Some(1);
    let alpha = Alpha::new(&ratings(&units), Metric::Nominal).unwrap();
    assert!(alpha.value().is_ok());
    assert_eq!(alpha.bootstrap(&Draws::new(50, 1000, 1)), Err(Undefined::Resamples));
    assert_eq!(alpha.bootstrap(&Draws::new(50, 0, 1)), Err(Undefined::Resamples));
    assert_eq!(alpha.bootstrap(&Draws::new(49, 10, 1)), Err(Undefined::OtherClusters));
    assert_eq!(Mean::new(0).bootstrap(&Draws::new(0, 10, 1)), Err(Undefined::Empty));
}

#[test]
fn clusters_are_numbered_in_the_order_in_which_they_come() {
    let mut clusters = Clusters::default();
    assert!(clusters.is_empty());
    assert_eq!(["10.jpg", "2.jpg", "10.jpg", "7.jpg"].map(|name| clusters.number(name)), [0, 1, 0, 2]);
    assert_eq!(clusters.len(), 3);
}

/// The true rate is known: the interval must hold it in about 95 of 100 studies.
#[test]
fn bootstrap_and_cluster_robust_intervals_cover_what_they_claim() {
    let studies = 400;
    let (mut by_bootstrap, mut by_error) = (0, 0);
    for study in 0..studies {
        let mut stream = Stream::new(Purpose::Test, 11, study);
        let mut rate = Mean::new(50);
        for (picture, [success]) in successes(&mut stream, &owleval_sizes(), [0.6], 0.3) {
            rate.add(picture, f64::from(u8::from(success))).unwrap();
        }
        let holds = |estimate: Estimate| usize::from(estimate.low <= 0.6 && 0.6 <= estimate.high);
        by_bootstrap += holds(rate.bootstrap(&Draws::new(50, 400, study)).unwrap());
        by_error += holds(rate.cluster_robust().unwrap());
    }
    // Two and a half standard errors of the simulation around 95 %.
    let share = |count: usize| count as f64 / studies as f64;
    assert!((0.91..=0.98).contains(&share(by_bootstrap)), "{}", share(by_bootstrap));
    assert!((0.92..=0.98).contains(&share(by_error)), "{}", share(by_error));
}

fn owleval_design() -> Design {
    Design { sizes: owleval_sizes(), rate: 0.6, correlation: 0.3 }
}

/// Numbers measured for OwlEval before this program was written: 0.29, 0.61 and 0.86.
#[test]
fn the_power_of_owleval_is_what_was_measured_before() {
    for (difference, measured) in [(0.10, 0.29), (0.15, 0.61), (0.20, 0.86)] {
        let power = owleval_design().power(difference, 2000, 1).unwrap();
        assert!((power.mid_p.point - measured).abs() < 0.035, "{difference}: {power:?}");
        assert!(power.exact.point < power.mid_p.point);
    }
}

#[test]
fn without_a_difference_the_test_rejects_at_most_one_in_twenty() {
    let power = owleval_design().power(0.0, 4000, 3).unwrap();
    assert!(power.exact.point < 0.05 && power.exact.point > 0.01, "{power:?}");
    assert!((power.mid_p.point - 0.05).abs() < 0.012, "{power:?}");
}

#[test]
fn power_grows_with_pictures_and_the_number_that_is_needed_has_it() {
    let design = owleval_design();
    let needed = design.pictures_for(0.15, 0.8, 500, 1).unwrap().unwrap();
    assert!((60..150).contains(&needed), "{needed}");
    let power = |pictures| design.with_pictures(pictures).power(0.15, 500, 1).unwrap().exact.point;
    assert!(power(needed) >= 0.8 && power(50) < 0.8);
    assert_eq!(design.with_pictures(3).sizes, [1, 1, 1]);
    assert_eq!(design.with_pictures(51).sizes.iter().sum::<usize>(), 83);
    assert_eq!(design.pictures_for(0.3, 0.8, 200, 1).unwrap(), Some(50));
    assert_eq!(design.pictures_for(0.0, 0.8, 20, 1).unwrap(), None);
}

#[test]
fn a_design_that_no_study_can_have_is_refused() {
    let design = owleval_design();
    assert_eq!(design.power(0.4, 10, 1).unwrap_err().message(), "a model cannot succeed at a rate of 1");
    assert!(Design { rate: f64::NAN, ..design.clone() }.power(0.1, 10, 1).is_err());
    assert!(Design { correlation: 1.0, ..design.clone() }.power(0.1, 10, 1).is_err());
    assert!(Design { sizes: vec![0, 0], ..design.clone() }.power(0.1, 10, 1).is_err());
    assert!(Design { sizes: Vec::new(), ..design.clone() }.pictures_for(0.1, 0.8, 10, 1).is_err());
    assert!(design.power(0.1, 0, 1).is_err());
}
