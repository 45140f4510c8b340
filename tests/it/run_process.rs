//! `owleval run` as a process of its own, against a server on loopback: killed, interrupted, run twice at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Long enough for a busy machine; nothing waits for it where all goes well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Dialogues of the test's evalset, of one to four turns.
const DIALOGUES: usize = 10;

/// An OpenAI-compatible server whose answer depends on every byte that was said, and on nothing else.
struct Server {
    // Stops with the runtime; kept in this order.
    server: MockServer,
    runtime: Runtime,
}

struct Answers {
    delay: Duration,
    /// Fails every question that holds this text.
    fails: Option<&'static str>,
}

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = serde_json::from_slice(&request.body).expect("a JSON request");
        let said = body["messages"].to_string();
        let last = body["messages"].as_array().and_then(|messages| messages.last()).expect("a message").to_string();
        if self.fails.is_some_and(|text| last.contains(text)) {
            return ResponseTemplate::new(400)
                .set_body_json(json!({"error": {"message": "it cannot be \u{1b}[31masked"}}));
        }
        let digest = said.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        // Answers overtake each other.
        let delay = self.delay.mul_f64(0.5 + (digest % 8) as f64 / 8.0);
        ResponseTemplate::new(200).set_delay(delay).set_body_json(json!({
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": format!("answer {digest:x}\nof two lines")}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }))
    }
}

impl Server {
    fn start(delay: Duration, fails: Option<&'static str>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let server = runtime.block_on(async {
            let server = MockServer::start().await;
            let answers = Mock::given(method("POST")).and(path("/v1/chat/completions"));
            answers.respond_with(Answers { delay, fails }).mount(&server).await;
            server
        });
        Self { server, runtime }
    }

    fn requests(&self) -> usize {
        self.runtime.block_on(self.server.received_requests()).map_or(0, |requests| requests.len())
    }
}

