//! The keys of the grading screen: one table, which the program obeys and `?` shows.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::grading::Grade;

/// What a grader can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Grade(Grade),
    Skip,
    Flag,
    Note,
    Undo,
    Redo,
    Previous,
    Next,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    NextOpen,
    GoTo,
    Search,
    SearchAgain,
    Filter,
    Layout,
    Picture,
    NextPicture,
    ZoomIn,
    ZoomOut,
    Open,
    Help,
    Escape,
    Redraw,
    Suspend,
    Quit,
    Interrupt,
}

/// A row of the table: what is pressed, how it is written, what it does.
#[derive(Debug)]
pub struct Binding {
    pub codes: &'static [KeyCode],
    pub shown: &'static str,
    pub help: &'static str,
    pub command: Command,
}

/// Rows that belong together, under a heading.
#[derive(Debug)]
pub struct Group {
    pub title: &'static str,
    pub bindings: &'static [Binding],
}

const fn row(codes: &'static [KeyCode], shown: &'static str, help: &'static str, command: Command) -> Binding {
    Binding { codes, shown, help, command }
}

use KeyCode::Char;

/// Every key that does something, in the order in which `?` shows them.
pub const GROUPS: [Group; 4] = [
    Group {
        title: "Grading",
        bindings: &[
            row(&[Char('a'), Char('A')], "a", "grade A and move on", Command::Grade(Grade::A)),
            row(&[Char('b'), Char('B')], "b", "grade B and move on", Command::Grade(Grade::B)),
            row(&[Char('c'), Char('C')], "c", "grade C and move on", Command::Grade(Grade::C)),
            row(&[Char('d'), Char('D')], "d", "grade D and move on", Command::Grade(Grade::D)),
            row(&[Char('u')], "u", "undo, any number of times", Command::Undo),
            row(&[Char('r')], "r", "redo", Command::Redo),
            row(&[Char('s')], "s", "skip this answer", Command::Skip),
            row(&[Char('f')], "f", "flag, or unflag", Command::Flag),
            row(&[Char('n')], "n", "write a note", Command::Note),
        ],
    },
    Group {
        title: "Moving",
        bindings: &[
            row(&[KeyCode::Left, Char('h')], "← h", "the answer before", Command::Previous),
            row(&[KeyCode::Right, Char('l')], "→ l", "the answer after", Command::Next),
            row(&[KeyCode::Up, Char('k')], "↑ k", "scroll up", Command::Up),
            row(&[KeyCode::Down, Char('j')], "↓ j", "scroll down", Command::Down),
            row(&[KeyCode::PageUp], "PgUp", "a page up", Command::PageUp),
            row(&[KeyCode::PageDown, Char(' ')], "PgDn space", "a page down", Command::PageDown),
            row(&[KeyCode::Home], "Home", "to the beginning", Command::Top),
            row(&[KeyCode::End], "End", "to the end", Command::Bottom),
            row(&[Char('w')], "w", "the next ungraded answer", Command::NextOpen),
            row(&[Char('g')], "g", "go to an answer's number", Command::GoTo),
            row(&[Char('/')], "/", "search all the text", Command::Search),
            row(&[Char('.')], ".", "search on", Command::SearchAgain),
        ],
    },
    Group {
        title: "Pictures",
        bindings: &[
            row(&[Char('z')], "z", "picture, full screen", Command::Picture),
            row(&[Char('+'), Char('=')], "+", "closer; arrows move it", Command::ZoomIn),
            row(&[Char('-')], "-", "farther", Command::ZoomOut),
            row(&[Char('p')], "p", "the next picture", Command::NextPicture),
            row(&[Char('o')], "o", "open in a picture viewer", Command::Open),
        ],
    },
    Group {
        title: "The screen",
        bindings: &[
            row(&[Char('v')], "v", "filter the answers", Command::Filter),
            row(&[KeyCode::Tab], "Tab", "side by side, one by one", Command::Layout),
            row(&[Char('?'), KeyCode::F(1)], "?", "these keys, the rubric", Command::Help),
            row(&[KeyCode::Esc], "Esc", "close what is open", Command::Escape),
            row(&[Char('q')], "q", "leave; all grades are kept", Command::Quit),
        ],
    },
];

/// With Ctrl. `?` shows them in one line.
const CONTROLLED: [(char, Command); 3] = [('c', Command::Interrupt), ('z', Command::Suspend), ('l', Command::Redraw)];

/// What stands under the table about the keys with Ctrl.
pub const CONTROLLED_HELP: &str = "Ctrl-Z suspend   Ctrl-L draw again   Ctrl-C leave at once";

/// The command of a key. Letters that a Chinese or Japanese input method makes wide are the letters.
pub fn command(key: KeyEvent) -> Option<Command> {
    let code = match key.code {
        Char(character) => Char(narrow(character)),
        code => code,
    };
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        let Char(character) = code else { return None };
        return CONTROLLED.iter().find(|(letter, _)| *letter == character.to_ascii_lowercase()).map(|(_, c)| *c);
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let bindings = GROUPS.iter().flat_map(|group| group.bindings);
    bindings.into_iter().find(|binding| binding.codes.contains(&code)).map(|binding| binding.command)
}

/// `ａ` -> `a`: the full-width forms of ASCII, and the wide space.
fn narrow(character: char) -> char {
    match u32::from(character) {
        code @ 0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0).unwrap_or(character),
        0x3000 => ' ',
        _ => character,
    }
}

/// A key in words, for a message.
pub fn name(key: KeyEvent) -> String {
    let key_name = match key.code {
        Char(' ') => "space".to_owned(),
        Char(character) => character.to_string(),
        KeyCode::F(number) => format!("F{number}"),
        code => format!("{code:?}"),
    };
    let controlled = if key.modifiers.contains(KeyModifiers::CONTROL) { "Ctrl-" } else { "" };
    let alternate = if key.modifiers.contains(KeyModifiers::ALT) { "Alt-" } else { "" };
    format!("{controlled}{alternate}{key_name}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn press(code: KeyCode) -> Option<Command> {
        command(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn no_key_means_two_things() {
        let codes = GROUPS.iter().flat_map(|group| group.bindings).flat_map(|binding| binding.codes);
        let all: Vec<String> = codes.map(|code| format!("{code:?}")).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn grades_are_given_by_either_case_and_by_wide_letters() {
        for code in [Char('b'), Char('B'), Char('ｂ'), Char('Ｂ')] {
            assert_eq!(press(code), Some(Command::Grade(Grade::B)));
        }
        assert_eq!(press(Char('？')), Some(Command::Help));
    }

    #[test]
    fn a_letter_with_ctrl_or_alt_is_another_key() {
        let key = |modifiers| KeyEvent::new(Char('a'), modifiers);
        assert_eq!(command(key(KeyModifiers::CONTROL)), None);
        assert_eq!(command(key(KeyModifiers::ALT)), None);
        assert_eq!(name(key(KeyModifiers::CONTROL)), "Ctrl-a");
        assert_eq!(command(KeyEvent::new(Char('z'), KeyModifiers::CONTROL)), Some(Command::Suspend));
    }
}
