//! What a grader's events add up to: a mark a card, and what can be undone and redone.
//!
//! Pure: no file, no clock. A session applies its events here as they are recorded, and replaying a journal applies
//! the same events in the same order, so that both always agree.

use super::{Grade, Mark, Progress};

/// What a grader did with one card.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Grade(Grade),
    Skip,
    Flag(bool),
    Note(String),
}

/// A change that was made, and what stood there before.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    card: usize,
    before: Mark,
    after: Mark,
}

/// The marks of a deck.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    marks: Vec<Mark>,
    done: Vec<Step>,
    undone: Vec<Step>,
}

impl State {
    pub fn new(cards: usize) -> Self {
        Self { marks: vec![Mark::default(); cards], ..Self::default() }
    }

    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Makes a change after `seconds` of work on the card. What was undone before can no longer be redone.
    pub fn apply(&mut self, card: usize, change: Change, seconds: f64) {
        let mark = &mut self.marks[card];
        mark.seconds += seconds;
        let before = mark.clone();
        match change {
            Change::Grade(grade) => (mark.grade, mark.skipped) = (Some(grade), false),
            Change::Skip => (mark.grade, mark.skipped) = (None, true),
            Change::Flag(flagged) => mark.flagged = flagged,
            Change::Note(text) => mark.note = text,
        }
        let after = mark.clone();
        self.done.push(Step { card, before, after });
        self.undone.clear();
    }

    /// The card that [`State::undo`] would touch.
    pub fn can_undo(&self) -> Option<usize> {
        self.done.last().map(|step| step.card)
    }

    /// The card that [`State::redo`] would touch.
    pub fn can_redo(&self) -> Option<usize> {
        self.undone.last().map(|step| step.card)
    }

    /// Takes the last change back that still stands. The time that was spent stays spent.
    pub fn undo(&mut self) -> Option<usize> {
        let step = self.done.pop()?;
        self.put(step.card, &step.before);
        let card = step.card;
        self.undone.push(step);
        Some(card)
    }

    /// Makes the change again that was taken back last.
    pub fn redo(&mut self) -> Option<usize> {
        let step = self.undone.pop()?;
        self.put(step.card, &step.after);
        let card = step.card;
        self.done.push(step);
        Some(card)
    }

    fn put(&mut self, card: usize, mark: &Mark) {
        let seconds = self.marks[card].seconds;
        self.marks[card] = Mark { seconds, ..mark.clone() };
    }

    pub fn progress(&self) -> Progress {
        let count = |is: fn(&Mark) -> bool| self.marks.iter().filter(|mark| is(mark)).count();
        Progress {
            total: self.marks.len(),
            graded: count(|mark| mark.grade.is_some()),
            skipped: count(|mark| mark.skipped),
            flagged: count(|mark| mark.flagged),
            seconds: self.marks.iter().map(|mark| mark.seconds).sum(),
        }
    }

    /// The first card without a grade from `from` on, which neither was skipped; after the last comes the first.
    pub fn next_ungraded(&self, from: usize) -> Option<usize> {
        let count = self.marks.len();
        let is_open = |card: &usize| self.marks[*card].grade.is_none() && !self.marks[*card].skipped;
        (0..count).map(|step| (from + step) % count).find(is_open)
    }
}
