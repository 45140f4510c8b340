//! A grader at work: a deck, the marks on it, and the journal that keeps them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use tempfile::TempDir;

use super::cards::{self, CardRow, RUBRIC};
use super::event::{EventRow, What};
use super::journal::{Draft, RaterJournal};
use super::manifest::{self, BlindManifest};
use super::pictures::Pictures;
use super::state::{Change, State};
use super::{Deck, Grade, Mark, Progress, Rubric, rater};
use crate::error::{Error, Result};

/// How a sheet is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    pub sheet: &'a Path,
    /// Where the evalset is on this machine; none for where it was when the sheet was made.
    pub evalset: Option<&'a OsStr>,
    /// Whether it is an error that the pictures are not found.
    pub with_pictures: bool,
}

/// A grader's work on one deck. Every method that changes something returns once the change is on disk; after an
/// error nothing has changed.
#[derive(Debug)]
pub struct Session {
    deck: Deck,
    state: State,
    /// None in a practice round.
    journal: Option<RaterJournal>,
    /// In an adjudication, who decides.
    by: Option<String>,
    is_side_by_side: bool,
    /// Holds the pictures of an evalset that is built into the program.
    pictures: Option<TempDir>,
}

/// A sheet, read as far as a grader may see it.
pub(super) struct Blind {
    pub manifest: BlindManifest,
    /// Digest of `sheet.json`.
    pub genesis: String,
    pub cards: Vec<CardRow>,
    pub rubric: Rubric,
}

impl Blind {
    pub fn read(sheet: &Path) -> Result<Self> {
        let (manifest, genesis) = manifest::read::<BlindManifest>(sheet)?;
        let cards = cards::read(sheet, &manifest.cards_sha256)?;
        let rubric = manifest::read_checked(sheet, RUBRIC, &manifest.rubric_sha256)?;
        let rubric = Rubric::parse(&String::from_utf8_lossy(&rubric), &sheet.join(RUBRIC))?;
        Ok(Self { manifest, genesis, cards, rubric })
    }

    fn title(&self) -> String {
        let BlindManifest { id, part, .. } = &self.manifest;
        match part {
            None => id.clone(),
            Some(part) => format!("{id} ({} of {})", part.index, part.of),
        }
    }
}

impl Opening<'_> {
    /// Opens the sheet for a rater and replays what the rater has done so far. The second value tells of what was
    /// repaired.
    ///
    /// # Errors
    /// Where the folder holds no sheet, a file of it was changed, the rater's name cannot be that of a file, the rater
    /// is grading already, the journal was edited or cut, or the pictures are missing or others.
    pub fn session(&self, rater: &str) -> Result<(Session, Vec<String>)> {
        let blind = Blind::read(self.sheet)?;
        let journal = rater::journal_of(self.sheet, rater)?;
        self.open(blind, &journal, None, |_| Vec::new())
    }

    /// Whether the sheet could be opened for a rater, as far as can be told without writing anything.
    ///
    /// # Errors
    /// Where the folder holds no sheet, a file of it was changed, or the name cannot be a rater's.
    pub fn check(&self, rater: &str) -> Result<()> {
        Blind::read(self.sheet)?;
        rater::journal_of(self.sheet, rater).map(drop)
    }

    /// Opens `journal` on the cards of `blind`; `given` says which grades a card was given, for an adjudication.
    pub(super) fn open(
        &self,
        blind: Blind,
        journal: &Path,
        by: Option<&str>,
        given: impl Fn(&str) -> Vec<Grade>,
    ) -> Result<(Session, Vec<String>)> {
        let pictures = Pictures::find(&blind.manifest.evalset, self.evalset, &blind.cards, self.with_pictures)?;
        let (journal_file, replayable) = RaterJournal::open(journal, &blind.genesis)?;
        let state = replay(&blind.cards, &replayable.events, journal)?;
        let shown = |row: &CardRow| super::Card { given: given(&row.key), ..row.card(|name| pictures.path(name)) };
        let deck = Deck { title: blind.title(), cards: blind.cards.iter().map(shown).collect(), rubric: blind.rubric };
        let warnings = [pictures.warnings, replayable.warnings].concat();
        let session = Session {
            deck,
            state,
            journal: Some(journal_file),
            by: by.map(str::to_owned),
            is_side_by_side: blind.manifest.side_by_side,
            pictures: pictures.temporary,
        };
        Ok((session, warnings))
    }
}

