//! Grades made elsewhere, in a spreadsheet for instance, become events of their raters' journals.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::event::{ImportedFrom, What, digest};
use super::export::{Opened, REPEATS};
use super::journal::{Draft, RaterJournal};
use super::rater;
use super::sealed::{Sealed, Unsealing, unseal};
use super::session::replay;
use super::state::{Change, State};
use super::table::{self, Read};
use crate::error::{Error, IoContext as _, Result};

/// What became of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Rows that changed something.
    pub placed: usize,
    /// Rows that say what the journals say already.
    pub unchanged: usize,
    pub unplaced: Vec<Unplaced>,
    /// Torn lines that were repaired.
    pub notes: Vec<String>,
}

/// A row that could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unplaced {
    /// Where the row begins in the file, counted from 1.
    pub line: u64,
    pub why: String,
}

/// Reads a table of grades and records what is new in it. `rater` is who graded where the table does not say.
///
/// A row that is on disk is not recorded again, so an import that was killed is carried on by the same command.
///
/// # Errors
/// Where the file is no table of grades, a file of the sheet was changed, or a journal cannot be written. What was
/// recorded by then stays.
pub fn import(sheet: &Path, file: &Path, rater: Option<&str>, who: &str) -> Result<Imported> {
    let bytes = std::fs::read(file).or_at("cannot read the grades", file)?;
    let rows = table::read(&bytes, file, rater)?;
    let opened = Opened::read(sheet)?;
    let sealed = unseal(sheet, &opened.manifest, Unsealing { who, why: "import" })?;
    let places = Places::new(&opened, &sealed);
    let mut imported = Imported::default();
    let mut seen: HashMap<(String, usize), u64> = HashMap::new();
    let mut by_rater: BTreeMap<String, Vec<(usize, Read)>> = BTreeMap::new();
    for row in rows {
        let placed = row.and_then(|row| {
            let line = row.line;
            places.place(row, &mut seen).map_err(|why| (line, why))
        });
        match placed {
            Ok((card, row)) => by_rater.entry(row.rater.clone()).or_default().push((card, row)),
            Err((line, why)) => imported.unplaced.push(Unplaced { line, why }),
        }
    }
    let from = digest(&bytes);
    for (rater, rows) in by_rater {
        let path = rater::journal_of(sheet, &rater)?;
        let (mut journal, replayable) = RaterJournal::open(&path, &opened.genesis)?;
        imported.notes.extend(replayable.warnings);
        let mut state = replay(&opened.cards, &replayable.events, &path)?;
        for (index, row) in rows {
            let drafts = drafts(&opened, &state, index, &row, &from);
            if drafts.is_empty() {
                imported.unchanged += 1;
                continue;
            }
            for event in journal.append(drafts)? {
                state.replay(index, &event).map_err(Error::failed)?;
            }
            imported.placed += 1;
        }
    }
    imported.unplaced.sort_by_key(|row| row.line);
    Ok(imported)
}

/// What a row says and the journal does not say yet.
fn drafts(opened: &Opened, state: &State, index: usize, row: &Read, from: &str) -> Vec<Draft> {
    let mark = state.mark(index);
    let mut changes = Vec::new();
    match row.grade {
        Some(grade) if mark.grade != Some(grade) => changes.push(Change::Grade(grade)),
        None if !mark.skipped => changes.push(Change::Skip),
        _ => {}
    }
    if let Some(note) = row.note.as_ref().filter(|note| **note != mark.note) {
        changes.push(Change::Note(note.clone()));
    }
    if let Some(flagged) = row.flagged.filter(|flagged| *flagged != mark.flagged) {
        changes.push(Change::Flag(flagged));
    }
    let card = &opened.cards[index];
    let draft = |change: Change| Draft {
        card: card.key.clone(),
        answer_sha256: card.answer_sha256.clone(),
        what: What::of(&change, row.seconds),
        imported: Some(ImportedFrom { file_sha256: from.to_owned(), graded_at: row.graded_at.clone() }),
        by: None,
    };
    changes.into_iter().map(draft).collect()
}

/// Where the answers of the models are among the cards.
struct Places<'a> {
    opened: &'a Opened,
    /// (is a repeat, model, question) -> index of the card.
    cards: HashMap<(bool, &'a str, u64), usize>,
}

impl<'a> Places<'a> {
    fn new(opened: &'a Opened, sealed: &'a Sealed) -> Self {
        let slots = sealed.by_key();
        let place = |(index, card): (usize, &'a super::cards::CardRow)| {
            let slot = slots.get(card.key.as_str())?;
            Some(((slot.repeats.is_some(), slot.model_id.as_str(), card.question_id), index))
        };
        Self { opened, cards: opened.cards.iter().enumerate().filter_map(place).collect() }
    }

    /// The card that a row is about, or why there is none. `seen` holds the lines that were placed before.
    fn place(&self, row: Read, seen: &mut HashMap<(String, usize), u64>) -> Result<(usize, Read), String> {
        rater::check(&row.rater).map_err(|error| error.message().to_owned())?;
        let manifest = &self.opened.manifest;
        let is_repeat = row.sheet.strip_suffix(REPEATS) == Some(manifest.id.as_str());
        if !is_repeat && !row.sheet.is_empty() && row.sheet != manifest.id {
            return Err(format!("it belongs to the sheet {:?}, not to {:?}", row.sheet, manifest.id));
        }
        if !manifest.answers.iter().any(|answers| answers.model_id == row.model_id) {
            return Err(format!("there are no answers of the model {:?} on the sheet", row.model_id));
        }
        let (model, question) = (row.model_id.as_str(), row.question_id);
        let Some(&index) = self.cards.get(&(is_repeat, model, question)) else {
            let is_missing =
                |missing: &&super::manifest::Missing| missing.model_id == model && missing.question_id == question;
            return Err(match manifest.missing.iter().find(is_missing) {
                Some(missing) => format!("there is no answer of {model:?} to question {question}: {}", missing.why),
                None => format!("there is no answer of {model:?} to question {question} on the sheet"),
            });
        };
        if row.answer_sha256.as_ref().is_some_and(|sha256| *sha256 != self.opened.cards[index].answer_sha256) {
            return Err(format!("another text of {model:?} to question {question} was graded"));
        }
        if let Some(first) = seen.get(&(row.rater.clone(), index)) {
            return Err(format!(
                "a second grade by {} for the answer of {model:?} to question {question}; the first is in line {first}",
                row.rater
            ));
        }
        seen.insert((row.rater.clone(), index), row.line);
        Ok((index, row))
    }
}
