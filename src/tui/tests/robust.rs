//! Whatever is pressed, however the window is, whatever an answer holds.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Key(KeyCode, KeyModifiers),
    Paste(String),
    Resize(u16, u16),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let letters = prop::sample::select("abcdursfnghjklzo+-?pqvw./ 0123456789xＡ猫\u{301}".chars().collect::<Vec<_>>());
    let named = prop::sample::select(vec![
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::F(1),
        KeyCode::Null,
    ]);
    let modifiers =
        prop_oneof![6 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::CONTROL), 1 => Just(KeyModifiers::ALT)];
    prop_oneof![
        12 => (letters, modifiers.clone()).prop_map(|(letter, modifiers)| Step::Key(KeyCode::Char(letter), modifiers)),
        6 => (named, modifiers).prop_map(|(code, modifiers)| Step::Key(code, modifiers)),
        1 => ".{0,12}".prop_map(Step::Paste),
        2 => (0u16..170, 0u16..60).prop_map(|(width, height)| Step::Resize(width, height)),
        1 => (0u64..200).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_sequence_of_keys_and_resizes_breaks_the_screen(
        steps in prop::collection::vec(step(), 0..80),
        side_by_side: bool, colour: bool, has_pictures: bool, practice: bool,
    ) {
        let folder = pictures();
        let deck = if practice { practice_deck(folder.path()) } else { deck(folder.path()) };
        let cards = deck.cards.len();
        let mut session = Session::practice(deck);
        let pictures = if has_pictures { PictureMode::HalfBlocks } else { PictureMode::Off };
        let options = Options { side_by_side, pictures, colour, practice };
        let mut keyboard = Keyboard::new(&mut session, &options, SMALL);
        for step in steps {
            let before = keyboard.grader.session().progress();
            match step {
                // Opening a picture starts a program.
                Step::Key(KeyCode::Char('o'), modifiers) if modifiers.is_empty() => {}
                Step::Key(code, modifiers) => _ = keyboard.press(code, modifiers),
                Step::Paste(text) => _ = keyboard.grader.handle(&Event::Paste(text), keyboard.now),
                Step::Resize(width, height) => keyboard.resize((width, height)),
                Step::Wait(seconds) => keyboard.now += Duration::from_secs(seconds),
            }
            let after = keyboard.grader.session().progress();
            // A step changes one card at most.
            prop_assert!(before.graded.abs_diff(after.graded) <= 1 && before.skipped.abs_diff(after.skipped) <= 1);
            prop_assert!(keyboard.card() < cards);
            prop_assert!(is_clean(&keyboard.buffer));
        }
    }

    #[test]
    fn no_text_reaches_the_terminal_unsanitised(
        text in "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{feff}a-c 猫é]{0,40}",
        size in prop::sample::select(vec![SMALL, MIDDLE, LARGE]),
        side_by_side: bool,
    ) {
        let folder = Path::new("/nowhere");
        let mut deck = deck(folder);
        deck.title.clone_from(&text);
        deck.rubric.title.clone_from(&text);
        deck.rubric.text.clone_from(&text);
        for (_, short, full) in &mut deck.rubric.grades {
            short.clone_from(&text);
            full.clone_from(&text);
        }
        for card in &mut deck.cards {
            card.question.clone_from(&text);
            card.answer.clone_from(&text);
            card.before = vec![Exchange { question: text.clone(), answer: text.clone() }];
            card.images = vec![folder.join(text.replace(['/', '\0'], "_"))];
            card.suggested = Some(Suggestion { grade: Grade::A, why: text.clone() });
        }
        let mut session = Session::practice(deck);
        let options = Options { side_by_side, practice: true, ..PICTURES };
        let mut keyboard = Keyboard::new(&mut session, &options, size);
        for keys in ["", "n", "enter", "/", "enter", "z", "z", "?", "esc", "a", "f", "right", "tab"] {
            keyboard.keys(keys);
            if matches!(keys, "n" | "/") {
                keyboard.grader.handle(&Event::Paste(text.clone()), keyboard.now);
            }
            keyboard.text();
            prop_assert!(is_clean(&keyboard.buffer), "after {:?}", keys);
        }
    }
}

/// Whether a buffer holds nothing that a terminal would obey: sanitising it changes nothing.
fn is_clean(buffer: &Buffer) -> bool {
    buffer.content().iter().all(|cell| crate::sanitize::terminal(cell.symbol()) == cell.symbol())
}
