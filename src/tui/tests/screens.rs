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

const SIDE: Options = Options { side_by_side: true, ..PICTURES };

#[test]
fn the_first_answer_beside_its_picture() {
    insta::assert_snapshot!("first_80x24", shot(&PICTURES, SMALL, ""));
    insta::assert_snapshot!("first_100x30", shot(&PICTURES, MIDDLE, ""));
    insta::assert_snapshot!("first_160x50", shot(&PICTURES, LARGE, ""));
}

#[test]
fn a_long_answer_says_that_there_is_more_and_scrolls() {
    insta::assert_snapshot!("long_80x24", shot(&PICTURES, SMALL, "a pgdn"));
    insta::assert_snapshot!("long_100x30", shot(&PICTURES, MIDDLE, "a"));
}

#[test]
fn a_graded_answer_looked_back_at() {
    insta::assert_snapshot!("graded_80x24", shot(&PLAIN, SMALL, "b f left f"));
}

#[test]
fn a_second_turn_with_two_pictures() {
    insta::assert_snapshot!("second_turn_80x24", shot(&PICTURES, SMALL, "g \"5\" enter p"));
    insta::assert_snapshot!("second_turn_160x50", shot(&PICTURES, LARGE, "g \"5\" enter"));
}

#[test]
fn an_empty_answer_a_lost_picture_and_a_broken_one_are_said() {
    insta::assert_snapshot!("empty_80x24", shot(&PLAIN, SMALL, "g \"7\" enter"));
    insta::assert_snapshot!("lost_80x24", shot(&PICTURES, SMALL, "g \"10\" enter"));
    insta::assert_snapshot!("broken_100x30", shot(&PICTURES, MIDDLE, "g \"11\" enter"));
}

#[test]
fn what_a_terminal_would_obey_is_shown_as_marks() {
    insta::assert_snapshot!("hostile_80x24", shot(&PLAIN, SMALL, "g \"9\" enter"));
}

#[test]
fn answers_side_by_side_in_a_list_and_in_a_grid() {
    insta::assert_snapshot!("side_80x24", shot(&SIDE, SMALL, "c s"));
    insta::assert_snapshot!("side_100x30", shot(&SIDE, MIDDLE, "c s"));
    insta::assert_snapshot!("side_160x50", shot(&SIDE, LARGE, "c s"));
}

#[test]
fn the_keys_and_the_rubric() {
    insta::assert_snapshot!("help_80x24", shot(&PLAIN, SMALL, "?"));
    insta::assert_snapshot!("help_80x24_end", shot(&PLAIN, SMALL, "? end"));
    insta::assert_snapshot!("help_160x50", shot(&PLAIN, LARGE, "?"));
}

#[test]
fn a_note_is_typed_in_chinese() {
    insta::assert_snapshot!("note_80x24", shot(&PLAIN, SMALL, "n \"图片很暗，猫_ok\" left"));
    insta::assert_snapshot!("noted_80x24", shot(&PLAIN, SMALL, "n \"图片很暗\" enter ? esc"));
}

#[test]
fn a_key_that_does_nothing_says_so() {
    insta::assert_snapshot!("mistyped_80x24", shot(&PLAIN, SMALL, "x"));
}

#[test]
fn a_picture_over_the_whole_screen_closer() {
    insta::assert_snapshot!("zoom_80x24", shot(&PICTURES, SMALL, "+ + right"));
}

#[test]
fn all_answers_graded() {
    insta::assert_snapshot!("finished_80x24", shot(&PLAIN, SMALL, "a b c d a b c d s f a b"));
}

#[test]
fn only_the_skipped_are_walked_through() {
    insta::assert_snapshot!("filter_80x24", shot(&PLAIN, SMALL, "a s s v v"));
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
    insta::assert_snapshot!("advice_80x24", with_styles(&mut keyboard));
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
    insta::assert_snapshot!("adjudicate_80x24", with_styles(&mut keyboard));
}
