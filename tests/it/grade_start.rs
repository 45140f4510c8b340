//! The first moments of `owleval grade` in a pseudo-terminal: what was typed before it was ready, and what it says first.

use std::time::Duration;

use serde_json::{Value, json};

use crate::grade_screen::{CARDS, Place, WINDOW, events, start};
use crate::pseudo_terminal::{Answers, Terminal};

#[test]
fn a_key_that_is_typed_at_once_is_not_lost_to_the_question_about_pictures() {
    let place = Place::new();
    start(place.new_sheet("anna")).kill();
    for (round, answers) in [Answers::Plain, Answers::Kitty, Answers::Late, Answers::None].into_iter().enumerate() {
        for moment in 0..5u64 {
            let rater = format!("rater-{round}-{moment}");
            let terminal = Terminal::start(place.carry_on(&rater), WINDOW, answers);
            // Before it has begun, while it asks, and when the first answer is seen.
            match moment {
                4 => _ = terminal.wait_for_text("a b c d"),
                3 => terminal.wait_for_question(),
                _ => std::thread::sleep(Duration::from_millis(7 * moment)),
            }
            terminal.send("b\x1b[Dnwide\r");
            terminal.wait_for_text("the note is kept");
            terminal.wait_for_text(&format!("1 of {CARDS}"));
            let events = events(&place.journal(&rater));
            let grades: Vec<&Value> =
                events.iter().map(|event| &event["grade"]).filter(|grade| !grade.is_null()).collect();
            assert_eq!(grades, ["B"], "{answers:?}, moment {moment}: {events:?}");
            assert_eq!((events.len(), &events[1]["text"]), (2, &json!("wide")), "{answers:?}, moment {moment}");
        }
    }
}

#[test]
fn a_repaired_journal_is_the_first_that_a_grader_is_told() {
    let place = Place::new();
    let mut terminal = start(place.new_sheet("anna"));
    terminal.send("a");
    terminal.wait_for_text("A for 1");
    terminal.kill();
    let mut journal = std::fs::OpenOptions::new().append(true).open(place.journal("anna")).expect("a journal");
    std::io::Write::write_all(&mut journal, b"{\"seq\":2,\"at").expect("written");
    let terminal = start(place.carry_on("anna"));
    terminal.wait_for_text("torn");
    terminal.send("b");
    terminal.wait_for_text("B for 2");
    assert_eq!(events(&place.journal("anna")).len(), 2);
}

#[test]
fn without_a_terminal_it_says_what_it_needs() {
    let place = Place::new();
    let output = place.new_sheet("anna").stdin(std::process::Stdio::null()).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("grading needs a terminal"), "{stderr}");
    assert!(!place.folder.path().join("sheet").exists());
    start(place.new_sheet("anna")).kill();
    let output = place.carry_on("ben").stdin(std::process::Stdio::null()).output().expect("it runs");
    assert_eq!((output.status.code(), place.journal("ben").exists()), (Some(2), false));
}
