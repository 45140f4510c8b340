//! `owleval evalset pull` against a server on loopback, with made-up files and their digests.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use owleval::evalset::{FileList, PullEvent, PullPlan, pull};
use sha2::{Digest, Sha256};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const FILES: [(&str, &str); 3] = [
    ("questions.jsonl", "the questions\n"),
    ("answer/one.jsonl", "the answers\n"),
    ("cases/1.jpg", "a picture, as bytes go"),
];

fn sha256(content: &str) -> String {
    hex::encode(Sha256::digest(content))
}

fn plan(address: String, folder: &Path) -> PullPlan {
    let lines: Vec<String> = FILES.iter().map(|(file, content)| format!("{}  {file}", sha256(content))).collect();
    let files = FileList::parse(&lines.join("\n")).expect("a list");
    PullPlan { files, address, folder: folder.to_owned(), retry_delay: Duration::from_millis(1) }
}

async fn serve(server: &MockServer, file: &str, answer: ResponseTemplate) {
    Mock::given(method("GET")).and(path(format!("/base/{file}"))).respond_with(answer).mount(server).await;
}

async fn serve_all(server: &MockServer) {
    for (file, content) in FILES {
        serve(server, file, ResponseTemplate::new(200).set_body_string(content)).await;
    }
}

fn content(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).expect("the file is there")
}

