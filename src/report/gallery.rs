//! The gallery of a page: picture, conversation, every model's answer with its grades; filtered by style alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::answered::Answered;
use super::observed::Observed;
use super::sources::Table;
use super::thumbnails::{Thumbnail, Thumbnails};
use super::{GradedAnswer, SubsetRow, subsets};
use crate::evalset::{EvalSet, Item, Turn};
use crate::sanitize;

pub(super) const TEMPLATE: &str = include_str!("../../templates/report/gallery.html");
const STYLE: &str = include_str!("../../templates/report/gallery.css");

/// The letters of grades are named by class, the rest of the page by its own text alone.
const GRADES: [char; 4] = ['A', 'B', 'C', 'D'];

/// What the gallery shows; text is sanitised, and escaped by the template.
#[derive(Debug, Clone, Serialize)]
pub struct Gallery {
    caption: String,
    filters: Vec<Filter>,
    items: Vec<Entry>,
    has_pictures: bool,
}

/// A part of the questions that can be shown alone, by its number.
#[derive(Debug, Clone, Serialize)]
struct Filter {
    number: usize,
    name: String,
    questions: usize,
}

/// A conversation.
#[derive(Debug, Clone, Serialize)]
struct Entry {
    name: String,
    /// Numbers of the filters that show any of its questions, as classes.
    classes: String,
    pictures: Vec<Shown>,
    turns: Vec<Asked>,
}

#[derive(Debug, Clone, Serialize)]
struct Shown {
    name: String,
    /// Empty where there is none, for the reason that `why` says.
    address: String,
    width: u32,
    height: u32,
    why: String,
}

#[derive(Debug, Clone, Serialize)]
struct Asked {
    question_id: u64,
    question: String,
    classes: String,
    subsets: Vec<String>,
    references: Vec<String>,
    answers: Vec<Given>,
    has_text: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Given {
    model: String,
    /// None where it is not at hand, for the reason that `why` says.
    text: Option<String>,
    why: String,
    grades: Vec<Mark>,
    verdict: Option<Mark>,
    right: Option<bool>,
}

/// A grade: its letter, its class, whose it is.
#[derive(Debug, Clone, Serialize)]
struct Mark {
    letter: char,
    class: char,
    rater: String,
}

/// What a gallery is made of.
pub(super) struct Material<'a> {
    pub evalset: &'a EvalSet,
    pub observed: &'a Observed,
    pub tables: &'a [Table],
    pub answered: &'a [Answered],
    pub models: &'a [String],
    pub with_pictures: bool,
}

impl Gallery {
    /// None where no text of an answer is at hand.
    pub(super) fn of(material: &Material<'_>) -> Option<Self> {
        let answers = Answers::of(material);
        let asked = |turn: &Turn| answers.of_question(turn, material);
        if !material.evalset.turns().any(|(_, turn)| asked(turn).iter().any(|given| given.text.is_some())) {
            return None;
        }
        let thumbnails = if material.with_pictures { Thumbnails::of(material.evalset) } else { Thumbnails::default() };
        let rows = material.observed.subsets();
        let mut filters = Filters::new(&rows);
        let items = material
            .evalset
            .items
            .iter()
            .map(|item| entry(item, &thumbnails, &mut filters, &rows, asked))
            .filter(|entry| !entry.turns.is_empty())
            .collect();
        let mut caption = "Each question with the answers of all models, their grades (A is best; the hint of a letter says whose it \
                           is) and, where there is a reference, whether they equal it."
            .to_owned();
        if thumbnails.bytes > 0 {
            let _ = write!(
                caption,
                " Pictures are made smaller (longest side {} pixels, {} KB in all); they belong to their owners.",
                thumbnails.side,
                thumbnails.bytes.div_ceil(1000)
            );
        }
        Some(Self { caption, filters: filters.list, items, has_pictures: thumbnails.bytes > 0 })
    }

    pub(super) fn has_pictures(&self) -> bool {
        self.has_pictures
    }

    /// Its style sheet, with a rule a filter.
    pub(super) fn style(&self) -> String {
        let mut style = STYLE.to_owned();
        for number in 1..self.filters.len() {
            let _ = writeln!(
                style,
                ".gallery:has(#filter-{number}:checked) :is(.turn, .item):not(.f{number}) {{ display: none; }}"
            );
        }
        style
    }
}

fn entry(
    item: &Item,
    thumbnails: &Thumbnails,
    filters: &mut Filters,
    rows: &[SubsetRow],
    asked: impl Fn(&Turn) -> Vec<Given>,
) -> Entry {
    let shown = |name: &String| {
        let name_shown = sanitize::terminal(name);
        match thumbnails.by_name.get(name) {
            Some(Ok(Thumbnail { address, width, height })) => {
                Shown { name: name_shown, address: address.clone(), width: *width, height: *height, why: String::new() }
            }
            Some(Err(why)) => {
                Shown { name: name_shown, address: String::new(), width: 0, height: 0, why: sanitize::terminal(why) }
            }
            None => {
                Shown { name: name_shown, address: String::new(), width: 0, height: 0, why: "not shown".to_owned() }
            }
        }
    };
    let mut numbers = std::collections::BTreeSet::new();
    let mut turns = Vec::new();
    for turn in &item.turns {
        let answers = asked(turn);
        if answers.is_empty() {
            continue;
        }
        let of = filters.of(turn, &answers);
        numbers.extend(of.iter().copied());
        turns.push(Asked {
            question_id: turn.question_id,
            question: sanitize::terminal_lines(&turn.question),
            classes: classes(of),
            subsets: tags(turn, rows),
            references: turn.reference.iter().map(|text| sanitize::terminal(text)).collect(),
            has_text: answers.iter().any(|given| given.text.is_some()),
            answers,
        });
    }
    Entry {
        name: sanitize::terminal(&item.id),
        classes: classes(numbers),
        pictures: item.images.iter().map(shown).collect(),
        turns,
    }
}

