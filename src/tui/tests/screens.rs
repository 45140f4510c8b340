//! Snapshots of the whole screen, text and styles, after sequences of keys.

use super::*;

/// Takes the snapshot of a deck after some keys.
fn shot(options: &Options, size: (u16, u16), script: &str) -> String {
    let folder = pictures();
    let mut session = Session::practice(deck(folder.path()));
    let mut keyboard = Keyboard::new(&mut session, options, size);
    keyboard.keys(script);
    with_styles(&mut keyboard)
}

/// Takes the snapshot at the three sizes.
fn shots(name: &str, options: &Options, script: &str) {
    for size in [SMALL, MIDDLE, LARGE] {
        let name = format!("{name}_{}x{}", size.0, size.1);
        insta::assert_snapshot!(name, shot(options, size, script));
    }
}

const SIDE: Options = Options { side_by_side: true, ..PICTURES };

#[test]
fn the_first_answer_beside_its_picture() {
    shots("first", &PICTURES, "");
}

#[test]
fn a_long_answer_says_that_there_is_more_and_scrolls() {
    shots("long", &PICTURES, "a");
    shots("scrolled", &PICTURES, "a pgdn");
}

#[test]
fn a_graded_answer_looked_back_at() {
    shots("graded", &PLAIN, "b f left f");
}

#[test]
fn a_second_turn_with_two_pictures() {
    shots("second_turn", &PICTURES, "g \"5\" enter p");
}

#[test]
fn an_empty_answer_a_lost_picture_and_a_broken_one_are_said() {
    shots("empty", &PLAIN, "g \"7\" enter");
    shots("lost", &PICTURES, "g \"10\" enter");
    shots("broken", &PICTURES, "g \"11\" enter");
}

#[test]
fn what_a_terminal_would_obey_is_shown_as_marks() {
    shots("hostile", &PLAIN, "g \"9\" enter");
}

#[test]
fn answers_side_by_side_in_a_list_and_in_a_grid() {
    shots("side", &SIDE, "c s");
}

#[test]
fn the_keys_and_the_rubric() {
    shots("help", &PLAIN, "?");
    shots("help_end", &PLAIN, "? end");
}

#[test]
fn a_note_is_typed_in_chinese() {
    shots("note", &PLAIN, "n \"图片很暗，猫_ok\" left");
    shots("noted", &PLAIN, "n \"图片很暗\" enter ? esc");
}

#[test]
fn a_search_and_a_number_are_typed() {
    shots("search", &PLAIN, "/ \"colours");
    shots("found", &PLAIN, "/ \"colours\" enter");
    shots("go_to", &PLAIN, "g \"7");
}

#[test]
fn a_key_that_does_nothing_says_so() {
    shots("mistyped", &PLAIN, "x");
}

#[test]
fn a_picture_over_the_whole_screen_closer() {
    shots("zoom", &PICTURES, "+ + right");
}

#[test]
fn all_answers_graded() {
    shots("finished", &PLAIN, "a b c d a b c d s f a b");
}

#[test]
fn only_the_skipped_are_walked_through() {
    shots("filter", &PLAIN, "a s s v v");
}

#[test]
fn without_colours_nothing_is_lost() {
    let colourless = Options { colour: false, ..PICTURES };
    let shown = shot(&colourless, SMALL, "b left");
    insta::assert_snapshot!("colourless_80x24", shown);
    let styles = shown.rsplit("\n\n").next().expect("styles");
    for colour in ["red", "green", "yellow", "blue", "magenta", "cyan", "picture", " on "] {
        assert!(!styles.contains(colour), "{colour} in {styles}");
    }
}

#[test]
fn a_window_that_is_too_small_says_so() {
    insta::assert_snapshot!("too_small_30x8", shot(&PLAIN, (30, 8), ""));
    insta::assert_snapshot!("smallest_40x12", shot(&PLAIN, (40, 12), ""));
}

#[test]
fn practice_says_what_would_fit_and_why() {
    let folder = pictures();
    let mut session = Session::practice(practice_deck(folder.path()));
    let mut keyboard = Keyboard::new(&mut session, &Options { practice: true, ..PLAIN }, SMALL);
    keyboard.keys("c");
    for size in [SMALL, MIDDLE, LARGE] {
        keyboard.resize(size);
        insta::assert_snapshot!(format!("advice_{}x{}", size.0, size.1), with_styles(&mut keyboard));
    }
    keyboard.keys("enter");
    assert_eq!(keyboard.card(), 1);
}

#[test]
fn an_adjudicator_sees_both_grades_and_nobodys_name() {
    let folder = pictures();
    let mut deck = deck(folder.path());
    deck.cards[0].given = vec![Grade::A, Grade::C];
    let mut session = Session::practice(deck);
    let mut keyboard = Keyboard::new(&mut session, &PLAIN, SMALL);
    for size in [SMALL, MIDDLE, LARGE] {
        keyboard.resize(size);
        insta::assert_snapshot!(format!("adjudicate_{}x{}", size.0, size.1), with_styles(&mut keyboard));
    }
}

#[test]
fn what_the_session_warns_of_takes_the_rows_that_it_needs() {
    let folder = pictures();
    let mut session = Session::practice(deck(folder.path()));
    let mut keyboard = Keyboard::new(&mut session, &PICTURES, SMALL);
    keyboard.grader.warn(&["sheets/study/anna.jsonl:17: the last line was torn (37 bytes) and is dropped".to_owned()]);
    for size in [SMALL, MIDDLE, LARGE] {
        keyboard.resize(size);
        insta::assert_snapshot!(format!("warned_{}x{}", size.0, size.1), with_styles(&mut keyboard));
    }
}
