//! What a grader's events add up to: a mark a card, and what can be undone and redone.
//!
//! Pure: no file, no clock. A session applies its events here as they are recorded, and replaying a journal applies
//! the same events in the same order, so that both always agree.

use super::event::{EventRow, What};
use super::{Grade, Mark, Progress};

/// What a grader did with one card.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Grade(Grade),
    Skip,
    Flag(bool),
    Note(String),
}

/// A mark, and when the grade (or the skip) in it was given.
#[derive(Debug, Clone, Default, PartialEq)]
struct Standing {
    mark: Mark,
    given_at: Option<String>,
}

/// A change that was made, and what stood there before.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    card: usize,
    before: Standing,
    after: Standing,
}

/// The marks of a deck.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    cards: Vec<Standing>,
    done: Vec<Step>,
    undone: Vec<Step>,
}

impl State {
    pub fn new(cards: usize) -> Self {
        Self { cards: vec![Standing::default(); cards], ..Self::default() }
    }

    pub fn mark(&self, card: usize) -> &Mark {
        &self.cards[card].mark
    }

    /// When the grade or the skip that stands was given (UTC, RFC 3339).
    pub fn given_at(&self, card: usize) -> Option<&str> {
        self.cards[card].given_at.as_deref()
    }

    /// Applies an event of a journal.
    ///
    /// # Errors
    /// Says what does not fit: an undo or redo of which there is nothing, or that is of another card.
    pub fn replay(&mut self, card: usize, event: &EventRow) -> Result<(), String> {
        let stepped = match &event.what {
            What::Undo => self.undo(),
            What::Redo => self.redo(),
            what => {
                if let Some((change, seconds)) = what.change() {
                    self.apply(card, change, seconds, event.given_at());
                }
                Some(card)
            }
        };
        match stepped {
            Some(touched) if touched == card => Ok(()),
            Some(_) => Err(format!("event {} undoes or redoes what was done to another card", event.seq)),
            None => Err(format!("event {} undoes or redoes, and there is nothing to", event.seq)),
        }
    }

    /// Makes a change at the time `at`, after `seconds` of work on the card. What was undone before can no longer be
    /// redone.
    pub fn apply(&mut self, card: usize, change: Change, seconds: f64, at: &str) {
        let standing = &mut self.cards[card];
        standing.mark.seconds += seconds;
        let before = standing.clone();
        let mark = &mut standing.mark;
        match change {
            Change::Grade(grade) => {
                (mark.grade, mark.skipped, standing.given_at) = (Some(grade), false, Some(at.into()))
            }
            Change::Skip => (mark.grade, mark.skipped, standing.given_at) = (None, true, Some(at.into())),
            Change::Flag(flagged) => mark.flagged = flagged,
            Change::Note(text) => mark.note = text,
        }
        let after = standing.clone();
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
        self.put(step.card, step.before.clone());
        let card = step.card;
        self.undone.push(step);
        Some(card)
    }

    /// Makes the change again that was taken back last.
    pub fn redo(&mut self) -> Option<usize> {
        let step = self.undone.pop()?;
        self.put(step.card, step.after.clone());
        let card = step.card;
        self.done.push(step);
        Some(card)
    }

    fn put(&mut self, card: usize, mut standing: Standing) {
        standing.mark.seconds = self.cards[card].mark.seconds;
        self.cards[card] = standing;
    }

    pub fn progress(&self) -> Progress {
        let marks = || self.cards.iter().map(|card| &card.mark);
        Progress {
            total: self.cards.len(),
            graded: marks().filter(|mark| mark.grade.is_some()).count(),
            skipped: marks().filter(|mark| mark.skipped).count(),
            flagged: marks().filter(|mark| mark.flagged).count(),
            seconds: marks().map(|mark| mark.seconds).sum(),
        }
    }

    /// The first card without a grade from `from` on, which neither was skipped; after the last comes the first.
    pub fn next_ungraded(&self, from: usize) -> Option<usize> {
        let count = self.cards.len();
        let is_open = |card: &usize| self.mark(*card).grade.is_none() && !self.mark(*card).skipped;
        (0..count).map(|step| (from % count + step) % count).find(is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graded(state: &State) -> Vec<Option<Grade>> {
        state.cards.iter().map(|card| card.mark.grade).collect()
    }

    #[test]
    fn undo_goes_back_as_far_as_one_likes_and_redo_forward_again() {
        let mut state = State::new(2);
        state.apply(0, Change::Grade(Grade::A), 3.0, "1");
        state.apply(1, Change::Grade(Grade::B), 4.0, "2");
        state.apply(0, Change::Grade(Grade::C), 5.0, "3");
        assert_eq!(graded(&state), [Some(Grade::C), Some(Grade::B)]);
        assert_eq!([state.undo(), state.undo(), state.undo(), state.undo()], [Some(0), Some(1), Some(0), None]);
        assert_eq!(graded(&state), [None, None]);
        assert_eq!([state.redo(), state.redo()], [Some(0), Some(1)]);
        assert_eq!(graded(&state), [Some(Grade::A), Some(Grade::B)]);
        assert_eq!(state.given_at(0), Some("1"));
        // The time stays spent.
        assert_eq!(state.progress().seconds, 12.0);
        // A new change forgets what was undone.
        state.apply(1, Change::Skip, 0.0, "4");
        assert_eq!(state.redo(), None);
        assert_eq!((state.mark(1).grade, state.mark(1).skipped), (None, true));
    }

    #[test]
    fn the_next_open_card_is_looked_for_all_around_and_skipped_ones_are_passed() {
        let mut state = State::new(3);
        assert_eq!(State::new(0).next_ungraded(0), None);
        state.apply(2, Change::Grade(Grade::D), 0.0, "");
        assert_eq!(state.next_ungraded(2), Some(0));
        state.apply(0, Change::Skip, 0.0, "");
        assert_eq!((state.next_ungraded(2), state.next_ungraded(7)), (Some(1), Some(1)));
        state.apply(1, Change::Flag(true), 0.0, "");
        assert_eq!(state.next_ungraded(0), Some(1));
        state.apply(1, Change::Grade(Grade::A), 0.0, "");
        assert_eq!(state.next_ungraded(0), None);
        let progress = state.progress();
        assert_eq!((progress.total, progress.graded, progress.skipped, progress.flagged), (3, 2, 1, 1));
    }
}
