mod stopping;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::stop::{StopButton, stop_button};
use super::*;
use crate::backend::{BackendInfo, FinishReason};
use crate::evalset::{Conversation, ImageRoot, Item, Part, Role, Selection, Subset, Turn};
use crate::record::{Counts, EvalSetId, FailureRowKind, RunManifest, SelectionId};
use crate::store::quick_folder;

/// Text-only conversations of so many turns each, question ids counting from 1.
pub(super) fn evalset(turns: &[usize]) -> EvalSet {
    let mut question_id = 0;
    let mut items = Vec::new();
    for (index, turns) in turns.iter().enumerate() {
        let turns = (0..*turns)
            .map(|_| {
                question_id += 1;
                Turn {
                    question_id,
                    question: format!("question {question_id}?"),
                    abilities: vec!["a".to_owned()],
                    subsets: vec![Subset::MultiTurn],
                    reference: Vec::new(),
                }
            })
            .collect();
        items.push(Item { id: format!("item {index}"), images: Vec::new(), turns });
    }
    EvalSet {
        name: "test".to_owned(),
        version: None,
        description: None,
        source: None,
        licence: None,
        sha256: "0".repeat(64),
        images: ImageRoot::Folder("/nowhere".into()),
        abilities: BTreeMap::new(),
        items,
    }
}

/// Every turn of every item.
pub(super) fn all(evalset: &EvalSet) -> Vec<Selected> {
    Selection::default().pick(evalset).unwrap()
}

/// All that was said, in one line.
fn transcript(conversation: &Conversation) -> String {
    let said = conversation.messages.iter().map(|message| {
        let who = if message.role == Role::Human { "H" } else { "A" };
        let parts: Vec<&str> = message
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Image(image) => image.name.as_str(),
            })
            .collect();
        format!("{who}:{}", parts.join(" "))
    });
    said.collect::<Vec<_>>().join("|")
}

/// Answers with the digest of all that was said, so that a wrong history gives a wrong answer.
#[derive(Default)]
struct Fake {
    in_flight_limit: usize,
    /// Question id -> how it fails.
    fails: Mutex<HashMap<u64, FailureKind>>,
    /// Waits before each answer, longer for even questions: replies overtake each other.
    is_slow: bool,
    /// Never answers.
    hangs: bool,
    now: AtomicUsize,
    most: AtomicUsize,
    asked: Mutex<Vec<u64>>,
    transcripts: Mutex<Vec<String>>,
    /// Pressed as soon as so many questions were asked.
    stop: Option<(usize, StopButton)>,
}

impl Fake {
    fn new(in_flight_limit: usize) -> Self {
        Self { in_flight_limit, ..Self::default() }
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

impl Backend for Fake {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            id: "fake".to_owned(),
            kind: "published".to_owned(),
            sha256: Some("1".repeat(64)),
            config: serde_json::Value::Null,
            adapter: None,
            template: None,
            device: "none".to_owned(),
            dtype: "none".to_owned(),
        }
    }

    fn max_in_flight(&self) -> usize {
        self.in_flight_limit
    }

    fn reply<'a>(
        &'a self,
        conversation: &'a Conversation,
        _decoding: &'a Decoding,
    ) -> BoxFuture<'a, Result<Reply, BackendError>> {
        async move {
            let id = conversation.question_id;
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            self.asked.lock().unwrap().push(id);
            let said = transcript(conversation);
            self.transcripts.lock().unwrap().push(said.clone());
            if let Some((after, button)) = &self.stop
                && self.asked().len() >= *after
            {
                button.press();
            }
            if self.hangs {
                std::future::pending::<()>().await;
            }
            if self.is_slow {
                tokio::time::sleep(Duration::from_millis(1 + 2 * (id % 2))).await;
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            if let Some(kind) = self.fails.lock().unwrap().get(&id) {
                return Err(BackendError { kind: *kind, message: "it failed".to_owned(), attempts: 3 });
            }
            let digest = said.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
            Ok(Reply {
                text: format!("answer {id} {digest:x}"),
                finish: FinishReason::Stop,
                prompt_tokens: Some(5),
                completion_tokens: Some(2),
                elapsed: Duration::from_millis(1),
                request_sha256: format!("{digest:064x}"),
            })
        }
        .boxed()
    }
}

fn open(folder: &Path, past: &Past) -> RunFolder {
    let evalset = EvalSetId { name: "test".to_owned(), sha256: "0".repeat(64) };
    let manifest = RunManifest::new(
        Fake::new(1).info(),
        evalset,
        Decoding::default(),
        past.record(),
        SelectionId::default(),
        course::now(),
    );
    RunFolder::create_or_resume(folder, manifest).unwrap()
}

