//! A folder with an evalset and answers, and a server that judges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// Questions of the test's evalset. The 8th has no answer, the 9th no reference, and the 10th goes on from it.
pub const QUESTIONS: usize = 10;

pub struct Server {
    // Stops with the runtime; kept in this order.
    server: MockServer,
    runtime: Runtime,
}

impl Server {
    /// A server whose reply depends on the first prompt of a request and on all its messages.
    pub fn start(judge: impl Fn(&str, &[Value]) -> ResponseTemplate + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let server = runtime.block_on(async {
            let server = MockServer::start().await;
            let respond = move |request: &Request| {
                let body: Value = serde_json::from_slice(&request.body).expect("a JSON request");
                let messages = body["messages"].as_array().expect("messages");
                let prompt = messages.iter().find(|message| message["role"] == "user").expect("a prompt");
                judge(&text(&prompt["content"]), messages)
            };
            Mock::given(method("POST")).and(path("/v1/chat/completions")).respond_with(respond).mount(&server).await;
            server
        });
        Self { server, runtime }
    }

    pub fn requests(&self) -> usize {
        self.bodies().len()
    }

    pub fn bodies(&self) -> Vec<Value> {
        let requests = self.runtime.block_on(self.server.received_requests()).unwrap_or_default();
        requests.iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
    }

    pub fn uri(&self) -> String {
        self.server.uri()
    }
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => parts.as_array().expect("parts").iter().filter_map(|part| part["text"].as_str()).collect(),
    }
}

/// A reply that the judge gives.
pub fn reply(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }))
}

/// The last answer of this name within a prompt, from between its fences.
pub fn answer_of(prompt: &str, name: char) -> &str {
    let (_, rest) = prompt.rsplit_once(&format!("[BEGIN ANSWER {name} ")).expect("a fence");
    let (nonce, rest) = rest.split_once("]\n").expect("a fence");
    rest.split_once(&format!("\n[END ANSWER {name} {nonce}]")).expect("a fence").0
}

pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self { folder };
        std::fs::create_dir_all(place.path("set/cases")).expect("a folder");
        image::RgbImage::from_pixel(8, 8, image::Rgb([200, 10, 10]))
            .save(place.path("set/cases/red.png"))
            .expect("saved");
        let rows = (1..=QUESTIONS).map(|id| {
            let mut row = json!({
                "image": if id <= 2 { json!("red.png") } else { Value::Null },
                "question_id": id,
                "question": format!("What is number {id}?"),
                "ability": if id % 2 == 0 { "a" } else { "b" },
                "category": ["single_turn"],
                "group": format!("group {}", id.min(9)),
            });
            if id != 9 {
                row["reference"] = json!(id.to_string());
            }
            row
        });
        place.write("set/questions.jsonl", rows);
        let answers = |model: &'static str, text: fn(usize) -> String| {
            (1..=QUESTIONS).filter(|id| *id != 8).map(move |id| {
                json!({"image": "", "question_id": id, "question": "drifted", "answer": text(id), "model_id": model})
            })
        };
        place.write("right.jsonl", answers("right", |id| format!("It is {id}. Of that I am sure.")));
        place.write("wrong.jsonl", answers("wrong", |id| format!("Blue number {}.", id + 1)));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, rows: impl Iterator<Item = Value>) {
        let text: String = rows.map(|row| format!("{row}\n")).collect();
        std::fs::write(self.path(name), text).expect("written");
    }

    /// `owleval judge` in this folder.
    pub fn judge(&self, arguments: &[&str]) -> Command {
        self.owleval(&[&["judge"], arguments].concat())
    }

    /// `owleval` in this folder.
    pub fn owleval(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_owleval"));
        command
            .current_dir(self.folder.path())
            .env_remove("OPENAI_API_KEY")
            .env_remove("RUST_LOG")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `owleval judge` with a server, into the folder `j`.
    pub fn ask(&self, server: &Server, arguments: &[&str]) -> Command {
        self.ask_into(server, arguments, "j")
    }

    pub fn ask_into(&self, server: &Server, arguments: &[&str], out: &str) -> Command {
        let mut command = self.judge(arguments);
        command.args(["--evalset", "set", "--model", "test-judge", "--endpoint", &server.uri(), "--out", out]);
        command.args(["--max-attempts", "1"]);
        command
    }

    pub fn rows(&self, folder: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(folder).join("judgements.jsonl")).expect("readable");
        text.lines().map(|line| serde_json::from_str(line).expect("a whole row")).collect()
    }

    /// The rows of a folder by what was asked, without what differs from call to call.
    pub fn by_request(&self, folder: &str) -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        for mut row in self.rows(folder) {
            let id = row["request_sha256"].as_str().expect("a digest").to_owned();
            row.as_object_mut().expect("an object").remove("at");
            row["usage"].as_object_mut().expect("an object").remove("elapsed_ms");
            assert!(rows.insert(id, row).is_none(), "asked twice");
        }
        rows
    }

    /// Every file of a folder.
    pub fn bytes(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        std::fs::read_dir(self.path(folder))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| (name(&path), std::fs::read(&path).expect("readable")))
            .collect()
    }
}
