//! The reader of answers files on small files of its own; the six published ones are read in the integration tests.

use std::io::Write;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::evalset::{EvalSet, ImageRoot, Item, Turn};

fn file(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model_answer.jsonl");
    fs::File::create(&path).and_then(|mut file| file.write_all(text.as_ref())).expect("a file");
    (folder, path)
}

fn open(text: impl AsRef<[u8]>) -> Result<PublishedAnswers> {
    let (_folder, path) = file(text);
    PublishedAnswers::open(path)
}

fn opened(text: impl AsRef<[u8]>) -> PublishedAnswers {
    open(text).expect("a good file")
}

fn asking(question_id: u64) -> Conversation {
    Conversation { item: "1.jpg".to_owned(), turn: 0, question_id, messages: Vec::new() }
}

fn reply(answers: &PublishedAnswers, question_id: u64) -> Result<Reply, BackendError> {
    futures::executor::block_on(answers.reply(&asking(question_id), &Decoding::default()))
}

const TWO: &str = concat!(
    r#"{"image":"1.png","question_id":1,"question":"What?","answer":" An owl.\n","model_id":"owl","more":[1]}"#,
    "\r\n\n",
    r#"{"question_id":12,"answer":"无法回溯. "}"#
);

#[test]
fn an_answer_is_found_by_its_question_id_and_stripped() {
    let answers = opened(TWO);
    let reply = reply(&answers, 1).expect("an answer");
    assert_eq!((reply.text.as_str(), reply.finish), ("An owl.", FinishReason::Stop));
    assert_eq!(answers.model_id(), "owl");
    assert_eq!(answers.answers().len(), 2);
    assert_eq!(answers.info().config["sha256"], answers.sha256());
    assert_eq!(answers.info().config["file"], "model_answer.jsonl");
}

#[test]
fn the_request_digest_depends_on_the_file_and_on_the_question() {
    let digest = |answers: &PublishedAnswers, id| reply(answers, id).expect("an answer").request_sha256;
    let (one, other) = (opened(TWO), opened(TWO.replace("owl.", "eagle.")));
    assert_eq!(digest(&one, 1), digest(&opened(TWO), 1));
    assert_ne!(digest(&one, 1), digest(&one, 12));
    assert_ne!(digest(&one, 1), digest(&other, 1));
}

#[test]
fn a_question_without_an_answer_fails_by_itself() {
    let error = reply(&opened(TWO), 3).expect_err("no row");
    assert_eq!(error.to_string(), "no published answer for question 3");
    assert_eq!(error.kind, FailureKind::Input);
}

#[test]
fn a_remark_is_an_answer_to_show_but_no_history() {
    let answers = opened(TWO);
    assert_eq!(reply(&answers, 12).expect("the remark").text, "无法回溯.");
    assert_eq!(answers.history(1).expect("an answer"), "An owl.");
    for (question_id, words) in [(12, "cannot be traced"), (3, "no published answer")] {
        let error = answers.history(question_id).expect_err("no history");
        assert!(error.message.contains(words), "{error}");
    }
}

#[test]
fn what_is_no_answer_is_recognised() {
    for (answer, annotation) in [
        ("无法回溯", Some(Annotation::CannotBeTraced)),
        ("无法回溯 because of x", Some(Annotation::CannotBeTraced)),
        ("模型放弃回答", Some(Annotation::GaveUp)),
        ("模型拒绝回答", Some(Annotation::Refused)),
        ("\u{fffd}\u{fffd}", Some(Annotation::Unreadable)),
        ("", Some(Annotation::Empty)),
        ("an owl \u{fffd}", None),
        ("It says 无法回溯", None),
    ] {
        assert_eq!(Annotation::of(answer), annotation, "{answer}");
    }
}

