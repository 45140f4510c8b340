//! What the inputs say, put together: models, raters, questions, and who graded which answer how.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::sources::Table;
use super::subsets::{self, SubsetRow};
use super::{Given, GradedAnswer, Input, InputKind};
use crate::error::{Error, Result};
use crate::evalset::EvalSet;
use crate::grading::{ADJUDICATED, Grade, GradeRow, REPEATS};
use crate::stats::{Clusters, Rating};

/// How a missing answer that counts as a grade is marked in its note.
const MISSING: &str = "missing: ";

/// The grades of all inputs.
#[derive(Debug)]
pub(super) struct Observed {
    pub models: Vec<String>,
    pub raters: Vec<String>,
    /// In the order of the evalset, else of their numbers.
    pub questions: Vec<Question>,
    /// How many pictures; whatever is resampled is a picture with all its questions.
    pub clusters: usize,
    /// (model, question) -> its grades, both counted from 0.
    answers: BTreeMap<(usize, usize), Answer>,
    /// Grades of hidden repeats, each after the grade that it repeats.
    pub repeats: Vec<Rating>,
    ability_names: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(super) struct Question {
    pub id: u64,
    pub picture: String,
    pub cluster: usize,
    /// Names of subsets, that of all questions among them.
    pub subsets: Vec<String>,
}

#[derive(Debug, Default)]
struct Answer {
    /// By rater.
    grades: BTreeMap<usize, (Grade, usize, u64)>,
    verdict: Option<Grade>,
    skipped_by: BTreeSet<usize>,
    /// Why there is no answer, where its absence counts as a grade.
    missing: Option<String>,
}

/// An answer that has no grade, or a grade for not being there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub model_id: String,
    pub question_id: u64,
    pub why: String,
}

/// A grade as a category counted from 0, A first.
pub(super) fn label(grade: Grade) -> usize {
    grade as usize
}

pub(super) fn letter(grade: Grade) -> char {
    ['A', 'B', 'C', 'D'][label(grade)]
}

impl Observed {
    pub fn new(tables: &[Table], evalset: Option<&EvalSet>, inputs: &[Input]) -> Result<Self> {
        let facts = Facts::collect(tables, evalset)?;
        let mut clusters = Clusters::default();
        let questions: Vec<Question> = facts.in_order().map(|(id, fact)| fact.question(id, &mut clusters)).collect();
        let by_id: HashMap<u64, usize> =
            questions.iter().zip(0..).map(|(question, index)| (question.id, index)).collect();
        let mut observed = Self {
            models: Vec::new(),
            raters: Vec::new(),
            clusters: clusters.len(),
            questions,
            answers: BTreeMap::new(),
            repeats: Vec::new(),
            ability_names: evalset.map(|evalset| evalset.abilities.clone()).unwrap_or_default(),
        };
        let mut seen = Seen::default();
        for table in tables {
            let is_verdict = inputs.get(table.input).is_some_and(|input| input.kind == InputKind::Verdicts);
            for row in &table.rows {
                let refuse = |error: Error| error.at_line(&table.path, usize::try_from(row.line).unwrap_or(usize::MAX));
                let question = by_id.get(&row.question_id).copied().ok_or_else(|| {
                    refuse(
                        Error::input(format!("question {} is none of the evalset's", row.question_id))
                            .remedy("give the evalset whose answers were graded, or leave --evalset out"),
                    )
                })?;
                seen.check(row, &table.path).map_err(refuse)?;
                observed.add(row, table.input, question, is_verdict).map_err(refuse)?;
            }
        }
        for table in tables {
            for row in table.rows.iter().filter(|row| row.sheet.ends_with(REPEATS)) {
                observed.add_repeat(row, by_id.get(&row.question_id).copied());
            }
        }
        Ok(observed)
    }

    fn add(&mut self, row: &GradeRow, input: usize, question: usize, is_verdict: bool) -> Result<()> {
        if row.model_id.is_empty() || row.rater.is_empty() {
            let column = if row.model_id.is_empty() { "model_id" } else { "rater" };
            return Err(Error::input(format!("the column {column} is empty"))
                .remedy("say whose answer was graded, and by whom"));
        }
        let model = number(&mut self.models, &row.model_id);
        let is_verdict = is_verdict || row.rater == ADJUDICATED;
        let rater = (!is_verdict).then(|| number(&mut self.raters, &row.rater));
        if row.sheet.ends_with(REPEATS) {
            return Ok(());
        }
        let answer = self.answers.entry((model, question)).or_default();
        match (rater, row.grade) {
            (None, verdict) => answer.verdict = verdict.or(answer.verdict),
            (Some(rater), Some(grade)) => {
                answer.grades.insert(rater, (grade, input, row.line));
            }
            (Some(rater), None) => {
                answer.skipped_by.insert(rater);
            }
        }
        if let Some(why) = row.note.as_deref().and_then(|note| note.strip_prefix(MISSING)) {
            answer.missing = Some(why.to_owned());
        }
        Ok(())
    }

