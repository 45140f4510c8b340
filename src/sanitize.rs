//! The one exit for text that reaches a terminal.
//!
//! Answers, model names, file names and server errors are written by others. A terminal obeys what is in them: ESC and
//! the C1 controls start sequences that move the cursor, rename the window or fill the clipboard, CR writes over what
//! was said before, bidirectional controls show another order than the bytes have, and zero-width characters hide text.
//! [`terminal`] and [`terminal_lines`] replace all of these with visible marks, and leave ordinary text of every script
//! as it is. The result of [`terminal`] is one line and therefore also safe in a log.

use std::borrow::Cow;

/// Text for one line of a terminal or a log: no control, bidirectional or hidden character is left, no line break.
///
/// C0 controls become their Unicode pictures (`␛`, `␍`, `␊`), everything else that is removed becomes its code point
/// (`⟦U+202E⟧`). Applying it twice changes nothing more.
pub fn terminal(text: &str) -> String {
    sanitize(text, Lines::Marked)
}

/// Like [`terminal`], but `\n` stays a line break and a tab becomes four spaces, for answers that hold several lines.
pub fn terminal_lines(text: &str) -> String {
    sanitize(text, Lines::Kept)
}

/// JSON text for a terminal: characters that [`terminal`] would mark are written as `\uXXXX`, so that the value stays
/// the same for whoever parses it. Line breaks between the tokens stay. `json` must be valid JSON: outside strings it
/// holds none of these characters.
pub fn json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut state = Context::default();
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        if character == '\n' || state.keeps(character, next) {
            out.push(character);
            state.kept(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
            state.replaced();
        }
    }
    out
}

/// A text cell of a CSV file that a spreadsheet will not run as a formula: a leading apostrophe is put before `=`, `+`,
/// `-`, `@` (also their full-width forms, also after white space, controls and zero-width characters), and before a
/// leading tab or line break. For text only: a negative number in a column of numbers must not go through this.
pub fn csv_cell(cell: &str) -> Cow<'_, str> {
    let starts_with_break = cell.starts_with(['\t', '\r', '\n']);
    let first = cell.chars().find(|&character| !is_skipped_by_spreadsheets(character));
    let starts_formula = first.is_some_and(|character| "=+-@＝＋－＠".contains(character));
    if starts_with_break || starts_formula { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

fn is_skipped_by_spreadsheets(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || is_hidden(character)
        || is_joiner(character)
        || is_variation_selector(character)
}

#[derive(Clone, Copy, PartialEq)]
enum Lines {
    Marked,
    Kept,
}

fn sanitize(text: &str, lines: Lines) -> String {
    let mut out = String::with_capacity(text.len());
    let mut state = Context::default();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' if lines == Lines::Kept => {
                out.push('\n');
                state.kept(character);
            }
            '\t' if lines == Lines::Kept => {
                out.push_str("    ");
                state.kept(' ');
            }
            _ if state.keeps(character, characters.peek().copied()) => {
                out.push(character);
                state.kept(character);
            }
            _ => {
                push_mark(&mut out, character);
                state.replaced();
            }
        }
    }
    out
}

fn push_mark(out: &mut String, character: char) {
    let code = u32::from(character);
    let picture = match code {
        0..=0x1F => char::from_u32(0x2400 + code),
        0x7F => Some('␡'),
        _ => None,
    };
    match picture {
        Some(picture) => out.push(picture),
        None => out.push_str(&format!("⟦U+{code:04X}⟧")),
    }
}

/// The character before, as far as it was kept: joiners and variation selectors are text only in its company.
#[derive(Default)]
struct Context {
    previous: Option<char>,
}

impl Context {
    fn keeps(&self, character: char, next: Option<char>) -> bool {
        if character.is_control() || is_hidden(character) {
            return false;
        }
        if is_joiner(character) {
            return self.previous.is_some_and(|previous| {
                // Persian, the Indic scripts and their neighbours need both joiners to be spelt rightly.
                shapes_with_joiners(previous)
                    || (character == '\u{200D}'
                        && (is_emoji(previous) || previous == '\u{FE0F}')
                        && next.is_some_and(is_emoji))
            });
        }
        if is_variation_selector(character) {
            // One selector chooses a glyph; a row of them carries hidden bytes.
            return self.previous.is_some_and(|previous| {
                !previous.is_whitespace() && !is_variation_selector(previous) && !is_joiner(previous)
            });
        }
        true
    }

    fn kept(&mut self, character: char) {
        self.previous = Some(character);
    }

