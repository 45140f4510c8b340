//! What a sheet is made of, what is shown of it, and what is refused.

use super::*;
use crate::backend::FinishReason;
use crate::evalset::EvalSet;
use crate::record::{
    AnswerRow, BackendInfo, Decoding, EvalSetId, FailureRow, FailureRowKind, History, RunManifest, SelectionId,
};
use crate::store::RunFolder;

/// A run folder that answered some questions of the place's evalset and failed on others.
fn run(
    place: &Place,
    model: &str,
    history: History,
    answered: &[u64],
    failed: &[(u64, FailureRowKind)],
) -> AnswerSource {
    let evalset = EvalSet::open(place.evalset.path()).unwrap();
    let info = BackendInfo {
        id: model.to_owned(),
        kind: "owl".to_owned(),
        sha256: None,
        config: json!({}),
        adapter: None,
        template: None,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
    };
    let id = EvalSetId { name: evalset.name, sha256: evalset.sha256 };
    let begun = "2026-01-01T00:00:00Z".to_owned();
    let manifest = RunManifest::new(info, id, Decoding::default(), history, SelectionId::default(), begun.clone());
    let folder = place.path(model);
    let mut run = RunFolder::create_or_resume(&folder, manifest).unwrap();
    let row = |question_id: &u64| AnswerRow {
        image: String::new(),
        question_id: *question_id,
        question: String::new(),
        answer: format!("{model} says {question_id}"),
        model_id: model.to_owned(),
        turn: 0,
        item: String::new(),
        finish_reason: FinishReason::Stop,
        prompt_tokens: None,
        completion_tokens: None,
        elapsed_ms: 1,
        request_sha256: String::new(),
    };
    run.record_answers(answered.iter().map(row).collect()).unwrap();
    let failure = |(question_id, kind): &(u64, FailureRowKind)| FailureRow {
        question_id: *question_id,
        kind: *kind,
        message: "a server's words".to_owned(),
        attempts: 1,
        at: begun.clone(),
    };
    run.record_failures(failed.iter().map(failure).collect()).unwrap();
    AnswerSource { name: None, path: folder }
}

#[test]
fn a_run_folder_brings_its_history_and_says_why_answers_are_missing() {
    let place = Place::new();
    let failed = [(2, FailureRowKind::Transient), (7, FailureRowKind::Blocked)];
    let published = place.answers("told.jsonl", "told", |id| Some(format!("told {id}")));
    let told = crate::backend::published::PublishedAnswers::open(&published.path).unwrap().sha256().to_owned();
    let of_told = |sha256: String| History::Published { file: "told.jsonl".to_owned(), sha256 };
    let answers = [
        run(&place, "own", History::Own, &[1, 3, 4, 5, 6], &failed),
        run(&place, "alone", History::None, &[1, 2, 3, 4, 5, 6, 7], &[]),
        run(&place, "fed", of_told(told), &[5], &[]),
        run(&place, "lost", of_told("0".repeat(64)), &[5], &[]),
        published,
    ];
    let sheet = place.path("study");
    let created = place.new_sheet(&sheet, &answers).create().unwrap();
    let why = |model: &str, id: u64| {
        let missing = created.missing.iter().find(|one| one.model_id == model && one.question_id == id);
        missing.map(|one| one.why.as_str()).unwrap_or_default()
    };
    assert!(why("own", 2).contains("the run failed on it (the model or its server failed)"), "{}", why("own", 2));
    assert_eq!(why("own", 7), "an earlier turn of its conversation failed");
    assert_eq!(why("fed", 1), "there is no such row");
    let session = open(&sheet, "anna");
    let before = |answer: &str| {
        let card = session.deck().cards.iter().find(|card| card.answer == answer).unwrap();
        card.before.iter().map(|exchange| exchange.answer.clone()).collect::<Vec<_>>()
    };
    assert_eq!(before("own says 5"), ["own says 3"]);
    assert_eq!(before("alone says 5"), Vec::<String>::new());
    assert_eq!(before("fed says 5"), ["told 3"]);
    assert!(before("lost says 5")[0].contains("not on this sheet"));
    // A run of another evalset is refused.
    let other = Place::new();
    let questions = other.evalset.path().join("questions.jsonl");
    let text = std::fs::read_to_string(&questions).unwrap().replace("two and two", "two and three");
    std::fs::write(&questions, text).unwrap();
    let elsewhere = place.path("elsewhere");
    let new = NewSheet { evalset: other.evalset.path().as_os_str(), ..place.new_sheet(&elsewhere, &answers) };
    let error = new.create().unwrap_err();
    assert!(error.to_string().contains("the run answered another evalset"), "{error}");
}

