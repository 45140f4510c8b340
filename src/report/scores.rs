//! Answers that are right or wrong: exact match by model and subset, and models compared question by question.
//!
//! [`scores`] needs no folder of a run: whoever has answers and references has scores. [`Scores::tables`] and
//! [`Scores::figures`] are what a report shows of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::comparisons::{self, Comparison, Pair};
use super::estimate::{Context, Interval};
use super::subsets::{self, SubsetRow};
use crate::error::{Error, Result};
use crate::stats::{Additive as _, Clusters, Mean, Undefined, wilson};

/// What [`Comparison::statistic`] is called here.
pub(super) const EXACT_MATCH: &str = "exact_match";

/// An answer beside its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    pub question_id: u64,
    /// What makes questions depend on each other: those of one picture are resampled together.
    pub picture: String,
    /// `single_turn`, `multi_turn`, or whatever else questions are grouped by; that of all questions is not named.
    pub subsets: Vec<String>,
    /// Letters.
    pub abilities: Vec<String>,
    pub right: bool,
}

/// The scored answers of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoredModel {
    pub model_id: String,
    pub answers: Vec<Scored>,
}

/// What scored answers amount to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// In the order in which they were given.
    pub models: Vec<String>,
    /// Of questions that any model has a scored answer to.
    pub subsets: Vec<SubsetRow>,
    pub pictures: usize,
    /// By subset, then by model.
    pub rates: Vec<ScoreRate>,
    /// By subset, model a, model b; the family of `p_adjusted` is all pairs of models in the same subset.
    pub comparisons: Vec<Comparison>,
}

/// How often a model was right in one subset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreRate {
    pub model_id: String,
    pub subset: String,
    /// Scored answers.
    pub n: usize,
    pub right: usize,
    /// `right / n`. By resampled pictures where some picture has several of the questions; by Wilson where none has, or
    /// where all answers are right or all are wrong, of which resampling would say that it is certain.
    pub rate: Interval,
}

/// Rates and comparisons of models, a function of its arguments alone. `names` are those of abilities, by letter.
///
/// # Errors
/// Two models of one name, two answers of a model to one question, or a question that two models tell different things of.
pub fn scores(models: &[ScoredModel], names: &BTreeMap<String, String>, seed: u64, resamples: usize) -> Result<Scores> {
    let questions = Questions::of(models)?;
    let context = Context::new(questions.clusters, resamples, seed);
    let subsets = subsets::rows(questions.list.iter().map(|question| question.subsets.as_slice()), names);
    let mut rates = Vec::new();
    let mut compared = Vec::new();
    for SubsetRow { subset, .. } in &subsets {
        let chosen: Vec<usize> = questions.of_subset(subset).collect();
        for (model, right) in models.iter().zip(&questions.right) {
            rates.push(rate(&model.model_id, subset, &questions, &chosen, right, &context)?);
        }
        let mut family = Vec::new();
        for (a, first) in models.iter().enumerate() {
            for (b, second) in models.iter().enumerate().skip(a + 1) {
                let pair = Pair { models: [&first.model_id, &second.model_id], subset, statistic: EXACT_MATCH };
                family.push(compare(pair, &questions, &chosen, [&questions.right[a], &questions.right[b]], &context)?);
            }
        }
        comparisons::adjust(&mut family);
        compared.append(&mut family);
    }
    Ok(Scores {
        models: models.iter().map(|model| model.model_id.clone()).collect(),
        subsets,
        pictures: questions.clusters,
        rates,
        comparisons: compared,
    })
}

/// What is known of questions, and which of them each model got right.
struct Questions {
    list: Vec<Question>,
    clusters: usize,
    /// models × questions; `None` where there is no answer.
    right: Vec<Vec<Option<bool>>>,
}

#[derive(PartialEq)]
struct Question {
    cluster: usize,
    subsets: Vec<String>,
}