    /// Repeats say how steady a rater is and nothing else: they are no second grade of the answer.
    fn add_repeat(&mut self, row: &GradeRow, question: Option<usize>) {
        let place = |names: &[String], name: &str| names.iter().position(|other| other == name);
        let (Some(question), Some(model), Some(rater), Some(again)) =
            (question, place(&self.models, &row.model_id), place(&self.raters, &row.rater), row.grade)
        else {
            return;
        };
        let first = self.answers.get(&(model, question)).and_then(|answer| answer.grades.get(&rater));
        if let Some((first, ..)) = first {
            let unit = model * self.questions.len() + question;
            let rating =
                |grade: Grade| Rating { rater, unit, cluster: self.questions[question].cluster, label: label(grade) };
            let pair = [rating(*first), rating(again)];
            self.repeats.extend(pair);
        }
    }

    /// The grades that count for an answer: the verdict where there is one, else those of all raters.
    pub fn grades(&self, model: usize, question: usize) -> Vec<Grade> {
        match self.answers.get(&(model, question)) {
            None => Vec::new(),
            Some(Answer { verdict: Some(verdict), .. }) => vec![*verdict],
            Some(answer) => answer.grades.values().map(|(grade, ..)| *grade).collect(),
        }
    }

    /// What each rater gave an answer.
    pub fn by_rater(&self, model: usize, question: usize) -> Vec<Option<usize>> {
        let answer = self.answers.get(&(model, question));
        let of = |rater: usize| answer.and_then(|answer| answer.grades.get(&rater)).map(|(grade, ..)| label(*grade));
        (0..self.raters.len()).map(of).collect()
    }

    /// The questions of a subset, counted from 0.
    pub fn of_subset<'a>(&'a self, subset: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.questions
            .iter()
            .enumerate()
            .filter(move |(_, question)| question.subsets.iter().any(|of| of == subset))
            .map(|(index, _)| index)
    }

    /// All, the two categories, then the abilities; only those that have a question.
    pub fn subsets(&self) -> Vec<SubsetRow> {
        subsets::rows(self.questions.iter().map(|question| question.subsets.as_slice()), &self.ability_names)
    }

    /// Answers without a grade, and absent answers that count as one.
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (model, model_id) in self.models.iter().enumerate() {
            for (index, question) in self.questions.iter().enumerate() {
                let answer = self.answers.get(&(model, index));
                let why = match answer {
                    Some(Answer { missing: Some(why), .. }) => format!("no answer ({why}); it counts as D"),
                    _ if !self.grades(model, index).is_empty() => continue,
                    Some(answer) if !answer.skipped_by.is_empty() => {
                        let by: Vec<&str> =
                            answer.skipped_by.iter().map(|rater| self.raters[*rater].as_str()).collect();
                        format!("skipped by {}", by.join(", "))
                    }
                    _ => "no grade".to_owned(),
                };
                missing.push(Missing { model_id: model_id.clone(), question_id: question.id, why });
            }
        }
        missing
    }

    /// Every answer that has a grade, by model and question.
    pub fn graded_answers(&self) -> Vec<GradedAnswer> {
        let given = |(rater, (grade, input, line)): (&usize, &(Grade, usize, u64))| Given {
            rater: self.raters[*rater].clone(),
            grade: letter(*grade),
            input: *input,
            line: *line,
        };
        let row = |((model, question), answer): (&(usize, usize), &Answer)| GradedAnswer {
            model_id: self.models[*model].clone(),
            question_id: self.questions[*question].id,
            picture: self.questions[*question].picture.clone(),
            grades: answer.grades.iter().map(given).collect(),
            verdict: answer.verdict.map(letter),
        };
        let is_graded = |answer: &Answer| !answer.grades.is_empty() || answer.verdict.is_some();
        self.answers.iter().filter(|(_, answer)| is_graded(answer)).map(row).collect()
    }
}

