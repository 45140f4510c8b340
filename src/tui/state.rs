//! What the screen is about to show: where the grader is, what is open, what was said. No grade is kept here: grades
//! live in the [`Session`](crate::grading::Session).

use std::time::Duration;

use super::editor::Editor;
use super::keys::Command;
use super::pictures::Zoom;
use super::stopwatch::Stopwatch;
use super::{Options, PictureMode};
use crate::grading::{Mark, Session};

/// The state of the grading screen.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The card that keys act on.
    pub card: usize,
    pub layout: Layout,
    pub mode: Mode,
    pub filter: Filter,
    /// First line shown of the card's text; where nobody has scrolled, the screen chooses one that shows the answer.
    pub scroll: Option<usize>,
    /// Which of the card's pictures.
    pub picture: usize,
    pub zoom: Zoom,
    pub message: Message,
    /// What was searched for last.
    pub search: String,
    pub watch: Stopwatch,
    pub measured: Measured,
    /// The last grading key and when it came, by which the repeats of a key that is held down are known.
    pub last: Option<(Command, Duration)>,
    pub is_practice: bool,
    pub shows_pictures: bool,
}

/// How answers are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    OneAtATime,
    SideBySide,
}

/// What the keys go to.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    Grading,
    /// The picture over the whole screen.
    Picture,
    /// All keys and the rubric; the first line shown.
    Help(usize),
    /// A line is being typed.
    Prompt(Prompt, Editor),
    /// A practice card has been graded: what would fit, and why.
    Advice,
    /// Every card is graded or skipped.
    Finished,
}

/// What a typed line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    Note,
    GoTo,
    Search,
}

/// Which cards left and right go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    All,
    Ungraded,
    Skipped,
    Flagged,
}

impl Filter {
    pub const ALL: [Self; 4] = [Self::All, Self::Ungraded, Self::Skipped, Self::Flagged];

    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ungraded => "ungraded",
            Self::Skipped => "skipped",
            Self::Flagged => "flagged",
        }
    }

    pub fn holds(self, mark: &Mark) -> bool {
        match self {
            Self::All => true,
            Self::Ungraded => mark.grade.is_none() && !mark.skipped,
            Self::Skipped => mark.skipped,
            Self::Flagged => mark.flagged,
        }
    }

    /// The first card from `from` on that the filter holds, without going round.
    pub fn at_or_after(self, session: &Session, from: usize) -> Option<usize> {
        (from..session.deck().cards.len()).find(|card| self.holds(session.mark(*card)))
    }

    /// The last card before `from` that the filter holds.
    pub fn before(self, session: &Session, from: usize) -> Option<usize> {
        (0..from).rfind(|card| self.holds(session.mark(*card)))
    }

    pub fn count(self, session: &Session) -> usize {
        (0..session.deck().cards.len()).filter(|card| self.holds(session.mark(*card))).count()
    }
}

/// What the message line says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    pub kind: MessageKind,
    pub text: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MessageKind {
    #[default]
    Done,
    /// A key that did nothing, a search that found nothing.
    Hint,
    /// Something was not recorded.
    Error,
}

/// What the last drawing found out about the room there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// Lines of the card's text.
    pub lines: usize,
    /// Lines of it that fit. 0 where the window is too small to show an answer, or something stands before it.
    pub page: usize,
    /// First line shown.
    pub first: usize,
    /// Lines of what is open before the card (the help), and how many of them fit.
    pub open_lines: usize,
    pub open_page: usize,
}

impl State {
    /// The screen as it opens: on the first card that waits for a grade.
    pub fn new(session: &Session, options: &Options, now: Duration) -> Self {
        let progress = session.progress();
        let open = session.next_ungraded(0);
        let text = match progress.graded + progress.skipped {
            _ if options.practice => "Welcome. Nothing is recorded here: try every key. ? shows them all.".to_owned(),
            0 => "Read, then press a, b, c or d. ? shows all keys and what the grades mean.".to_owned(),
            done => format!("Welcome back: {done} of {} done, everything as you left it.", progress.total),
        };
        Self {
            card: open.unwrap_or(0),
            layout: if options.side_by_side { Layout::SideBySide } else { Layout::OneAtATime },
            mode: if open.is_some() { Mode::Grading } else { Mode::Finished },
            filter: Filter::All,
            scroll: None,
            picture: 0,
            zoom: Zoom::default(),
            message: Message { kind: MessageKind::Done, text },
            search: String::new(),
            watch: Stopwatch::new(now),
            measured: Measured::default(),
            last: None,
            is_practice: options.practice,
            shows_pictures: options.pictures != PictureMode::Off,
        }
    }

    /// Shows another card, from its beginning.
    pub fn go_to(&mut self, session: &Session, card: usize) {
        let cards = &session.deck().cards;
        let has_other_pictures = cards.get(self.card).map(|card| &card.images) != cards.get(card).map(|c| &c.images);
        if has_other_pictures {
            self.picture = 0;
            self.zoom = Zoom::default();
        }
        self.card = card;
        self.scroll = None;
    }

    pub fn say(&mut self, kind: MessageKind, text: impl Into<String>) {
        self.message = Message { kind, text: text.into() };
    }
}
