//! Sessions and what they leave on disk.

use proptest::prelude::*;

use super::*;
use crate::grading::{journal, session};

#[test]
fn what_a_grader_did_is_there_when_the_sheet_is_opened_again() {
    let place = Place::new();
    let sheet = place.sheet();
    let mut session = open(&sheet, "anna");
    session.grade(0, Grade::A, 12.3456).unwrap();
    session.grade(1, Grade::B, 3.0).unwrap();
    session.note(1, "一个奇怪的答案 = why?\n").unwrap();
    session.flag(2, true).unwrap();
    session.skip(2, 1.0).unwrap();
    session.grade(1, Grade::D, f64::NAN).unwrap();
    assert_eq!(
        (session.undo().unwrap(), session.undo().unwrap(), session.redo().unwrap()),
        (Some(1), Some(2), Some(2))
    );
    let before = (marks(&session), session.progress());
    assert_eq!(session.mark(0).seconds, 12.346);
    assert_eq!(session.mark(1).grade, Some(Grade::B));
    drop(session);
    let mut session = open(&sheet, "anna");
    assert_eq!((marks(&session), session.progress()), before);
    // Undoing goes on where it was left.
    assert_eq!((session.redo().unwrap(), session.mark(1).grade), (Some(1), Some(Grade::D)));
    assert_eq!(session.next_ungraded(0), Some(3));
    let count = session.deck().cards.len();
    assert!(session.grade(count, Grade::A, 0.0).is_err());
    let other = open(&sheet, "ben");
    assert_eq!(other.progress().graded, 0);
}

#[test]
fn a_rater_grades_once_at_a_time_and_two_raters_at_once() {
    let place = Place::new();
    let sheet = place.sheet();
    let mut anna = open(&sheet, "anna");
    let error = Session::open(&sheet, "anna").unwrap_err();
    assert!(error.to_string().contains("anna.jsonl") && error.to_string().contains("another owleval"), "{error}");
    let mut ben = open(&sheet, "ben");
    anna.grade(0, Grade::A, 1.0).unwrap();
    ben.grade(0, Grade::B, 1.0).unwrap();
    assert!(Session::open(&sheet, "../anna").is_err());
    assert!(Session::open(&sheet, "Anna").unwrap_err().message().contains("capitals"));
}

/// A journal of nine events, its lines.
fn journal_lines(sheet: &Path) -> Vec<String> {
    let mut session = open(sheet, "anna");
    for card in 0..8 {
        session.grade(card, Grade::ALL[card % 4], card as f64).unwrap();
    }
    session.undo().unwrap();
    drop(session);
    let text = std::fs::read_to_string(sheet.join("anna.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn an_edit_or_a_cut_is_an_error_that_names_file_and_line_and_changes_nothing() {
    let place = Place::new();
    let sheet = place.sheet();
    let lines = journal_lines(&sheet);
    let path = sheet.join("anna.jsonl");
    let edited = |line: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[line].contains(from));
        lines[line] = lines[line].replacen(from, to, 1);
        lines
    };
    let without = |range: std::ops::Range<usize>| {
        let mut lines = lines.clone();
        lines.drain(range);
        lines
    };
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    let mut twice = lines.clone();
    twice.insert(3, lines[2].clone());
    for (changed, line, words) in [
        (edited(4, "\"grade\":\"A\"", "\"grade\":\"B\""), 5, "edited"),
        (edited(8, "\"undo\"", "\"redo\""), 9, "edited"),
        (edited(0, "\"seconds\":0.0", "\"seconds\":9.0"), 1, "edited"),
        (without(2..4), 3, "cut out"),
        (without(0..1), 1, "the events before it were cut off"),
        (swapped, 4, "cut out, put in or moved"),
        (twice, 4, "cut out, put in or moved"),
        (without(7..9), 7, "its end was cut off"),
    ] {
        let text = changed.join("\n") + "\n";
        std::fs::write(&path, &text).unwrap();
        let error = Session::open(&sheet, "anna").unwrap_err();
        assert!(error.to_string().contains(&format!("anna.jsonl:{line}:")), "{error}");
        assert!(error.message().contains(words) && error.remedy_text().is_some(), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let findings = verify(&sheet).unwrap();
        assert!(findings.iter().any(|finding| finding.what == "anna.jsonl" && !finding.is_good), "{findings:?}");
    }
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    assert!(verify(&sheet).unwrap().iter().all(|finding| finding.is_good));
}

#[test]
fn a_journal_of_another_sheet_is_refused() {
    let place = Place::new();
    let sheet = place.sheet();
    journal_lines(&sheet);
    let answers = place.three();
    let other = place.path("other");
    place.new_sheet(&other, &answers).create().unwrap();
    std::fs::copy(sheet.join("anna.jsonl"), other.join("anna.jsonl")).unwrap();
    let error = Session::open(&other, "anna").unwrap_err();
    assert!(error.to_string().contains("anna.jsonl:1: this journal belongs to another sheet"), "{error}");
}

#[test]
fn a_torn_last_line_is_dropped_with_a_warning() {
    let place = Place::new();
    let sheet = place.sheet();
    let lines = journal_lines(&sheet);
    std::fs::remove_file(sheet.join("anna.head")).unwrap();
    let torn = lines.join("\n");
    std::fs::write(sheet.join("anna.jsonl"), &torn[..torn.len() - 30]).unwrap();
    let (session, warnings) = Session::open(&sheet, "anna").unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].contains("anna.jsonl:9") && warnings[0].contains("torn"),
        "{warnings:?}"
    );
    assert_eq!(session.progress().graded, 8);
}

