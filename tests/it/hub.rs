//! Pulling models from a hub on loopback.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use owleval::error::{Error, Kind};
use owleval::owl::hub::{Hub, Repository};
use sha2::{Digest, Sha256};
use wiremock::matchers::{header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "pytorch_model.bin";

/// A hub that runs as long as the value lives, and an empty cache.
struct World {
    runtime: tokio::runtime::Runtime,
    server: MockServer,
    cache: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(MockServer::start());
        Self { runtime, server, cache: tempfile::tempdir().unwrap() }
    }

    fn mount(&self, mock: Mock) {
        self.runtime.block_on(mock.mount(&self.server));
    }

    fn hub(&self) -> Hub {
        Hub::new(&self.server.uri(), self.cache.path()).with_pause(Duration::from_millis(1))
    }

    fn folder(&self) -> PathBuf {
        self.cache.path().join("models--org--owl")
    }

    /// How many requests for contents or headers of a file have arrived, by method.
    fn requests(&self, verb: &str, file: &str) -> usize {
        let requests = self.runtime.block_on(self.server.received_requests()).unwrap();
        requests.iter().filter(|request| request.method.as_str() == verb && request.url.path().ends_with(file)).count()
    }

    fn mount_list(&self, files: &[&str]) {
        let siblings: Vec<_> = files.iter().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let list = serde_json::json!({ "id": "org/owl", "sha": COMMIT, "siblings": siblings });
        let answer = ResponseTemplate::new(200).set_body_json(list);
        self.mount(Mock::given(method("GET")).and(path("/api/models/org/owl/revision/main")).respond_with(answer));
    }

    /// A small file: its ETag is a git hash.
    fn mount_small(&self, name: &str, content: &str) {
        let answer = ResponseTemplate::new(200)
            .insert_header("ETag", format!("\"git-{name}\"").as_str())
            .set_body_string(content);
        self.mount(Mock::given(path(address(name))).respond_with(answer));
    }

    /// The headers of a large file, which a redirect leads to.
    fn mount_head(&self, name: &str, content: &[u8]) {
        let answer = ResponseTemplate::new(302)
            .insert_header("X-Linked-ETag", format!("\"{}\"", sha256(content)).as_str())
            .insert_header("X-Linked-Size", content.len().to_string().as_str())
            .insert_header("Location", format!("{}/storage/{name}", self.server.uri()).as_str());
        self.mount(Mock::given(path(address(name))).respond_with(answer));
    }

    /// A whole model, whose weights are stored under `/storage`.
    fn mount_model(&self, weights: &[u8]) {
        self.mount_list(&[".gitattributes", "config.json", "README.md", WEIGHTS, "tokenizer.model"]);
        self.mount_small("config.json", "{}");
        self.mount_small("tokenizer.model", "pieces");
        self.mount_head(WEIGHTS, weights);
    }

    fn mount_storage(&self, content: &[u8]) {
        let answer = ResponseTemplate::new(200).set_body_bytes(content);
        self.mount(Mock::given(path(format!("/storage/{WEIGHTS}"))).respond_with(answer));
    }
}

fn address(name: &str) -> String {
    format!("/org/owl/resolve/{COMMIT}/{name}")
}

