//! A key -> another state, and what has to be done in the world for it.
//!
//! Nothing here writes, draws or waits: what a key asks of the disk, of another program or of the terminal is given
//! back as an [`Effect`], which [`perform`](super::effects::perform) carries out.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::crossterm::event::KeyEvent;

use super::editor::{Editor, Typed};
use super::find;
use super::keys::{self, Command};
use super::pictures::Zoom;
use super::state::{Filter, Layout, MessageKind, Mode, Prompt, State};
use crate::grading::{Grade, Session};

/// The same grading key again within this time is a key held down: nobody reads an answer so fast.
pub const REPEAT: Duration = Duration::from_millis(150);

/// What a key asks of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Grade(usize, Grade),
    Skip(usize),
    Flag(usize, bool),
    Note(usize, String),
    Undo,
    Redo,
    /// Show a picture in the system's viewer.
    Open(PathBuf),
    /// Go on after the advice on a practice card.
    Advance,
    Redraw,
    Suspend,
    Leave,
    Interrupt,
}

/// A key was pressed at `now`.
pub fn press(state: &mut State, session: &Session, key: KeyEvent, now: Duration) -> Option<Effect> {
    state.watch.tick(state.card, now);
    state.say(MessageKind::Done, "");
    let command = keys::command(key);
    if let Some(command @ (Command::Suspend | Command::Redraw)) = command {
        return Some(if command == Command::Suspend { Effect::Suspend } else { Effect::Redraw });
    }
    if matches!(state.mode, Mode::Prompt(..)) {
        return typed(state, session, key);
    }
    let Some(command) = command else {
        // Where any key goes on, any key does.
        if state.mode == Mode::Advice {
            return advice(state, Command::Escape);
        }
        state.say(MessageKind::Hint, format!("{} is no key here; ? shows the keys", keys::name(key)));
        return None;
    };
    if command == Command::Interrupt {
        return Some(Effect::Interrupt);
    }
    if is_held_down(state, command, now) {
        state.say(MessageKind::Hint, format!("{} is held down: it was taken once", keys::name(key)));
        return None;
    }
    match state.mode {
        Mode::Help(first) => help(state, first, command),
        Mode::Picture => picture(state, session, command),
        Mode::Advice => advice(state, command),
        Mode::Finished => finished(state, session, command),
        Mode::Grading | Mode::Prompt(..) => grading(state, session, command),
    }
}

/// A text was pasted at `now`: only a line that is being typed takes it, so that it cannot grade by accident.
pub fn paste(state: &mut State, text: &str, now: Duration) {
    state.watch.tick(state.card, now);
    match &mut state.mode {
        Mode::Prompt(_, editor) => editor.insert(text),
        _ => state.say(MessageKind::Hint, "pasted text goes into a note (n) or a search (/)"),
    }
}

fn is_held_down(state: &mut State, command: Command, now: Duration) -> bool {
    let is_judgement = matches!(command, Command::Grade(_) | Command::Skip);
    let is_held =
        is_judgement && state.last.is_some_and(|(last, at)| last == command && now.saturating_sub(at) < REPEAT);
    state.last = is_judgement.then_some((command, now));
    is_held
}

fn grading(state: &mut State, session: &Session, command: Command) -> Option<Effect> {
    let card = state.card;
    match command {
        Command::Grade(_) | Command::Skip if state.measured.page == 0 => {
            state.say(MessageKind::Hint, "the answer is not seen: make the window larger first");
        }
        Command::Grade(grade) => return Some(Effect::Grade(card, grade)),
        Command::Skip => return Some(Effect::Skip(card)),
        Command::Flag => return Some(Effect::Flag(card, !session.mark(card).flagged)),
        Command::Note => state.mode = Mode::Prompt(Prompt::Note, Editor::new(&session.mark(card).note)),
        Command::Undo => return Some(Effect::Undo),
        Command::Redo => return Some(Effect::Redo),
        Command::Previous => step(state, session, state.filter.before(session, card), "first"),
        Command::Next => step(state, session, state.filter.at_or_after(session, card + 1), "last"),
        Command::Up | Command::Down | Command::PageUp | Command::PageDown | Command::Top | Command::Bottom => {
            scroll(state, command);
        }
        Command::NextOpen => match session.next_ungraded((card + 1) % session.deck().cards.len()) {
            Some(next) => state.go_to(session, next),
            None => state.say(MessageKind::Hint, "no answer waits for a grade"),
        },
        Command::GoTo => state.mode = Mode::Prompt(Prompt::GoTo, Editor::default()),
        Command::Search => state.mode = Mode::Prompt(Prompt::Search, Editor::default()),
        Command::SearchAgain => search(state, session, ""),
        Command::Filter => next_filter(state, session),
        Command::Layout => change_layout(state),
        Command::Picture | Command::ZoomIn | Command::ZoomOut | Command::NextPicture | Command::Open => {
            return picture(state, session, command);
        }
        Command::Help => state.mode = Mode::Help(0),
        Command::Escape if state.filter != Filter::All => {
            state.filter = Filter::All;
            state.say(MessageKind::Done, "showing all answers");
        }
        Command::Escape => state.say(MessageKind::Hint, "nothing is open; q leaves"),
        Command::Quit => return Some(Effect::Leave),
        Command::Interrupt | Command::Suspend | Command::Redraw => {}
    }
    None
}