    fn replaced(&mut self) {
        self.previous = None;
    }
}

/// Characters that show nothing, or change how others are shown, wherever they stand.
fn is_hidden(character: char) -> bool {
    matches!(u32::from(character),
        0x00AD                  // soft hyphen
        | 0x034F                // combining grapheme joiner
        | 0x061C                // Arabic letter mark
        | 0x115F..=0x1160 | 0x3164 | 0xFFA0 // Hangul fillers
        | 0x17B4..=0x17B5       // Khmer inherent vowels
        | 0x180E                // Mongolian vowel separator
        | 0x200B                // zero-width space
        | 0x200E..=0x200F       // direction marks
        | 0x2028..=0x202E       // line and paragraph separator, embeddings and overrides
        | 0x2060..=0x206F       // word joiner, invisible operators, isolates, deprecated format characters
        | 0xFEFF                // byte order mark
        | 0xFFF0..=0xFFFB       // interlinear annotation and its unassigned neighbours
        | 0x1_3430..=0x1_3455   // Egyptian format controls
        | 0x1_BCA0..=0x1_BCA3   // shorthand format controls
        | 0x1_D173..=0x1_D17A   // musical format controls
        | 0xE_0000..=0xE_00FF   // tags and their unassigned neighbours
        | 0xE_01F0..=0xE_0FFF)
}

fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200C}' | '\u{200D}')
}

fn is_variation_selector(character: char) -> bool {
    matches!(u32::from(character), 0x180B..=0x180D | 0x180F | 0xFE00..=0xFE0F | 0xE_0100..=0xE_01EF)
}

/// Scripts in which a joiner between or after letters changes their shape: Arabic to Sinhala, Myanmar, Khmer,
/// Mongolian and the Arabic and Brahmic supplements.
fn shapes_with_joiners(character: char) -> bool {
    matches!(u32::from(character),
        0x0600..=0x08FF | 0x0900..=0x0DFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x1800..=0x18AF
        | 0xFB50..=0xFDFF | 0xFE70..=0xFEFE | 0x1_1000..=0x1_1FFF)
}