impl Questions {
    fn of(models: &[ScoredModel]) -> Result<Self> {
        let mut clusters = Clusters::default();
        let mut places: HashMap<u64, usize> = HashMap::new();
        let mut list: Vec<Question> = Vec::new();
        let mut right = Vec::new();
        let mut seen = HashSet::new();
        for model in models {
            let refuse = |what: String| Error::input(format!("{what} of {}", model.model_id));
            if !seen.insert(&model.model_id) {
                return Err(refuse("two sets of answers".to_owned()).remedy("give each a name of its own"));
            }
            let mut answers: HashMap<usize, bool> = HashMap::new();
            for answer in &model.answers {
                let id = answer.question_id;
                let question = Question {
                    cluster: clusters.number(&answer.picture),
                    subsets: subsets::of_question(&answer.subsets, &answer.abilities),
                };
                let place = *places.entry(id).or_insert(list.len());
                match list.get(place) {
                    None => list.push(question),
                    Some(known) if *known == question => {}
                    Some(_) => {
                        let what = format!("another picture, subset or ability of question {id} in the answers");
                        return Err(refuse(what).remedy("score answers to one evalset"));
                    }
                }
                if answers.insert(place, answer.right).is_some() {
                    return Err(refuse(format!("a second answer to question {id}")).remedy("keep one of the two"));
                }
            }
            right.push(answers);
        }
        let row = |answers: HashMap<usize, bool>| (0..list.len()).map(|place| answers.get(&place).copied()).collect();
        let right = right.into_iter().map(row).collect();
        Ok(Self { list, clusters: clusters.len(), right })
    }

    fn of_subset<'a>(&'a self, subset: &'a str) -> impl Iterator<Item = usize> + 'a {
        let holds = move |question: &Question| question.subsets.iter().any(|of| of == subset);
        self.list.iter().enumerate().filter(move |(_, question)| holds(question)).map(|(index, _)| index)
    }
}

fn rate(
    model_id: &str,
    subset: &str,
    questions: &Questions,
    chosen: &[usize],
    right: &[Option<bool>],
    context: &Context,
) -> Result<ScoreRate> {
    let mut mean = Mean::new(questions.clusters);
    let mut clusters = HashSet::new();
    let mut successes = 0;
    for question in chosen {
        if let Some(right) = right[*question] {
            let cluster = questions.list[*question].cluster;
            mean.add(cluster, f64::from(u8::from(right)))?;
            clusters.insert(cluster);
            successes += usize::from(right);
        }
    }
    let n = mean.n();
    let rate: Result<_, Undefined> = if clusters.len() == n || successes == 0 || successes == n {
        wilson(successes as f64, n)
    } else {
        mean.bootstrap(&context.draws)
    };
    let rate = Interval::with_point(rate, mean.value());
    Ok(ScoreRate { model_id: model_id.to_owned(), subset: subset.to_owned(), n, right: successes, rate })
}