#[test]
fn a_bad_file_is_refused_by_line() {
    let row = |id: u64| format!("{{\"question_id\":{id},\"answer\":\"x\",\"model_id\":\"m{id}\"}}\n");
    for (text, words) in [
        (format!("{}{}", row(1), row(1)), ":2: a second answer to question 1; the first is in line 1"),
        (format!("{}{}", row(1), row(2)), ":2: an answer of the model \"m2\", after answers of \"m1\""),
        (format!("{}\n{{\"question_id\":2}}\n", row(1)), ":3: no row of an answers file: missing field `answer`"),
        (format!("{}not json\n", row(1)), ":2: no row of an answers file"),
        (format!("{}{{\"question_id\":2,\"answ", row(1)), ":2: no row of an answers file"),
        ("{\"question_id\":-1,\"answer\":\"x\"}\n".to_owned(), ":1: no row of an answers file"),
        (" \n\n".to_owned(), "the file holds no answers"),
    ] {
        let error = open(&text).expect_err(&text);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    assert!(open(b"{\"question_id\":1,\"answer\":\"\xff\"}\n").is_err());
    assert_eq!(PublishedAnswers::open("no/such/file.jsonl").expect_err("no file").exit_code(), 2);
}

#[test]
fn a_run_folder_is_read_as_far_as_its_lines_are_whole() {
    let (folder, path) = file("");
    let own = concat!(
        r#"{"image":"1.jpg","question_id":7,"question":"q","answer":"a","model_id":"m","turn":0,"item":"1.jpg","#,
        r#""finish_reason":"length","prompt_tokens":5,"completion_tokens":6,"elapsed_ms":70,"request_sha256":"00"}"#,
        "\n{\"image\":\"2.jp"
    );
    fs::write(folder.path().join("answers.jsonl"), own).expect("a file");
    assert!(PublishedAnswers::open(folder.path()).is_err(), "without run.json this is a torn file");
    fs::write(folder.path().join("run.json"), "{}").expect("a file");
    let answers = PublishedAnswers::open(folder.path()).expect("a run folder");
    let reply = reply(&answers, 7).expect("an answer");
    assert_eq!((reply.finish, reply.prompt_tokens, reply.completion_tokens), (FinishReason::Length, Some(5), Some(6)));
    assert_eq!(reply.elapsed, Duration::from_millis(70));
    assert_eq!(answers.path(), folder.path().join("answers.jsonl"));
    drop(path);
}

#[test]
fn a_model_without_a_name_is_called_by_its_file() {
    assert_eq!(opened("\u{feff}{\"question_id\":1,\"answer\":\"x\"}").model_id(), "model_answer");
}

#[test]
fn differences_from_the_evalset_are_listed() {
    let turn = |question_id, question: &str| Turn {
        question_id,
        question: question.to_owned(),
        abilities: Vec::new(),
        subsets: Vec::new(),
        reference: Vec::new(),
    };
    let item = |image: &str, turns| Item { id: image.to_owned(), images: vec![image.to_owned()], turns };
    let evalset = EvalSet {
        name: "small".to_owned(),
        version: None,
        description: None,
        source: None,
        licence: None,
        sha256: String::new(),
        images: ImageRoot::Embedded("small"),
        abilities: BTreeMap::new(),
        items: vec![
            item("1.jpg", vec![turn(1, "What is it?"), turn(2, "And now?")]),
            item("2.jpg", vec![turn(3, "Describe the image.")]),
        ],
    };
    let answers = opened(concat!(
        r#"{"image":"1.png","question_id":1,"question":"What isit? ","answer":"an\u000bowl"}"#,
        "\n",
        r#"{"image":"9.jpg","question_id":2,"question":"And now?","answer":"模型放弃回答\n"}"#,
        "\n",
        r#"{"image":["2.jpg"],"question_id":3,"question":"Describe the image","answer":"x"}"#,
        "\n",
        r#"{"question_id":4,"answer":"x"}"#
    ));
    let image = |published: &str, same_stem| RepairKind::ImageName {
        published: published.to_owned(),
        evalset: "1.jpg".to_owned(),
        same_stem,
    };
    let question = |published: &str, evalset: &str, same_words| RepairKind::QuestionText {
        published: published.to_owned(),
        evalset: evalset.to_owned(),
        same_words,
    };
    let repair = |question_id, what| Repair { question_id, what };
    let without: Vec<Repair> = vec![
        repair(1, RepairKind::VerticalTab),
        repair(2, RepairKind::Stripped),
        repair(2, RepairKind::Annotation(Annotation::GaveUp)),
    ];
    assert_eq!(answers.repairs(None), without);
    assert_eq!(
        answers.repairs(Some(&evalset)),
        [
            repair(1, RepairKind::VerticalTab),
            repair(1, image("1.png", true)),
            repair(1, question("What isit? ", "What is it?", true)),
            repair(2, RepairKind::Stripped),
            repair(2, image("9.jpg", false)),
            repair(2, RepairKind::Annotation(Annotation::GaveUp)),
            repair(3, question("Describe the image", "Describe the image.", false)),
        ]
    );
    assert!(answers.repairs(Some(&evalset)).iter().all(|repair| repair.to_string().starts_with("question ")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_answers_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = open(&bytes);
    }

    #[test]
    fn any_answer_comes_back_without_the_white_space_around_it(answer in "\\PC{0,20}[ \t\n]{0,3}") {
        let line = serde_json::to_string(&json!({ "question_id": 5, "answer": answer })).expect("JSON");
        prop_assert_eq!(reply(&opened(line), 5).expect("an answer").text, answer.trim());
    }
}