/// What a grader may do, as numbers.
fn deeds() -> impl Strategy<Value = Vec<(u8, usize, String)>> {
    prop::collection::vec((0u8..8, 0usize..23, "[a-c'=\n国]{0,4}"), 1..25)
}

fn perform(session: &mut Session, deed: &(u8, usize, String)) {
    let (kind, card, text) = deed;
    match kind {
        0..=2 => session.grade(*card, Grade::ALL[text.len() % 4], *card as f64 / 7.0).unwrap(),
        3 => session.skip(*card, 0.5).unwrap(),
        4 => session.flag(*card, text.len() % 2 == 0).unwrap(),
        5 => session.note(*card, text).unwrap(),
        6 => drop(session.undo().unwrap()),
        _ => drop(session.redo().unwrap()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_cut_at_any_byte_replays_to_a_state_that_was(deeds in deeds(), cut in any::<prop::sample::Index>()) {
        let place = Place::new();
        let sheet = place.sheet();
        let mut session = open(&sheet, "anna");
        let path = sheet.join("anna.jsonl");
        // The state after each event, by the length of the journal then.
        let mut states = vec![(0, marks(&session))];
        for deed in &deeds {
            perform(&mut session, deed);
            let length = std::fs::metadata(&path).unwrap().len();
            if length > states.last().unwrap().0 {
                states.push((length, marks(&session)));
            }
        }
        drop(session);
        let bytes = std::fs::read(&path).unwrap();
        let cut = cut.index(bytes.len() + 1);
        let elsewhere = place.path("copy");
        copy(&sheet, &elsewhere, &SHEET_FILES);
        std::fs::write(elsewhere.join("anna.jsonl"), &bytes[..cut]).unwrap();

        // A line whose line break alone is missing is whole.
        let expected = states.iter().rev().find(|(length, _)| *length <= cut as u64 + 1).unwrap();
        let blind = session::Blind::read(&elsewhere).unwrap();
        let read = journal::read(&elsewhere.join("anna.jsonl"), &blind.genesis).unwrap();
        let state = session::replay(&blind.cards, &read.events, &path).unwrap();
        for (card, mark) in expected.1.iter().enumerate() {
            prop_assert_eq!(state.mark(card), mark);
        }
        // And it is graded on from there.
        let (mut session, _) = Session::open(&elsewhere, "anna").unwrap();
        prop_assert_eq!(&marks(&session), &expected.1);
        session.grade(0, Grade::C, 1.0).unwrap();
        drop(session);
        prop_assert_eq!(open(&elsewhere, "anna").mark(0).grade, Some(Grade::C));
    }
}

#[test]
fn an_adjudication_shows_what_raters_disagree_on_and_leaves_their_grades_alone() {
    let place = Place::new();
    let sheet = place.sheet();
    let opening = Opening { sheet: &sheet, evalset: None, with_pictures: true };
    let error = opening.adjudication("chief").unwrap_err();
    assert!(error.message().contains("fewer than two"), "{error}");
    let mut anna = open(&sheet, "anna");
    let mut ben = open(&sheet, "ben");
    for card in 0..6 {
        anna.grade(card, Grade::B, 1.0).unwrap();
        ben.grade(card, if card % 3 == 0 { Grade::A } else { Grade::B }, 1.0).unwrap();
    }
    anna.grade(7, Grade::D, 1.0).unwrap();
    drop((anna, ben));
    let before = std::fs::read(sheet.join("anna.jsonl")).unwrap();
    let keys: Vec<String> = open(&sheet, "x").deck().cards.iter().map(|card| card.key.clone()).collect();
    let (mut session, _) = opening.adjudication("chief").unwrap();
    let shown: Vec<(&str, &[Grade])> =
        session.deck().cards.iter().map(|card| (card.key.as_str(), card.given.as_slice())).collect();
    let both = [Grade::A, Grade::B];
    assert_eq!(shown, [(keys[0].as_str(), both.as_slice()), (keys[3].as_str(), &both)]);
    session.grade(1, Grade::A, 5.0).unwrap();
    drop(session);
    assert_eq!(std::fs::read(sheet.join("anna.jsonl")).unwrap(), before);
    // Raters who come to agree later do not make a verdict vanish.
    open(&sheet, "anna").grade(3, Grade::A, 1.0).unwrap();
    let (session, _) = opening.adjudication("chief").unwrap();
    assert_eq!((session.deck().cards.len(), session.mark(1).grade), (2, Some(Grade::A)));
    drop(session);
    assert_eq!(disagreements(&sheet).unwrap().len(), 1);
    let journal = std::fs::read_to_string(sheet.join("adjudicated.jsonl")).unwrap();
    assert!(journal.contains("\"by\":\"chief\""), "{journal}");
    let verdicts = export(&sheet, Which::Verdicts, None, "me").unwrap();
    assert_eq!(verdicts.rows, 1);
    assert!(String::from_utf8(verdicts.csv).unwrap().contains(",adjudicated,"));
    assert!(verify(&sheet).unwrap().iter().all(|finding| finding.is_good));
}

#[test]
fn what_graders_of_two_parts_disagree_on_is_decided_once_in_the_first_of_them() {
    let place = Place::new();
    let answers = place.three();
    let folder = place.path("study");
    let split = Some(Split { parts: 2, overlap: 1 });
    let parts = NewSheet { split, ..place.new_sheet(&folder, &answers) }.create().unwrap().sheets;
    for (part, rater, grade) in [(&parts[0], "anna", Grade::A), (&parts[1], "ben", Grade::C)] {
        let mut session = open(part, rater);
        for card in 0..session.deck().cards.len() {
            session.grade(card, grade, 1.0).unwrap();
        }
    }
    let items = |part: &Path| -> std::collections::BTreeSet<String> {
        open(part, "look").deck().cards.iter().map(|card| card.item.clone()).collect()
    };
    let shared: Vec<String> = items(&parts[0]).intersection(&items(&parts[1])).cloned().collect();
    let given = disagreements(&parts[0]).unwrap();
    assert!(!given.is_empty() && given.values().all(|grades| *grades == [Grade::A, Grade::C]), "{given:?}");
    assert_eq!((undecided(&parts[0]).unwrap(), undecided(&parts[1]).unwrap()), (given.len(), 0));
    let opening = Opening { sheet: &parts[0], evalset: None, with_pictures: true };
    let (mut session, _) = opening.adjudication("chief").unwrap();
    assert!(session.deck().cards.iter().all(|card| shared.contains(&card.item)));
    assert_eq!(session.deck().cards.len(), given.len());
    session.grade(0, Grade::B, 1.0).unwrap();
    drop(session);
    assert_eq!(undecided(&parts[0]).unwrap(), given.len() - 1);
    // A part that lies elsewhere, alone, has its own graders only.
    let alone = place.path("alone");
    copy(&parts[0], &alone, &SHEET_FILES);
    copy(&parts[0], &alone, &["anna.jsonl"]);
    assert_eq!(undecided(&alone).unwrap(), 0);
}