/// The number of a name, the next one where it is new.
fn number(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|other| other == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

/// What was read before, so that nothing counts twice and nobody's grades of two texts are taken for those of one.
#[derive(Default)]
struct Seen {
    /// (sheet is of repeats, rater, model, question) -> where.
    grades: HashMap<(bool, String, String, u64), (PathBuf, u64)>,
    /// (model, question) -> digest of the answer.
    texts: HashMap<(String, u64), String>,
}

impl Seen {
    fn check(&mut self, row: &GradeRow, path: &Path) -> Result<()> {
        let is_repeat = row.sheet.ends_with(REPEATS);
        let key = (is_repeat, row.rater.clone(), row.model_id.clone(), row.question_id);
        if let Some((first, line)) = self.grades.insert(key, (path.to_owned(), row.line)) {
            return Err(Error::input(format!(
                "a second grade by {} for the answer of {} to question {}; the first is in {}:{line}",
                row.rater,
                row.model_id,
                row.question_id,
                first.display()
            ))
            .remedy("leave one of them out, or give the second one's rater another name"));
        }
        if let Some(sha256) = &row.answer_sha256 {
            let key = (row.model_id.clone(), row.question_id);
            let first = self.texts.entry(key).or_insert_with(|| sha256.clone());
            if first != sha256 {
                return Err(Error::input(format!(
                    "another text of {} to question {} was graded here than before",
                    row.model_id, row.question_id
                ))
                .remedy("report grades of different answers as different models"));
            }
        }
        Ok(())
    }
}

/// What is known of a question.
#[derive(Debug, Clone, Default, PartialEq)]
struct Fact {
    picture: Option<String>,
    subsets: Option<Vec<String>>,
    abilities: Option<Vec<String>>,
}

impl Fact {
    fn question(&self, id: u64, clusters: &mut Clusters) -> Question {
        // Without a picture nothing says what else the question belongs with.
        let cluster = clusters
            .number(&self.picture.as_ref().map_or_else(|| format!("question {id}"), |name| format!("picture {name}")));
        let said = |what: &Option<Vec<String>>| what.clone().unwrap_or_default();
        let subsets = subsets::of_question(&said(&self.subsets), &said(&self.abilities));
        Question { id, picture: self.picture.clone().unwrap_or_default(), cluster, subsets }
    }
}

/// What is known of all questions, in an order.
struct Facts {
    order: Vec<u64>,
    facts: HashMap<u64, Fact>,
}

impl Facts {
    /// From the evalset, or from what the tables say; there, rows that are silent contradict nobody.
    fn collect(tables: &[Table], evalset: Option<&EvalSet>) -> Result<Self> {
        let mut facts: HashMap<u64, Fact> = HashMap::new();
        if let Some(evalset) = evalset {
            let order = evalset.turns().map(|(_, turn)| turn.question_id).collect();
            for (item, turn) in evalset.turns() {
                let picture = subsets::picture(item);
                let subsets = turn.subsets.iter().map(|subset| subset.name().to_owned()).collect();
                let abilities = Some(turn.abilities.clone());
                facts.insert(turn.question_id, Fact { picture: Some(picture), subsets: Some(subsets), abilities });
            }
            return Ok(Self { order, facts });
        }
        for table in tables {
            for row in &table.rows {
                let fact = facts.entry(row.question_id).or_default();
                let said = [
                    fill(&mut fact.picture, row.image.clone().or_else(|| row.item.clone())),
                    fill(&mut fact.subsets, row.subsets.as_deref().map(parts)),
                    fill(&mut fact.abilities, row.abilities.as_deref().map(parts)),
                ];
                if let Some((_, what)) =
                    said.iter().zip(["picture", "subsets", "abilities"]).find(|(is_same, _)| !**is_same)
                {
                    let message = format!("another {what} of question {} than in the rows before", row.question_id);
                    return Err(Error::input(message)
                        .at_line(&table.path, usize::try_from(row.line).unwrap_or(usize::MAX))
                        .remedy("give the evalset with --evalset; then it counts, and the columns do not"));
                }
            }
        }
        let order = facts.keys().copied().collect::<BTreeSet<u64>>().into_iter().collect();
        Ok(Self { order, facts })
    }

    fn in_order(&self) -> impl Iterator<Item = (u64, &Fact)> {
        self.order.iter().filter_map(|id| Some((*id, self.facts.get(id)?)))
    }
}

/// Keeps the first thing that was said; whether what is said now is the same.
fn fill<T: PartialEq>(known: &mut Option<T>, said: Option<T>) -> bool {
    match (&known, said) {
        (_, None) => true,
        (Some(known), Some(said)) => *known == said,
        (None, said) => {
            *known = said;
            true
        }
    }
}

fn parts(joined: &str) -> Vec<String> {
    joined.split([';', ',']).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
