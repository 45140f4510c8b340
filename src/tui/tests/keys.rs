//! What keys do, and what is recorded.

use ratatui_image::picker::ProtocolType;

use super::*;
use crate::tui::state::{Filter, Layout, MessageKind, Mode};

/// Runs a test on the deck, at 80 x 24 and without pictures.
fn at_the_keyboard(test: impl FnOnce(&mut Keyboard<'_>)) {
    let folder = pictures();
    let mut session = Session::practice(deck(folder.path()));
    test(&mut Keyboard::new(&mut session, &PLAIN, SMALL));
}

#[test]
fn a_grade_is_recorded_and_the_next_answer_shown() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("a B ｃ d");
        assert_eq!(keyboard.card(), 4);
        let grades: Vec<_> = (0..5).map(|card| keyboard.grade(card)).collect();
        assert_eq!(grades, [Some(Grade::A), Some(Grade::B), Some(Grade::C), Some(Grade::D), None]);
    });
}

#[test]
fn after_a_grade_is_changed_the_work_goes_on_where_it_was() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("a a a a left left left d");
        assert_eq!((keyboard.grade(1), keyboard.card()), (Some(Grade::D), 4));
    });
}

#[test]
fn everything_can_be_undone_and_done_again() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("a s f n \"dark\" enter d");
        keyboard.keys("u u u u u");
        assert_eq!(
            keyboard.grader.session().progress(),
            crate::grading::Progress {
                total: 11,
                seconds: keyboard.grader.session().progress().seconds,
                ..Default::default()
            }
        );
        assert_eq!(keyboard.card(), 0);
        keyboard.keys("u");
        assert_eq!(keyboard.message(), "there is nothing to undo");
        keyboard.keys("r r r r r");
        let session = keyboard.grader.session();
        assert_eq!((session.mark(0).grade, session.mark(1).skipped), (Some(Grade::A), true));
        let mark = session.mark(2);
        assert_eq!((mark.grade, mark.flagged, mark.note.as_str()), (Some(Grade::D), true, "dark"));
        keyboard.keys("r");
        assert_eq!(keyboard.message(), "there is nothing to redo");
    });
}

#[test]
fn a_key_held_down_grades_once() {
    at_the_keyboard(|keyboard| {
        keyboard.pace = Duration::from_millis(33);
        keyboard.keys("a a a a a a a a a a");
        assert_eq!((keyboard.card(), keyboard.grade(0), keyboard.grade(1)), (1, Some(Grade::A), None));
        assert!(keyboard.message().contains("held down"));
        // Another key is meant; and so is the same one after a moment.
        keyboard.keys("b");
        keyboard.pace = Duration::from_millis(200);
        keyboard.keys("b");
        assert_eq!((keyboard.card(), keyboard.grade(2)), (3, Some(Grade::B)));
    });
}

#[test]
fn a_mistyped_key_is_named() {
    at_the_keyboard(|keyboard| {
        for (keys, named) in [("x", "x is no key"), ("f5", "F5 is no key"), ("ctrl-a", "Ctrl-a is no key")] {
            keyboard.keys(keys);
            assert!(keyboard.message().starts_with(named), "{}", keyboard.message());
            assert_eq!(keyboard.grader.state().message.kind, MessageKind::Hint);
        }
        assert_eq!(keyboard.grader.session().progress().graded, 0);
    });
}

#[test]
fn time_is_recorded_with_the_grade_and_idle_time_is_not() {
    at_the_keyboard(|keyboard| {
        keyboard.pace = Duration::from_secs(5);
        keyboard.keys("down up a");
        assert_eq!(keyboard.grader.session().mark(0).seconds, 15.0);
        keyboard.pace = Duration::from_secs(3_600);
        keyboard.keys("b");
        assert_eq!(keyboard.grader.session().mark(1).seconds, 60.0);
        // Looked at, left, and graded later: both visits count.
        keyboard.pace = Duration::from_secs(4);
        keyboard.keys("right left c");
        assert_eq!(keyboard.grader.session().mark(2).seconds, 8.0);
        assert_eq!(keyboard.grader.session().mark(3).seconds, 0.0);
    });
}

#[test]
fn cards_are_gone_to_by_number_and_by_text() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("g \"9\" enter");
        assert_eq!(keyboard.card(), 8);
        keyboard.keys("g \"12\" enter");
        assert_eq!(keyboard.card(), 8);
        assert!(keyboard.message().contains("1 to 11"));
        keyboard.keys("/ \"CITY\" enter");
        assert_eq!(keyboard.card(), 9);
        keyboard.keys(".");
        assert_eq!(keyboard.card(), 10);
        keyboard.keys("/ enter");
        assert_eq!(keyboard.card(), 9);
        keyboard.keys("/ \"散射\" enter");
        assert_eq!(keyboard.card(), 7);
        keyboard.keys("/ \"nowhere\" enter");
        assert_eq!((keyboard.card(), keyboard.message()), (7, "no question, answer or note has \"nowhere\""));
    });
}

