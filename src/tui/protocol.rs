//! What a terminal can draw: it is asked, and what is typed meanwhile is kept.
//!
//! The answers come the way of the keys. The library's own question (`Picker::from_query_stdio`) reads both and drops the
//! keys; so the question is put here, in the library's words and with its reading of the answers, and whatever else comes
//! in becomes the keys that it is.

use ratatui::crossterm::event::Event;
use ratatui_image::picker::Picker;

/// What a terminal can draw, and what was typed before it had answered.
pub struct Asked {
    /// None where it has not answered, or has no cells of a known size: then half blocks are all that it has.
    pub picker: Option<Picker>,
    pub typed: Vec<Event>,
}

#[cfg(not(unix))]
pub fn ask(_: bool) -> Asked {
    Asked { picker: Picker::from_query_stdio().ok(), typed: Vec::new() }
}

#[cfg(unix)]
pub use unix::ask;

#[cfg(unix)]
mod unix {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
    use ratatui::crossterm::terminal::window_size;
    use ratatui_image::FontSize;
    use ratatui_image::picker::cap_parser::{Parser, QueryStdioOptions, Response};
    use ratatui_image::picker::{Picker, ProtocolType};

    use super::Asked;

    /// A terminal that does not answer within this time has no pictures but half blocks.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Device status: every terminal answers it, and the answer of one that does so late is no key.
    const STATUS: &str = "\x1b[5n";

    /// Asks the terminal. `is_tmux` says that another terminal is behind it. Must not be called while another reads
    /// from it.
    pub fn ask(is_tmux: bool) -> Asked {
        let mut input = Input::default();
        // The rest is asked of a terminal that answers only: some of its answers would be keys if they came late.
        let is_answered =
            is_answered(STATUS, &mut input) && is_answered(&Parser::query(is_tmux, options()), &mut input);
        let picker = if is_answered { picker(&input.responses) } else { None };
        Asked { picker, typed: input.keys.typed }
    }

    /// As the library does it: WezTerm and Konsole say that they know protocols which they know by half, and have iTerm2's.
    fn options() -> QueryStdioOptions {
        let is_set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let is_half_known = is_set("WEZTERM_EXECUTABLE") || is_set("KONSOLE_VERSION");
        let blacklist_protocols =
            if is_half_known { vec![ProtocolType::Kitty, ProtocolType::Sixel] } else { Vec::new() };
        QueryStdioOptions { blacklist_protocols, ..QueryStdioOptions::default() }
    }

    /// The picker of what was answered; none where the size of a cell is not known, since then only half blocks fit.
    fn picker(responses: &[Response]) -> Option<Picker> {
        let said = responses.iter().find_map(|response| match response {
            Response::CellSize(size) => *size,
            _ => None,
        });
        let (width, height) = said.or_else(|| {
            let window = window_size().ok()?;
            let cell = (window.width.checked_div(window.columns)?, window.height.checked_div(window.rows)?);
            (cell.0 > 0 && cell.1 > 0).then_some(cell)
        })?;
        // Deprecated in favour of the question that drops keys; it looks for iTerm2 in the environment.
        #[expect(deprecated)]
        let mut picker = Picker::from_fontsize(FontSize::new(width, height));
        if responses.contains(&Response::Kitty) {
            picker.set_protocol_type(ProtocolType::Kitty);
        } else if responses.contains(&Response::Sixel) {
            picker.set_protocol_type(ProtocolType::Sixel);
        }
        Some(picker)
    }