fn classes(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(|number| format!("f{number}")).collect::<Vec<_>>().join(" ")
}

/// The names of the categories and abilities of a question.
fn tags(turn: &Turn, rows: &[SubsetRow]) -> Vec<String> {
    of_turn(turn).iter().skip(1).map(|subset| sanitize::terminal(subsets::name_of(rows, subset))).collect()
}

fn of_turn(turn: &Turn) -> Vec<String> {
    let categories: Vec<String> = turn.subsets.iter().map(|subset| subset.name().to_owned()).collect();
    subsets::of_question(&categories, &turn.abilities)
}

/// Which questions can be shown alone: subsets, those about which raters are divided, those that some model got wrong.
struct Filters {
    names: Vec<String>,
    list: Vec<Filter>,
}

const DIVIDED: &str = "raters two grades apart";
const WRONG: &str = "some answer is wrong";

impl Filters {
    fn new(rows: &[SubsetRow]) -> Self {
        let mut filters = Self { names: Vec::new(), list: Vec::new() };
        for row in rows {
            filters.number(&row.subset, &row.name);
        }
        filters
    }

    fn number(&mut self, subset: &str, name: &str) -> usize {
        self.names.iter().position(|other| other == subset).unwrap_or_else(|| {
            self.names.push(subset.to_owned());
            self.list.push(Filter { number: self.list.len(), name: sanitize::terminal(name), questions: 0 });
            self.names.len() - 1
        })
    }

    /// The numbers of those that a question is of; it counts there.
    fn of(&mut self, turn: &Turn, answers: &[Given]) -> Vec<usize> {
        let mut numbers: Vec<usize> = of_turn(turn).iter().map(|subset| self.number(subset, subset)).collect();
        if answers.iter().any(is_divided) {
            numbers.push(self.number(DIVIDED, DIVIDED));
        }
        if answers.iter().any(|given| given.right == Some(false)) {
            numbers.push(self.number(WRONG, WRONG));
        }
        numbers.iter().for_each(|number| self.list[*number].questions += 1);
        numbers
    }
}

fn is_divided(given: &Given) -> bool {
    let place = |mark: &Mark| GRADES.iter().position(|letter| *letter == mark.letter);
    let places = || given.grades.iter().filter_map(place);
    places().max().zip(places().min()).is_some_and(|(worst, best)| worst - best >= 2)
}

/// Answers and grades by model and question.
struct Answers {
    graded: BTreeMap<(String, u64), GradedAnswer>,
    /// Texts of graded answers, from sheets, by model and question.
    texts: BTreeMap<(String, u64), String>,
}

impl Answers {
    fn of(material: &Material<'_>) -> Self {
        let graded = material.observed.graded_answers();
        let texts = material.tables.iter().flat_map(|table| &table.rows).filter_map(|row| {
            let text = material.tables.iter().find_map(|table| table.texts.get(row.answer_sha256.as_ref()?))?;
            Some(((row.model_id.clone(), row.question_id), text.clone()))
        });
        Self {
            texts: texts.collect(),
            graded: graded.into_iter().map(|row| ((row.model_id.clone(), row.question_id), row)).collect(),
        }
    }

    /// What there is of each model, those of which there is nothing left out.
    fn of_question(&self, turn: &Turn, material: &Material<'_>) -> Vec<Given> {
        let of_model = |model: &String| {
            let key = (model.clone(), turn.question_id);
            let answered = material.answered.iter().find(|one| one.model_id == *model);
            let text = answered.and_then(|one| one.answer(turn.question_id));
            let text = text.or_else(|| self.texts.get(&key).map(String::as_str));
            let remark = answered.and_then(|one| one.published.answer(turn.question_id)?.annotation);
            let why = remark
                .map_or_else(|| "the text is not at hand".to_owned(), |remark| format!("no answer, but {remark}"));
            let graded = self.graded.get(&key);
            if text.is_none() && graded.is_none() {
                return None;
            }
            let mark = |letter: char, rater: &str| Mark {
                letter,
                class: letter.to_ascii_lowercase(),
                rater: sanitize::terminal(rater),
            };
            Some(Given {
                model: sanitize::terminal(model),
                text: text.map(sanitize::terminal_lines),
                why: sanitize::terminal(&why),
                grades: graded
                    .iter()
                    .flat_map(|row| &row.grades)
                    .map(|given| mark(given.grade, &given.rater))
                    .collect(),
                verdict: graded.and_then(|row| row.verdict).map(|letter| mark(letter, "verdict")),
                right: answered.and_then(|one| one.is_right(turn)),
            })
        };
        material.models.iter().filter_map(of_model).collect()
    }
}
