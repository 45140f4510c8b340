//! One line of text that is being typed: a note, a search, the number of a card. Any script; widths are the terminal's.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::sanitize;

/// A line and the place in it where the next character goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Editor {
    text: String,
    /// In bytes, at the border of two characters.
    cursor: usize,
}

/// What a key meant to an [`Editor`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Typed {
    Edited,
    Kept,
    Dropped,
    Unknown,
}

impl Editor {
    /// An editor behind a text that stands already.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.len() }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts a text where the cursor is. Line breaks and tabs of what is pasted become spaces; other controls are no
    /// text and are left out.
    pub fn insert(&mut self, text: &str) {
        let text: String = text
            .chars()
            .map(|character| if matches!(character, '\n' | '\r' | '\t') { ' ' } else { character })
            .filter(|character| !character.is_control())
            .collect();
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        // What was put before a joiner or an accent has become part of one character with it.
        self.cursor = self.border_from(self.cursor);
    }

    pub fn press(&mut self, key: KeyEvent) -> Typed {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('a') => self.cursor = 0,
                KeyCode::Char('e') => self.cursor = self.text.len(),
                KeyCode::Char('u') => self.remove(0, self.cursor),
                KeyCode::Char('k') => self.remove(self.cursor, self.text.len()),
                KeyCode::Char('w') => self.remove(self.word_before(), self.cursor),
                KeyCode::Char('h') => self.remove(self.before(), self.cursor),
                KeyCode::Left => self.cursor = self.word_before(),
                KeyCode::Right => self.cursor = self.word_after(),
                // Enter, where it was typed before the terminal was ours.
                KeyCode::Char('j') => return Typed::Kept,
                _ => return Typed::Unknown,
            }
            return Typed::Edited;
        }
        match key.code {
            KeyCode::Enter => return Typed::Kept,
            KeyCode::Esc => return Typed::Dropped,
            KeyCode::Char(character) => self.insert(character.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.remove(self.before(), self.cursor),
            KeyCode::Delete => self.remove(self.cursor, self.after()),
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return Typed::Unknown,
        }
        Typed::Edited
    }

    /// What of the line is seen in `width` cells, and the cell of the cursor in it. The cursor is always seen; a
    /// beginning that is not is said by `…`.
    pub fn view(&self, width: u16) -> (String, u16) {
        let width = usize::from(width.max(4));
        let shown = |text: &str| text.graphemes(true).map(sanitize::terminal).collect::<Vec<String>>();
        let before = shown(&self.text[..self.cursor]);
        let after = shown(&self.text[self.cursor..]);
        // One cell is left for the cursor behind the last character.
        let mut room = width - 1;
        let mut start = before.len();
        let whole: usize = before.iter().map(|character| character.width()).sum();
        if whole <= room {
            start = 0;
        } else {
            room -= 1;
            let mut used = 0;
            while start > 0 && used + before[start - 1].width() <= room {
                start -= 1;
                used += before[start].width();
            }
        }
        let mut line = if start > 0 { String::from("…") } else { String::new() };
        line.push_str(&before[start..].concat());
        let cursor = line.width();
        for character in after {
            if line.width() + character.width() > width {
                break;
            }
            line.push_str(&character);
        }
        (line, u16::try_from(cursor).unwrap_or(u16::MAX))
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        // What now meets may have become one character.
        self.cursor = self.border_from(from);
    }

    /// Where one character ends and the next begins, the end of the text included.
    fn borders(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.text.grapheme_indices(true).map(|(index, _)| index).chain([self.text.len()])
    }

    fn border_from(&self, at: usize) -> usize {
        self.borders().find(|border| *border >= at).unwrap_or(self.text.len())
    }

    fn before(&self) -> usize {
        self.borders().rfind(|border| *border < self.cursor).unwrap_or(0)
    }

    fn after(&self) -> usize {
        self.borders().find(|border| *border > self.cursor).unwrap_or(self.text.len())
    }

    fn word_before(&self) -> usize {
        let mut words = self.text.unicode_word_indices().map(|(index, _)| index);
        words.rfind(|index| *index < self.cursor).unwrap_or(0)
    }

    fn word_after(&self) -> usize {
        let mut ends = self.text.unicode_word_indices().map(|(index, word)| index + word.len());
        ends.find(|end| *end > self.cursor).unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn control(character: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL)
    }

    #[test]
    fn a_character_is_removed_whole() {
        let mut editor = Editor::new("猫e\u{301}👩\u{200d}👧");
        for left in ["猫e\u{301}", "猫", ""] {
            editor.press(key(KeyCode::Backspace));
            assert_eq!(editor.text(), left);
        }
        assert_eq!(editor.press(key(KeyCode::Backspace)), Typed::Edited);
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn text_is_put_where_the_cursor_is() {
        let mut editor = Editor::new("图很暗");
        editor.press(key(KeyCode::Left));
        editor.insert("不");
        assert_eq!(editor.text(), "图很不暗");
        editor.press(key(KeyCode::Home));
        editor.press(key(KeyCode::Delete));
        assert_eq!(editor.text(), "很不暗");
        editor.press(control('k'));
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn what_is_pasted_becomes_one_line_of_text() {
        let mut editor = Editor::default();
        editor.insert("two\r\nlines\u{1b}[31m");
        assert_eq!(editor.text(), "two  lines[31m");
        editor.press(control('w'));
        assert_eq!(editor.text(), "two  lines[");
        editor.press(control('u'));
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn the_cursor_is_seen_in_the_cells_that_wide_characters_take() {
        let editor = Editor::new("猫在笑");
        assert_eq!(editor.view(20), ("猫在笑".to_owned(), 6));
        assert_eq!(editor.view(6), ("…在笑".to_owned(), 5));
        let mut editor = Editor::new("猫在笑");
        editor.press(key(KeyCode::Home));
        assert_eq!(editor.view(5), ("猫在".to_owned(), 0));
    }

    proptest! {
        #[test]
        fn no_keys_break_the_line(keys in prop::collection::vec(0usize..14, 0..60), width in 0u16..20) {
            let mut editor = Editor::default();
            for index in keys {
                match index {
                    0 => editor.insert("e"),
                    1 => editor.insert("\u{301}"),
                    2 => editor.insert("猫 "),
                    3 => editor.insert("👩\u{200d}"),
                    4 => _ = editor.press(control('w')),
                    5 => _ = editor.press(control('u')),
                    6 => _ = editor.press(KeyEvent::new(KeyCode::Left, KeyModifiers::CONTROL)),
                    7 => _ = editor.press(KeyEvent::new(KeyCode::Right, KeyModifiers::CONTROL)),
                    8 => _ = editor.press(key(KeyCode::Left)),
                    9 => _ = editor.press(key(KeyCode::Right)),
                    10 => _ = editor.press(key(KeyCode::Home)),
                    11 => _ = editor.press(key(KeyCode::Delete)),
                    12 => _ = editor.press(key(KeyCode::Backspace)),
                    _ => editor.insert("👧"),
                }
                let (line, cursor) = editor.view(width);
                prop_assert!(line.width() <= usize::from(width.max(4)));
                prop_assert!(usize::from(cursor) < usize::from(width.max(4)));
            }
        }
    }
}