fn owl() -> Repository {
    "hf:org/owl".parse().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn weights() -> Vec<u8> {
    (0..100_000u32).map(|i| (i * 31 % 251) as u8).collect()
}

fn told(error: &Error) -> String {
    format!("{error}; {}", error.remedy_text().unwrap_or_default())
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_fresh_pull_lays_the_model_into_the_usual_cache_and_a_second_one_fetches_nothing() {
    let world = World::new();
    world.mount_model(&weights());
    world.mount_storage(&weights());
    let snapshot = world.hub().pull(&owl()).unwrap();
    assert_eq!(snapshot, world.folder().join("snapshots").join(COMMIT));
    assert_eq!(read(&snapshot.join(WEIGHTS)), weights());
    assert_eq!(read(&snapshot.join("tokenizer.model")), b"pieces");
    assert!(!snapshot.join("README.md").exists());
    assert_eq!(read(&world.folder().join("refs/main")), COMMIT.as_bytes());
    assert_eq!(read(&world.folder().join("blobs").join(sha256(&weights()))), weights());
    #[cfg(unix)]
    assert_eq!(std::fs::read_link(snapshot.join("config.json")).unwrap(), Path::new("../../blobs/git-config.json"));
    world.hub().pull(&owl()).unwrap();
    assert_eq!(world.requests("GET", &format!("/storage/{WEIGHTS}")), 1);
    assert_eq!(world.requests("GET", "config.json"), 1);
    // And without any connection.
    assert_eq!(world.hub().offline().pull(&owl()).unwrap(), snapshot);
}

#[test]
fn an_interrupted_pull_carries_on_where_it_stopped() {
    let world = World::new();
    let content = weights();
    world.mount_model(&content);
    let rest = ResponseTemplate::new(206)
        .insert_header("Content-Range", format!("bytes 40000-{}/{}", content.len() - 1, content.len()).as_str())
        .set_body_bytes(&content[40_000..]);
    world.mount(
        Mock::given(path(format!("/storage/{WEIGHTS}"))).and(header("Range", "bytes=40000-")).respond_with(rest),
    );
    let blobs = world.folder().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.incomplete", sha256(&content))), &content[..40_000]).unwrap();
    let snapshot = world.hub().pull(&owl()).unwrap();
    assert_eq!(read(&snapshot.join(WEIGHTS)), content);
    assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 3, "nothing incomplete is left");
}

#[test]
fn a_server_that_cannot_carry_on_is_asked_for_the_whole_file() {
    let world = World::new();
    world.mount_model(&weights());
    world.mount_storage(&weights());
    let blobs = world.folder().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.incomplete", sha256(&weights()))), [7u8; 500]).unwrap();
    let snapshot = world.hub().pull(&owl()).unwrap();
    assert_eq!(read(&snapshot.join(WEIGHTS)), weights());
}

/// A server that cuts the connection after some bytes, again and again; it understands ranges.
fn cutting_server(content: Vec<u8>, bytes_at_a_time: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/storage/{WEIGHTS}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let from: usize = request
                .split("range: bytes=")
                .nth(1)
                .and_then(|rest| rest.split('-').next())
                .map_or(0, |from| from.parse().unwrap());
            assert!(!request.contains("authorization"), "the token went to the storage");
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            let end = content.len() - 1;
            let length = content.len() - from;
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Range: bytes {from}-{end}/{}\r\n\r\n",
                content.len()
            );
            let _ = connection.write_all(head.as_bytes());
            let _ = connection.write_all(&content[from..(from + bytes_at_a_time).min(content.len())]);
        }
    });
    address
}

#[test]
fn cut_connections_are_taken_up_again_and_the_token_stays_with_the_hub() {
    let world = World::new();
    let content = weights();
    world.mount_list(&["config.json", WEIGHTS]);
    world.mount_small("config.json", "{}");
    let answer = ResponseTemplate::new(302)
        .insert_header("X-Linked-ETag", format!("\"{}\"", sha256(&content)).as_str())
        .insert_header("X-Linked-Size", content.len().to_string().as_str())
        .insert_header("Location", cutting_server(content.clone(), 30_000).as_str());
    world.mount(Mock::given(path(address(WEIGHTS))).and(header("Authorization", "Bearer secret")).respond_with(answer));
    let snapshot = world.hub().with_token("secret").pull(&owl()).unwrap();
    assert_eq!(read(&snapshot.join(WEIGHTS)), content);
}