#[test]
fn a_sheet_shows_every_answer_with_the_models_own_earlier_turns_and_no_model() {
    let place = Place::new();
    let answers = ["alpha", "beta", "gamma"]
        .map(|model| place.answers(&format!("{model}.jsonl"), model, |id| Some(format!("{}-{id}", &model[..1]))));
    let sheet = place.path("study");
    let created = place.new_sheet(&sheet, &answers).create().unwrap();
    assert_eq!((created.cards, created.questions, created.is_carried_on), (21, 7, false));
    let session = open(&sheet, "anna");
    let deck = session.deck();
    assert_eq!(deck.title, "study");
    let mut shown: Vec<&str> = deck.cards.iter().map(|card| card.answer.as_str()).collect();
    shown.sort_unstable();
    let expected: Vec<String> =
        ["a", "b", "g"].iter().flat_map(|model| (1..=7).map(move |id| format!("{model}-{id}"))).collect();
    assert_eq!(shown, expected);
    for card in &deck.cards {
        let model = &card.answer[..1];
        assert!(card.before.iter().all(|exchange| exchange.answer.starts_with(model)), "{card:?}");
        let expected = match card.question_id {
            2 | 5 => 1,
            7 => 2,
            _ => 0,
        };
        assert_eq!(card.before.len(), expected, "{card:?}");
        assert!(card.images.iter().all(|image| image.is_absolute() && image.is_file()));
        assert_eq!(
            card.images.len(),
            match card.question_id {
                3 | 5 => 2,
                6 => 0,
                _ => 1,
            }
        );
    }
    // Three cards a question, adjacent.
    assert!(deck.cards.chunks(3).all(|cards| cards.iter().all(|card| card.question_group == cards[0].question_group)));
    // What a grader's program reads names no model.
    for name in ["cards.jsonl", "rubric.toml", "sealed.json", "anna.jsonl"] {
        let text = std::fs::read_to_string(sheet.join(name)).unwrap();
        assert!(!["alpha", "gamma"].iter().any(|model| text.contains(model)), "{name}");
    }
    assert!(!format!("{session:?}").contains("gamma"));
}

#[test]
fn remarks_and_lost_answers_are_missing_with_the_reason_and_on_no_card() {
    let place = Place::new();
    let answers = [
        place.answers("a.jsonl", "alpha", |id| {
            Some(if id == 2 { "无法回溯。".to_owned() } else { format!(" yes {id}\n") })
        }),
        place.answers("b.jsonl", "beta", |id| (id != 7).then(|| format!("no {id}"))),
    ];
    let sheet = place.path("study");
    let created = place.new_sheet(&sheet, &answers).create().unwrap();
    assert_eq!(created.cards, 12);
    let missing: Vec<(&str, u64)> =
        created.missing.iter().map(|one| (one.model_id.as_str(), one.question_id)).collect();
    assert_eq!(missing, [("alpha", 2), ("beta", 7)]);
    assert!(created.missing[0].why.contains("cannot be traced") && created.missing[1].why.contains("no such row"));
    assert_eq!(created.repairs.iter().filter(|repair| repair.what.contains("white space")).count(), 6);
    let session = open(&sheet, "anna");
    assert!(session.deck().cards.iter().all(|card| !card.answer.contains("无法") && card.answer.trim() == card.answer));
    // The later turn shows that there was none.
    let later = session.deck().cards.iter().find(|card| card.question_id == 7).unwrap();
    assert!(later.before[1].answer.contains("no answer to this turn"), "{later:?}");
    let manifest = std::fs::read_to_string(sheet.join("sheet.json")).unwrap();
    assert!(manifest.contains("cannot be traced"));
}

#[test]
fn two_answer_files_of_one_model_are_refused_by_name_unless_they_are_told_apart() {
    let place = Place::new();
    let mut answers = vec![
        place.answers("one.jsonl", "owl", |id| Some(format!("one {id}"))),
        place.answers("two.jsonl", "owl", |id| Some(format!("two {id}"))),
    ];
    let sheet = place.path("study");
    let error = place.new_sheet(&sheet, &answers).create().unwrap_err();
    assert!(error.to_string().contains("two.jsonl") && error.to_string().contains("one.jsonl"), "{error}");
    assert!(error.to_string().contains("\"owl\"") && !sheet.exists(), "{error}");
    answers[1].name = Some("tuned".to_owned());
    assert_eq!(place.new_sheet(&sheet, &answers).create().unwrap().cards, 14);
    let source = AnswerSource::of("tuned=runs/b");
    assert_eq!((source.name.as_deref(), source.path.as_path()), (Some("tuned"), Path::new("runs/b")));
    // A path that is there is a path.
    std::fs::write(place.path("a=b.jsonl"), "").unwrap();
    assert_eq!(AnswerSource::of(place.path("a=b.jsonl").to_str().unwrap()).name, None);
}

