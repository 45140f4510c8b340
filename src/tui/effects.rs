//! The one place where the screen acts on the world: the journal, and the picture viewer of the system.

use std::path::Path;
use std::process::{Command, Stdio};

use super::state::{Filter, MessageKind, Mode, State};
use super::update::Effect;
use crate::error::{Error, Result};
use crate::grading::{Mark, Session};

/// What the event loop has to do after an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    GoOn,
    Redraw,
    Suspend,
    Leave,
    Interrupt,
}

/// Carries an effect out. A grade, a skip, a flag and a note are on disk when this returns; where one could not be
/// written, the state stays where it is and says so.
pub fn perform(state: &mut State, session: &mut Session, effect: Effect, open: &dyn Fn(&Path) -> Result<()>) -> After {
    let done = match effect {
        Effect::Grade(card, grade) => session.grade(card, grade, state.watch.seconds(card)).map(|()| {
            state.watch.recorded(card);
            if state.is_practice && session.deck().cards[card].suggested.is_some() {
                state.mode = Mode::Advice;
            } else {
                advance(state, session, &format!("{grade} for {}; u takes it back", card + 1));
            }
        }),
        Effect::Skip(card) => session.skip(card, state.watch.seconds(card)).map(|()| {
            state.watch.recorded(card);
            advance(state, session, &format!("{} skipped; v shows the skipped answers", card + 1));
        }),
        Effect::Flag(card, flagged) => session.flag(card, flagged).map(|()| {
            state.say(MessageKind::Done, if flagged { "flagged" } else { "the flag is off" });
        }),
        Effect::Note(card, text) => session.note(card, &text).map(|()| {
            state.say(MessageKind::Done, if text.is_empty() { "the note is gone" } else { "the note is kept" });
        }),
        Effect::Undo => session.undo().map(|card| went_back(state, session, card, "taken back", "undo")),
        Effect::Redo => session.redo().map(|card| went_back(state, session, card, "done again", "redo")),
        Effect::Advance => {
            advance(state, session, "");
            Ok(())
        }
        Effect::Open(path) => {
            match open(&path) {
                Ok(()) => state.say(MessageKind::Done, format!("opened {}", path.display())),
                Err(error) => state.say(MessageKind::Hint, error.to_string()),
            }
            Ok(())
        }
        Effect::Redraw => return After::Redraw,
        Effect::Suspend => return After::Suspend,
        Effect::Leave => return After::Leave,
        Effect::Interrupt => return After::Interrupt,
    };
    if let Err(error) = done {
        state.say(MessageKind::Error, in_one_line(&error));
    }
    After::GoOn
}

/// Goes to the card that is graded next, and says what was done with the last one.
fn advance(state: &mut State, session: &Session, text: &str) {
    state.say(MessageKind::Done, text);
    let card = state.card;
    let open = session.next_ungraded((card + 1) % session.deck().cards.len());
    let next = match state.filter {
        Filter::All | Filter::Ungraded => open,
        Filter::Skipped => state.filter.at_or_after(session, card + 1).or_else(|| state.filter.before(session, card)),
        Filter::Flagged => state.filter.at_or_after(session, card + 1),
    };
    if let Some(next) = next {
        return state.go_to(session, next);
    }
    let filter = std::mem::replace(&mut state.filter, Filter::All);
    match open {
        Some(next) => {
            state.go_to(session, next);
            state.say(MessageKind::Done, format!("{text}. That was the last of the {}", filter.name()));
        }
        None => state.mode = Mode::Finished,
    }
}

fn went_back(state: &mut State, session: &Session, card: Option<usize>, done: &str, nothing: &str) {
    let Some(card) = card else {
        return state.say(MessageKind::Hint, format!("there is nothing to {nothing}"));
    };
    if card != state.card {
        state.go_to(session, card);
    }
    state.mode = Mode::Grading;
    state.say(MessageKind::Done, format!("{done}: {} is {}", card + 1, in_words(session.mark(card))));
}

/// What is recorded of a card, in words: "B, flagged".
pub fn in_words(mark: &Mark) -> String {
    let mut words = match mark.grade {
        Some(grade) => grade.to_string(),
        None if mark.skipped => "skipped".to_owned(),
        None => "ungraded".to_owned(),
    };
    if mark.flagged {
        words.push_str(", flagged");
    }
    if !mark.note.is_empty() {
        words.push_str(", noted");
    }
    words
}

fn in_one_line(error: &Error) -> String {
    let mut text = format!("NOT RECORDED: {}", error.lines().join("; "));
    if let Some(remedy) = error.remedy_text() {
        text = format!("{text}. Remedy: {remedy}");
    }
    text
}

/// Opens a picture in the viewer of the system, and does not wait for it.
pub fn open_in_viewer(path: &Path) -> Result<()> {
    let has_no_display = cfg!(all(unix, not(target_os = "macos")))
        && ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .all(|name| std::env::var_os(name).is_none_or(|value| value.is_empty()));
    if has_no_display {
        return Err(Error::failed("there is no display to open the picture on").at(path));
    }
    let viewer = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let mut command = Command::new(viewer);
    command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|source| Error::failed(format!("{viewer} cannot be started: {source}")).at(path).source(source))?;
    // Waited for on a thread of its own, so that no dead process is left behind.
    let waiting = std::thread::Builder::new().name("viewer".to_owned()).spawn(move || child.wait());
    waiting.map(drop).map_err(|source| Error::failed("no thread can be started").source(source))
}