/// What the events of a journal add up to.
///
/// # Errors
/// By file and line: an event about a card or a text that is not on the sheet, or one that cannot follow those before.
pub(super) fn replay(cards: &[CardRow], events: &[EventRow], path: &Path) -> Result<State> {
    let by_key: HashMap<&str, usize> =
        cards.iter().enumerate().map(|(index, card)| (card.key.as_str(), index)).collect();
    let mut state = State::new(cards.len());
    for (event, line) in events.iter().zip(1..) {
        let refuse = |message: String| {
            Error::input(message).at_line(path, line).remedy("put the journal of this sheet back; nothing was changed")
        };
        let Some(&card) = by_key.get(event.card.as_str()) else {
            return Err(refuse(format!("there is no card {} on the sheet", event.card)));
        };
        if event.answer_sha256 != cards[card].answer_sha256 {
            return Err(refuse(format!("another text than that of card {} was graded", event.card)));
        }
        state.replay(card, event).map_err(refuse)?;
    }
    Ok(state)
}

impl Session {
    /// Opens a sheet for a rater, its pictures being where they were when it was made; see [`Opening::session`].
    pub fn open(sheet: &Path, rater: &str) -> Result<(Self, Vec<String>)> {
        Opening { sheet, evalset: None, with_pictures: true }.session(rater)
    }

    /// A session that records nothing: for practice, and for tests of the screen.
    pub fn practice(deck: Deck) -> Self {
        let state = State::new(deck.cards.len());
        Self { deck, state, journal: None, by: None, is_side_by_side: false, pictures: None }
    }

    /// Keeps a folder of pictures for as long as the session lives.
    pub(super) fn keeping(mut self, pictures: Option<TempDir>) -> Self {
        self.pictures = pictures;
        self
    }

    pub fn deck(&self) -> &Deck {
        &self.deck
    }

    /// Whether whoever made the sheet wants all answers to a question side by side.
    pub fn is_side_by_side(&self) -> bool {
        self.is_side_by_side
    }

    /// Whether grades are kept; in a practice round they are not.
    pub fn is_recorded(&self) -> bool {
        self.journal.is_some()
    }

    /// What is recorded of a card of the deck.
    pub fn mark(&self, card: usize) -> &Mark {
        self.state.mark(card)
    }

    /// Grades a card, after `seconds` of active work on it since it was shown.
    pub fn grade(&mut self, card: usize, grade: Grade, seconds: f64) -> Result<()> {
        self.change(card, Change::Grade(grade), seconds)
    }

    /// Leaves a card without a grade, on purpose.
    pub fn skip(&mut self, card: usize, seconds: f64) -> Result<()> {
        self.change(card, Change::Skip, seconds)
    }

    pub fn flag(&mut self, card: usize, flagged: bool) -> Result<()> {
        self.change(card, Change::Flag(flagged), 0.0)
    }

    /// Replaces the note on a card.
    pub fn note(&mut self, card: usize, text: &str) -> Result<()> {
        self.change(card, Change::Note(text.to_owned()), 0.0)
    }

    /// Takes the last change back that still stands; gives the card it was about, none where there is nothing to undo.
    pub fn undo(&mut self) -> Result<Option<usize>> {
        self.step(self.state.can_undo(), What::Undo)
    }

    /// Makes the change again that was taken back last; gives its card.
    pub fn redo(&mut self) -> Result<Option<usize>> {
        self.step(self.state.can_redo(), What::Redo)
    }

    pub fn progress(&self) -> Progress {
        self.state.progress()
    }

    /// The next card, from `from` on and after the last from the first, that was neither graded nor skipped.
    pub fn next_ungraded(&self, from: usize) -> Option<usize> {
        self.state.next_ungraded(from)
    }

    fn change(&mut self, card: usize, change: Change, seconds: f64) -> Result<()> {
        // To the millisecond, and never what a clock that was set back would make of it.
        let seconds = if seconds.is_finite() { (seconds.max(0.0) * 1000.0).round() / 1000.0 } else { 0.0 };
        self.record(card, What::of(&change, seconds))
    }

    fn step(&mut self, card: Option<usize>, what: What) -> Result<Option<usize>> {
        if let Some(card) = card {
            self.record(card, what)?;
        }
        Ok(card)
    }

    /// Puts an event on disk and then applies it.
    fn record(&mut self, card: usize, what: What) -> Result<()> {
        let Some(shown) = self.deck.cards.get(card) else {
            return Err(Error::failed(format!("the deck has {} cards, no card {card}", self.deck.cards.len())));
        };
        let draft = Draft {
            card: shown.key.clone(),
            answer_sha256: shown.answer_sha256.clone(),
            what,
            imported: None,
            by: self.by.clone(),
        };
        let events = match &mut self.journal {
            Some(journal) => journal.append(vec![draft])?,
            None => vec![draft.unrecorded()],
        };
        for event in &events {
            self.state.replay(card, event).map_err(Error::failed)?;
        }
        Ok(())
    }
}