fn is_emoji(character: char) -> bool {
    matches!(u32::from(character), 0x2190..=0x21FF | 0x2300..=0x23FF | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0x1_F000..=0x1_FAFF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Counts what a terminal would do other than print.
    #[derive(Default)]
    struct Obedience {
        performed: Vec<String>,
    }

    impl vte::Perform for Obedience {
        fn execute(&mut self, byte: u8) {
            self.performed.push(format!("control {byte:#04x}"));
        }
        fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, action: char) {
            self.performed.push(format!("device control {action}"));
        }
        fn osc_dispatch(&mut self, parameters: &[&[u8]], _: bool) {
            self.performed.push(format!("operating system command {parameters:?}"));
        }
        fn csi_dispatch(&mut self, _: &vte::Params, _: &[u8], _: bool, action: char) {
            self.performed.push(format!("control sequence {action}"));
        }
        fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
            self.performed.push(format!("escape {byte:#04x}"));
        }
    }

    fn obeyed(text: &str) -> Vec<String> {
        let mut terminal = Obedience::default();
        vte::Parser::new().advance(&mut terminal, text.as_bytes());
        terminal.performed
    }

    /// Text rich in what is dangerous: escape sequences, controls, format characters, scripts and emoji.
    fn hostile_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => any::<String>(),
            2 => any::<char>().prop_map(String::from),
            3 => (0u32..0x20).prop_map(|code| char::from_u32(code).map(String::from).unwrap_or_default()),
            2 => (0x7Fu32..0xA0).prop_map(|code| char::from_u32(code).map(String::from).unwrap_or_default()),
            2 => (0x200Bu32..0x2070).prop_map(|code| char::from_u32(code).map(String::from).unwrap_or_default()),
            1 => (0xE_0000u32..0xE_01F0).prop_map(|code| char::from_u32(code).map(String::from).unwrap_or_default()),
            3 => prop::sample::select(vec![
                "\u{1b}]52;c;aGk=\u{7}", "\u{1b}[2J", "\u{1b}]8;;http://x\u{1b}\\", "\u{1b}P1$r", "\u{9b}31m", "\u{9d}0;t\u{9c}",
                "❤\u{FE0F}\u{200D}🔥", "👩\u{200D}👩\u{200D}👧", "می\u{200C}خواهم", "क्\u{200D}ष", "\u{FE0F}", "\u{FE0F}\u{FE0F}",
                "\u{200D}", "⟦U+202E⟧", "␛", "\r\n", "\t",
            ])
            .prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_terminal_performs_nothing_whatever_the_text(text in hostile_text()) {
            prop_assert_eq!(obeyed(&terminal(&text)), Vec::<String>::new());
            let lines = obeyed(&terminal_lines(&text));
            prop_assert!(lines.iter().all(|done| done == "control 0x0a"), "{:?}", lines);
        }

        #[test]
        fn sanitising_twice_is_sanitising_once(text in hostile_text()) {
            let once = terminal(&text);
            prop_assert_eq!(terminal(&once), once.clone());
            let lines = terminal_lines(&text);
            prop_assert_eq!(terminal_lines(&lines), lines.clone());
        }

        #[test]
        fn one_line_stays_one_line(text in hostile_text()) {
            let clean = terminal(&text);
            prop_assert!(clean.chars().all(|character| !character.is_control() && !is_hidden(character)));
            prop_assert!(clean.lines().count() <= 1);
            prop_assert_eq!(terminal_lines(&text).matches('\n').count(), text.matches('\n').count());
        }

        #[test]
        fn json_on_a_terminal_keeps_its_value(text in hostile_text()) {
            let value = serde_json::json!({ "text": text });
            let plain = serde_json::to_string_pretty(&value).expect("a string serialises");
            let shown = json(&plain);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("still JSON"), value);
            prop_assert!(obeyed(&shown).iter().all(|done| done == "control 0x0a"));
            prop_assert!(!shown.chars().any(is_hidden));
        }

        #[test]
        fn a_csv_cell_never_starts_a_formula(before in "[ \t\r\n\u{200B}\u{FEFF}\u{A0}\u{200D}]{0,4}", sign in "[=+@＝-]", rest in ".{0,8}") {
            let cell = format!("{before}{sign}{rest}");
            let safe = csv_cell(&cell);
            prop_assert_eq!(safe.as_ref(), format!("'{}", cell));
            prop_assert_eq!(csv_cell(&safe), safe.clone());
        }
    }

    #[test]
    fn ordinary_text_of_any_script_passes_unchanged() {
        for text in [
            "What is funny about this image? Describe it panel by panel.",
            "naïve — “quoted” … ½ × 3 €",
            "无法回溯。 日本語テキスト 한국어",
            "Привет, мир. Γειά σου. שלום. مرحبا",
            "می\u{200C}خواهم", // Persian needs the non-joiner
            "क्\u{200D}ष",      // and Devanagari the joiner
            "👩\u{200D}👩\u{200D}👧 ❤\u{FE0F}\u{200D}🔥 👍🏽 1\u{FE0F}\u{20E3} 🇩🇪",
            "葛\u{E0100}城市",
            "e\u{301}",
            "\u{FFFD}\u{FFFD}",
        ] {
            assert_eq!(terminal(text), text);
            assert_eq!(terminal_lines(text), text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(terminal("\u{1b}[31mred\u{1b}[0m"), "␛[31mred␛[0m");
        assert_eq!(terminal("kept\rgone"), "kept␍gone");
        assert_eq!(terminal("a\nb\tc\u{b}\u{7f}"), "a␊b␉c␋␡");
        assert_eq!(terminal("\u{9b}2J"), "⟦U+009B⟧2J");
        assert_eq!(terminal("gnp\u{202e}cod.exe"), "gnp⟦U+202E⟧cod.exe");
        assert_eq!(terminal("pass\u{200b}word\u{feff}"), "pass⟦U+200B⟧word⟦U+FEFF⟧");
        assert_eq!(terminal("hi\u{e0041}"), "hi⟦U+E0041⟧");
        assert_eq!(terminal("a\u{200d}b"), "a⟦U+200D⟧b");
        assert_eq!(terminal("x\u{fe0f}\u{fe0e}\u{fe0e}"), "x\u{fe0f}⟦U+FE0E⟧⟦U+FE0E⟧");
        assert_eq!(terminal_lines("def f():\n\treturn\r\n"), "def f():\n    return␍\n");
    }

    #[test]
    fn text_cells_that_are_no_formula_stay_as_they_are() {
        for cell in ["", "42", "a=b", "'=1", "it's", "(1)"] {
            assert_eq!(csv_cell(cell), cell);
        }
        assert_eq!(csv_cell("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!(csv_cell("\u{200b} +1"), "'\u{200b} +1");
        assert_eq!(csv_cell("\tplain"), "'\tplain");
    }
}