#[test]
fn an_answers_file_for_other_questions_is_refused() {
    let place = Place::new();
    std::fs::write(
        place.path("other.jsonl"),
        "{\"question_id\": 1, \"question\": \"Who won?\", \"answer\": \"Nobody.\", \"model_id\": \"m\"}\n",
    )
    .unwrap();
    let answers = [AnswerSource { name: None, path: place.path("other.jsonl") }];
    let error = place.new_sheet(&place.path("study"), &answers).create().unwrap_err();
    assert!(error.to_string().contains("other.jsonl: the file answers other questions"), "{error}");
}

#[test]
fn a_sheet_is_carried_on_only_with_the_same_answers_and_order() {
    let place = Place::new();
    let sheet = place.path("study");
    let answers = place.three();
    let new = place.new_sheet(&sheet, &answers);
    new.create().unwrap();
    let before = std::fs::read(sheet.join("sheet.json")).unwrap();
    assert!(new.create().unwrap().is_carried_on);
    let error = NewSheet { seed: 2, ..new.clone() }.create().unwrap_err();
    assert!(error.to_string().contains("seed: sheet 1, now 2"), "{error}");
    place.answers("beta.jsonl", "beta", |id| Some(format!("changed {id}")));
    let error = new.create().unwrap_err();
    assert!(error.to_string().contains("answers of beta (beta.jsonl): sheet"), "{error}");
    assert_eq!(std::fs::read(sheet.join("sheet.json")).unwrap(), before);
    let other = place.path("mine");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("letter.txt"), "").unwrap();
    let error = place.new_sheet(&other, &answers).create().unwrap_err();
    assert!(error.to_string().contains("it holds letter.txt"), "{error}");
}

#[test]
fn a_seed_gives_one_order_and_each_sheet_a_salt_of_its_own() {
    let place = Place::new();
    let answers = place.three();
    let read = |name: &str, file: &str| std::fs::read_to_string(place.path(name).join(file)).unwrap();
    for (name, seed) in [("one", 1), ("same", 1), ("other", 2)] {
        let folder = place.path(name);
        NewSheet { seed, ..place.new_sheet(&folder, &answers) }.create().unwrap();
    }
    assert_eq!(read("one", "cards.jsonl"), read("same", "cards.jsonl"));
    assert_ne!(read("one", "cards.jsonl"), read("other", "cards.jsonl"));
    assert_ne!(read("one", "sealed.json"), read("same", "sealed.json"));
}

#[test]
fn a_changed_file_of_a_sheet_is_refused_by_name() {
    let place = Place::new();
    let sheet = place.sheet();
    for name in ["cards.jsonl", "rubric.toml"] {
        let before = std::fs::read_to_string(sheet.join(name)).unwrap();
        std::fs::write(sheet.join(name), before.replacen("it", "It", 1)).unwrap();
        let error = Session::open(&sheet, "anna").unwrap_err();
        assert!(error.to_string().contains(name) && error.to_string().contains("changed"), "{error}");
        std::fs::write(sheet.join(name), before).unwrap();
    }
    open(&sheet, "anna");
    std::fs::write(sheet.join("sealed.json"), "{}").unwrap();
    let error = export(&sheet, Which::Grades, None, "me").unwrap_err();
    assert!(error.to_string().contains("sealed.json: was changed"), "{error}");
}

#[test]
fn a_sheet_goes_to_another_machine_and_its_pictures_are_compared() {
    let place = Place::new();
    let sheet = place.sheet();
    let elsewhere = place.path("elsewhere");
    copy(&sheet, &elsewhere, &SHEET_FILES);
    // The evalset lies in another folder there.
    let moved = place.path("moved");
    copy(place.evalset.path(), &moved, &["questions.jsonl", "evalset.toml"]);
    copy(&place.evalset.path().join("cases"), &moved.join("cases"), &["cup.png", "jug.jpg"]);
    std::fs::remove_dir_all(place.evalset.path()).unwrap();

    let error = Session::open(&elsewhere, "ben").unwrap_err();
    assert!(error.remedy_text().unwrap().contains("--evalset"), "{error}");
    let opening = Opening { sheet: &elsewhere, evalset: os(&moved), with_pictures: true };
    let (session, warnings) = opening.session("ben").unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert!(session.deck().cards.iter().flat_map(|card| &card.images).all(|image| image.starts_with(&moved)));
    drop(session);
    // Without pictures it can be graded all the same, and is told.
    let (_, warnings) = Opening { sheet: &elsewhere, evalset: None, with_pictures: false }.session("ben").unwrap();
    assert_eq!(warnings.len(), 1);
    // A question was mended there: the pictures are the same.
    let questions = std::fs::read_to_string(moved.join("questions.jsonl")).unwrap();
    std::fs::write(moved.join("questions.jsonl"), questions.replace("What is this?", "What is that?")).unwrap();
    let (_, warnings) = opening.session("ben").unwrap();
    assert!(warnings[0].contains("the pictures of this sheet are the same"), "{warnings:?}");
    // Another picture under the old name.
    std::fs::write(moved.join("cases/cup.png"), fixture::picture(image::ImageFormat::Png, [0, 9, 0])).unwrap();
    let error = opening.session("ben").unwrap_err();
    assert!(error.to_string().contains("picture cup.png is another"), "{error}");
}

