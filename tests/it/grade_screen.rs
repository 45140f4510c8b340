//! `owleval grade` in a pseudo-terminal: keys go in, a screen comes out, and nothing that was graded is ever lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use owleval::grading::{Grade, Session};
use owleval::tui::terminal::{Happening, Screen};
use ratatui::crossterm::event::Event;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pseudo_terminal::{Answers, Terminal};

pub(super) const WINDOW: (u16, u16) = (80, 24);

/// Models and questions of the test's sheet.
const MODELS: [&str; 2] = ["first-model", "second-model"];
const QUESTIONS: usize = 12;
pub(super) const CARDS: usize = MODELS.len() * QUESTIONS;

/// A folder with an evalset, two files of answers and room for sheets.
pub(super) struct Place {
    pub folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let evalset = folder.path().join("set");
        std::fs::create_dir_all(evalset.join("cases")).expect("a folder");
        image::RgbImage::from_fn(60, 40, |x, y| image::Rgb([(x * 4) as u8, (y * 6) as u8, 90]))
            .save(evalset.join("cases/colours.png"))
            .expect("saved");
        let mut questions = String::new();
        for id in 1..=QUESTIONS {
            let row = json!({
                "image": "colours.png", "question_id": id, "question": format!("What is number {id}?"),
                "ability": "a,b", "category": ["single_turn"], "group": format!("item {id}"),
            });
            questions.push_str(&format!("{row}\n"));
        }
        std::fs::write(evalset.join("questions.jsonl"), questions).expect("written");
        for model in MODELS {
            let answer = |id| {
                json!({
                    "image": "colours.png", "question_id": id, "question": format!("What is number {id}?"),
                    "answer": format!("An answer to number {id}, of {} words.", model.len()), "model_id": model,
                })
            };
            let rows: String = (1..=QUESTIONS).map(|id| format!("{}\n", answer(id))).collect();
            std::fs::write(folder.path().join(format!("{model}.jsonl")), rows).expect("written");
        }
        Self { folder }
    }

    fn owleval(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_owleval"));
        command.current_dir(self.folder.path()).env_remove("RUST_LOG");
        command
    }

    /// `owleval grade` of both files of answers into a new sheet.
    pub fn new_sheet(&self, rater: &str) -> Command {
        let mut command = self.owleval();
        command.args(["grade", "first-model.jsonl", "second-model.jsonl", "--evalset", "set", "--sheet", "sheet"]);
        command.args(["--rater", rater]);
        command
    }

    pub fn carry_on(&self, rater: &str) -> Command {
        let mut command = self.owleval();
        command.args(["grade", "--sheet", "sheet", "--rater", rater]);
        command
    }

    pub fn journal(&self, rater: &str) -> PathBuf {
        self.folder.path().join("sheet").join(format!("{rater}.jsonl"))
    }
}

/// The whole lines of a journal.
pub(super) fn events(journal: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("a whole event")).collect()
}

pub(super) fn start(command: Command) -> Terminal {
    let terminal = Terminal::start(command, WINDOW, Answers::Plain);
    terminal.wait_for_text("a b c d");
    terminal
}

#[test]
fn start_grade_undo_resize_kill_resume_and_finish_with_nothing_lost() {
    let place = Place::new();
    let mut terminal = start(place.new_sheet("anna"));
    terminal.wait_for_text(&format!("1 of {CARDS}"));
    terminal.send("a");
    terminal.wait_for_text("A for 1");
    terminal.send("b");
    terminal.wait_for_text("B for 2");
    terminal.send("u");
    terminal.wait_for_text("taken back: 2 is ungraded");
    terminal.send("nplease look again\r");
    terminal.wait_for_text("the note is kept");
    terminal.resize((100, 30));
    // The rubric has room for more, and the pace stands at the new edge.
    terminal.wait_for("a wider rule", |text| text.lines().any(|line| line.chars().filter(|c| *c == '─').count() > 80));
    terminal.send("c");
    terminal.wait_for_text("C for 2");
    let before = std::fs::read(place.journal("anna")).expect("a journal");
    terminal.kill();
    assert_eq!(std::fs::read(place.journal("anna")).expect("a journal"), before);

    let mut terminal = start(place.carry_on("anna"));
    terminal.wait_for_text(&format!("Welcome back: 2 of {CARDS} done"));
    terminal.wait_for_text(&format!("3 of {CARDS}"));
    terminal.send("\x1b[D");
    terminal.wait_for_text("please look again");
    // Alternating keys: the same one twice at once would be a key held down.
    for card in 3..=CARDS {
        let key = if card % 2 == 0 { "a" } else { "d" };
        if card == 3 {
            terminal.send("w");
            terminal.wait_for_text(&format!("3 of {CARDS}"));
        }
        terminal.send(key);
        if card < CARDS {
            terminal.wait_for_text(&format!("{} for {card}", key.to_uppercase()));
        }
    }
    terminal.wait_for_text("Every answer is graded.");
    terminal.send("q");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
    terminal.wait_for_main_screen();
    assert!(terminal.is_cooked() && terminal.shows_cursor());

    let output = place.owleval().args(["grade", "--sheet", "sheet", "--export"]).output().expect("it runs");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(table.lines().count(), CARDS + 1, "{table}");
    assert!(!table.contains(",,,,"), "{table}");
}

