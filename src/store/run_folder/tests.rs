use super::*;
use crate::record::{BackendInfo, Decoding, EvalSetId, FinishReason, History, SelectionId, TemplateId};
use crate::store::quick_folder;

fn manifest() -> RunManifest {
    let backend = BackendInfo {
        id: "owl-mini".to_owned(),
        kind: "owl".to_owned(),
        sha256: Some("a".repeat(64)),
        config: serde_json::json!({"hidden_size": 128}),
        adapter: None,
        template: Some(TemplateId { name: "mplug-owl".to_owned(), sha256: "b".repeat(64) }),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
    };
    let evalset = EvalSetId { name: "mini".to_owned(), sha256: "c".repeat(64) };
    let started_at = "2026-01-01T00:00:00Z".to_owned();
    RunManifest::new(backend, evalset, Decoding::default(), History::Own, SelectionId::default(), started_at)
}

fn answer(question_id: u64) -> AnswerRow {
    AnswerRow {
        image: "1.png".to_owned(),
        question_id,
        question: "What is it?".to_owned(),
        answer: "A circle.".to_owned(),
        model_id: "owl-mini".to_owned(),
        turn: 0,
        item: "1.png".to_owned(),
        finish_reason: FinishReason::Stop,
        prompt_tokens: Some(7),
        completion_tokens: Some(3),
        elapsed_ms: 12,
        request_sha256: "d".repeat(64),
    }
}

fn failure(question_id: u64, kind: FailureRowKind, message: &str) -> FailureRow {
    let at = "2026-01-01T00:00:01Z".to_owned();
    FailureRow { question_id, kind, message: message.to_owned(), attempts: 1, at }
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_manifest_has_the_fields_that_were_promised() {
    let folder = quick_folder();
    let path = folder.path().join("runs/owl-mini-mini");
    let mut run = RunFolder::create_or_resume(&path, manifest()).unwrap();
    run.begin(2).unwrap();
    run.record_answers(vec![answer(1)]).unwrap();
    run.record_failures(vec![failure(2, FailureRowKind::Input, "corrupt")]).unwrap();
    run.finish(2, Some("2026-01-01T00:00:02Z".to_owned())).unwrap();

    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path.join("run.json")).unwrap()).unwrap();
    let promised = [
        "schema",
        "id",
        "model",
        "evalset",
        "template",
        "decoding",
        "history",
        "selection",
        "device",
        "dtype",
        "software",
        "started_at",
        "finished_at",
        "counts",
    ];
    assert_eq!(keys(&json), promised);
    assert_eq!(keys(&json["model"]), ["id", "kind", "sha256", "config", "adapter"]);
    assert_eq!(keys(&json["evalset"]), ["name", "sha256"]);
    assert_eq!(keys(&json["template"]), ["name", "sha256"]);
    assert_eq!(keys(&json["software"]), ["version", "commit"]);
    assert_eq!(json["counts"], serde_json::json!({"questions": 2, "answered": 1, "failed": 1, "blocked": 0}));
    assert_eq!(json["id"], "owl-mini-mini");
    assert_eq!(json["history"], "own");

    let answers = std::fs::read_to_string(path.join("answers.jsonl")).unwrap();
    let fields = [
        "image",
        "question_id",
        "question",
        "answer",
        "model_id",
        "turn",
        "item",
        "finish_reason",
        "prompt_tokens",
        "completion_tokens",
        "elapsed_ms",
        "request_sha256",
    ];
    assert_eq!(keys(&serde_json::from_str(&answers).unwrap()), fields);
    let failures = std::fs::read_to_string(path.join("failures.jsonl")).unwrap();
    assert_eq!(keys(&serde_json::from_str(&failures).unwrap()), ["question_id", "kind", "message", "attempts", "at"]);
}

#[test]
fn the_same_manifest_carries_on_and_keeps_when_the_run_began() {
    let folder = quick_folder();
    let mut run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    assert!(!run.is_carried_on());
    run.record_answers(vec![answer(1)]).unwrap();
    drop(run);
    let later = RunManifest { started_at: "2026-02-02T00:00:00Z".to_owned(), ..manifest() };
    let run = RunFolder::create_or_resume(folder.path(), later).unwrap();
    assert!(run.is_carried_on());
    assert_eq!(run.answers(), [answer(1)]);
    assert_eq!(run.manifest().started_at, "2026-01-01T00:00:00Z");
    assert_eq!(run.warnings(), [] as [String; 0]);
}

#[test]
fn another_run_is_refused_field_by_field_and_nothing_is_changed() {
    let folder = quick_folder();
    drop(RunFolder::create_or_resume(folder.path(), manifest()).unwrap());
    let before = std::fs::read(folder.path().join("run.json")).unwrap();
    type Change = fn(&mut RunManifest);
    let change: [(&str, Change); 10] = [
        ("model.id: folder owl-mini, now other", |m| m.model.id = "other".to_owned()),
        ("model.sha256: folder aaaaaaaaaaaa…, now ffffffffffff…", |m| m.model.sha256 = Some("f".repeat(64))),
        ("model.adapter: folder none, now {\"sha256\":\"x\"}", |m| {
            m.model.adapter = Some(serde_json::json!({"sha256": "x"}));
        }),
        ("evalset.sha256: folder cccccccccccc…, now ffff", |m| m.evalset.sha256 = "f".repeat(64)),
        ("template.sha256: folder bbbbbbbbbbbb…, now ffff", |m| m.template.as_mut().unwrap().sha256 = "f".repeat(64)),
        ("decoding.temperature: folder 0.0, now 0.5", |m| m.decoding.temperature = 0.5),
        ("history: folder own, now none", |m| m.history = History::None),
        ("selection.limit: folder none, now 3", |m| m.selection.limit = Some(3)),
        ("device: folder cpu, now cuda:0", |m| m.device = "cuda:0".to_owned()),
        ("dtype: folder f32, now bf16", |m| m.dtype = "bf16".to_owned()),
    ];
    for (expected, change) in change {
        let mut other = manifest();
        change(&mut other);
        let error = RunFolder::create_or_resume(folder.path(), other).unwrap_err();
        assert!(error.message().contains(expected), "{expected}: {error}");
        assert_eq!(error.message().matches("folder ").count(), 2, "one difference only: {error}");
        assert_eq!(error.exit_code(), 2);
        assert!(error.remedy_text().unwrap().contains("--out"));
    }
    assert_eq!(std::fs::read(folder.path().join("run.json")).unwrap(), before);
}

