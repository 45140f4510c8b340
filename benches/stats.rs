//! What a whole report asks of the statistics: six models, OwlEval's 82 questions about 50 pictures, three raters, 10,000
//! resamples. `cargo bench --bench stats`

use divan::{Bencher, black_box};
use owleval::stats::{
    Additive, Alpha, Confusion, Contests, Design, Draws, Gwet, Mean, Metric, Outcome, Ratings, Weights, holm, sign_flip,
};

const MODELS: usize = 6;
const RATERS: usize = 3;
const PICTURES: usize = 50;
const RESAMPLES: usize = 10_000;
/// All, single and multi-turn, six abilities.
const SUBSETS: usize = 9;

fn main() {
    divan::main();
}

/// The question's picture, and the grade of every model by every rater (0 is A).
struct Question {
    picture: usize,
    grades: [[usize; RATERS]; MODELS],
}

fn questions() -> Vec<Question> {
    let sizes = [1; 30].into_iter().chain([2; 16]).chain([3, 4, 5, 8]);
    let pictures = sizes.enumerate().flat_map(|(picture, size)| std::iter::repeat_n(picture, size));
    let mut state = 1_u64;
    let mut below = move |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % end) as usize
    };
    pictures
        .map(|picture| Question {
            picture,
            grades: std::array::from_fn(|model| {
                let quality = below(4 + model as u64);
                [0; RATERS].map(|_| (quality + below(2)).min(3))
            }),
        })
        .collect()
}

/// Whether the raters of an answer gave A, or A or B: the share of them.
fn share(grades: [usize; RATERS], worst: usize) -> f64 {
    grades.iter().filter(|grade| **grade <= worst).count() as f64 / RATERS as f64
}

fn subset(subset: usize) -> impl Iterator<Item = Question> {
    questions()
        .into_iter()
        .enumerate()
        .filter(move |(index, _)| subset == 0 || index % SUBSETS >= subset)
        .map(|(_, q)| q)
}

fn ratings(models: std::ops::Range<usize>) -> Ratings {
    let mut ratings = Ratings::new(4, RATERS, PICTURES);
    for question in questions() {
        for model in models.clone() {
            ratings.add(question.picture, &question.grades[model].map(Some)).expect("within range");
        }
    }
    ratings
}

fn contests() -> Contests {
    let mut contests = Contests::new((0..MODELS).map(|model| format!("model {model}")).collect(), PICTURES);
    for question in questions() {
        for first in 0..MODELS {
            for second in first + 1..MODELS {
                for rater in 0..RATERS {
                    let outcome = match question.grades[first][rater].cmp(&question.grades[second][rater]) {
                        std::cmp::Ordering::Less => Outcome::First,
                        std::cmp::Ordering::Greater => Outcome::Second,
                        std::cmp::Ordering::Equal => Outcome::Tie,
                    };
                    contests.add(question.picture, first, second, outcome).expect("within range");
                }
            }
        }
    }
    contests
}

fn agreement(draws: &Draws) {
    for models in std::iter::once(0..MODELS).chain((0..MODELS).map(|model| model..model + 1)) {
        let ratings = ratings(models);
        black_box(Alpha::new(&ratings, Metric::Ordinal).expect("rated").bootstrap(draws)).expect("defined");
        black_box(Gwet::new(&ratings, Weights::Ordinal).expect("rated").bootstrap(draws)).expect("defined");
        black_box(ratings.agreement().expect("rated").bootstrap(draws)).expect("defined");
        for (first, second) in [(0, 1), (0, 2), (1, 2)] {
            let confusion: Confusion = ratings.confusion(first, second).expect("raters");
            for weights in [Weights::Linear, Weights::Quadratic] {
                black_box(confusion.kappa(weights).bootstrap(draws)).expect("defined");
            }
        }
    }
}

fn rates(draws: &Draws) {
    for subset_number in 0..SUBSETS {
        for worst in [0, 1] {
            for model in 0..MODELS {
                let mut rate = Mean::new(PICTURES);
                for question in subset(subset_number) {
                    rate.add(question.picture, share(question.grades[model], worst)).expect("a number");
                }
                black_box(rate.bootstrap(draws)).expect("defined");
            }
        }
    }
}

fn comparisons(draws: &Draws) {
    for subset_number in 0..SUBSETS {
        for worst in [0, 1] {
            let mut p_values = Vec::new();
            for first in 0..MODELS {
                for second in first + 1..MODELS {
                    let mut difference = Mean::new(PICTURES);
                    for question in subset(subset_number) {
                        let [one, other] = [first, second].map(|model| share(question.grades[model], worst));
                        difference.add(question.picture, one - other).expect("a number");
                    }
                    black_box(difference.bootstrap(draws)).expect("defined");
                    p_values.push(sign_flip(&difference, RESAMPLES, 1).expect("they differ").p_value);
                }
            }
            black_box(holm(&p_values));
        }
    }
}

fn ranking(draws: &Draws) {
    let contests = contests();
    let strengths = contests.fit().expect("connected");
    black_box(contests.bootstrap(&strengths, draws)).expect("connected");
}

#[divan::bench(sample_count = 10)]
fn draws() -> Draws {
    Draws::new(PICTURES, RESAMPLES, 1)
}

/// α, AC2, agreement and two κ of three pairs of raters, of all models and of each: 63 intervals.
#[divan::bench(sample_count = 10)]
fn agreements(bencher: Bencher) {
    let draws = draws();
    bencher.bench(|| agreement(&draws));
}

/// A and A or B, six models, nine subsets: 108 intervals.
#[divan::bench(sample_count = 10)]
fn rates_of_subsets(bencher: Bencher) {
    let draws = draws();
    bencher.bench(|| rates(&draws));
}

/// Fifteen pairs, two rates, nine subsets: 270 intervals and exact permutation tests.
#[divan::bench(sample_count = 10)]
fn paired_comparisons(bencher: Bencher) {
    let draws = draws();
    bencher.bench(|| comparisons(&draws));
}

#[divan::bench(sample_count = 10)]
fn strengths(bencher: Bencher) {
    let draws = draws();
    bencher.bench(|| ranking(&draws));
}

/// All of the above.
#[divan::bench(sample_count = 10)]
fn whole_report() {
    let draws = draws();
    agreement(&draws);
    rates(&draws);
    comparisons(&draws);
    ranking(&draws);
}

/// 2,000 studies.
#[divan::bench(sample_count = 10)]
fn power() {
    let sizes = [1; 30].into_iter().chain([2; 16]).chain([3, 4, 5, 8]).collect();
    black_box(Design { sizes, rate: 0.6, correlation: 0.3 }.power(0.15, 2000, 1)).expect("a possible design");
}