#[test]
fn filters_walk_through_what_they_name() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("s a s f v");
        assert_eq!(keyboard.grader.state().filter, Filter::Ungraded);
        keyboard.keys("v");
        assert_eq!((keyboard.grader.state().filter, keyboard.card()), (Filter::Skipped, 2));
        keyboard.keys("left");
        assert_eq!(keyboard.card(), 0);
        keyboard.keys("left");
        assert!(keyboard.message().contains("no other skipped"));
        // What is graded is no longer skipped; after the last of them the walk is over.
        keyboard.keys("a");
        assert_eq!(keyboard.card(), 2);
        keyboard.keys("b");
        assert_eq!((keyboard.grader.state().filter, keyboard.card()), (Filter::All, 3));
        keyboard.keys("v v");
        assert_eq!((keyboard.grader.state().filter, keyboard.card()), (Filter::Flagged, 3));
        keyboard.keys("esc");
        assert_eq!(keyboard.grader.state().filter, Filter::All);
    });
}

#[test]
fn nothing_is_graded_that_is_not_seen() {
    at_the_keyboard(|keyboard| {
        keyboard.resize((30, 8));
        keyboard.keys("a s");
        assert_eq!(keyboard.grader.session().progress().graded, 0);
        keyboard.resize(SMALL);
        keyboard.keys("? a");
        assert_eq!((keyboard.grader.session().progress().graded, &keyboard.grader.state().mode), (0, &Mode::Grading));
        keyboard.keys("a");
        assert_eq!(keyboard.grader.session().progress().graded, 1);
    });
}

#[test]
fn pasted_text_grades_nothing_and_goes_into_a_note() {
    at_the_keyboard(|keyboard| {
        keyboard.grader.handle(&Event::Paste("abcd".to_owned()), keyboard.now);
        assert_eq!(keyboard.grader.session().progress().graded, 0);
        keyboard.keys("n");
        keyboard.grader.handle(&Event::Paste("两行\n文字".to_owned()), keyboard.now);
        keyboard.keys("enter");
        assert_eq!(keyboard.grader.session().mark(0).note, "两行 文字");
    });
}

#[test]
fn a_note_is_kept_dropped_changed_and_removed() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("n \"abcd\" enter n \"x\" esc");
        assert_eq!(keyboard.grader.session().mark(0).note, "abcd");
        keyboard.keys("n backspace \"e\" enter");
        assert_eq!(keyboard.grader.session().mark(0).note, "abce");
        keyboard.keys("n ctrl-u enter");
        assert_eq!(keyboard.grader.session().mark(0).note, "");
        // Ctrl-C is rid of the line, not of the program.
        assert_eq!(keyboard.keys("n \"x\" ctrl-c"), After::GoOn);
        assert_eq!(keyboard.keys("ctrl-c"), After::Interrupt);
    });
}

#[test]
fn a_note_that_is_being_typed_is_kept_when_the_program_has_to_end() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("n \"half_a_thought\"");
        keyboard.grader.keep_draft();
        assert_eq!(keyboard.grader.session().mark(0).note, "half a thought");
    });
}

#[test]
fn when_all_is_graded_the_last_answer_is_not_changed_unseen() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("a b a b a b a b a b a");
        assert_eq!(keyboard.grader.state().mode, Mode::Finished);
        keyboard.keys("d");
        assert_eq!((keyboard.grade(10), &keyboard.grader.state().mode), (Some(Grade::A), &Mode::Grading));
        keyboard.keys("d");
        assert_eq!(keyboard.grade(10), Some(Grade::D));
        keyboard.keys("u");
        assert_eq!(keyboard.grade(10), Some(Grade::A));
        assert_eq!(keyboard.keys("q"), After::Leave);
    });
}

#[test]
fn side_by_side_the_keys_go_from_answer_to_answer() {
    at_the_keyboard(|keyboard| {
        keyboard.keys("tab b");
        assert_eq!((keyboard.grader.state().layout, keyboard.card()), (Layout::SideBySide, 1));
        let text = keyboard.text();
        assert!(text.contains("1 [B]") && text.contains("▶ 2 [ ]"), "{text}");
        assert!(text.contains("There is nothing funny here."), "{text}");
        keyboard.keys("right right right");
        assert!(keyboard.text().contains("Which of them has more colours?"));
    });
}

#[test]
fn ctrl_z_and_ctrl_l_are_for_the_terminal() {
    at_the_keyboard(|keyboard| {
        assert_eq!(keyboard.keys("ctrl-z"), After::Suspend);
        assert_eq!(keyboard.keys("n ctrl-l"), After::Redraw);
    });
}