#[test]
fn killed_at_many_moments_at_most_the_key_in_flight_is_missing() {
    let place = Place::new();
    start(place.new_sheet("ben")).kill();
    let mut sent = 0;
    for round in 0..16u64 {
        let mut terminal = start(place.carry_on("ben"));
        let done = events(&place.journal("ben")).len();
        assert!(done == sent || done + 1 == sent, "{sent} keys, {done} events");
        // One that is seen to be taken, one in flight.
        let key = if done.is_multiple_of(2) { "a" } else { "b" };
        terminal.send(key);
        terminal.wait_for_text(&format!("{} for {}", key.to_uppercase(), done + 1));
        assert_eq!(events(&place.journal("ben")).len(), done + 1);
        terminal.send(if key == "a" { "b" } else { "a" });
        std::thread::sleep(Duration::from_micros(round * 150));
        terminal.kill();
        sent = done + 2;
        if sent + 2 > CARDS {
            break;
        }
    }
}

#[test]
fn whatever_ends_it_the_terminal_is_given_back() {
    let place = Place::new();
    start(place.new_sheet("anna")).kill();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut terminal = start(place.carry_on("anna"));
        assert!(terminal.is_held() && !terminal.is_cooked());
        // A note that is being typed is kept too.
        terminal.send(&format!("nended by {signal}"));
        terminal.wait_for_text(&format!("ended by {signal}"));
        terminal.signal(signal);
        assert_eq!(terminal.wait().code(), Some(130), "{}", terminal.text());
        terminal.wait_for_main_screen();
        assert!(terminal.is_cooked() && terminal.shows_cursor());
        let last = events(&place.journal("anna")).pop().expect("an event").to_string();
        assert!(last.contains(&format!("ended by {signal}")), "{last}");
    }
    let mut terminal = start(place.carry_on("anna"));
    terminal.send("\x03");
    assert_eq!(terminal.wait().code(), Some(130));
    terminal.wait_for_main_screen();
    assert!(terminal.is_cooked());
}

#[test]
fn a_lost_connection_ends_it_with_every_grade_on_disk() {
    let place = Place::new();
    let mut terminal = start(place.new_sheet("anna"));
    terminal.send("a");
    terminal.wait_for_text("A for 1");
    terminal.hang_up();
    assert_eq!(terminal.wait().code(), Some(130));
    assert_eq!(events(&place.journal("anna")).len(), 1);
}

