//! Opening evalsets: items, names, digests, refusals.

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::evalset::fixture;

fn shape(evalset: &EvalSet) -> Vec<(&str, Vec<&str>, Vec<u64>)> {
    let ids = |item: &Item| item.turns.iter().map(|turn| turn.question_id).collect();
    let mut shapes = Vec::new();
    for item in &evalset.items {
        shapes.push((item.id.as_str(), item.images.iter().map(String::as_str).collect(), ids(item)));
    }
    shapes
}

fn set_of(rows: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fixture::write(folder.path(), QUESTIONS, rows.join("\n"));
    folder
}

#[test]
fn groups_and_dialogues_about_a_picture_become_items() {
    let folder = fixture::made_up();
    let evalset = EvalSet::open(folder.path()).expect("an evalset");
    assert_eq!(
        shape(&evalset),
        [
            ("cup.png", vec!["cup.png"], vec![1, 2, 7]),
            ("pair", vec!["cup.png", "jug.jpg"], vec![3, 5]),
            ("jug.jpg", vec!["jug.jpg"], vec![4]),
            ("q6", vec![], vec![6]),
        ]
    );
    assert_eq!((evalset.name.as_str(), evalset.licence.as_deref()), ("made-up", Some("CC0-1.0")));
    assert_eq!(evalset.abilities["c"], "optical character recognition");
    assert_eq!(evalset.items[0].turns[0].subsets, [Subset::SingleTurn, Subset::MultiTurn]);
    assert_eq!(evalset.items[0].turns[1].reference, ["red", "dark red"]);
    assert_eq!(evalset.items[3].turns[0].reference, ["4"]);
    assert_eq!(evalset.image_names(), ["cup.png", "jug.jpg"]);
    let pictures = evalset.pictures(&evalset.items[1]).expect("both pictures");
    assert_eq!(pictures.iter().map(|picture| picture.name.as_str()).collect::<Vec<_>>(), ["cup.png", "jug.jpg"]);
    assert_eq!(pictures[0].sha256, hex::encode(Sha256::digest(&pictures[0].bytes)));
}

