//! Grades and models come together: `grades.csv`.

use std::collections::BTreeMap;
use std::path::Path;

use super::Grade;
use super::cards::{self, CardRow};
use super::journal;
use super::manifest::{self, Manifest, MissingPolicy};
use super::rater::{ADJUDICATED, raters};
use super::sealed::{Sealed, Unsealing, unseal};
use super::session::replay;
use super::state::State;
use super::table::{self, Written};
use crate::error::Result;
use crate::evalset::Subset;

/// Which grades are exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// The raters' grades, each answer once.
    #[default]
    Grades,
    /// The grades of hidden repeats alone, as of the sheet `<id>#repeats`: a rater's agreement with themselves.
    Repeats,
    /// The verdicts of the adjudication, as of the rater `adjudicated`.
    Verdicts,
}

/// What the sheet of exported repeats is called, after its id.
pub const REPEATS: &str = "#repeats";

/// A table and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// `grades.csv`.
    pub csv: Vec<u8>,
    pub rows: usize,
    /// Answers without a grade by rater, agreement on repeats, torn lines.
    pub notes: Vec<String>,
}

/// Unseals a sheet and joins its grades with the models. Missing answers count as `missing` says, else as the sheet
/// does.
///
/// # Errors
/// Where a file of the sheet or a journal is missing, was changed, or does not belong to it.
pub fn export(sheet: &Path, which: Which, missing: Option<MissingPolicy>, who: &str) -> Result<Exported> {
    let opened = Opened::read(sheet)?;
    let sealed = unseal(sheet, &opened.manifest, Unsealing { who, why: "export" })?;
    opened.export(sheet, &sealed, which, missing)
}

/// A sheet, read for whoever may know everything.
pub(super) struct Opened {
    pub manifest: Manifest,
    pub genesis: String,
    pub cards: Vec<CardRow>,
}

/// A journal and what it adds up to.
struct Journal {
    rater: String,
    state: State,
}

impl Opened {
    pub fn read(sheet: &Path) -> Result<Self> {
        let (manifest, genesis) = manifest::read::<Manifest>(sheet)?;
        let cards = cards::read(sheet, &manifest.cards_sha256)?;
        Ok(Self { manifest, genesis, cards })
    }

    /// The table, from a mapping that was unsealed.
    pub fn export(
        &self,
        sheet: &Path,
        sealed: &Sealed,
        which: Which,
        missing: Option<MissingPolicy>,
    ) -> Result<Exported> {
        let mut notes = Vec::new();
        let names = match which {
            Which::Verdicts => vec![ADJUDICATED.to_owned()],
            Which::Grades | Which::Repeats => raters(sheet)?,
        };
        let mut rows = Vec::new();
        for rater in names {
            let path = sheet.join(format!("{rater}.jsonl"));
            if which == Which::Verdicts && !path.exists() {
                continue;
            }
            let replayable = journal::read(&path, &self.genesis)?;
            notes.extend(replayable.warnings);
            let journal = Journal { state: replay(&self.cards, &replayable.events, &path)?, rater };
            self.add(&journal, sealed, which, &mut rows);
            let policy = missing.unwrap_or(self.manifest.missing_counts);
            if which == Which::Grades && policy == MissingPolicy::D && journal.state.progress().graded > 0 {
                self.add_missing(&journal.rater, &mut rows);
            }
            if which == Which::Grades {
                notes.extend(self.notes(&journal, sealed));
            }
        }
        // By rater, model and question: an order that says nothing of the slots.
        let models: BTreeMap<&str, usize> =
            self.manifest.answers.iter().zip(0..).map(|(answers, index)| (answers.model_id.as_str(), index)).collect();
        rows.sort_by_key(|row| (row.rater.clone(), models.get(row.model_id.as_str()).copied(), row.question_id));
        Ok(Exported { csv: table::write(&rows)?, rows: rows.len(), notes })
    }

