//! What raters disagree on, and the final verdicts: beside the originals, never over them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::cards::CardRow;
use super::create::parts_of;
use super::journal;
use super::rater::{self, ADJUDICATED};
use super::session::{Blind, Opening, Session, replay};
use super::{Exchange, Grade, raters};
use crate::error::{Error, IoContext as _, Result};

/// The grades that cards were given, from best to worst, by the cards' keys: those on which raters disagree.
///
/// The parts of a split sheet have conversations in common. What graders of other parts gave the same text counts, and
/// the first part that has it is where it is decided.
///
/// # Errors
/// Where the sheet, another part of it or a journal cannot be read or was changed.
pub fn disagreements(sheet: &Path) -> Result<BTreeMap<String, Vec<Grade>>> {
    let mut given = grades_given(sheet, &Blind::read(sheet)?)?;
    given.retain(|_, grades| is_disagreed(grades));
    Ok(given)
}

/// How many disagreements of a sheet have no verdict yet.
///
/// # Errors
/// As [`disagreements`].
pub fn undecided(sheet: &Path) -> Result<usize> {
    let blind = Blind::read(sheet)?;
    let path = sheet.join(format!("{ADJUDICATED}.jsonl"));
    let decided = if path.exists() { journal::read(&path, &blind.genesis)?.events } else { Vec::new() };
    let state = replay(&blind.cards, &decided, &path)?;
    let given = grades_given(sheet, &blind)?;
    let is_open = |(index, card): &(usize, &CardRow)| {
        let mark = state.mark(*index);
        mark.grade.is_none() && !mark.skipped && given.get(&card.key).is_some_and(|grades| is_disagreed(grades))
    };
    Ok(blind.cards.iter().enumerate().filter(is_open).count())
}

fn is_disagreed(grades: &[Grade]) -> bool {
    grades.first() != grades.last()
}

/// By card and rater.
type Given = BTreeMap<String, BTreeMap<String, Grade>>;

/// Every grade that stands, by card, from best to worst.
fn grades_given(sheet: &Path, blind: &Blind) -> Result<BTreeMap<String, Vec<Grade>>> {
    let mut given = Given::new();
    add_grades(sheet, blind, |card| Some(card.key.as_str()), &mut given)?;
    let own = first_of_each_text(&blind.cards);
    for (part, other) in other_parts(sheet, blind)? {
        let shared: HashMap<&str, &str> = first_of_each_text(&other.cards)
            .into_iter()
            .filter_map(|(text, card)| Some((card.key.as_str(), own.get(&text)?.key.as_str())))
            .collect();
        add_grades(&part, &other, |card| shared.get(card.key.as_str()).copied(), &mut given)?;
        if index_of(&other) < index_of(blind) {
            given.retain(|key, _| !shared.values().any(|shared| shared == key));
        }
    }
    let sorted = |grades: BTreeMap<String, Grade>| {
        let mut grades: Vec<Grade> = grades.into_values().collect();
        grades.sort_unstable();
        grades
    };
    Ok(given.into_iter().map(|(key, grades)| (key, sorted(grades))).collect())
}

/// Adds what the raters of a sheet gave; `key` says under which key a card counts. Who graded a text in two parts counts
/// once.
fn add_grades<'a>(
    sheet: &Path,
    blind: &'a Blind,
    key: impl Fn(&'a CardRow) -> Option<&'a str>,
    given: &mut Given,
) -> Result<()> {
    for rater in raters(sheet)? {
        let path = rater::journal_of(sheet, &rater)?;
        let state = replay(&blind.cards, &journal::read(&path, &blind.genesis)?.events, &path)?;
        for (index, card) in blind.cards.iter().enumerate() {
            if let (Some(key), Some(grade)) = (key(card), state.mark(index).grade) {
                given.entry(key.to_owned()).or_default().entry(rater.clone()).or_insert(grade);
            }
        }
    }
    Ok(())
}

/// What is graded, told without a model's name: the question, what came before it, and the answer.
type Text<'a> = (u64, &'a [Exchange], &'a str);

/// The cards by their texts; the first of them where a hidden repeat or another model has the same.
fn first_of_each_text(cards: &[CardRow]) -> HashMap<Text<'_>, &CardRow> {
    let mut first = HashMap::new();
    for card in cards {
        first.entry((card.question_id, card.before.as_slice(), card.answer_sha256.as_str())).or_insert(card);
    }
    first
}

fn index_of(blind: &Blind) -> usize {
    blind.manifest.part.map_or(0, |part| part.index)
}

/// The other parts of a split sheet, as far as they lie beside it.
fn other_parts(sheet: &Path, blind: &Blind) -> Result<Vec<(PathBuf, Blind)>> {
    let absolute = std::path::absolute(sheet).or_at("cannot find the folder", sheet)?;
    let (Some(_), Some(folder)) = (blind.manifest.part, absolute.parent()) else { return Ok(Vec::new()) };
    let mut others = Vec::new();
    for part in parts_of(folder) {
        let other = Blind::read(&part)?;
        let is_of_same = other.manifest.evalset.sha256 == blind.manifest.evalset.sha256;
        if is_of_same && index_of(&other) != index_of(blind) {
            others.push((part, other));
        }
    }
    Ok(others)
}

impl Opening<'_> {
    /// Opens the cards on which raters disagree, for `who` to decide, and those that were decided before. The verdicts
    /// go to `adjudicated.jsonl`.
    ///
    /// # Errors
    /// As [`Opening::session`]; and where nobody disagrees.
    pub fn adjudication(&self, who: &str) -> Result<(Session, Vec<String>)> {
        rater::check(who)?;
        let mut blind = Blind::read(self.sheet)?;
        let given = grades_given(self.sheet, &blind)?;
        let path = self.sheet.join(format!("{ADJUDICATED}.jsonl"));
        let decided = if path.exists() { journal::read(&path, &blind.genesis)?.events } else { Vec::new() };
        blind.cards.retain(|card| {
            given.get(&card.key).is_some_and(|grades| is_disagreed(grades))
                || decided.iter().any(|event| event.card == card.key)
        });
        if blind.cards.is_empty() {
            let graders = raters(self.sheet)?.len();
            return Err(Error::input(match graders {
                0 | 1 => "there is nothing to decide: fewer than two raters have graded".to_owned(),
                _ => format!("there is nothing to decide: the {graders} raters agree wherever two of them graded"),
            })
            .at(self.sheet)
            .remedy("copy the raters' journals into the folder of the sheet"));
        }
        self.open(blind, &path, Some(who), |key| given.get(key).cloned().unwrap_or_default())
    }
}