#[test]
fn contents_of_another_digest_are_refused_and_removed() {
    let world = World::new();
    world.mount_model(&weights());
    let mut altered = weights();
    altered[5] ^= 1;
    world.mount_storage(&altered);
    let error = world.hub().pull(&owl()).unwrap_err();
    let text = told(&error);
    assert!(text.contains(&sha256(&weights())) && text.contains(&sha256(&altered)), "{text}");
    assert!(text.contains(WEIGHTS) && text.contains("pull again"), "{text}");
    let left: Vec<_> = std::fs::read_dir(world.folder().join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("git-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!world.folder().join("refs/main").exists());
}

#[test]
fn contents_that_stay_too_short_are_an_error_that_says_how_to_carry_on() {
    let world = World::new();
    world.mount_model(&weights());
    world.mount_storage(&weights()[..1000]);
    let text = told(&world.hub().pull(&owl()).unwrap_err());
    assert!(text.contains("1000 of 100000 bytes") && text.contains("carries on"), "{text}");
}

#[test]
fn an_unknown_model_is_named() {
    let world = World::new();
    let error = world.hub().pull(&owl()).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    let text = told(&error);
    assert!(text.contains("hf:org/owl was not found") && text.contains("revision"), "{text}");
}

#[test]
fn a_model_that_is_not_public_asks_for_a_token() {
    for status in [401, 403] {
        let world = World::new();
        world.mount(Mock::given(method("GET")).respond_with(ResponseTemplate::new(status)));
        let text = told(&world.hub().pull(&owl()).unwrap_err());
        assert!(text.contains("HF_TOKEN") && text.contains(&status.to_string()), "{text}");
        let text = told(&world.hub().with_token("secret-token").pull(&owl()).unwrap_err());
        assert!(text.contains("HF_TOKEN") && !text.contains("secret-token"), "{text}");
    }
}

#[test]
fn the_token_is_sent_to_the_hub() {
    let world = World::new();
    world.mount(Mock::given(header_exists("Authorization")).respond_with(ResponseTemplate::new(404)));
    world.mount(Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)));
    let text = told(&world.hub().with_token("secret").pull(&owl()).unwrap_err());
    assert!(text.contains("was not found"), "{text}");
}

#[test]
fn an_overloaded_hub_is_asked_again() {
    let world = World::new();
    let busy = Mock::given(path("/api/models/org/owl/revision/main")).respond_with(ResponseTemplate::new(503));
    world.mount(busy.up_to_n_times(2));
    world.mount_model(&weights());
    world.mount_storage(&weights());
    world.hub().pull(&owl()).unwrap();
}

#[test]
fn a_repository_without_a_model_is_refused() {
    let world = World::new();
    world.mount_list(&["README.md", "data.csv"]);
    let text = told(&world.hub().pull(&owl()).unwrap_err());
    assert!(text.contains("holds no model") && text.contains("config.json"), "{text}");
}

#[test]
fn offline_and_without_a_cache_the_error_says_what_to_put_where() {
    let world = World::new();
    let text = told(&world.hub().offline().pull(&owl()).unwrap_err());
    let snapshot = world.folder().join("snapshots/main");
    for part in [
        "HF_HUB_OFFLINE",
        "config.json",
        "preprocessor_config.json",
        "tokenizer.model",
        "model.safetensors",
        "pytorch_model.bin",
        "/org/owl/tree/main",
        &snapshot.display().to_string(),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(world.runtime.block_on(world.server.received_requests()).unwrap().len(), 0);

    // Files put there by hand are taken.
    std::fs::create_dir_all(&snapshot).unwrap();
    for name in ["config.json", "tokenizer.model", WEIGHTS] {
        std::fs::write(snapshot.join(name), "{}").unwrap();
    }
    assert_eq!(world.hub().offline().pull(&owl()).unwrap(), snapshot);
}

#[test]
fn without_a_connection_the_cache_serves_and_a_missing_shard_is_named() {
    let world = World::new();
    // Nobody listens on a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hub = Hub::new(&format!("http://127.0.0.1:{port}"), world.cache.path()).with_pause(Duration::from_millis(1));
    let snapshot = world.folder().join("snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(world.folder().join("refs")).unwrap();
    std::fs::write(world.folder().join("refs/main"), COMMIT).unwrap();
    for name in ["config.json", "tokenizer.json", "first.bin"] {
        std::fs::write(snapshot.join(name), "{}").unwrap();
    }
    let index = r#"{"weight_map": {"a": "first.bin", "b": "second.bin", "c": "first.bin"}}"#;
    std::fs::write(snapshot.join("pytorch_model.bin.index.json"), index).unwrap();
    let text = told(&hub.pull(&owl()).unwrap_err());
    assert!(text.contains("cannot be reached") && text.contains("missing: second.bin"), "{text}");
    assert!(text.contains(COMMIT), "{text}");
    std::fs::write(snapshot.join("second.bin"), "{}").unwrap();
    assert_eq!(hub.pull(&owl()).unwrap(), snapshot);
}