    fn add(&self, journal: &Journal, sealed: &Sealed, which: Which, rows: &mut Vec<Written>) {
        let wants_repeats = match which {
            Which::Grades => Some(false),
            Which::Repeats => Some(true),
            Which::Verdicts => None,
        };
        let slots = sealed.by_key();
        for (index, card) in self.cards.iter().enumerate() {
            let mark = journal.state.mark(index);
            let Some(slot) = slots.get(card.key.as_str()) else { continue };
            let is_wanted = wants_repeats.is_none_or(|wanted| wanted == slot.repeats.is_some());
            let is_given = mark.grade.is_some() || mark.skipped;
            // A note or a flag is not lost because there is no grade yet.
            if !is_wanted || !is_given && !mark.flagged && mark.note.is_empty() {
                continue;
            }
            rows.push(Written {
                sheet: self.sheet_name(slot.repeats.is_some()),
                rater: journal.rater.clone(),
                model_id: slot.model_id.clone(),
                grade: mark.grade,
                note: mark.note.clone(),
                flagged: mark.flagged,
                seconds: is_given.then_some(mark.seconds),
                graded_at: journal.state.given_at(index).unwrap_or_default().to_owned(),
                answer_sha256: card.answer_sha256.clone(),
                ..question(card)
            });
        }
    }

    fn sheet_name(&self, is_repeat: bool) -> String {
        let id = &self.manifest.id;
        if is_repeat { format!("{id}{REPEATS}") } else { id.clone() }
    }

    /// The answers that are not there, each as the worst grade. All but the grade and the reason stay empty: nobody
    /// graded a text.
    fn add_missing(&self, rater: &str, rows: &mut Vec<Written>) {
        let questions: BTreeMap<u64, &CardRow> = self.cards.iter().map(|card| (card.question_id, card)).collect();
        for missing in &self.manifest.missing {
            // A question that no model answered is on no card, and nothing is known of it here but its number.
            let known = questions.get(&missing.question_id).map(|card| question(card));
            rows.push(Written {
                sheet: self.sheet_name(false),
                rater: rater.to_owned(),
                model_id: missing.model_id.clone(),
                question_id: missing.question_id,
                grade: Some(Grade::D),
                note: format!("missing: {}", missing.why),
                ..known.unwrap_or_else(|| Written::of(missing.question_id))
            });
        }
    }

    fn notes(&self, journal: &Journal, sealed: &Sealed) -> Vec<String> {
        let progress = journal.state.progress();
        let mut notes = Vec::new();
        let open = progress.total - progress.graded - progress.skipped;
        if open > 0 {
            notes.push(format!("{}: {open} of {} answers have no grade yet", journal.rater, progress.total));
        }
        let by_key: BTreeMap<&str, usize> =
            self.cards.iter().zip(0..).map(|(card, index)| (card.key.as_str(), index)).collect();
        let grade = |key: &str| by_key.get(key).and_then(|index| journal.state.mark(*index).grade);
        let pairs: Vec<(Grade, Grade)> = sealed
            .slots
            .iter()
            .filter_map(|slot| grade(&slot.key).zip(slot.repeats.as_deref().and_then(grade)))
            .collect();
        if !pairs.is_empty() {
            let same = pairs.iter().filter(|(again, first)| again == first).count();
            notes.push(format!("{}: {same} of {} hidden repeats got the same grade", journal.rater, pairs.len()));
        }
        notes
    }
}

impl Written {
    fn of(question_id: u64) -> Self {
        Self {
            sheet: String::new(),
            rater: String::new(),
            model_id: String::new(),
            question_id,
            item: String::new(),
            image: String::new(),
            subsets: String::new(),
            abilities: String::new(),
            grade: None,
            note: String::new(),
            flagged: false,
            seconds: None,
            graded_at: String::new(),
            answer_sha256: String::new(),
        }
    }
}

/// A row with what is known of a card's question.
fn question(card: &CardRow) -> Written {
    let joined = |parts: Vec<&str>| parts.join(";");
    Written {
        item: card.item.clone(),
        image: joined(card.images.iter().map(|image| image.name.as_str()).collect()),
        subsets: joined(card.subsets.iter().copied().map(Subset::name).collect()),
        abilities: joined(card.abilities.iter().map(String::as_str).collect()),
        ..Written::of(card.question_id)
    }
}