/// One call of the program.
fn call(folder: &Path, evalset: &EvalSet, past: &Past, fake: &Fake, stop: Stop) -> (Outcome, Vec<String>) {
    let mut events = Vec::new();
    let mut run_folder = open(folder, past);
    let decoding = Decoding::default();
    let selected = all(evalset);
    let plan = Plan { evalset, selected: &selected, decoding: &decoding, past };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime
        .block_on(run(plan, fake, &mut run_folder, stop, &mut |event| {
            events.push(match event {
                Event::Begun { questions, answered } => format!("begun {answered}/{questions}"),
                Event::Answered(row) => format!("answered {}", row.question_id),
                Event::Failed(row) => format!("failed {}", row.question_id),
                Event::Finishing { in_flight } => format!("finishing {in_flight}"),
                Event::Dropped { questions } => format!("dropped {questions:?}"),
                Event::GivenUp { message } => format!("given up: {message}"),
            });
        }))
        .unwrap();
    (outcome, events)
}

fn run_through(folder: &Path, evalset: &EvalSet, past: &Past, fake: &Fake) -> Outcome {
    call(folder, evalset, past, fake, stop_button().1).0
}

/// Question -> answer and digest of what was asked, as they stand on disk.
fn on_disk(folder: &Path) -> BTreeMap<u64, (String, String)> {
    let (rows, warning) = crate::store::journal::read::<AnswerRow>(&folder.join("answers.jsonl")).unwrap();
    assert_eq!(warning, None);
    let count = rows.len();
    let map: BTreeMap<_, _> = rows.into_iter().map(|row| (row.question_id, (row.answer, row.request_sha256))).collect();
    assert_eq!(map.len(), count, "no question is answered twice");
    map
}

fn failures(folder: &Path) -> BTreeMap<u64, FailureRowKind> {
    let (rows, _) = crate::store::journal::read::<FailureRow>(&folder.join("failures.jsonl")).unwrap();
    let count = rows.len();
    let map: BTreeMap<_, _> = rows.into_iter().map(|row| (row.question_id, row.kind)).collect();
    assert_eq!(map.len(), count, "no question failed twice");
    map
}

fn counts(folder: &Path) -> Counts {
    crate::store::run_folder::read_manifest(folder).unwrap().counts
}

#[test]
fn every_question_is_asked_once_with_the_models_own_answers_before_it() {
    let folder = quick_folder();
    let fake = Fake { is_slow: true, ..Fake::new(3) };
    let outcome = run_through(folder.path(), &evalset(&[3, 1, 2, 1]), &Past::Own, &fake);
    assert_eq!(outcome.ended, Ended::Complete);
    assert_eq!((outcome.answered, outcome.completion_tokens), (7, 14));
    let mut asked = fake.asked();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3, 4, 5, 6, 7]);
    let answers = on_disk(folder.path());
    let expected = format!("H:question 1?|A:{}|H:question 2?|A:{}|H:question 3?", answers[&1].0, answers[&2].0);
    assert!(fake.transcripts.lock().unwrap().contains(&expected));
    assert_eq!(counts(folder.path()), Counts { questions: 7, answered: 7, failed: 0, blocked: 0 });
    assert!(crate::store::run_folder::read_manifest(folder.path()).unwrap().finished_at.is_some());
}

#[test]
fn conversations_are_asked_side_by_side_up_to_the_backends_limit() {
    for limit in [1, 3] {
        let folder = quick_folder();
        let fake = Fake { is_slow: true, ..Fake::new(limit) };
        run_through(folder.path(), &evalset(&[1; 9]), &Past::Own, &fake);
        assert_eq!(fake.most.load(Ordering::SeqCst), limit);
    }
}

#[test]
fn the_answers_do_not_depend_on_how_many_are_asked_at_once() {
    let set = evalset(&[3, 1, 2, 5, 1, 1, 4]);
    let one = quick_folder();
    run_through(one.path(), &set, &Past::Own, &Fake::new(1));
    let many = quick_folder();
    run_through(many.path(), &set, &Past::Own, &Fake { is_slow: true, ..Fake::new(4) });
    assert_eq!(on_disk(one.path()), on_disk(many.path()));
}

#[test]
fn a_failed_turn_blocks_the_later_ones_of_its_conversation_and_no_other() {
    let folder = quick_folder();
    let set = evalset(&[3, 2]);
    let fake = Fake::new(2);
    fake.fails.lock().unwrap().insert(2, FailureKind::Transient);
    assert_eq!(run_through(folder.path(), &set, &Past::Own, &fake).ended, Ended::Complete);
    assert_eq!(on_disk(folder.path()).keys().copied().collect::<Vec<_>>(), [1, 4, 5]);
    let expected = [(2, FailureRowKind::Transient), (3, FailureRowKind::Blocked)];
    assert_eq!(failures(folder.path()), expected.into());
    assert_eq!(counts(folder.path()), Counts { questions: 5, answered: 3, failed: 1, blocked: 1 });
    assert!(!fake.asked().contains(&3));

    // The next call asks what failed and what was blocked, nothing else, and ends with what an unhurt run has.
    let mended = Fake::new(2);
    run_through(folder.path(), &set, &Past::Own, &mended);
    assert_eq!(mended.asked(), [2, 3]);
    assert_eq!(failures(folder.path()), BTreeMap::new());
    assert_eq!(counts(folder.path()), Counts { questions: 5, answered: 5, failed: 0, blocked: 0 });
    let unhurt = quick_folder();
    run_through(unhurt.path(), &set, &Past::Own, &Fake::new(1));
    assert_eq!(on_disk(folder.path()), on_disk(unhurt.path()));
}