#[test]
fn pictures_of_a_built_in_evalset_are_there_as_files_while_the_session_lives() {
    let place = Place::new();
    let evalset = crate::evalset::EvalSet::open("mini").unwrap();
    let rows: Vec<String> = evalset
        .turns()
        .map(|(_, turn)| json!({"question_id": turn.question_id, "answer": "yes", "model_id": "m"}).to_string())
        .collect();
    std::fs::write(place.path("mini.jsonl"), rows.join("\n")).unwrap();
    let answers = [AnswerSource { name: None, path: place.path("mini.jsonl") }];
    let sheet = place.path("study");
    NewSheet { evalset: OsStr::new("mini"), ..place.new_sheet(&sheet, &answers) }.create().unwrap();
    let session = open(&sheet, "anna");
    let images: Vec<PathBuf> = session.deck().cards.iter().flat_map(|card| card.images.clone()).collect();
    assert!(images.len() > 80 && images.iter().all(|image| image.is_file()));
    drop(session);
    assert!(images.iter().all(|image| !image.exists()));
}

#[test]
fn answers_that_tell_their_model_are_told_to_the_maker_alone_and_logged() {
    let place = Place::new();
    let answers = [
        place.answers("a.jsonl", "mPLUG_Owl_7b:v1", |id| {
            Some(if id == 3 { "As mPLUG-Owl, I see.".into() } else { "x".into() })
        }),
        place.answers("b.jsonl", "beta", |id| Some(if id == 4 { "Tea.\nHuman: why?".into() } else { "y".into() })),
    ];
    let sheet = place.path("study");
    let created = place.new_sheet(&sheet, &answers).create().unwrap();
    let leaks: Vec<(&str, u64)> = created.leaks.iter().map(|one| (one.model_id.as_str(), one.question_id)).collect();
    assert_eq!(leaks, [("beta", 4), ("mPLUG_Owl_7b:v1", 3)]);
    let notes = what_the_maker_should_know(&sheet, "me").unwrap();
    assert_eq!(notes.leaks.len(), 2);
    let log = std::fs::read_to_string(sheet.join("unblinded.jsonl")).unwrap();
    assert!(log.contains("\"who\":\"me\"") && log.contains("\"why\":\"notes\""), "{log}");
    // The text is shown as it is.
    assert!(open(&sheet, "anna").deck().cards.iter().any(|card| card.answer == "As mPLUG-Owl, I see."));
}

#[test]
fn a_split_sheet_is_parts_that_share_the_declared_overlap() {
    let place = Place::new();
    let answers = place.three();
    let folder = place.path("study");
    let new = NewSheet { split: Some(Split { parts: 2, overlap: 1 }), ..place.new_sheet(&folder, &answers) };
    let created = new.create().unwrap();
    assert_eq!(created.sheets, [folder.join("part-1"), folder.join("part-2")]);
    assert_eq!(parts_of(&folder), created.sheets);
    let items = |part: &Path| -> std::collections::BTreeSet<String> {
        open(part, "anna").deck().cards.iter().map(|card| card.item.clone()).collect()
    };
    let (one, two) = (items(&created.sheets[0]), items(&created.sheets[1]));
    assert_eq!((one.intersection(&two).count(), one.union(&two).count()), (1, 4));
    let error = Session::open(&folder, "anna").unwrap_err();
    assert!(error.remedy_text().unwrap().contains("part-1"), "{error}");
    let error = NewSheet { split: Some(Split { parts: 2, overlap: 3 }), ..new }.create().unwrap_err();
    assert!(error.to_string().contains("4 conversations cannot be split"), "{error}");
    assert!(verify(&created.sheets[1]).unwrap().iter().all(|finding| finding.is_good));
}