    /// Puts a question that ends with [`STATUS`], and reads until that is answered.
    fn is_answered(question: &str, input: &mut Input) -> bool {
        let mut stdout = std::io::stdout();
        if stdout.write_all(question.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            return false;
        }
        let until = Instant::now() + PATIENCE;
        let mut bytes = [0u8; 256];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut waiting = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
            let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            // SAFETY: one descriptor, which lives for the call.
            let ready = unsafe { libc::poll(&raw mut waiting, 1, milliseconds) };
            if ready < 0 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted && !left.is_zero()
            {
                continue;
            }
            if ready <= 0 || waiting.revents & libc::POLLIN == 0 {
                return false;
            }
            // SAFETY: the buffer is as long as it is said to be. Not through std's stdin, whose buffer would keep keys.
            let read = unsafe { libc::read(libc::STDIN_FILENO, bytes.as_mut_ptr().cast(), bytes.len()) };
            match usize::try_from(read) {
                Ok(read) if read > 0 => {
                    if input.push(&bytes[..read]) {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }

    /// What comes in, told apart: answers and keys.
    #[derive(Default)]
    struct Input {
        answers: Parser,
        responses: Vec<Response>,
        stream: vte::Parser,
        keys: Keys,
    }

    impl Input {
        /// Takes bytes in; whether the end of the answers is among them.
        fn push(&mut self, bytes: &[u8]) -> bool {
            self.stream.advance(&mut self.keys, bytes);
            let mut is_end = false;
            for byte in bytes {
                // Keys among the answers are not understood by this parser, and left out.
                let responses = self.answers.push(char::from(*byte));
                is_end |= responses.contains(&Response::Status);
                self.responses.extend(responses);
            }
            is_end
        }
    }

    /// The keys in a stream of bytes. An answer of the terminal is a sequence that no key sends, and gives none.
    #[derive(Default)]
    struct Keys {
        typed: Vec<Event>,
        /// What has come so far of a text that is being pasted.
        pasted: Option<String>,
        /// After `ESC O`, one character names a key.
        is_shifted: bool,
    }

    impl Keys {
        fn press(&mut self, code: KeyCode, modifiers: KeyModifiers) {
            self.typed.push(Event::Key(KeyEvent::new(code, modifiers)));
        }

        /// The keys of which both kinds of sequences tell by a letter.
        fn press_named(&mut self, letter: char) {
            let code = match letter {
                'A' => KeyCode::Up,
                'B' => KeyCode::Down,
                'C' => KeyCode::Right,
                'D' => KeyCode::Left,
                'F' => KeyCode::End,
                'H' => KeyCode::Home,
                'P' => KeyCode::F(1),
                _ => return,
            };
            self.press(code, KeyModifiers::NONE);
        }

        fn press_numbered(&mut self, number: u16) {
            let code = match number {
                1 | 7 => KeyCode::Home,
                3 => KeyCode::Delete,
                4 | 8 => KeyCode::End,
                5 => KeyCode::PageUp,
                6 => KeyCode::PageDown,
                _ => return,
            };
            self.press(code, KeyModifiers::NONE);
        }
    }

    impl vte::Perform for Keys {
        fn print(&mut self, character: char) {
            if std::mem::take(&mut self.is_shifted) {
                self.press_named(character);
            } else if let Some(pasted) = &mut self.pasted {
                pasted.push(character);
            } else if character == '\x7f' {
                self.press(KeyCode::Backspace, KeyModifiers::NONE);
            } else {
                self.press(KeyCode::Char(character), KeyModifiers::NONE);
            }
        }

        fn execute(&mut self, byte: u8) {
            if let Some(pasted) = &mut self.pasted {
                pasted.push(char::from(byte));
                return;
            }
            match byte {
                b'\r' => self.press(KeyCode::Enter, KeyModifiers::NONE),
                b'\t' => self.press(KeyCode::Tab, KeyModifiers::NONE),
                1..=26 => self.press(KeyCode::Char(char::from(byte - 1 + b'a')), KeyModifiers::CONTROL),
                _ => {}
            }
        }

        fn csi_dispatch(&mut self, parameters: &vte::Params, intermediates: &[u8], _: bool, action: char) {
            let number = parameters.iter().next().and_then(|parameter| parameter.first().copied()).unwrap_or(0);
            match (action, number) {
                _ if !intermediates.is_empty() => {}
                ('~', 200) => self.pasted = Some(String::new()),
                ('~', 201) => self.typed.extend(self.pasted.take().map(Event::Paste)),
                ('~', number) => self.press_numbered(number),
                (letter, _) => self.press_named(letter),
            }
        }

        fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
            self.is_shifted = byte == b'O';
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const KITTY: &str = "\x1b_Gi=31;OK\x1b\\";
        const REFUSED: &str = "\x1b_Gi=31;EBADF:no such protocol\x1b\\";
        const ATTRIBUTES: &str = "\x1b[?62;4;22c";
        const CELL: &str = "\x1b[6;20;10t";
        const STATUS_REPORT: &str = "\x1b[0n";

        /// What comes of a stream that is read in pieces of `size` bytes.
        fn read(stream: &str, size: usize) -> (Input, bool) {
            let mut input = Input::default();
            let ends: Vec<bool> = stream.as_bytes().chunks(size).map(|bytes| input.push(bytes)).collect();
            (input, ends.contains(&true))
        }

        fn keys(input: &Input) -> String {
            let words = input.keys.typed.iter().map(|event| match event {
                Event::Key(KeyEvent { code: KeyCode::Char(character), modifiers, .. }) if modifiers.is_empty() => {
                    character.to_string()
                }
                Event::Key(key) => format!("<{}>", crate::tui::keys::name(*key)),
                other => format!("{other:?}"),
            });
            words.collect()
        }

        #[test]
        fn keys_between_the_answers_are_kept_in_their_order_and_the_answers_are_no_keys() {
            let stream = format!("b{KITTY}猫{ATTRIBUTES}\x1b[A{CELL}\x1bOD\x1b[6~\x03c{STATUS_REPORT}d\r");
            for size in [1, 2, 3, 7, 1000] {
                let (input, is_end) = read(&stream, size);
                assert_eq!(keys(&input), "b猫<Up><Left><PageDown><Ctrl-c>cd<Enter>", "in pieces of {size}");
                assert!(is_end);
                let expected = [Response::Kitty, Response::Sixel, Response::CellSize(Some((10, 20))), Response::Status];
                assert_eq!(input.responses, expected);
            }
        }

        #[test]
        fn an_answer_full_of_grades_grades_nothing() {
            let (input, is_end) = read(&format!("{REFUSED}{ATTRIBUTES}{STATUS_REPORT}"), 5);
            assert_eq!((keys(&input).as_str(), is_end), ("", true));
            assert!(!input.responses.contains(&Response::Kitty));
        }

        #[test]
        fn a_pasted_text_is_no_row_of_keys() {
            let (input, _) = read("\x1b[200~a b\nc\x1b[201~d", 4);
            assert_eq!(keys(&input), "Paste(\"a b\\nc\")d");
        }

        #[test]
        fn the_best_protocol_is_taken_and_none_without_the_size_of_a_cell() {
            let cell = Response::CellSize(Some((9, 18)));
            let of = |responses: &[Response]| picker(responses).map(|p| (p.protocol_type(), p.font_size().width));
            assert_eq!(of(&[Response::Sixel, Response::Kitty, cell.clone()]), Some((ProtocolType::Kitty, 9)));
            assert_eq!(of(&[Response::Sixel, cell]), Some((ProtocolType::Sixel, 9)));
        }
    }
}
