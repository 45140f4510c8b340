//! The grading screen: keys in, a whole screen out.
//!
//! ```text
//! key -> update::press -> Effect -> effects::perform -> the journal (synced)
//!              |                          |
//!              +--------- State ----------+-> view::draw -> the terminal
//! ```
//!
//! | file | job |
//! |---|---|
//! | [`keys`] | the table of keys, which `?` shows too |
//! | [`state`] | where the grader is, what is open, what was said |
//! | [`update`] | a key -> another state and an effect; pure |
//! | [`effects`] | the one place that acts: journal, picture viewer |
//! | `view` | draws a state; pure |
//! | [`pictures`] | pictures made on a thread of their own |
//! | [`grader`] | these together, without a terminal: what tests drive |
//! | [`terminal`] | enters the terminal and always gives it back |
//! | `protocol` | asks the terminal what pictures it can draw |
//!
//! Nothing here knows a model: a [`Session`] has no name of one.

pub mod editor;
pub mod effects;
mod find;
pub mod grader;
pub mod keys;
pub mod pictures;
mod protocol;
pub mod state;
mod stopwatch;
pub mod terminal;
mod theme;
pub mod update;
mod view;
mod wrap;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ratatui_image::picker::Picker;

use crate::error::{Error, Result};
use crate::grading::Session;
use effects::After;
use grader::Grader;
use pictures::{Depth, Gallery};
use terminal::{Happening, Screen};

/// How often a picture that is being made is looked for.
const PICTURE_PATIENCE: Duration = Duration::from_millis(15);

/// How long a signal may stay unseen while no key is pressed.
const PATIENCE: Duration = Duration::from_millis(250);

/// How the screen is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// All answers to a question at once; Tab changes it.
    pub side_by_side: bool,
    pub pictures: PictureMode,
    /// Whether colours may be used at all (`NO_COLOR`).
    pub colour: bool,
    /// Whether the session is practice, so that the screen says so.
    pub practice: bool,
}

/// Whether and how pictures are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureMode {
    /// As well as the terminal can: kitty's protocol, iTerm2's, sixels, else half blocks.
    Auto,
    HalfBlocks,
    Off,
}

/// How a session at the screen ended. Every grade that was given is on disk either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The grader left.
    Left,
    /// Something ended it: Ctrl-C, a signal, a terminal that is gone. Says what.
    Interrupted(String),
}

/// Runs the grading screen on the terminal until the grader leaves, and gives the terminal back. What the session warned
/// of when it was opened is the first that the grader is told.
///
/// # Errors
/// Where there is no terminal, or nothing to grade. What is wrong with a single grade is said on the screen.
pub fn grade(session: &mut Session, options: &Options, warnings: &[String]) -> Result<Outcome> {
    if session.deck().cards.is_empty() {
        return Err(Error::input("there is nothing to grade").remedy("see what the sheet says is missing, and why"));
    }
    let mut screen = Screen::enter()?;
    let began = Instant::now();
    let picker = Picker::halfblocks();
    let is_tmux = picker.tmux_detected();
    let mut grader = Grader::new(session, options, gallery(options, picker), Duration::ZERO);
    grader.warn(warnings);
    let asked = match options.pictures {
        PictureMode::Auto => ask_for_pictures(&mut grader, &mut screen, options, is_tmux),
        PictureMode::HalfBlocks | PictureMode::Off => Ok(()),
    };
    let outcome = match asked {
        Ok(()) => run(&mut grader, &mut screen, began),
        Err(error) => Ok(is_gone(error)),
    };
    if !matches!(outcome, Ok(Outcome::Left)) {
        grader.keep_draft();
    }
    outcome
}

fn gallery(options: &Options, picker: Picker) -> Option<Gallery> {
    let variable = |name: &str| std::env::var(name).ok();
    let depth = Depth::of_terminal(options.colour, variable("COLORTERM").as_deref(), variable("TERM").as_deref());
    (options.pictures != PictureMode::Off).then(|| Gallery::new(picker, depth))
}

/// Asks the terminal whether it can do better than half blocks. The answer to be graded is on the screen by then: a key
/// that is typed before the terminal has answered is about something that is seen.
fn ask_for_pictures(
    grader: &mut Grader<'_>,
    screen: &mut Screen,
    options: &Options,
    is_tmux: bool,
) -> std::io::Result<()> {
    screen.draw(|area, buffer| grader.draw(area, buffer))?;
    if let Some(picker) = screen.picker(is_tmux) {
        grader.show_pictures_of(gallery(options, picker));
    }
    // A terminal that does not know the question may have written it down.
    screen.clear()
}

fn is_gone(_: std::io::Error) -> Outcome {
    Outcome::Interrupted("the terminal is gone".to_owned())
}

fn run(grader: &mut Grader<'_>, screen: &mut Screen, began: Instant) -> Result<Outcome> {
    let mut is_stale = true;
    loop {
        if std::mem::take(&mut is_stale)
            && let Err(error) = screen.draw(|area, buffer| grader.draw(area, buffer))
        {
            return Ok(is_gone(error));
        }
        let patience = if grader.is_waiting_for_pictures() { PICTURE_PATIENCE } else { PATIENCE };
        let after = match screen.next(patience) {
            Ok(Happening::Event(event)) => {
                is_stale = true;
                grader.handle(&event, began.elapsed())
            }
            Ok(Happening::Nothing) => After::GoOn,
            Ok(Happening::Stopped) => After::Suspend,
            Ok(Happening::Ended(signal)) => return Ok(Outcome::Interrupted(format!("ended by {signal}"))),
            Err(error) => return Ok(is_gone(error)),
        };
        match after {
            After::GoOn => {}
            After::Leave => return Ok(Outcome::Left),
            After::Interrupt => return Ok(Outcome::Interrupted("interrupted".to_owned())),
            After::Redraw | After::Suspend => {
                if after == After::Suspend {
                    screen.suspend()?;
                    grader.came_back(began.elapsed());
                }
                if let Err(error) = screen.clear() {
                    return Ok(is_gone(error));
                }
                grader.forget_pictures();
                is_stale = true;
            }
        }
        is_stale |= grader.has_new_pictures();
    }
}