fn step(state: &mut State, session: &Session, card: Option<usize>, end: &str) {
    match (card, state.filter) {
        (Some(card), _) => state.go_to(session, card),
        (None, Filter::All) => state.say(MessageKind::Hint, format!("this is the {end} answer")),
        (None, filter) => state.say(MessageKind::Hint, format!("no other {} answer here; v shows all", filter.name())),
    }
}

/// The first line that a scrolling command leads to; `None` where it is shown already.
fn scrolled(command: Command, first: usize, lines: usize, page: usize) -> Option<usize> {
    let last = lines.saturating_sub(page);
    // One line of the page before stays, so that the eye finds its place.
    let leap = page.saturating_sub(1).max(1);
    let target = match command {
        Command::Up => first.saturating_sub(1),
        Command::Down => first + 1,
        Command::PageUp => first.saturating_sub(leap),
        Command::PageDown => first + leap,
        Command::Top => 0,
        Command::Bottom => last,
        _ => return None,
    };
    let target = target.min(last);
    (target != first).then_some(target)
}

fn scroll(state: &mut State, command: Command) {
    let measured = state.measured;
    match scrolled(command, measured.first, measured.lines, measured.page) {
        Some(first) => state.scroll = Some(first),
        None if measured.lines <= measured.page => state.say(MessageKind::Hint, "all of the text is shown"),
        None if matches!(command, Command::Up | Command::PageUp | Command::Top) => {
            state.say(MessageKind::Hint, "this is the beginning of the text");
        }
        None => state.say(MessageKind::Hint, "this is the end of the text"),
    }
}

fn help(state: &mut State, first: usize, command: Command) -> Option<Effect> {
    match command {
        Command::Up | Command::Down | Command::PageUp | Command::PageDown | Command::Top | Command::Bottom => {
            let measured = state.measured;
            if let Some(first) = scrolled(command, first, measured.open_lines, measured.open_page) {
                state.mode = Mode::Help(first);
            }
        }
        _ => state.mode = Mode::Grading,
    }
    None
}

fn advice(state: &mut State, command: Command) -> Option<Effect> {
    state.mode = Mode::Grading;
    match command {
        Command::Undo => Some(Effect::Undo),
        Command::Quit => Some(Effect::Leave),
        _ => Some(Effect::Advance),
    }
}

fn finished(state: &mut State, session: &Session, command: Command) -> Option<Effect> {
    state.mode = Mode::Grading;
    match command {
        // The answer that these would be about is not seen.
        Command::Grade(_) | Command::Skip | Command::Flag | Command::Note => {
            state.say(MessageKind::Hint, "the answer is shown again: now it can be changed");
            None
        }
        Command::Previous | Command::Escape => None,
        _ => grading(state, session, command),
    }
}

fn picture(state: &mut State, session: &Session, command: Command) -> Option<Effect> {
    let images = &session.deck().cards[state.card].images;
    let is_open = state.mode == Mode::Picture;
    match command {
        Command::Quit | Command::Escape | Command::Picture if is_open => state.mode = Mode::Grading,
        Command::Help => state.mode = Mode::Help(0),
        _ if images.is_empty() => state.say(MessageKind::Hint, "this question has no picture"),
        Command::Open => return images.get(state.picture).cloned().map(Effect::Open),
        _ if !state.shows_pictures => {
            state.say(MessageKind::Hint, "pictures are switched off; o opens them in the picture viewer");
        }
        Command::NextPicture if images.len() > 1 => {
            state.picture = (state.picture + 1) % images.len();
            state.zoom = Zoom::default();
        }
        Command::NextPicture => state.say(MessageKind::Hint, "there is one picture only"),
        Command::Picture => state.mode = Mode::Picture,
        Command::ZoomIn => {
            state.mode = Mode::Picture;
            if !state.zoom.closer() {
                state.say(MessageKind::Hint, "this is as close as it gets");
            }
        }
        Command::ZoomOut => {
            if !state.zoom.farther() {
                state.say(MessageKind::Hint, "the whole picture is shown");
            }
        }
        Command::Previous | Command::Next | Command::Up | Command::Down if is_open => {
            let (right, down) = match command {
                Command::Previous => (-1, 0),
                Command::Next => (1, 0),
                Command::Up => (0, -1),
                _ => (0, 1),
            };
            if !state.zoom.is_close() {
                state.say(MessageKind::Hint, "the whole picture is shown; + comes closer, z closes it");
            } else if !state.zoom.pan(right, down) {
                state.say(MessageKind::Hint, "this is the edge of the picture");
            }
        }
        _ => state.say(MessageKind::Hint, "close the picture first: z"),
    }
    None
}

