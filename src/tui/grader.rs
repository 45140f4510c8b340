//! The grading screen without a terminal: events in, a drawn buffer out. Time comes from outside.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{Event, KeyEventKind};
use ratatui::layout::{Position, Rect};

use super::Options;
use super::effects::{self, After};
use super::pictures::Gallery;
use super::state::{MessageKind, Mode, Prompt, State};
use super::theme::Theme;
use super::update::{self, Effect};
use super::view::{self, Scene};
use crate::grading::Session;

/// A session, the state of its screen, and its pictures.
pub struct Grader<'s> {
    session: &'s mut Session,
    state: State,
    gallery: Option<Gallery>,
    theme: Theme,
}

impl<'s> Grader<'s> {
    /// The screen as it opens, at a moment `now` from which on the events are timed.
    pub fn new(session: &'s mut Session, options: &Options, gallery: Option<Gallery>, now: Duration) -> Self {
        let state = State::new(session, options, now);
        Self { session, state, gallery, theme: Theme { has_colour: options.colour } }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn session(&self) -> &Session {
        self.session
    }

    /// An event at `now`. What it records is on disk when this returns.
    pub fn handle(&mut self, event: &Event, now: Duration) -> After {
        let effect = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                update::press(&mut self.state, self.session, *key, now)
            }
            Event::Paste(text) => {
                update::paste(&mut self.state, text, now);
                None
            }
            _ => None,
        };
        effect.map_or(After::GoOn, |effect| self.perform(effect))
    }

    fn perform(&mut self, effect: Effect) -> After {
        effects::perform(&mut self.state, self.session, effect, &effects::open_in_viewer)
    }

    /// Draws the whole screen; gives the place of the cursor where a line is being typed.
    pub fn draw(&mut self, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        let scene =
            Scene { session: self.session, state: &self.state, gallery: self.gallery.as_ref(), theme: self.theme };
        let drawn = view::draw(&scene, area, buffer);
        self.state.measured = drawn.measured;
        if let Some(gallery) = &mut self.gallery {
            gallery.want(drawn.wanted);
        }
        drawn.cursor
    }

    /// Shows pictures of another gallery from now on.
    pub fn show_pictures_of(&mut self, gallery: Option<Gallery>) {
        self.gallery = gallery;
    }

    /// Says what the session warned of when it was opened, until the first key.
    pub fn warn(&mut self, warnings: &[String]) {
        if !warnings.is_empty() {
            self.state.say(MessageKind::Hint, warnings.join("; "));
        }
    }

    /// Records a note that was being typed when the program had to end. Nobody is there to be told where it fails.
    pub fn keep_draft(&mut self) {
        if let Mode::Prompt(Prompt::Note, editor) = &self.state.mode {
            let text = editor.text().trim().to_owned();
            if text != self.session.mark(self.state.card).note {
                self.perform(Effect::Note(self.state.card, text));
            }
        }
    }

    /// The program was suspended until `now`.
    pub fn came_back(&mut self, now: Duration) {
        self.state.watch.skip_to(now);
    }

    pub fn is_waiting_for_pictures(&self) -> bool {
        self.gallery.as_ref().is_some_and(Gallery::is_waiting)
    }

    pub fn has_new_pictures(&mut self) -> bool {
        self.gallery.as_mut().is_some_and(Gallery::collect)
    }

    pub fn forget_pictures(&mut self) {
        if let Some(gallery) = &mut self.gallery {
            gallery.forget();
        }
    }

    /// Waits for the pictures that the last drawing wanted.
    #[cfg(test)]
    pub fn wait_for_pictures(&mut self) {
        if let Some(gallery) = &mut self.gallery {
            gallery.wait();
        }
    }
}