#[test]
fn names_of_files_and_times_do_not_make_another_run() {
    let published = |file: &str| RunManifest {
        history: History::Published { file: file.to_owned(), sha256: "e".repeat(64) },
        ..manifest()
    };
    let folder = quick_folder();
    drop(RunFolder::create_or_resume(folder.path(), published("here.jsonl")).unwrap());
    RunFolder::create_or_resume(folder.path(), published("there.jsonl")).unwrap();
}

#[test]
fn a_question_never_stands_in_both_journals_once_the_run_has_ended() {
    let folder = quick_folder();
    let mut run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    let transient = |id, message| failure(id, FailureRowKind::Transient, message);
    run.record_failures(vec![transient(1, "first"), transient(2, "first"), transient(3, "first")]).unwrap();
    run.record_failures(vec![transient(2, "second")]).unwrap();
    run.record_answers(vec![answer(1)]).unwrap();
    run.finish(3, None).unwrap();
    drop(run);
    let (rows, _) = journal::read::<FailureRow>(&folder.path().join("failures.jsonl")).unwrap();
    assert_eq!(rows, [transient(3, "first"), transient(2, "second")]);

    // The replaced journal can be appended to, and is still locked.
    let mut run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    run.record_answers(vec![answer(3)]).unwrap();
    run.finish(3, None).unwrap();
    run.record_failures(vec![failure(4, FailureRowKind::Blocked, "later")]).unwrap();
    assert_eq!(run.failures(), [&transient(2, "second"), &failure(4, FailureRowKind::Blocked, "later")]);
    drop(run);
    let (rows, _) = journal::read::<FailureRow>(&folder.path().join("failures.jsonl")).unwrap();
    assert_eq!(rows.len(), 2);
}

#[test]
fn a_kill_between_an_answer_and_the_end_leaves_no_stale_failure_at_the_next_opening() {
    let folder = quick_folder();
    let mut run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    run.record_failures(vec![failure(1, FailureRowKind::Transient, "busy")]).unwrap();
    run.record_answers(vec![answer(1)]).unwrap();
    drop(run); // never finished
    let run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    assert_eq!(run.failures(), [] as [&FailureRow; 0]);
    assert_eq!(std::fs::read(folder.path().join("failures.jsonl")).unwrap(), b"");
}

#[test]
fn a_finished_folder_is_left_as_it_is() {
    let folder = quick_folder();
    let mut run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    run.record_answers(vec![answer(1)]).unwrap();
    run.finish(1, Some("2026-01-01T00:00:02Z".to_owned())).unwrap();
    drop(run);
    let before = std::fs::read(folder.path().join("run.json")).unwrap();
    let mut run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    run.finish(1, Some("2026-03-03T00:00:02Z".to_owned())).unwrap();
    assert_eq!(std::fs::read(folder.path().join("run.json")).unwrap(), before);
}

#[test]
fn a_second_process_is_refused() {
    let folder = quick_folder();
    let _first = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    let error = RunFolder::create_or_resume(folder.path(), manifest()).unwrap_err();
    assert!(error.to_string().contains("another owleval is writing here"), "{error}");
}

#[test]
fn a_folder_of_other_files_is_refused_and_nothing_is_put_into_it() {
    let folder = quick_folder();
    std::fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    let error = RunFolder::create_or_resume(folder.path(), manifest()).unwrap_err();
    assert!(error.to_string().contains("it holds thesis.tex and no run.json"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_whose_creation_was_killed_is_begun_again() {
    let folder = quick_folder();
    std::fs::write(folder.path().join("answers.jsonl"), "").unwrap();
    std::fs::write(folder.path().join(".run.json.x1y2.part"), "{\"sch").unwrap();
    RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["answers.jsonl", "failures.jsonl", "run.json"]);
}

#[test]
fn a_manifest_of_a_later_schema_is_refused_by_name() {
    let folder = quick_folder();
    std::fs::write(folder.path().join("run.json"), "{\"schema\": \"owleval-run/9\"}").unwrap();
    let error = RunFolder::create_or_resume(folder.path(), manifest()).unwrap_err();
    assert!(error.to_string().contains("owleval-run/9"), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_question_answered_twice_is_refused() {
    let folder = quick_folder();
    let mut run = RunFolder::create_or_resume(folder.path(), manifest()).unwrap();
    run.record_answers(vec![answer(1), answer(1)]).unwrap();
    drop(run);
    let error = RunFolder::create_or_resume(folder.path(), manifest()).unwrap_err();
    assert!(error.to_string().contains("question 1 is answered twice"), "{error}");
}
