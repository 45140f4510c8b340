//! `owleval serve`: the built-in model behind its own endpoint, asked by `owleval run` and by hand.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Server {
    process: Child,
    /// `HOST:PORT`.
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_owleval"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { process, address }
    }

    /// Status line, headers and body of one request.
    fn ask(&self, request: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: owl\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    /// Asks it to end as Ctrl-C does; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        // SAFETY: the process is a child that was not waited for yet.
        unsafe { libc::kill(self.process.id() as i32, libc::SIGINT) };
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The answers of a run of `mini`, by question.
fn answers(folder: &Path, arguments: &[&str]) -> BTreeMap<u64, String> {
    let out = folder.join("run");
    let output = Command::new(env!("CARGO_BIN_EXE_owleval"))
        .args(["run", "--limit", "20", "--out"])
        .arg(&out)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(out.join("answers.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.map(|row| (row["question_id"].as_u64().unwrap(), row["answer"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn the_endpoint_gives_the_answers_that_the_model_gives_itself() {
    let server = Server::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let endpoint = format!("http://{}/v1", server.address);
    let through = answers(folders[0].path(), &["--endpoint", &endpoint, "--model", "owl-mini"]);
    let own = answers(folders[1].path(), &[]);
    assert!(own.len() >= 20);
    assert_eq!(through, own);
    assert_eq!(server.interrupt(), Some(0));
}

#[test]
fn the_page_is_served_and_what_cannot_be_answered_is_refused_in_the_words_of_the_interface() {
    let server = Server::start();
    let page = server.ask("GET /", "");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<title>owl-mini"), "{page}");
    assert!(page.to_lowercase().contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(server.ask("GET /v1/models", "").contains("\"owl-mini\""));
    let refused = server.ask("POST /v1/chat/completions", "{\"messages\": []}");
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("\"error\""), "{refused}");
    assert!(server.ask("GET /no/such/thing", "").starts_with("HTTP/1.1 404"));
    let answered = server.ask(
        "POST /v1/chat/completions",
        r#"{"stream": true, "messages": [{"role": "user", "content": "what is 3 plus 4?"}]}"#,
    );
    assert!(answered.contains("text/event-stream") && answered.contains("data: [DONE]"), "{answered}");
}