fn compare(
    pair: Pair<'_>,
    questions: &Questions,
    chosen: &[usize],
    [first, second]: [&[Option<bool>]; 2],
    context: &Context,
) -> Result<Comparison> {
    let mut differences = Mean::new(questions.clusters);
    let mut alone = [0, 0];
    for &question in chosen {
        let (Some(a), Some(b)) = (first[question], second[question]) else { continue };
        differences.add(questions.list[question].cluster, f64::from(i8::from(a) - i8::from(b)))?;
        alone[0] += u64::from(a && !b);
        alone[1] += u64::from(b && !a);
    }
    Ok(comparisons::tested(pair, &differences, Some(alone), context))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Questions 1, 2, 3, … of pictures by letter; `+` is right, `-` wrong, a blank no answer.
    fn model(model_id: &str, pictures: &str, right: &str) -> ScoredModel {
        let answers = (1..).zip(pictures.chars()).zip(right.chars()).filter(|(_, right)| *right != ' ');
        let answers = answers.map(|((question_id, picture), right)| Scored {
            question_id,
            picture: picture.to_string(),
            subsets: vec![if question_id % 2 == 1 { "single_turn" } else { "multi_turn" }.to_owned()],
            abilities: vec![picture.to_string()],
            right: right == '+',
        });
        ScoredModel { model_id: model_id.to_owned(), answers: answers.collect() }
    }

    fn scored(models: &[ScoredModel]) -> Scores {
        let names = BTreeMap::from([("a".to_owned(), "counting".to_owned())]);
        scores(models, &names, 3, 500).unwrap()
    }

    #[test]
    fn right_answers_are_counted_by_model_and_subset() {
        let scores = scored(&[model("owl", "aabbc", "++-+ "), model("cat", "aabbc", "---+-")]);
        let subsets: Vec<(&str, usize)> = scores.subsets.iter().map(|row| (row.name.as_str(), row.questions)).collect();
        let expected = [("all questions", 5), ("single turn", 3), ("multi-turn", 2), ("a: counting", 2)];
        assert_eq!(subsets[..4], expected);
        let of = |model: &str, subset: &str| {
            let row = scores.rates.iter().find(|row| row.model_id == model && row.subset == subset).unwrap();
            (row.n, row.right, row.rate.point)
        };
        assert_eq!(of("owl", "all"), (4, 3, Some(0.75)));
        assert_eq!(of("cat", "all"), (5, 1, Some(0.2)));
        assert_eq!(of("owl", "ability:a"), (2, 2, Some(1.0)));
        // Nothing was answered there: undefined, and not 0.
        assert_eq!(of("owl", "ability:c"), (0, 0, None));
    }

    #[test]
    fn an_interval_goes_by_pictures_only_where_they_hold_several_questions_and_answers_differ() {
        let scores = scored(&[model("owl", "aabbccd", "++-+--+"), model("cat", "aabbccd", "+++++++")]);
        let method = |model: &str, subset: &str| {
            let row = scores.rates.iter().find(|row| row.model_id == model && row.subset == subset).unwrap();
            row.rate.method.clone().unwrap()
        };
        assert_eq!(method("owl", "all"), "percentiles of 500 resamples of 4 clusters");
        assert_eq!(method("cat", "all"), "Wilson");
        let alone = scored(&[model("owl", "abcd", "+-+-")]);
        assert_eq!(alone.rates[0].rate.method.as_deref(), Some("Wilson"));
    }

    #[test]
    fn models_are_compared_on_the_questions_that_both_answered() {
        let scores =
            scored(&[model("owl", "aabbc", "++-+ "), model("cat", "aabbc", "---++"), model("dog", "aabbc", "+++++")]);
        let of = |a: &str, b: &str| {
            let is_it = |row: &&Comparison| row.model_a == a && row.model_b == b && row.subset == "all";
            scores.comparisons.iter().find(is_it).unwrap()
        };
        let first = of("owl", "cat");
        // By hand: the differences are 1, 1, 0, 0; of the two flips of the one picture that differs both are as far from 0.
        assert_eq!((first.n, first.difference, first.p_value), (4, Some(0.5), Some(1.0)));
        assert_eq!((first.statistic.as_str(), first.p_mcnemar), ("exact_match", Some(0.5)));
        // Pictures a and b differ by 2 and 1 (c not): of four flips two are as far from 0 as 3.
        assert_eq!((of("cat", "dog").difference, of("cat", "dog").p_value), (Some(-0.6), Some(0.5)));
        assert_eq!(of("cat", "dog").p_adjusted, Some(1.0));
    }

    #[test]
    fn answers_that_contradict_each_other_are_refused() {
        let owl = model("owl", "ab", "+-");
        let refused = |models: &[ScoredModel]| scores(models, &BTreeMap::new(), 0, 100).unwrap_err().to_string();
        assert!(refused(&[owl.clone(), owl.clone()]).contains("two sets of answers of owl"));
        let twice = ScoredModel { answers: [owl.answers.clone(), owl.answers.clone()].concat(), ..owl.clone() };
        assert!(refused(&[twice]).contains("a second answer to question 1 of owl"));
        let other = refused(&[owl, model("cat", "ac", "+-")]);
        assert!(other.contains("another picture, subset or ability of question 2 in the answers of cat"), "{other}");
    }

    #[test]
    fn scores_are_a_function_of_their_arguments_and_have_tables_and_figures() {
        let make = || scored(&[model("owl", "aabbc", "++-+ "), model("cat", "aabbc", "---++")]);
        let scores = make();
        assert_eq!(scores, make());
        let names: Vec<(String, bool)> = scores.tables().into_iter().map(|table| (table.name, table.is_long)).collect();
        let expected = [
            ("scores", false),
            ("scores_counted", true),
            ("score_comparisons", false),
            ("score_comparisons_all", true),
        ];
        assert_eq!(names, expected.map(|(name, is_long)| (name.to_owned(), is_long)));
        let header = scores.tables()[0].csv().lines().next().unwrap().to_owned();
        assert!(header.starts_with("model_id,all,all_low,all_high,single_turn,"), "{header}");
        let figures = scores.figures();
        assert_eq!(
            figures.iter().map(|figure| figure.name.as_str()).collect::<Vec<_>>(),
            ["scores", "score_abilities"]
        );
        assert!(
            figures[0].description.starts_with("all questions (5 questions): owl 75.0 ["),
            "{}",
            figures[0].description
        );
        assert!(scored(&[]).tables().is_empty() && scored(&[]).figures().is_empty());
    }
}
