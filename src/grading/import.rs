//! Grades made elsewhere, in a spreadsheet for instance, become events of their raters' journals.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::create::sheets_of;
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

/// Reads a table of grades and records what is new in it, on a sheet or on the parts of a split one. `rater` is who graded
/// where the table does not say.
///
/// A row that is on disk is not recorded again, so an import that was killed is carried on by the same command.
///
/// # Errors
/// Where the file is no table of grades, a file of the sheet was changed, or a journal cannot be written. What was
/// recorded by then stays.
pub fn import(folder: &Path, file: &Path, rater: Option<&str>, who: &str) -> Result<Imported> {
    let bytes = std::fs::read(file).or_at("cannot read the grades", file)?;
    let rows = table::read(&bytes, file, rater)?;
    let sheets = sheets_of(folder);
    let opened: Vec<Opened> = sheets.iter().map(|sheet| Opened::read(sheet)).collect::<Result<_>>()?;
    let unsealed =
        |(sheet, opened): (&PathBuf, &Opened)| unseal(sheet, &opened.manifest, Unsealing { who, why: "import" });
    let sealed: Vec<Sealed> = sheets.iter().zip(&opened).map(unsealed).collect::<Result<_>>()?;
    let places: Vec<Places> = opened.iter().zip(&sealed).map(|(opened, sealed)| Places::new(opened, sealed)).collect();
    let mut imported = Imported::default();
    let mut seen = HashMap::new();
    let mut by_journal: BTreeMap<(usize, String), Vec<(usize, Read)>> = BTreeMap::new();
    for row in rows {
        let placed = row.and_then(|row| {
            let place = place(&places, &row, &mut seen).map_err(|why| (row.line, why))?;
            Ok((place, row))
        });
        match placed {
            Ok((place, row)) => {
                by_journal.entry((place.sheet, row.rater.clone())).or_default().push((place.card, row));
            }
            Err((line, why)) => imported.unplaced.push(Unplaced { line, why }),
        }
    }
    let from = digest(&bytes);
    for ((sheet, rater), rows) in by_journal {
        record(&sheets[sheet], &opened[sheet], &rater, rows, &from, &mut imported)?;
    }
    imported.unplaced.sort_by_key(|row| row.line);
    Ok(imported)
}

/// Records the rows of one rater on one sheet.
fn record(
    sheet: &Path,
    opened: &Opened,
    rater: &str,
    rows: Vec<(usize, Read)>,
    from: &str,
    imported: &mut Imported,
) -> Result<()> {
    let path = rater::journal_of(sheet, rater)?;
    let (mut journal, replayable) = RaterJournal::open(&path, &opened.genesis)?;
    imported.notes.extend(replayable.warnings);
    let mut state = replay(&opened.cards, &replayable.events, &path)?;
    for (index, row) in rows {
        let drafts = drafts(opened, &state, index, &row, from);
        if drafts.is_empty() {
            imported.unchanged += 1;
            continue;
        }
        for event in journal.append(drafts)? {
            state.replay(index, &event).map_err(Error::failed)?;
        }
        imported.placed += 1;
    }
    Ok(())
}

/// What a row says and the journal does not say yet.
fn drafts(opened: &Opened, state: &State, index: usize, row: &Read, from: &str) -> Vec<Draft> {
    let mark = state.mark(index);
    let mut changes = Vec::new();
    match row.grade {
        Some(grade) if mark.grade != Some(grade) => changes.push(Change::Grade(grade)),
        None if !mark.skipped && !row.is_open => changes.push(Change::Skip),
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

/// Where an answer stands: on which of the sheets, and which card of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    sheet: usize,
    card: usize,
}

/// The place that a row is about, or why there is none. `seen` holds the lines that were placed before.
fn place(places: &[Places], row: &Read, seen: &mut HashMap<(String, Place), u64>) -> Result<Place, String> {
    rater::check(&row.rater).map_err(|error| error.message().to_owned())?;
    let mut found = Vec::new();
    let mut nearest: Option<Miss> = None;
    for (sheet, places) in places.iter().enumerate() {
        match places.find(row) {
            Ok(card) => found.push(Place { sheet, card }),
            Err(miss) => nearest = nearest.into_iter().chain([miss]).max_by_key(|miss| miss.nearness),
        }
    }
    let (model, question) = (row.model_id.as_str(), row.question_id);
    let place = match found.as_slice() {
        [] => return Err(nearest.map(|miss| miss.why).unwrap_or_default()),
        [place] => *place,
        several => {
            let ids: Vec<&str> = several.iter().map(|place| places[place.sheet].opened.manifest.id.as_str()).collect();
            return Err(format!(
                "several parts have the answer of {model:?} to question {question}: say which in the column sheet ({})",
                ids.join(", ")
            ));
        }
    };
    if let Some(first) = seen.get(&(row.rater.clone(), place)) {
        return Err(format!(
            "a second grade by {} for the answer of {model:?} to question {question}; the first is in line {first}",
            row.rater
        ));
    }
    seen.insert((row.rater.clone(), place), row.line);
    Ok(place)
}

/// Why a sheet has no place for a row. Of several sheets, the one that came nearest says it.
struct Miss {
    nearness: u8,
    why: String,
}

/// Where the answers of the models are among the cards of a sheet.
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

    /// The card that a row is about.
    fn find(&self, row: &Read) -> Result<usize, Miss> {
        let miss = |nearness, why| Err(Miss { nearness, why });
        let manifest = &self.opened.manifest;
        let is_repeat = row.sheet.strip_suffix(REPEATS) == Some(manifest.id.as_str());
        if !is_repeat && !row.sheet.is_empty() && row.sheet != manifest.id {
            return miss(0, format!("it belongs to the sheet {:?}, not to {:?}", row.sheet, manifest.id));
        }
        if !manifest.answers.iter().any(|answers| answers.model_id == row.model_id) {
            return miss(1, format!("there are no answers of the model {:?} on the sheet", row.model_id));
        }
        let (model, question) = (row.model_id.as_str(), row.question_id);
        let Some(&index) = self.cards.get(&(is_repeat, model, question)) else {
            let is_missing =
                |missing: &&super::manifest::Missing| missing.model_id == model && missing.question_id == question;
            let none = format!("there is no answer of {model:?} to question {question}");
            return match manifest.missing.iter().find(is_missing) {
                Some(missing) => miss(3, format!("{none}: {}", missing.why)),
                None => miss(2, format!("{none} on the sheet")),
            };
        };
        if row.answer_sha256.as_ref().is_some_and(|sha256| *sha256 != self.opened.cards[index].answer_sha256) {
            return miss(4, format!("another text of {model:?} to question {question} was graded"));
        }
        Ok(index)
    }
}
