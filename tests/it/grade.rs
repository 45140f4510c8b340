//! `owleval grade` and `owleval verify` as processes of their own: made, filled, killed, carried on, brought together.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use owleval::grading::{self, Grade, Opening, Session, Which};
use serde_json::json;
use tempfile::TempDir;

/// Pictures do not matter here: the questions are text only.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    /// An evalset of `questions` questions, and the answers of two models to all of them.
    pub fn new(questions: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let evalset = folder.path().join("set");
        std::fs::create_dir_all(evalset.join("cases")).expect("a folder");
        let ids = 1..=questions;
        let lines = ids.clone().map(|id| {
            json!({"question_id": id, "question": format!("What is {id}?"), "ability": "a", "category": ["single_turn"]})
                .to_string()
        });
        std::fs::write(evalset.join("questions.jsonl"), lines.collect::<Vec<_>>().join("\n")).expect("written");
        for model in ["alpha", "beta"] {
            let rows = ids.clone().map(|id| {
                let question = format!("What is {id}?");
                let answer = format!("{model:.1} says {id} \u{1b}[31m");
                json!({"question_id": id, "question": question, "answer": answer, "model_id": model}).to_string()
            });
            let file = folder.path().join(format!("{model}.jsonl"));
            std::fs::write(file, rows.collect::<Vec<_>>().join("\n")).expect("written");
        }
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn owleval(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_owleval"));
        command.current_dir(self.folder.path()).args(words).env("USER", "maker").env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.owleval(words).output().expect("it starts")
    }

    pub fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn make(&self) {
        self.good(&["grade", "alpha.jsonl", "beta.jsonl", "--evalset", "set", "--sheet", "study", "--repeats", "5%"]);
    }

    /// A table of the grades of some raters for everything.
    pub fn table(&self, questions: u64, raters: &[&str]) -> PathBuf {
        let mut lines = vec!["rater,model_id,question_id,grade,note".to_owned()];
        for rater in raters {
            for id in 1..=questions {
                for model in ["alpha", "beta"] {
                    let grade = ["A", "B", "C", "D", ""][(id as usize + model.len() + rater.len()) % 5];
                    lines.push(format!("{rater},{model},{id},{grade},\"note {id}\nof {rater}\""));
                }
            }
        }
        let path = self.path("table.csv");
        std::fs::write(&path, lines.join("\n") + "\n").expect("written");
        path
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn a_sheet_is_made_filled_exported_and_verified_from_the_command_line() {
    let place = Place::new(20);
    place.make();
    place.table(20, &["anna"]);
    let said = place.good(&["grade", "--sheet", "study", "--import", "table.csv"]);
    assert!(said.starts_with("40 rows recorded, 0 were recorded before, 0 could not be placed"), "{said}");
    let csv = place.good(&["grade", "--sheet", "study", "--export"]);
    assert_eq!(csv.matches("\nstudy,anna,").count(), 40, "{csv}");
    std::fs::write(place.path("study/grades.csv"), &csv).expect("written");
    let verified = place.good(&["verify", "study"]);
    assert!(verified.contains("good  anna.jsonl") && verified.contains("byte for byte"), "{verified}");
    let log = std::fs::read_to_string(place.path("study/unblinded.jsonl")).expect("a log");
    assert!(
        log.contains("\"why\":\"import\"") && log.contains("\"why\":\"export\"") && log.contains("\"who\":\"maker\"")
    );

    // One changed letter is found, and the exit code says so.
    let journal = place.path("study/anna.jsonl");
    let before = std::fs::read_to_string(&journal).expect("a journal");
    std::fs::write(&journal, before.replacen("note 7", "note 8", 1)).expect("written");
    let output = place.run(&["verify", "study"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("BAD   anna.jsonl"), "{}", text(&output.stdout));
    let output = place.run(&["grade", "--sheet", "study", "--export"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", text(&output.stderr));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_remedy() {
    let place = Place::new(4);
    let refused = |words: &[&str], expected: &str| {
        let output = place.run(words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(expected) && said.contains("remedy: "), "{words:?}: {said}");
    };
    refused(&["grade"], "nothing to grade");
    refused(&["grade", "--sheet", "none", "--rater", "a"], "none: no sheet");
    refused(&["grade", "alpha.jsonl", "x=alpha.jsonl", "alpha.jsonl", "--evalset", "set"], "of the model \"alpha\"");
    refused(&["grade", "alpha.jsonl", "--evalset", "mini"], "the file answers other questions");
    place.make();
    refused(&["grade", "--sheet", "study"], "--rater is missing");
    refused(&["grade", "--sheet", "study", "--rater", "../x"], "cannot be a rater's name");
    refused(&["grade", "alpha.jsonl", "--evalset", "set", "--sheet", "study"], "the folder holds another sheet");
    refused(&["verify", "set"], "no run, sheet or report");
    assert!(!place.path("sheets").exists());
}

#[test]
fn an_import_killed_at_many_points_is_carried_on_without_a_loss_or_a_repetition() {
    const QUESTIONS: u64 = 60;
    let place = Place::new(QUESTIONS);
    place.make();
    place.table(QUESTIONS, &["anna", "ben"]);
    let words = ["grade", "--sheet", "study", "--import", "table.csv"];
    let journal = |rater: &str| place.path(&format!("study/{rater}.jsonl"));
    let mut kills = 0;
    let mut reached = Vec::new();
    for round in 0..40u64 {
        let mut child = place.owleval(&words).spawn().expect("it starts");
        // Killed a little after it has recorded something more, each time at another point of its work.
        let before = lines(&journal("anna")) + lines(&journal("ben"));
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while lines(&journal("anna")) + lines(&journal("ben")) <= before + (round % 7) as usize
            && child.try_wait().expect("waiting").is_none()
            && std::time::Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_micros(50));
        }
        std::thread::sleep(Duration::from_micros(37 * round));
        if child.try_wait().expect("waiting").is_some() {
            break;
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("it ends");
        kills += 1;
        reached.push(lines(&journal("anna")) + lines(&journal("ben")));
    }
    assert!(kills >= 3, "killed {kills} times only, at {reached:?}");
    assert!(reached.is_sorted(), "{reached:?}");
    place.good(&words);
    let said = place.good(&words);
    assert!(said.starts_with(&format!("0 rows recorded, {} were recorded before", 4 * QUESTIONS)), "{said}");
    // Every row is one grade (or skip) and one note, recorded once.
    for rater in ["anna", "ben"] {
        assert_eq!(lines(&journal(rater)), 4 * QUESTIONS as usize, "{rater}");
    }
    assert!(place.good(&["verify", "study"]).lines().all(|line| line.starts_with("good")));
    println!("killed {kills} times, the journals then having {reached:?} lines");
}

#[test]
fn two_raters_at_once_both_complete_and_one_rater_twice_is_refused() {
    let place = Place::new(30);
    place.make();
    place.table(30, &["anna"]);
    std::fs::rename(place.path("table.csv"), place.path("anna.csv")).expect("renamed");
    place.table(30, &["ben"]);
    let import =
        |file: &str| place.owleval(&["grade", "--sheet", "study", "--import", file]).spawn().expect("it starts");
    let both = [import("anna.csv"), import("table.csv")];
    for child in both {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    for rater in ["anna", "ben"] {
        assert_eq!(lines(&place.path(&format!("study/{rater}.jsonl"))), 120, "{rater}");
    }
    let sheet = place.path("study");
    let held = Session::open(&sheet, "anna").expect("opened");
    let output = place.run(&["grade", "--sheet", "study", "--import", "anna.csv"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("anna.jsonl: another owleval is writing here"), "{}", text(&output.stderr));
    drop(held);
}

#[test]
fn the_parts_of_a_split_sheet_are_exported_as_one_table() {
    let place = Place::new(12);
    let words = ["grade", "alpha.jsonl", "beta.jsonl", "--evalset", "set", "--sheet", "study"];
    place.good(&[words.as_slice(), &["--split", "3", "--overlap", "3"]].concat());
    for part in 1..=3 {
        let sheet = place.path(&format!("study/part-{part}"));
        let opening = Opening { sheet: &sheet, evalset: None, with_pictures: true };
        let (mut session, _) = opening.session(&format!("rater{part}")).expect("opened");
        for card in 0..session.deck().cards.len() {
            session.grade(card, Grade::A, 1.0).expect("graded");
        }
    }
    let csv = place.good(&["grade", "--sheet", "study", "--export"]);
    assert_eq!((csv.matches("sheet,rater").count(), csv.lines().count()), (1, 1 + 2 * (9 + 3 * 3)), "{csv}");
    assert!(place.good(&["verify", "study"]).contains("part-3/sheet.json"));
}

/// The folder of the real OwlEval: `OWLEVAL_DATA`, else beside the package.
fn owleval_data() -> Option<PathBuf> {
    let folder = std::env::var_os("OWLEVAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/owleval"), PathBuf::from);
    let is_there = folder.join("answer").is_dir();
    if !is_there {
        println!("skipped: no OwlEval data at {}; set OWLEVAL_DATA to its folder", folder.display());
    }
    is_there.then_some(folder)
}

#[test]
fn the_six_published_models_make_a_sheet_of_all_their_answers_and_of_nothing_else() {
    let Some(data) = owleval_data() else { return };
    let place = Place::new(1);
    let files = ["MMreact", "blip2_13b", "llava_13b", "mPLUG_Owl_7b", "minigpt4_13b", "openflanmingo"]
        .map(|name| data.join("answer").join(format!("{name}_answer.jsonl")).to_string_lossy().into_owned());
    let evalset = data.to_string_lossy().into_owned();
    let mut words = vec!["grade"];
    words.extend(files.iter().map(String::as_str));
    words.extend(["--evalset", &evalset, "--sheet", "study", "--json"]);
    let created: serde_json::Value = serde_json::from_str(&place.good(&words)).expect("JSON");
    // 492 rows; without 14 + 2 + 8 + 1 remarks and one answer of replacement characters (specification, section 10).
    assert_eq!((created["cards"].as_u64(), created["questions"].as_u64()), (Some(492 - 26), Some(82)));
    let missing = created["missing"].as_array().expect("a list");
    let of = |model: &str| missing.iter().filter(|one| one["model_id"] == model).count();
    assert_eq!((missing.len(), of("MMreact"), of("BLIP2"), of("openflanmingo")), (26, 14, 2, 10));
    assert!(created["repairs"].as_array().is_some_and(|repairs| repairs.len() > 300), "{}", created["repairs"]);

    let sheet = place.path("study");
    let (mut session, warnings) = Session::open(&sheet, "anna").expect("opened");
    assert!(warnings.is_empty(), "{warnings:?}");
    let cards = session.deck().cards.clone();
    assert!(cards.iter().all(|card| card.images.len() == 1 && card.images[0].is_file()));
    assert!(!cards.iter().any(|card| card.answer.starts_with("无法") || card.answer.starts_with("模型")));
    assert!(cards.iter().any(|card| card.answer.contains('\u{b}')));
    let deepest = cards.iter().map(|card| card.before.len()).max();
    assert_eq!(deepest, Some(7));
    let begin = std::time::Instant::now();
    for card in 0..cards.len() {
        session.grade(card, Grade::B, 1.5).expect("graded");
    }
    let each = begin.elapsed() / u32::try_from(cards.len()).expect("a few");
    drop(session);
    let bytes = std::fs::metadata(sheet.join("anna.jsonl")).expect("a journal").len();
    println!("{} grades: {each:?} each, synced; a journal of {bytes} bytes", cards.len());
    let table =
        String::from_utf8(grading::export(&sheet, Which::Grades, None, "test").expect("a table").csv).expect("UTF-8");
    let mut counts = std::collections::BTreeMap::new();
    for row in csv::Reader::from_reader(table.as_bytes()).records() {
        let row = row.expect("a row");
        for subset in row[6].split(';') {
            *counts.entry((row[2].to_owned(), subset.to_owned())).or_insert(0) += 1;
        }
    }
    let count = |model: &str, subset: &str| counts[&(model.to_owned(), subset.to_owned())];
    // The twenty shared first turns are graded once and counted in both subsets.
    assert_eq!((count("mPLUG_Owl_7b:v1", "single_turn"), count("mPLUG_Owl_7b:v1", "multi_turn")), (50, 52));
    // MM-REACT lacks 1, 34, 35, 39, 40, 41, 42, 49, 53, 54, 55, 56, 72 and 73.
    let lacks = |subset| {
        let subset = owleval::evalset::Subset::from_name(subset).expect("a subset");
        let lost = [1, 34, 35, 39, 40, 41, 42, 49, 53, 54, 55, 56, 72, 73];
        let evalset = owleval::evalset::EvalSet::open(&data).expect("the data");
        evalset.turns().filter(|(_, turn)| turn.subsets.contains(&subset) && lost.contains(&turn.question_id)).count()
    };
    assert_eq!(count("MMreact", "single_turn"), 50 - lacks("single_turn"));
    assert_eq!(count("MMreact", "multi_turn"), 52 - lacks("multi_turn"));
    let notes = grading::what_the_maker_should_know(&sheet, "test").expect("notes");
    for leak in &notes.leaks {
        println!("{}, question {}: {}", leak.model_id, leak.question_id, leak.what);
    }
    assert!(place.good(&["verify", "study"]).lines().all(|line| line.starts_with("good")));
}
