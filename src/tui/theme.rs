//! Styles. Every one of them is told apart by weight, brackets or reversal too: colour is a help, never the message.

use ratatui::style::{Color, Modifier, Style};

use super::state::MessageKind;
use crate::grading::Grade;

/// The styles of the screen, in the sixteen colours that every terminal has, or in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub has_colour: bool,
}

impl Theme {
    fn coloured(self, style: Style, colour: Color) -> Style {
        if self.has_colour { style.fg(colour) } else { style }
    }

    pub fn plain(self) -> Style {
        Style::new()
    }

    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there to be found, not to be read: rules, hints, earlier turns.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub fn heading(self) -> Style {
        self.coloured(self.strong(), Color::Cyan)
    }

    /// A key in the line of hints.
    pub fn key(self) -> Style {
        self.coloured(self.strong(), Color::Cyan)
    }

    /// What stands at the place where the grader is.
    pub fn focus(self) -> Style {
        self.coloured(self.strong(), Color::Cyan)
    }

    pub fn grade(self, grade: Grade) -> Style {
        let colour = match grade {
            Grade::A => Color::Green,
            Grade::B => Color::Cyan,
            Grade::C => Color::Yellow,
            Grade::D => Color::Red,
        };
        self.coloured(self.strong(), colour)
    }

    /// The grade that was given.
    pub fn given(self, grade: Grade) -> Style {
        self.grade(grade).add_modifier(Modifier::REVERSED)
    }

    pub fn chip(self) -> Style {
        self.coloured(self.strong(), Color::Magenta).add_modifier(Modifier::REVERSED)
    }

    pub fn message(self, kind: MessageKind) -> Style {
        match kind {
            MessageKind::Done => self.coloured(Style::new(), Color::Green),
            MessageKind::Hint => self.coloured(self.strong(), Color::Yellow),
            MessageKind::Error => self.coloured(self.strong(), Color::Red).add_modifier(Modifier::REVERSED),
        }
    }
}
