//! A grader at work: a deck, the marks on it, and the journal that keeps them.

use std::path::Path;

use super::state::{Change, State};
use super::{Deck, Grade, Mark, Progress};
use crate::error::{Error, Result};

/// A grader's work on one deck. Every method that changes something returns once the change is on disk.
#[derive(Debug)]
pub struct Session {
    deck: Deck,
    state: State,
}

impl Session {
    /// Opens a sheet for a rater and replays what the rater has done so far.
    pub fn open(sheet: &Path, rater: &str) -> Result<(Self, Vec<String>)> {
        let _ = rater;
        Err(Error::failed("not built yet").at(sheet))
    }

    /// A session that records nothing: for practice, and for tests of the screen.
    pub fn practice(deck: Deck) -> Self {
        let state = State::new(deck.cards.len());
        Self { deck, state }
    }

    pub fn deck(&self) -> &Deck {
        &self.deck
    }

    /// What is recorded of a card.
    ///
    /// # Panics
    /// Where the deck has no such card.
    pub fn mark(&self, card: usize) -> &Mark {
        &self.state.marks()[card]
    }

    pub fn grade(&mut self, card: usize, grade: Grade, seconds: f64) -> Result<()> {
        self.change(card, Change::Grade(grade), seconds)
    }

    pub fn skip(&mut self, card: usize, seconds: f64) -> Result<()> {
        self.change(card, Change::Skip, seconds)
    }

    pub fn flag(&mut self, card: usize, flagged: bool) -> Result<()> {
        self.change(card, Change::Flag(flagged), 0.0)
    }

    pub fn note(&mut self, card: usize, text: &str) -> Result<()> {
        self.change(card, Change::Note(text.to_owned()), 0.0)
    }

    /// Takes the last change back that still stands; gives the card it was about, none where there is nothing to undo.
    pub fn undo(&mut self) -> Result<Option<usize>> {
        Ok(self.state.undo())
    }

    /// Makes the change again that was undone last.
    pub fn redo(&mut self) -> Result<Option<usize>> {
        Ok(self.state.redo())
    }

    pub fn progress(&self) -> Progress {
        self.state.progress()
    }

    /// The next card, from `from` on and after the last from the first, that was neither graded nor skipped.
    pub fn next_ungraded(&self, from: usize) -> Option<usize> {
        self.state.next_ungraded(from)
    }

    fn change(&mut self, card: usize, change: Change, seconds: f64) -> Result<()> {
        self.state.apply(card, change, seconds);
        Ok(())
    }
}
