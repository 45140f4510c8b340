//! The real OwlEval data, where it is at hand: looked for through `OWLEVAL_DATA`, else in `../shared/owleval` beside the
//! package.

use std::path::PathBuf;

use owleval::evalset::{Conversation, DefectKind, EvalSet, FileList, PullPlan, Selection, Severity, Subset, check};
use owleval::sanitize;

/// The folder of the data; prints why a test is skipped where there is none.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("OWLEVAL_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/owleval"), PathBuf::from);
    if folder.join("questions.jsonl").is_file() {
        Some(folder)
    } else {
        eprintln!("skipped: no OwlEval data in {} (OWLEVAL_DATA names another folder)", folder.display());
        None
    }
}

#[test]
fn the_real_data_has_the_published_counts() {
    let Some(folder) = data() else { return };
    let evalset = EvalSet::open(&folder).expect("the data opens");
    let count = |subset| evalset.turns().filter(|(_, turn)| turn.subsets.contains(&subset)).count();
    assert_eq!(evalset.turns().count(), 82);
    assert_eq!(evalset.image_names().len(), 50);
    assert_eq!((count(Subset::SingleTurn), count(Subset::MultiTurn)), (50, 52));
    assert_eq!(evalset.items.len(), 50);
    let mut lengths: Vec<usize> =
        evalset.items.iter().map(|item| item.turns.len()).filter(|&turns| turns > 1).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [vec![2; 16], vec![3, 4, 5, 8]].concat());
    let abilities =
        |letter: &str| evalset.turns().filter(|(_, turn)| turn.abilities.iter().any(|a| a == letter)).count();
    assert_eq!(["a", "b", "c", "d", "e", "f"].map(abilities), [82, 63, 30, 24, 35, 20]);
    // Rows are in the order of the file, and named by their picture.
    assert_eq!(evalset.items[9].id, "10.jpg");
    let ids: Vec<u64> = evalset.turns().map(|(_, turn)| turn.question_id).collect();
    assert_eq!(ids, (1..=82).collect::<Vec<_>>());
}

#[test]
fn the_known_quirks_of_the_real_data_are_found_and_nothing_else() {
    let Some(folder) = data() else { return };
    let checked = check(&folder).expect("the data can be checked");
    let found: Vec<_> =
        checked.defects.iter().map(|defect| (defect.severity, defect.kind, defect.line.unwrap_or(0))).collect();
    let expected = [
        (Severity::Note, DefectKind::FullWidth, 21),
        (Severity::Note, DefectKind::FullWidth, 22),
        (Severity::Note, DefectKind::WhiteSpace, 63),
        (Severity::Note, DefectKind::WhiteSpace, 65),
        (Severity::Warning, DefectKind::Extension, 81),
    ];
    assert_eq!(found, expected);
    assert!(checked.defects[4].message.contains("49.jpg is a PNG file"));
}

#[test]
fn every_real_picture_can_be_shown_and_every_turn_be_asked() {
    let Some(folder) = data() else { return };
    let evalset = EvalSet::open(&folder).expect("the data opens");
    for item in &evalset.items {
        let pictures = evalset.pictures(item).expect("its picture");
        let mut earlier: Vec<(String, String)> = Vec::new();
        for (turn, asked) in item.turns.iter().enumerate() {
            let conversation = Conversation::new(item, turn, &pictures, &earlier).expect("a conversation");
            assert_eq!(conversation.messages.len(), 2 * turn + 1);
            assert_eq!(conversation.images().count(), 1);
            earlier.push((asked.question.clone(), "An answer.".to_owned()));
        }
    }
}

#[test]
fn a_selected_ability_of_the_real_data_brings_earlier_turns() {
    let Some(folder) = data() else { return };
    let evalset = EvalSet::open(&folder).expect("the data opens");
    let selection = Selection { abilities: vec!["f".to_owned()], ..Selection::default() };
    let selected = selection.pick(&evalset).expect("dialogues");
    let chosen: usize = selected.iter().map(|one| one.chosen.len()).sum();
    let asked: usize = selected.iter().map(|one| one.asked(true).len()).sum();
    // 20 questions of ability f, in the 18 dialogues that end with one.
    assert_eq!((chosen, selected.len(), asked), (20, 18, 48));
}

#[test]
fn the_shipped_digests_are_those_of_the_real_data() {
    let Some(folder) = data() else { return };
    let copy = tempfile::tempdir().expect("a temporary folder");
    let sub_folders = ["", "answer", "cases"];
    for sub in sub_folders {
        std::fs::create_dir_all(copy.path().join(sub)).expect("a folder");
        for entry in std::fs::read_dir(folder.join(sub)).expect("a folder").flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), copy.path().join(sub).join(entry.file_name())).expect("a copy");
            }
        }
    }
    // All is there, so nothing is fetched: the address leads nowhere.
    let plan = PullPlan { address: "http://127.0.0.1:9".to_owned(), ..PullPlan::owleval(copy.path().to_owned()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let summary = runtime.block_on(owleval::evalset::pull(&plan, |_| ())).expect("nothing to fetch");
    assert_eq!((summary.kept, summary.fetched, summary.failures.len()), (57, 0, 0));
    // The pulled folder ties itself to the digests.
    let evalset = EvalSet::open(copy.path()).expect("the data opens");
    assert_eq!(evalset.name, "owleval");
    std::fs::write(copy.path().join("cases/7.jpg"), "another picture").expect("written");
    assert!(EvalSet::open(copy.path()).expect_err("refused").message().contains("cases/7.jpg has the digest"));
}

#[test]
fn the_shipped_list_names_the_57_files() {
    assert_eq!(FileList::owleval().len(), 57);
}

#[test]
fn published_answers_reach_a_terminal_without_controls() {
    let Some(folder) = data() else { return };
    let mut changed = 0;
    for entry in std::fs::read_dir(folder.join("answer")).expect("answers").flatten() {
        for line in std::fs::read_to_string(entry.path()).expect("an answers file").lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("a row");
            let answer = row["answer"].as_str().expect("an answer");
            let shown = sanitize::terminal_lines(answer);
            assert!(shown.chars().all(|character| character == '\n' || !character.is_control()));
            changed += usize::from(shown != answer);
        }
    }
    // Two answers hold a vertical tab (U+000B); some hold tabs or carriage returns.
    assert!(changed >= 2, "{changed}");
}