#[test]
fn a_question_that_fails_again_stands_once_among_the_failures() {
    let folder = quick_folder();
    let set = evalset(&[2]);
    for _ in 0..3 {
        let fake = Fake::new(1);
        fake.fails.lock().unwrap().insert(1, FailureKind::Transient);
        run_through(folder.path(), &set, &Past::Own, &fake);
        assert_eq!(failures(folder.path()).len(), 2);
    }
}

#[test]
fn with_a_history_that_is_not_its_own_a_failed_turn_blocks_nothing() {
    let set = evalset(&[3]);
    let file = quick_folder();
    let rows: String = (1..=3).map(|id| format!("{{\"question_id\":{id},\"answer\":\"published {id}\"}}\n")).collect();
    std::fs::write(file.path().join("answers.jsonl"), rows).unwrap();
    let published = Past::published(file.path(), &all(&set)).unwrap();
    for (past, last) in [
        (published, "H:question 1?|A:published 1|H:question 2?|A:published 2|H:question 3?"),
        (Past::None, "H:question 3?"),
    ] {
        let folder = quick_folder();
        let fake = Fake::new(1);
        fake.fails.lock().unwrap().insert(2, FailureKind::Input);
        run_through(folder.path(), &set, &past, &fake);
        assert_eq!(fake.transcripts.lock().unwrap().last().unwrap(), last);
        assert_eq!(on_disk(folder.path()).keys().copied().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(failures(folder.path()), [(2, FailureRowKind::Input)].into());
    }
}

#[test]
fn a_picture_that_cannot_be_read_fails_its_own_conversation_only() {
    let folder = quick_folder();
    let mut set = evalset(&[2, 1]);
    set.items[0].images = vec!["missing.png".to_owned()];
    assert_eq!(run_through(folder.path(), &set, &Past::Own, &Fake::new(1)).ended, Ended::Complete);
    let expected = [(1, FailureRowKind::Input), (2, FailureRowKind::Blocked)];
    assert_eq!(failures(folder.path()), expected.into());
    assert_eq!(on_disk(folder.path()).keys().copied().collect::<Vec<_>>(), [3]);
}

#[test]
fn an_empty_answer_is_an_answer() {
    struct Silent(Fake);
    impl Backend for Silent {
        fn info(&self) -> BackendInfo {
            self.0.info()
        }
        fn max_in_flight(&self) -> usize {
            1
        }
        fn reply<'a>(
            &'a self,
            conversation: &'a Conversation,
            decoding: &'a Decoding,
        ) -> BoxFuture<'a, Result<Reply, BackendError>> {
            self.0.reply(conversation, decoding).map(|reply| Ok(Reply { text: String::new(), ..reply? })).boxed()
        }
    }
    let folder = quick_folder();
    let set = evalset(&[2]);
    let decoding = Decoding::default();
    let selected = all(&set);
    let plan = Plan { evalset: &set, selected: &selected, decoding: &decoding, past: &Past::Own };
    let silent = Silent(Fake::new(1));
    let mut run_folder = open(folder.path(), &Past::Own);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(run(plan, &silent, &mut run_folder, stop_button().1, &mut |_| {})).unwrap();
    assert_eq!((outcome.ended, outcome.answered), (Ended::Complete, 2));
    assert_eq!(silent.0.transcripts.lock().unwrap()[1], "H:question 1?|A:|H:question 2?");
}

#[test]
fn a_selection_asks_the_turns_that_its_history_needs_and_no_others() {
    let mut set = evalset(&[3]);
    set.abilities = BTreeMap::from([("a".to_owned(), String::new()), ("c".to_owned(), String::new())]);
    set.items[0].turns[1].abilities = vec!["c".to_owned()];
    let selected = Selection { abilities: vec!["c".to_owned()], ..Selection::default() }.pick(&set).unwrap();
    for (past, expected) in [(Past::Own, vec![1, 2]), (Past::None, vec![2])] {
        let folder = quick_folder();
        let mut run_folder = open(folder.path(), &past);
        let fake = Fake::new(1);
        let decoding = Decoding::default();
        let plan = Plan { evalset: &set, selected: &selected, decoding: &decoding, past: &past };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(run(plan, &fake, &mut run_folder, stop_button().1, &mut |_| {})).unwrap();
        assert_eq!(outcome.ended, Ended::Complete);
        assert_eq!(fake.asked(), expected);
        assert_eq!(run_folder.manifest().counts.questions, expected.len());
    }
}
