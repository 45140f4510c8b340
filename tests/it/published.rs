//! The six published answer files of OwlEval, where they are at hand.

use std::path::{Path, PathBuf};

use owleval::backend::published::{Annotation, PublishedAnswers, RepairKind};
use owleval::backend::{Backend, Decoding};
use owleval::evalset::Conversation;

/// The folder of the real OwlEval: `OWLEVAL_DATA`, else beside the package.
fn owleval_data() -> Option<PathBuf> {
    let folder = match std::env::var_os("OWLEVAL_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/owleval"),
    };
    if folder.join("answer").is_dir() {
        return Some(folder);
    }
    println!("skipped: no OwlEval data at {}; set OWLEVAL_DATA to its folder", folder.display());
    None
}

fn open(folder: &Path, name: &str) -> PublishedAnswers {
    PublishedAnswers::open(folder.join("answer").join(format!("{name}_answer.jsonl"))).expect(name)
}

const FILES: [(&str, &str); 6] = [
    ("MMreact", "MMreact"),
    ("blip2_13b", "BLIP2"),
    ("llava_13b", "llava-13b"),
    ("mPLUG_Owl_7b", "mPLUG_Owl_7b:v1"),
    ("minigpt4_13b", "minigpt4_13b"),
    ("openflanmingo", "openflanmingo"),
];

#[test]
fn the_six_published_files_answer_all_82_questions() {
    let Some(folder) = owleval_data() else { return };
    for (file, model_id) in FILES {
        let answers = open(&folder, file);
        assert_eq!(answers.model_id(), model_id);
        assert!(answers.answers().map(|row| row.question_id).eq(1..=82), "{file}");
        for row in answers.answers() {
            assert!(!row.answer.is_empty() && row.answer.trim() == row.answer, "{file} {}", row.question_id);
            let conversation =
                Conversation { item: row.image.clone(), turn: 0, question_id: row.question_id, messages: Vec::new() };
            let reply = futures::executor::block_on(answers.reply(&conversation, &Decoding::default()));
            assert_eq!(reply.expect("an answer").text, row.answer);
        }
    }
}

#[test]
fn the_remarks_in_the_published_files_are_those_that_are_known() {
    let Some(folder) = owleval_data() else { return };
    let traced: &[u64] = &[1, 34, 35, 39, 40, 41, 42, 49, 53, 54, 55, 56, 72, 73];
    for (file, annotation, expected) in [
        ("MMreact", Annotation::CannotBeTraced, traced),
        ("blip2_13b", Annotation::CannotBeTraced, &[12, 32]),
        ("openflanmingo", Annotation::GaveUp, &[15, 16, 17, 18, 19, 20, 21, 22]),
        ("openflanmingo", Annotation::Refused, &[48]),
        ("openflanmingo", Annotation::Unreadable, &[78]),
    ] {
        let answers = open(&folder, file);
        let found = answers.answers().filter(|row| row.annotation == Some(annotation)).map(|row| row.question_id);
        assert_eq!(found.collect::<Vec<_>>(), expected, "{file} {annotation:?}");
        assert!(expected.iter().all(|question_id| answers.history(*question_id).is_err()));
    }
    let all: usize = FILES
        .iter()
        .map(|(file, _)| open(&folder, file).answers().filter(|row| row.annotation.is_some()).count())
        .sum();
    assert_eq!(all, 14 + 2 + 8 + 1 + 1);
}

#[test]
fn two_published_answers_hold_a_vertical_tab() {
    let Some(folder) = owleval_data() else { return };
    let mut found = Vec::new();
    for (file, _) in FILES {
        for repair in open(&folder, file).repairs(None) {
            if repair.what == RepairKind::VerticalTab {
                found.push((file, repair.question_id));
            }
        }
    }
    assert_eq!(found, [("MMreact", 80), ("minigpt4_13b", 81)]);
}