/// A folder with an evalset and room for runs.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let evalset = folder.path().join("set");
        std::fs::create_dir_all(evalset.join("cases")).expect("a folder");
        image::RgbImage::from_pixel(8, 8, image::Rgb([200, 10, 10]))
            .save(evalset.join("cases/red.png"))
            .expect("saved");
        let mut rows = String::new();
        let mut question_id = 0;
        for dialogue in 0..DIALOGUES {
            for turn in 0..=dialogue % 4 {
                question_id += 1;
                let row = json!({
                    "image": if dialogue % 2 == 0 { json!("red.png") } else { Value::Null },
                    "question_id": question_id,
                    "question": format!("What is number {question_id}?"),
                    "ability": "a,b",
                    "category": if turn == 0 { json!(["single_turn", "multi_turn"]) } else { json!(["multi_turn"]) },
                    "group": format!("dialogue {dialogue}"),
                });
                rows.push_str(&row.to_string());
                rows.push('\n');
            }
        }
        std::fs::write(evalset.join("questions.jsonl"), rows).expect("written");
        Self { folder }
    }

    fn run_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join("runs").join(name)
    }

    /// `owleval run` on the evalset, into a run folder, at a server.
    fn command(&self, server: &Server, out: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_owleval"));
        command
            .current_dir(self.folder.path())
            .env_remove("OPENAI_API_KEY")
            .env_remove("RUST_LOG")
            .args(["run", "--evalset", "set", "--model", "test-model", "--concurrency", "3", "--max-attempts", "1"])
            .args(["--endpoint", &server.server.uri()])
            .args(["--out", &format!("runs/{out}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn questions() -> usize {
    (0..DIALOGUES).map(|dialogue| dialogue % 4 + 1).sum()
}

pub(super) fn finish(child: Child) -> Output {
    child.wait_with_output().expect("the process ends")
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something is true.
pub(super) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON")
}

/// The rows of a finished run by question, without what differs from call to call.
fn answers(run: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(run.join("answers.jsonl")).expect("readable");
    let mut answers = BTreeMap::new();
    for line in text.lines() {
        let mut row: Value = serde_json::from_str(line).expect("a whole row");
        row.as_object_mut().expect("an object").remove("elapsed_ms");
        let id = row["question_id"].as_u64().expect("a number");
        assert!(answers.insert(id, row).is_none(), "question {id} is answered twice");
    }
    answers
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: sends a signal to a process that this test started and has not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
}

#[test]
fn killed_at_many_points_a_run_ends_with_the_answers_of_an_uninterrupted_one() {
    let place = Place::new();
    let server = Server::start(Duration::from_millis(25), None);
    let output = finish(place.command(&server, "whole").spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = answers(&place.run_folder("whole"));
    assert_eq!(expected.len(), questions());
    assert_eq!(server.requests(), questions());

    let run = place.run_folder("killed");
    let file = run.join("answers.jsonl");
    let mut kills = 0;
    loop {
        let before = size(&file);
        let mut child = place.command(&server, "killed").spawn().expect("it starts");
        // Killed before anything is written, as soon as a first answer is, and a little later, in turn.
        match kills % 3 {
            0 => wait_for("the manifest", || run.join("run.json").exists()),
            _ => wait_for("an answer", || size(&file) > before || child.try_wait().expect("a child").is_some()),
        }
        std::thread::sleep(Duration::from_millis(kills % 7));
        child.kill().expect("SIGKILL");
        let output = finish(child);
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
        if output.status.code() == Some(0) {
            break;
        }
        kills += 1;
        assert!(kills < 200, "no progress");
    }
    assert!(kills >= 5, "only {kills} kills hit: the test proves too little");
    let output = finish(place.command(&server, "killed").spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(answers(&run), expected);
    let counts = json!({"questions": questions(), "answered": questions(), "failed": 0, "blocked": 0});
    assert_eq!(json_of(&run.join("run.json"))["counts"], counts);
    let mut names: Vec<_> = std::fs::read_dir(&run)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["answers.jsonl", "failures.jsonl", "run.json"], "nothing else is left");
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_what_is_in_flight_and_a_second_call_carries_on() {
    let place = Place::new();
    let server = Server::start(Duration::from_millis(40), None);
    let file = place.run_folder("stopped").join("answers.jsonl");
    let child = place.command(&server, "stopped").spawn().expect("it starts");
    wait_for("an answer", || size(&file) > 0);
    interrupt(&child);
    let output = finish(child);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("stopping: waiting for"), "{}", stderr(&output));
    assert!(stdout(&output).contains("interrupted"), "{}", stdout(&output));
    assert!(stdout(&output).contains("next: owleval run --evalset set"), "{}", stdout(&output));
    let kept = answers(&place.run_folder("stopped")).len();
    assert!((1..questions()).contains(&kept));
    assert_eq!(server.requests(), kept, "what was asked was waited for");

    let output = finish(place.command(&server, "stopped").spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.requests(), questions(), "nothing was asked twice");
    assert_eq!(answers(&place.run_folder("stopped")).len(), questions());
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_drops_what_is_in_flight_and_says_so() {
    let place = Place::new();
    let server = Server::start(PATIENCE, None);
    let child = place.command(&server, "dropped").spawn().expect("it starts");
    wait_for("three questions", || server.requests() == 3);
    let began = Instant::now();
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(100));
    interrupt(&child);
    let output = finish(child);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("dropped: what was in flight (questions "), "{}", stderr(&output));
    assert!(began.elapsed() < PATIENCE / 2);
    let manifest = json_of(&place.run_folder("dropped").join("run.json"));
    assert_eq!(manifest["finished_at"], Value::Null);
    assert_eq!(manifest["counts"]["answered"], 0);
}

#[test]
fn a_second_process_in_the_same_folder_is_refused_and_another_run_too() {
    let place = Place::new();
    let slow = Server::start(PATIENCE, None);
    let mut first = place.command(&slow, "shared").spawn().expect("it starts");
    wait_for("a question", || slow.requests() > 0);
    let second = finish(place.command(&slow, "shared").spawn().expect("it starts"));
    first.kill().expect("SIGKILL");
    finish(first);
    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("another owleval is writing here"), "{}", stderr(&second));

    let before = std::fs::read(place.run_folder("shared").join("run.json")).expect("readable");
    let mut other = place.command(&slow, "shared");
    let other = finish(other.args(["--temperature", "0.5"]).spawn().expect("it starts"));
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("decoding.temperature: folder 0.0, now 0.5"), "{}", stderr(&other));
    assert!(stderr(&other).contains("remedy: choose another folder with --out"), "{}", stderr(&other));
    assert_eq!(std::fs::read(place.run_folder("shared").join("run.json")).expect("readable"), before);
}

#[test]
fn a_failed_question_is_told_without_its_escapes_and_asked_again_by_the_next_call() {
    let place = Place::new();
    // The second dialogue is questions 2 and 3.
    let failing = Server::start(Duration::ZERO, Some("number 2?"));
    let mut command = place.command(&failing, "failed");
    let output = finish(command.arg("--json").spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("question 2 failed"), "{}", stderr(&output));
    assert!(!output.stderr.contains(&0x1b), "no escape sequence reaches the terminal");
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        told["counts"],
        json!({"questions": questions(), "answered": questions() - 2, "failed": 1, "blocked": 1})
    );
    assert_eq!(told["ended"], "complete");

    // Another server has another address, which is another run; the folder's own has to answer.
    let failures = std::fs::read_to_string(place.run_folder("failed").join("failures.jsonl")).expect("readable");
    let kinds: Vec<Value> = failures
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a row"))
        .map(|row| json!([row["question_id"], row["kind"]]))
        .collect();
    assert_eq!(kinds, [json!([2, "input"]), json!([3, "blocked"])]);
    failing.runtime.block_on(async {
        failing.server.reset().await;
        let answers = Mock::given(method("POST"));
        answers.respond_with(Answers { delay: Duration::ZERO, fails: None }).mount(&failing.server).await;
    });
    let output = finish(place.command(&failing, "failed").spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(failing.requests(), 2);
    assert_eq!(size(&place.run_folder("failed").join("failures.jsonl")), 0);
}

#[test]
fn a_closed_stdout_is_nobodys_error() {
    let place = Place::new();
    let server = Server::start(Duration::ZERO, None);
    let mut child = place.command(&server, "piped").spawn().expect("it starts");
    drop(child.stdout.take());
    let output = finish(child);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[test]
fn a_dry_run_asks_nothing_and_writes_nothing() {
    let place = Place::new();
    let server = Server::start(Duration::ZERO, None);
    let mut command = place.command(&server, "dry");
    command.args(["--dry-run", "--json", "--price-prompt", "1", "--price-completion", "2"]);
    let output = finish(command.spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(told["questions"], questions());
    assert_eq!(told["prompts"].as_array().map(Vec::len), Some(questions()));
    assert_eq!(told["estimate"]["completion_tokens"], questions() * 256);
    assert!(told["estimate"]["cost"].as_f64().is_some_and(|cost| cost > 0.0));
    assert_eq!(server.requests(), 0);
    assert!(!place.folder.path().join("runs").exists());
}

#[test]
fn the_table_at_the_end_counts_by_subset_and_ability() {
    let place = Place::new();
    let server = Server::start(Duration::ZERO, None);
    let output = finish(place.command(&server, "table").spawn().expect("it starts"));
    let told = stdout(&output);
    for expected in ["questions", "all", "single turn", "multi turn", "run folder: runs/table", "next: owleval "] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}