#[test]
fn suspended_it_gives_the_terminal_back_and_resumed_it_draws_again() {
    let place = Place::new();
    let mut terminal = start(place.new_sheet("anna"));
    for is_key in [true, false] {
        if is_key {
            terminal.send("\x1a");
        } else {
            terminal.signal(libc::SIGTSTP);
        }
        terminal.wait_until_stopped();
        terminal.wait_for_main_screen();
        assert!(terminal.is_cooked() && terminal.shows_cursor());
        terminal.signal(libc::SIGCONT);
        terminal.wait_for_text(&format!("1 of {CARDS}"));
        assert!(terminal.is_held() && !terminal.is_cooked());
    }
    terminal.send("a");
    terminal.wait_for_text("A for 1");
    terminal.send("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_terminal_that_never_answers_is_not_waited_for() {
    let place = Place::new();
    let began = Instant::now();
    let mut terminal = Terminal::start(place.new_sheet("anna"), WINDOW, Answers::None);
    terminal.wait_for("a picture in half blocks", |text| text.contains(['▀', '▄']));
    terminal.send("a");
    terminal.wait_for_text("A for 1");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    terminal.send("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_grade_that_cannot_be_written_is_said_and_nothing_moves_on() {
    let place = Place::new();
    start(place.new_sheet("anna")).kill();
    // No file may grow beyond a few grades: what comes then fails as it does on a full disk.
    let mut command = Command::new("sh");
    command.current_dir(place.folder.path());
    command.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_owleval")]);
    command.args(["grade", "--sheet", "sheet", "--rater", "anna", "--no-pictures"]);
    let mut terminal = start(command);
    let mut graded = 0;
    loop {
        let key = if graded % 2 == 0 { "a" } else { "b" };
        terminal.send(key);
        let done = format!("{} for {}", key.to_uppercase(), graded + 1);
        let text = terminal.wait_for("a word on it", |text| text.contains(&done) || text.contains("NOT RECORDED"));
        if text.contains("NOT RECORDED") {
            assert!(text.contains(&format!("{} of {CARDS}", graded + 1)), "{text}");
            break;
        }
        graded += 1;
        assert!(graded < CARDS, "nothing failed");
    }
    assert!(graded > 0, "the first grade fitted");
    assert_eq!(events(&place.journal("anna")).len(), graded);
    terminal.kill();
    let mut terminal = start(place.carry_on("anna"));
    terminal.send("c");
    terminal.wait_for_text(&format!("C for {}", graded + 1));
    terminal.kill();
    assert_eq!(events(&place.journal("anna")).len(), graded + 1);
}

#[test]
fn two_graders_at_once_both_finish() {
    let place = Place::new();
    start(place.new_sheet("anna")).kill();
    std::thread::scope(|scope| {
        for (rater, grades) in [("anna", ["a", "b"]), ("ben", ["c", "d"])] {
            let place = &place;
            scope.spawn(move || {
                let mut terminal = start(place.carry_on(rater));
                for card in 1..=CARDS {
                    let key = grades[card % 2];
                    terminal.send(key);
                    if card < CARDS {
                        terminal.wait_for_text(&format!("{} for {card};", key.to_uppercase()));
                    }
                }
                terminal.wait_for_text("Every answer is graded.");
                terminal.send("q");
                assert_eq!(terminal.wait().code(), Some(0));
            });
        }
    });
    for rater in ["anna", "ben"] {
        assert_eq!(events(&place.journal(rater)).len(), CARDS);
    }
}

/// Says to a copy of this test binary that it is the program that panics, and on which sheet.
const PANICS_ON: &str = "OWLEVAL_TEST_PANICS_ON";

#[test]
fn a_panic_while_drawing_gives_the_terminal_back_and_leaves_every_grade_on_disk() {
    if let Some(sheet) = std::env::var_os(PANICS_ON) {
        return grade_and_panic(Path::new(&sheet));
    }
    let place = Place::new();
    start(place.new_sheet("anna")).kill();
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    let name = "grade_screen::a_panic_while_drawing_gives_the_terminal_back_and_leaves_every_grade_on_disk";
    command.args([name, "--exact", "--nocapture"]).env(PANICS_ON, place.folder.path().join("sheet"));
    command.env("RUST_BACKTRACE", "0");
    let mut terminal = Terminal::start(command, WINDOW, Answers::Plain);
    terminal.wait_for_text("one is graded");
    assert!(terminal.is_held() && !terminal.is_cooked());
    terminal.send("x");
    assert_eq!(terminal.wait().code(), Some(101), "{}", terminal.text());
    terminal.wait_for_main_screen();
    assert!(terminal.is_cooked() && terminal.shows_cursor());
    // What went wrong is told where it can be read.
    terminal.wait_for_text("the drawing broke");
    let events = events(&place.journal("anna"));
    let grades: Vec<&Value> = events.iter().map(|event| &event["grade"]).collect();
    assert_eq!(grades, ["A", "C"]);
}

/// Grades as the program does, and panics in the middle of a drawing.
fn grade_and_panic(sheet: &Path) {
    let (mut session, _) = Session::open(sheet, "anna").expect("opened");
    let mut screen = Screen::enter().expect("a terminal");
    session.grade(0, Grade::A, 1.0).expect("graded");
    let drawn = screen.draw(|area, buffer| {
        buffer.set_string(area.x, area.y, "one is graded", ratatui::style::Style::new());
        None
    });
    drawn.expect("drawn");
    while !matches!(screen.next(Duration::from_secs(60)).expect("a key"), Happening::Event(Event::Key(_))) {}
    session.grade(1, Grade::C, 1.0).expect("graded");
    let _ = screen.draw(|_, _| panic!("the drawing broke"));
}

#[test]
fn practice_needs_nothing_and_records_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_owleval"));
    command.current_dir(folder.path()).args(["grade", "--practice"]);
    let mut terminal = Terminal::start(command, WINDOW, Answers::Plain);
    terminal.wait_for_text("PRACTICE");
    terminal.send("d");
    terminal.wait_for_text("You gave D");
    terminal.send(" ");
    terminal.wait_for_text("── 2 of");
    terminal.send("q");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
}
