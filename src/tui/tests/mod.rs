//! The screen driven by keys: what it shows, what it records, and that nothing breaks it.

mod keys;
mod robust;
mod screens;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use image::{Rgb, RgbImage};
use ratatui::buffer::{Buffer, Cell};
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier};
use ratatui_image::picker::Picker;
use tempfile::TempDir;

use super::effects::After;
use super::grader::Grader;
use super::pictures::{Depth, Gallery};
use super::{Options, PictureMode};
use crate::grading::{Card, Deck, Exchange, Grade, Rubric, Session, Suggestion};

const SMALL: (u16, u16) = (80, 24);
const MIDDLE: (u16, u16) = (100, 30);
const LARGE: (u16, u16) = (160, 50);

const PLAIN: Options = Options { side_by_side: false, pictures: PictureMode::Off, colour: true, practice: false };
const PICTURES: Options = Options { pictures: PictureMode::HalfBlocks, ..PLAIN };

/// A folder with two pictures, one broken one, and none of a name that cards use.
fn pictures() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let wide = RgbImage::from_fn(120, 60, |x, y| Rgb([(x * 2) as u8, (y * 4) as u8, 120]));
    wide.save(folder.path().join("wide.png")).expect("saved");
    let tall = RgbImage::from_fn(40, 80, |x, y| if (x / 10 + y / 10) % 2 == 0 { Rgb([20; 3]) } else { Rgb([230; 3]) });
    tall.save(folder.path().join("tall.png")).expect("saved");
    std::fs::write(folder.path().join("broken.png"), b"no picture at all").expect("written");
    folder
}

fn rubric() -> Rubric {
    let grade = |grade, short: &str, full: &str| (grade, short.to_owned(), full.to_owned());
    Rubric {
        title: "What the grades mean".to_owned(),
        grades: [
            grade(Grade::A, "valid and satisfying", "The answer is right and says all that was asked for."),
            grade(Grade::B, "acceptable, minor errors", "The answer helps, with errors that do not mislead."),
            grade(Grade::C, "responds, significant errors", "The answer takes the question up and gets much wrong."),
            grade(Grade::D, "irrelevant or invalid", "The answer is about something else, or no answer."),
        ],
        text: "Grade what is said, not how long it is.\n\nLook at the picture first.".to_owned(),
    }
}

const LONG: &str = "The picture shows a kitchen with a long wooden table. On it stand seven cups, of which three are blue and \
four are white, and a bowl with apples.\n\nBehind the table there is a window; it is raining outside.\n\n1. The cups \
are full.\n2. The apples are red.\n3. Nobody is to be seen, but a coat hangs over the chair, so somebody has just left \
or will soon come back.\n\nAll in all it is a quiet picture, and what is funny about it is the cat under the table, \
which wears the second shoe of a pair whose first shoe lies on the window sill.";

/// Five questions, eleven answers: short and long, Chinese, hostile, empty; a second turn; pictures of every kind.
fn deck(folder: &Path) -> Deck {
    let mut cards = Vec::new();
    let mut question = |images: &[&str], before: &[(&str, &str)], question: &str, answers: &[&str]| {
        let group = cards.last().map_or(0, |card: &Card| card.question_group + 1);
        for (place, answer) in answers.iter().enumerate() {
            let before = before.iter().map(|(q, a)| Exchange { question: (*q).to_owned(), answer: (*a).to_owned() });
            cards.push(Card {
                key: format!("{:03}-{}", group + 1, place + 1),
                question_id: group as u64 + 1,
                item: format!("item {group}"),
                images: images.iter().map(|name| folder.join(name)).collect(),
                before: before.collect(),
                question: question.to_owned(),
                answer: (*answer).to_owned(),
                question_group: group,
                ..Card::default()
            });
        }
    };
    question(
        &["wide.png"],
        &[],
        "What is funny about this image? Describe it panel by panel.",
        &["The cat wears a hat.", LONG, "There is nothing funny here.", "A dog."],
    );
    question(
        &["wide.png", "tall.png"],
        &[("What is in the pictures?", "Two patterns: one of colours that run into each other, and a chessboard.")],
        "Which of them has more colours?",
        &["The first. It has many more colours than the second, which is black and white.", "I do not know.", ""],
    );
    question(
        &[],
        &[],
        "请用中文回答：天空是什么颜色的？",
        &["天空通常是蓝色的，因为阳光在大气中发生散射。", "\u{1b}[31mBlue\u{202e}eulb\u{7}\r\nsecond\u{b}line"],
    );
    question(&["lost.png"], &[], "Where was this taken?", &["In a city."]);
    question(&["broken.png"], &[], "And this?", &["In another city."]);
    Deck { title: "OwlEval, six models".to_owned(), rubric: rubric(), cards }
}

/// A grader at the keyboard: a window, a clock, and keys as a script.
struct Keyboard<'s> {
    grader: Grader<'s>,
    size: (u16, u16),
    now: Duration,
    /// How long every key takes.
    pace: Duration,
    buffer: Buffer,
    cursor: Option<Position>,
}

impl<'s> Keyboard<'s> {
    fn new(session: &'s mut Session, options: &Options, size: (u16, u16)) -> Self {
        let depth = if options.colour { Depth::True } else { Depth::None };
        let gallery = (options.pictures != PictureMode::Off).then(|| Gallery::new(Picker::halfblocks(), depth));
        Self::with_gallery(session, options, size, gallery)
    }