#[test]
fn items_have_names_of_their_own() {
    let row = |id: u64, image: &str, rest: &str| {
        format!(r#"{{"question_id": {id}, "question": "?", "ability": "a", "image": {image}{rest}}}"#)
    };
    let (single, multi) = (r#", "category": ["single_turn"]"#, r#", "category": ["multi_turn"]"#);
    let rows = [
        row(1, "\"1.png\"", single),
        row(2, "\"1.png\"", single),
        row(3, "\"2.png\"", multi),
        row(4, "\"2.png\"", multi),
        row(5, "null", &format!(r#"{single}, "group": "q1""#)),
        row(6, "null", multi),
        row(7, "null", multi),
    ];
    let folder = set_of(&rows.each_ref().map(String::as_str));
    let evalset = EvalSet::open(folder.path()).expect("an evalset");
    let ids: Vec<&str> = evalset.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["qq1", "q2", "2.png", "q1", "q6", "q7"]);
}

#[test]
fn a_broken_evalset_is_refused_with_the_first_defect_and_the_number_of_the_others() {
    let folder = fixture::broken();
    let error = EvalSet::open(folder.path()).expect_err("refused");
    assert_eq!(error.exit_code(), 2);
    assert!(error.message().contains("more such defects"), "{error}");
    assert!(error.remedy_text().expect("a remedy").contains("owleval evalset check"));
}

#[test]
fn pictures_that_are_missing_or_corrupt_do_not_keep_the_others_from_being_asked() {
    let folder = fixture::made_up();
    fixture::write(folder.path(), "cases/jug.jpg", "no picture");
    let evalset = EvalSet::open(folder.path()).expect("an evalset");
    assert!(evalset.pictures(&evalset.items[0]).is_ok());
    let error = evalset.pictures(&evalset.items[1]).expect_err("refused");
    assert_eq!(error.to_string(), "picture jug.jpg is in no known format (PNG, JPEG, GIF, WebP, BMP)");
    std::fs::remove_file(folder.path().join("cases/cup.png")).expect("removed");
    let error = evalset.pictures(&evalset.items[0]).expect_err("refused");
    assert_eq!(Error::from(error).exit_code(), 2);
}

#[test]
fn the_digest_follows_questions_and_pictures() {
    let folder = fixture::made_up();
    let digest = || EvalSet::open(folder.path()).expect("an evalset").sha256;
    let first = digest();
    assert_eq!(digest(), first);
    fixture::write(folder.path(), "cases/unnamed.png", "anything");
    assert_eq!(digest(), first);
    fixture::write(folder.path(), "cases/cup.png", fixture::picture(::image::ImageFormat::Png, [0, 200, 0]));
    let second = digest();
    assert_ne!(second, first);
    std::fs::remove_file(folder.path().join("cases/cup.png")).expect("removed");
    assert!(![first, second].contains(&digest()));
}

#[test]
fn a_folder_without_questions_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = EvalSet::open(folder.path()).expect_err("refused");
    assert!(error.to_string().ends_with("questions.jsonl: is missing"), "{error}");
    fixture::write(folder.path(), QUESTIONS, "\n \n");
    assert!(EvalSet::open(folder.path()).expect_err("refused").message().contains("no question"));
}

#[test]
#[cfg(unix)]
fn links_out_of_the_evalset_are_refused() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().expect("a temporary folder");
    fixture::write(outside.path(), "secret.png", fixture::picture(::image::ImageFormat::Png, [1, 2, 3]));
    let row =
        r#"{"question_id": 1, "question": "?", "ability": "a", "image": "secret.png", "category": ["single_turn"]}"#;

    let folder = set_of(&[row]);
    std::fs::create_dir(folder.path().join("cases")).expect("a folder");
    symlink(outside.path().join("secret.png"), folder.path().join("cases/secret.png")).expect("a link");
    let error = EvalSet::open(folder.path()).expect_err("a linked picture");
    assert!(error.to_string().contains("questions.jsonl:1: question 1: picture cases/secret.png leads out"), "{error}");

    let folder = set_of(&[row]);
    symlink(outside.path(), folder.path().join("cases")).expect("a link");
    assert!(EvalSet::open(folder.path()).expect_err("a linked folder").message().contains("link out"));

    let folder = set_of(&[]);
    fixture::write(outside.path(), QUESTIONS, row);
    std::fs::remove_file(folder.path().join(QUESTIONS)).expect("removed");
    symlink(outside.path().join(QUESTIONS), folder.path().join(QUESTIONS)).expect("a link");
    assert!(EvalSet::open(folder.path()).expect_err("linked questions").message().contains("leads out"));
}

#[test]
fn the_built_in_evalsets_open_without_a_defect() {
    for name in crate::evalset::built_in_names() {
        let checked = crate::evalset::check(name).expect("a built-in evalset");
        assert_eq!(checked.count(crate::evalset::Severity::Error), 0, "{:?}", checked.defects);
        let reading = Reading::new(&Source::BuiltIn(name));
        assert_eq!((reading.manifest.name.as_str(), reading.manifest.images.as_str()), (name, "cases"));
        let evalset = EvalSet::open(name).expect("a built-in evalset");
        for item in &evalset.items {
            evalset.pictures(item).expect("its pictures");
        }
    }
}

fn random_line() -> impl Strategy<Value = String> {
    let value = || {
        prop_oneof![
            Just("null".to_owned()),
            Just("[]".to_owned()),
            Just("{}".to_owned()),
            Just("\"\"".to_owned()),
            Just("[\"single_turn\"]".to_owned()),
            Just("[\"multi_turn\", \"single_turn\"]".to_owned()),
            Just("\"a,b\"".to_owned()),
            Just("\"1.png\"".to_owned()),
            Just("[\"1.png\", \"../2.png\"]".to_owned()),
            (-2i64..6).prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
        ]
    };
    let fields = ["image", "question_id", "question", "ability", "category", "group", "reference"];
    let row = prop::collection::vec((prop::sample::select(fields.to_vec()), value()), 0..9).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    });
    prop_oneof![8 => row, 1 => any::<String>(), 1 => Just(String::new())]
}

#[test]
fn random_rows_are_read_or_refused_with_a_place_but_never_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lines = prop::collection::vec(random_line(), 0..6);
    let tail = prop::collection::vec(any::<u8>(), 0..4);
    proptest!(ProptestConfig::with_cases(200), |(lines in lines, tail in tail)| {
        let mut bytes = lines.join("\n").into_bytes();
        bytes.extend(tail);
        fixture::write(folder.path(), QUESTIONS, &bytes);
        let checked = crate::evalset::check(folder.path()).expect("can be checked");
        let refused = checked.defects.iter().any(Defect::is_refused);
        match EvalSet::open(folder.path()) {
            Err(error) => {
                prop_assert!(refused);
                prop_assert_eq!(error.exit_code(), 2);
                prop_assert!(error.to_string().contains(QUESTIONS));
            }
            Ok(evalset) => {
                prop_assert!(!refused);
                // Nothing is lost, nothing is there twice.
                prop_assert_eq!(evalset.turns().count(), checked.questions);
                let ids: HashSet<u64> = evalset.turns().map(|(_, turn)| turn.question_id).collect();
                prop_assert_eq!(ids.len(), checked.questions);
                let names: HashSet<&str> = evalset.items.iter().map(|item| item.id.as_str()).collect();
                prop_assert_eq!(names.len(), evalset.items.len());
            }
        }
    });
}