#[tokio::test]
async fn every_file_is_fetched_once_and_checked() {
    let server = MockServer::start().await;
    serve_all(&server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = plan(format!("{}/base/", server.uri()), folder.path());
    let received = Mutex::new(0);
    let summary = pull(&plan, |event| {
        if let PullEvent::Received(bytes) = event {
            *received.lock().expect("not poisoned") += bytes;
        }
    })
    .await
    .expect("a pull");
    assert_eq!((summary.kept, summary.fetched, summary.failures.len()), (0, 3, 0));
    let whole: u64 = FILES.iter().map(|(_, content)| content.len() as u64).sum();
    assert_eq!(received.into_inner().expect("not poisoned"), whole);
    for (file, expected) in FILES {
        assert_eq!(content(folder.path(), file), expected);
    }
    assert!(content(folder.path(), "evalset.toml").contains(&sha256(FILES[0].1)));

    let again = pull(&plan, |_| ()).await.expect("a second pull");
    assert_eq!((again.kept, again.fetched), (3, 0));
    assert_eq!(server.received_requests().await.expect("recorded").len(), 3);
}

#[tokio::test]
async fn a_file_of_another_digest_is_refused_by_name_and_the_others_are_kept() {
    let server = MockServer::start().await;
    serve(&server, "answer/one.jsonl", ResponseTemplate::new(200).set_body_string("forged answers")).await;
    serve_all(&server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let summary = pull(&plan(format!("{}/base", server.uri()), folder.path()), |_| ()).await.expect("a pull");
    assert_eq!((summary.fetched, summary.failures.len()), (2, 1));
    assert_eq!(summary.failures[0].file, "answer/one.jsonl");
    let message = &summary.failures[0].message;
    assert!(message.contains(&sha256("forged answers")) && message.contains(&sha256(FILES[1].1)), "{message}");
    assert!(!folder.path().join("answer/one.jsonl").exists());
    assert!(!folder.path().join("answer/one.jsonl.part").exists());
    assert!(!folder.path().join("evalset.toml").exists(), "an incomplete pull does not call itself complete");
}

#[tokio::test]
async fn an_interrupted_pull_carries_on_where_it_broke_off() {
    let server = MockServer::start().await;
    let (file, whole) = FILES[2];
    let rest = ResponseTemplate::new(206)
        .insert_header("content-range", format!("bytes 9-{}/{}", whole.len() - 1, whole.len()))
        .set_body_string(&whole[9..]);
    Mock::given(method("GET"))
        .and(path(format!("/base/{file}")))
        .and(header("range", "bytes=9-"))
        .respond_with(rest)
        .mount(&server)
        .await;
    serve_all(&server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("cases")).expect("a folder");
    std::fs::write(folder.path().join("cases/1.jpg.part"), &whole[..9]).expect("half a file");
    std::fs::write(folder.path().join("questions.jsonl"), FILES[0].1).expect("a whole file");

    let summary = pull(&plan(format!("{}/base", server.uri()), folder.path()), |_| ()).await.expect("a pull");
    assert_eq!((summary.kept, summary.fetched, summary.failures.len()), (1, 2, 0));
    assert_eq!(content(folder.path(), file), whole);
    let requests = server.received_requests().await.expect("recorded");
    assert_eq!(requests.iter().filter(|request| request.url.path().ends_with("1.jpg")).count(), 1);
}

#[tokio::test]
async fn a_wrong_or_foreign_beginning_is_fetched_anew() {
    for (status, range) in [(206, "bytes 4-"), (206, "bytes 0-"), (416, ""), (200, "")] {
        let server = MockServer::start().await;
        let (file, whole) = FILES[0];
        let body = if status == 206 { &whole[4..] } else { whole };
        let answer = ResponseTemplate::new(status).insert_header("content-range", range).set_body_string(body);
        Mock::given(method("GET"))
            .and(path(format!("/base/{file}")))
            .and(header("range", "bytes=4-"))
            .respond_with(answer)
            .mount(&server)
            .await;
        serve_all(&server).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("questions.jsonl.part"), "XXXX").expect("a wrong beginning");
        let summary = pull(&plan(format!("{}/base", server.uri()), folder.path()), |_| ()).await.expect("a pull");
        assert_eq!((summary.fetched, summary.failures.len()), (3, 0), "{status} {range}");
        assert_eq!(content(folder.path(), file), whole);
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_missing_file_is_named() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/base/questions.jsonl"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    serve(&server, "cases/1.jpg", ResponseTemplate::new(404)).await;
    serve_all(&server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let summary = pull(&plan(format!("{}/base", server.uri()), folder.path()), |_| ()).await.expect("a pull");
    assert_eq!(summary.fetched, 2);
    assert_eq!(summary.failures.len(), 1);
    assert!(summary.failures[0].file == "cases/1.jpg" && summary.failures[0].message.contains("404"), "{summary:?}");
}

#[tokio::test]
async fn a_server_that_stays_away_ends_the_pull_and_keeps_what_came() {
    let server = MockServer::start().await;
    serve(&server, "cases/1.jpg", ResponseTemplate::new(500)).await;
    serve_all(&server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = plan(format!("{}/base", server.uri()), folder.path());
    let error = pull(&plan, |_| ()).await.expect_err("no pull");
    assert_eq!(error.exit_code(), 1);
    assert!(
        error.message().contains("1.jpg") && error.remedy_text().expect("a remedy").contains("carry on"),
        "{error}"
    );
    assert_eq!(content(folder.path(), "questions.jsonl"), FILES[0].1);

    // Nobody listens at an address that was just given back. (A dropped mock server returns to a pool and listens on.)
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let address = format!("http://{free}/base");
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(pull(&PullPlan { address, folder: folder.path().to_owned(), ..plan }, |_| ()).await.is_err());
}

#[tokio::test]
async fn a_file_that_somebody_changed_is_left_as_it_is() {
    let server = MockServer::start().await;
    serve_all(&server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("questions.jsonl"), "my own questions").expect("written");
    let summary = pull(&plan(format!("{}/base", server.uri()), folder.path()), |_| ()).await.expect("a pull");
    assert_eq!(summary.failures.len(), 1);
    assert!(summary.failures[0].message.contains("left as it is"));
    assert_eq!(content(folder.path(), "questions.jsonl"), "my own questions");
}

#[tokio::test]
async fn addresses_and_lists_that_cannot_be_used_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().join("new");
    for address in ["", "raw.githubusercontent.com/x", "file:///etc", "ftp://example.org"] {
        let error = pull(&plan(address.to_owned(), &target), |_| ()).await.expect_err("refused");
        assert_eq!(error.exit_code(), 2);
    }
    assert!(!target.exists());
    let digest = sha256("x");
    for line in [
        format!("{digest}  ../x"),
        format!("{digest}  /etc/x"),
        "abc  x".to_owned(),
        digest.clone(),
        format!("{digest} x"),
    ] {
        assert!(FileList::parse(&line).is_err(), "{line}");
    }
}

#[tokio::test]
async fn two_pulls_into_one_folder_do_not_meet() {
    let server = MockServer::start().await;
    let slow =
        |_: &Request| ResponseTemplate::new(200).set_body_string(FILES[0].1).set_delay(Duration::from_millis(300));
    Mock::given(method("GET")).and(path("/base/questions.jsonl")).respond_with(slow).mount(&server).await;
    serve_all(&server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = plan(format!("{}/base", server.uri()), folder.path());
    let (first, second) = tokio::join!(pull(&plan, |_| ()), pull(&plan, |_| ()));
    assert_eq!(first.expect("the first").fetched, 3);
    assert!(second.expect_err("the second").message().contains("another pull"));
}