    fn with_gallery(session: &'s mut Session, options: &Options, size: (u16, u16), gallery: Option<Gallery>) -> Self {
        let grader = Grader::new(session, options, gallery, Duration::ZERO);
        let pace = Duration::from_secs(2);
        let mut keyboard = Self { grader, size, now: Duration::ZERO, pace, buffer: Buffer::default(), cursor: None };
        keyboard.draw();
        keyboard
    }

    fn draw(&mut self) {
        let area = Rect::new(0, 0, self.size.0, self.size.1);
        self.buffer = Buffer::empty(area);
        self.cursor = self.grader.draw(area, &mut self.buffer);
    }

    fn press(&mut self, code: KeyCode, modifiers: KeyModifiers) -> After {
        self.now += self.pace;
        let after = self.grader.handle(&Event::Key(KeyEvent::new(code, modifiers)), self.now);
        self.draw();
        after
    }

    /// Keys by their names, separated by spaces: `a`, `right`, `ctrl-z`, `"text"` for each of its characters.
    fn keys(&mut self, script: &str) -> After {
        let mut after = After::GoOn;
        for word in script.split(' ').filter(|word| !word.is_empty()) {
            if let Some(text) = word.strip_prefix('"') {
                for character in text.trim_end_matches('"').chars() {
                    let character = if character == '_' { ' ' } else { character };
                    after = self.press(KeyCode::Char(character), KeyModifiers::NONE);
                }
                continue;
            }
            let (modifiers, name) = match word.strip_prefix("ctrl-") {
                Some(name) => (KeyModifiers::CONTROL, name),
                None => (KeyModifiers::NONE, word),
            };
            let code = match name {
                "left" => KeyCode::Left,
                "right" => KeyCode::Right,
                "up" => KeyCode::Up,
                "down" => KeyCode::Down,
                "pgup" => KeyCode::PageUp,
                "pgdn" => KeyCode::PageDown,
                "home" => KeyCode::Home,
                "end" => KeyCode::End,
                "enter" => KeyCode::Enter,
                "esc" => KeyCode::Esc,
                "tab" => KeyCode::Tab,
                "backspace" => KeyCode::Backspace,
                "f5" => KeyCode::F(5),
                name => KeyCode::Char(name.chars().next().expect("a key")),
            };
            after = self.press(code, modifiers);
        }
        after
    }

    fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.grader.handle(&Event::Resize(size.0, size.1), self.now);
        self.draw();
    }

    /// The screen as text, once the pictures are there.
    fn text(&mut self) -> String {
        self.grader.wait_for_pictures();
        self.draw();
        rows(&self.buffer).join("\n")
    }

    fn message(&self) -> &str {
        &self.grader.state().message.text
    }

    fn card(&self) -> usize {
        self.grader.state().card
    }

    fn grade(&self, card: usize) -> Option<Grade> {
        self.grader.session().mark(card).grade
    }
}

/// The rows of a buffer, without the spaces at their ends.
fn rows(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let row = |y: u16| {
        let mut row = String::new();
        let mut x = area.left();
        while x < area.right() {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).unwrap_or(1).max(1);
        }
        row.trim_end().to_owned()
    };
    (area.top()..area.bottom()).map(row).collect()
}

/// The screen and, below it, its styles in words: `row: columns style, …`; the cells of a picture are `picture`.
fn with_styles(keyboard: &mut Keyboard<'_>) -> String {
    let mut text = keyboard.text();
    let buffer = &keyboard.buffer;
    let area = buffer.area;
    let _ = write!(text, "\n\n");
    for y in area.top()..area.bottom() {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in area.left()..area.right() {
            let style = style(&buffer[(x, y)]);
            match runs.last_mut() {
                Some((_, end, last)) if *last == style && *end + 1 == x => *end = x,
                _ => runs.push((x, x, style)),
            }
        }
        let styled: Vec<String> = runs
            .into_iter()
            .filter(|(_, _, style)| !style.is_empty())
            .map(|(start, end, style)| format!("{start}-{end} {style}"))
            .collect();
        if !styled.is_empty() {
            let _ = writeln!(text, "{y}: {}", styled.join(", "));
        }
    }
    if let Some(cursor) = keyboard.cursor {
        let _ = writeln!(text, "cursor: {} {}", cursor.x, cursor.y);
    }
    text
}

fn style(cell: &Cell) -> String {
    if matches!(cell.fg, Color::Rgb(..)) || matches!(cell.bg, Color::Rgb(..)) {
        return "picture".to_owned();
    }
    let mut words = Vec::new();
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::REVERSED, "reversed"),
        (Modifier::ITALIC, "italic"),
    ] {
        if cell.modifier.contains(modifier) {
            words.push(word.to_owned());
        }
    }
    for (colour, ground) in [(cell.fg, ""), (cell.bg, "on ")] {
        if colour != Color::Reset {
            words.push(format!("{ground}{}", colour.to_string().to_lowercase()));
        }
    }
    words.join(" ")
}

/// A practice card with advice.
fn practice_deck(folder: &Path) -> Deck {
    let mut deck = deck(folder);
    deck.title = "A first round".to_owned();
    deck.cards.truncate(2);
    deck.cards[0].suggested = Some(Suggestion {
        grade: Grade::B,
        why: "The hat is there, and it is funny. The question asked for every panel, and one was described.".to_owned(),
    });
    deck
}