#[test]
fn pictures_are_zoomed_and_panned_with_the_keys() {
    let folder = pictures();
    let mut session = Session::practice(deck(folder.path()));
    let mut keyboard = Keyboard::new(&mut session, &PICTURES, SMALL);
    keyboard.keys("z left");
    assert!(keyboard.message().contains("the whole picture is shown"));
    let whole = keyboard.text();
    keyboard.keys("+ +");
    let closer = keyboard.text();
    keyboard.keys("right down");
    let aside = keyboard.text();
    assert!(closer.contains("wide.png, 2 times closer"));
    assert!(whole != closer, "zooming shows another part");
    assert_eq!(keyboard.grader.session().progress().graded, 0);
    keyboard.keys("a");
    assert!(keyboard.message().contains("close the picture first"));
    keyboard.keys("z a");
    assert_eq!((keyboard.grade(0), aside.is_empty()), (Some(Grade::A), false));
}

#[test]
fn the_pictures_of_the_next_items_are_ready_before_they_are_reached() {
    let folder = pictures();
    let mut session = Session::practice(deck(folder.path()));
    let mut keyboard = Keyboard::new(&mut session, &PICTURES, LARGE);
    keyboard.text();
    // Cards 5 to 7 show two pictures; they were made while the first card was read.
    keyboard.keys("a b a b");
    let shown = rows(&keyboard.buffer).join("\n");
    assert!(shown.contains("tall.png") && !shown.contains("loading"), "{shown}");
}

#[test]
fn pictures_are_drawn_by_every_protocol_and_only_where_they_belong() {
    let folder = pictures();
    for (protocol, sign) in
        [(ProtocolType::Kitty, "\u{1b}_G"), (ProtocolType::Iterm2, "\u{1b}]1337"), (ProtocolType::Sixel, "\u{1b}P")]
    {
        let mut picker = Picker::halfblocks();
        picker.set_protocol_type(protocol);
        let mut session = Session::practice(deck(folder.path()));
        let gallery = Gallery::new(picker, Depth::True);
        let mut keyboard = Keyboard::with_gallery(&mut session, &PICTURES, MIDDLE, Some(gallery));
        keyboard.text();
        let signed: Vec<usize> = (0..keyboard.buffer.content.len())
            .filter(|index| keyboard.buffer.content[*index].symbol().contains(sign))
            .collect();
        assert!(!signed.is_empty(), "{protocol:?} was not drawn");
        // Text has the columns left of the rule between the two.
        assert!(signed.iter().all(|index| index % 100 > 62), "{protocol:?} at {signed:?}");
        let shown = rows(&keyboard.buffer).join("\n");
        assert!(shown.contains("The cat wears a hat."), "{shown}");
    }
}

#[test]
fn a_sheet_that_is_done_opens_as_done() {
    let folder = pictures();
    let mut deck = deck(folder.path());
    deck.cards.truncate(1);
    let mut session = Session::practice(deck);
    session.grade(0, Grade::A, 1.0).expect("practice");
    let mut keyboard = Keyboard::new(&mut session, &PLAIN, SMALL);
    assert!(keyboard.text().contains("Every answer is graded."));
    keyboard.keys("u");
    assert_eq!((keyboard.grade(0), &keyboard.grader.state().mode), (None, &Mode::Grading));
}

#[test]
fn what_the_session_warns_of_is_the_first_message_and_is_told_whole() {
    let folder = pictures();
    let mut session = Session::practice(deck(folder.path()));
    let mut keyboard = Keyboard::new(&mut session, &PLAIN, SMALL);
    let warning =
        "sheets/study/anna.jsonl:17: the last line was torn (37 bytes, written when the power failed) and dropped";
    keyboard.grader.warn(&[warning.to_owned(), "the pictures are elsewhere".to_owned()]);
    keyboard.draw();
    let words = |keyboard: &mut Keyboard<'_>| keyboard.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&mut keyboard).contains(&format!("! {warning}; the pictures are elsewhere")), "{}", keyboard.text());
    assert_eq!(keyboard.grader.state().message.kind, MessageKind::Hint);
    keyboard.keys("a");
    assert!(!words(&mut keyboard).contains("torn"));
}

#[test]
fn a_message_that_is_longer_than_half_of_the_window_is_said_to_be_cut() {
    let folder = pictures();
    let mut session = Session::practice(deck(folder.path()));
    let mut keyboard = Keyboard::new(&mut session, &PLAIN, (40, 12));
    keyboard.grader.warn(&["word ".repeat(200)]);
    let text = keyboard.text();
    assert!(text.contains("word …") && keyboard.grader.state().measured.page > 0, "{text}");
}