fn next_filter(state: &mut State, session: &Session) {
    let at = Filter::ALL.iter().position(|filter| *filter == state.filter).unwrap_or(0);
    let others = (1..=Filter::ALL.len()).map(|step| Filter::ALL[(at + step) % Filter::ALL.len()]);
    let filter = others.into_iter().find(|filter| filter.count(session) > 0).unwrap_or(Filter::All);
    if filter == Filter::All {
        let is_change = state.filter != Filter::All;
        let text = if is_change { "showing all answers" } else { "no answer is ungraded, skipped or flagged" };
        state.say(if is_change { MessageKind::Done } else { MessageKind::Hint }, text);
    } else {
        let count = filter.count(session);
        let only = format!("only {} answers ({count}) are walked through; v for others, Esc for all", filter.name());
        state.say(MessageKind::Done, only);
    }
    state.filter = filter;
    if !filter.holds(session.mark(state.card)) {
        let card = filter.at_or_after(session, state.card).or_else(|| filter.before(session, state.card));
        if let Some(card) = card {
            state.go_to(session, card);
        }
    }
}

fn change_layout(state: &mut State) {
    let (layout, text) = match state.layout {
        Layout::OneAtATime => (Layout::SideBySide, "all answers to a question, side by side"),
        Layout::SideBySide => (Layout::OneAtATime, "one answer at a time"),
    };
    state.layout = layout;
    state.scroll = None;
    state.say(MessageKind::Done, text);
}

fn typed(state: &mut State, session: &Session, key: KeyEvent) -> Option<Effect> {
    let Mode::Prompt(prompt, editor) = &mut state.mode else { return None };
    // Who types and presses Ctrl-C wants to be rid of the line, not of the program.
    let is_interrupt = keys::command(key) == Some(Command::Interrupt);
    let typed = if is_interrupt { Typed::Dropped } else { editor.press(key) };
    let (prompt, text) = (*prompt, editor.text().trim().to_owned());
    match typed {
        Typed::Edited => return None,
        Typed::Unknown => {
            state.say(MessageKind::Hint, format!("{} does nothing while a line is typed", keys::name(key)));
            return None;
        }
        Typed::Kept | Typed::Dropped => state.mode = Mode::Grading,
    }
    if typed == Typed::Dropped {
        let text = if prompt == Prompt::Note { "the note stays as it was" } else { "" };
        state.say(MessageKind::Done, text);
        return None;
    }
    match prompt {
        Prompt::Note if text == session.mark(state.card).note => {
            state.say(MessageKind::Done, "the note stays as it was");
            None
        }
        Prompt::Note => Some(Effect::Note(state.card, text)),
        Prompt::GoTo => {
            go_to(state, session, &text);
            None
        }
        Prompt::Search => {
            search(state, session, &text);
            None
        }
    }
}

fn go_to(state: &mut State, session: &Session, text: &str) {
    let count = session.deck().cards.len();
    match text.parse::<usize>() {
        Ok(number) if (1..=count).contains(&number) => state.go_to(session, number - 1),
        _ => state.say(MessageKind::Hint, format!("no answer has the number {text:?}: they are 1 to {count}")),
    }
}

/// Goes to the next card that holds a text; an empty text is the one searched for last.
fn search(state: &mut State, session: &Session, text: &str) {
    if !text.is_empty() {
        state.search = text.to_owned();
    }
    if state.search.is_empty() {
        state.say(MessageKind::Hint, "nothing was searched for yet: / and a word");
        return;
    }
    let found = find::cards(session, &state.search);
    let next = found.iter().find(|card| **card > state.card).or_else(|| found.first());
    match next {
        Some(card) => {
            state.go_to(session, *card);
            let count = match found.len() {
                1 => "one answer has".to_owned(),
                count => format!("{count} answers have"),
            };
            state.say(MessageKind::Done, format!("{count} \"{}\"; . for the next", state.search));
        }
        None => state.say(MessageKind::Hint, format!("no question, answer or note has \"{}\"", state.search)),
    }
}
