//! The endpoint backend against servers on loopback that answer, refuse, stall, lie and hang up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use owleval::backend::http::{ApiKey, HttpBackend, HttpConfig, RetryRules, Vision};
use owleval::backend::{Backend, BackendError, Decoding, FailureKind, FinishReason, Reply};
use owleval::evalset::{Conversation, ImageBytes, Message, Part, Role};
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const KEY: &str = "sk-test-0123456789abcdef";

fn question(with_image: bool) -> Conversation {
    let mut parts = vec![Part::Text("What is this?".to_owned())];
    if with_image {
        let bytes = b"\x89PNG\r\n\x1a\nrest".as_slice().into();
        parts.insert(0, Part::Image(ImageBytes { name: "49.jpg".to_owned(), bytes, sha256: "d1".to_owned() }));
    }
    let messages = vec![Message { role: Role::Human, parts }];
    Conversation { item: "49.jpg".to_owned(), turn: 0, question_id: 12, messages }
}

/// Waits of milliseconds instead of seconds.
fn config(address: &str) -> HttpConfig {
    HttpConfig {
        retry: RetryRules {
            max_attempts: 3,
            base: Duration::from_millis(1),
            longest: Duration::from_millis(2),
            longest_retry_after: Duration::from_millis(60),
        },
        ..HttpConfig::new(address, "owl")
    }
}

fn backend(config: &HttpConfig) -> HttpBackend {
    HttpBackend::with_key(config, Some(ApiKey::new(KEY).expect("a key"))).expect("a backend")
}

async fn ask(config: &HttpConfig) -> Result<Reply, BackendError> {
    backend(config).reply(&question(true), &Decoding::default()).await
}

fn answer(text: &str) -> Value {
    json!({
        "model": "owl-1", "choices": [{ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 30, "completion_tokens": 4 }
    })
}

fn good() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(answer("An owl."))
}

/// A server that gives these responses one after the other, and the last for ever.
async fn server(responses: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let next = AtomicUsize::new(0);
    Mock::given(method("POST"))
        .respond_with(move |_: &Request| {
            let index = next.fetch_add(1, Ordering::SeqCst).min(responses.len() - 1);
            responses[index].clone()
        })
        .mount(&server)
        .await;
    server
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.expect("recorded requests")
}

/// The failure of asking a server that always responds so, and how often it was asked.
async fn failure(response: ResponseTemplate) -> (BackendError, usize) {
    let server = server(vec![response]).await;
    let error = ask(&config(&server.uri())).await.expect_err("a failure");
    let asked = requests(&server).await.len();
    assert_eq!(error.attempts as usize, asked, "{error}");
    (error, asked)
}

#[tokio::test]
async fn a_question_with_a_picture_is_sent_and_answered() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", format!("Bearer {KEY}")))
        .and(header("content-type", "application/json"))
        .respond_with(good())
        .expect(1)
        .mount(&server)
        .await;
    let reply = ask(&config(&server.uri())).await.expect("an answer");
    assert_eq!((reply.text.as_str(), reply.finish), ("An owl.", FinishReason::Stop));
    assert_eq!((reply.prompt_tokens, reply.completion_tokens), (Some(30), Some(4)));
    assert_eq!(reply.request_sha256.len(), 64);
    let body: Value = requests(&server).await[0].body_json().expect("JSON");
    assert_eq!(body["model"], "owl");
    let picture = &body["messages"][0]["content"][0]["image_url"]["url"];
    assert_eq!(picture, "data:image/png;base64,iVBORw0KGgpyZXN0");
}

#[tokio::test]
async fn every_form_of_the_address_reaches_the_same_place() {
    for ending in ["", "/", "/v1", "/v1/", "/v1/chat/completions"] {
        let server = MockServer::start().await;
        Mock::given(path("/v1/chat/completions")).respond_with(good()).expect(1).mount(&server).await;
        ask(&config(&format!("{}{ending}", server.uri()))).await.expect(ending);
    }
}

#[tokio::test]
async fn without_a_key_no_authorization_is_sent() {
    let server = server(vec![good()]).await;
    let backend = HttpBackend::with_key(&config(&server.uri()), None).expect("a backend");
    backend.reply(&question(false), &Decoding::default()).await.expect("an answer");
    assert!(!requests(&server).await[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn passing_trouble_is_asked_again_until_there_is_an_answer() {
    for status in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
        let server = server(vec![ResponseTemplate::new(status), ResponseTemplate::new(status), good()]).await;
        let reply = ask(&config(&server.uri())).await.expect("an answer at the third attempt");
        assert_eq!(reply.text, "An owl.", "{status}");
        let sent = requests(&server).await;
        assert_eq!(sent.len(), 3, "{status}");
        assert!(sent.iter().all(|request| request.body == sent[0].body), "{status}");
    }
}

#[tokio::test]
async fn lasting_trouble_is_given_up_after_the_attempts_that_are_allowed() {
    for status in [429, 500, 503] {
        let response = ResponseTemplate::new(status).set_body_json(json!({ "error": { "message": "too busy" } }));
        let (error, asked) = failure(response).await;
        assert_eq!((error.kind, asked), (FailureKind::Transient, 3));
        assert!(error.message.contains(&format!("status {status}: too busy")), "{error}");
    }
}

#[tokio::test]
async fn a_request_that_the_server_refuses_fails_alone_and_at_once() {
    for status in [400, 404, 413, 422] {
        let response = ResponseTemplate::new(status).set_body_json(json!({ "error": "prompt too long" }));
        let (error, asked) = failure(response).await;
        assert_eq!((error.kind, asked), (FailureKind::Input, 1), "{status}");
        assert!(error.message.contains("prompt too long"), "{error}");
    }
}

#[tokio::test]
async fn what_concerns_every_question_is_fatal_and_says_what_to_do() {
    let quota = json!({ "error": { "message": "You exceeded your current quota", "code": "insufficient_quota" } });
    let no_model = json!({ "error": { "message": "The model `owl` does not exist", "code": "model_not_found" } });
    let no_vision = json!({ "error": { "message": "image input is not supported", "type": "server_error" } });
    let json = |status, body: &Value| ResponseTemplate::new(status).set_body_json(body);
    for (response, words) in [
        (ResponseTemplate::new(401), "set the variable named by --api-key-env"),
        (ResponseTemplate::new(403), "set the variable named by --api-key-env"),
        (ResponseTemplate::new(402), "quota"),
        (json(429, &quota), "You exceeded your current quota"),
        (json(404, &no_model), "check --model"),
        (ResponseTemplate::new(404), "check --model and --endpoint"),
        (json(400, &no_vision), "the server has no vision: status 400: image input is not supported"),
        (json(500, &no_vision), "the server has no vision"),
        (
            ResponseTemplate::new(301).insert_header("location", "https://elsewhere/v1?t=1"),
            "on to https://elsewhere/v1 ",
        ),
    ] {
        let (error, asked) = failure(response).await;
        assert_eq!((error.kind, asked), (FailureKind::Fatal, 1), "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_missing_key_is_told_from_a_wrong_one() {
    let server = server(vec![ResponseTemplate::new(401)]).await;
    let config = HttpConfig { api_key_env: "MY_KEY".to_owned(), ..config(&server.uri()) };
    let backend = HttpBackend::with_key(&config, None).expect("a backend");
    let error = backend.reply(&question(false), &Decoding::default()).await.expect_err("no key");
    assert!(error.message.contains("MY_KEY, which is not set"), "{error}");
}

/// How long an answer took that came after one 429 with this header.
async fn delay(name: &str, value: &str) -> Duration {
    let refusal = ResponseTemplate::new(429).insert_header(name, value);
    let server = server(vec![refusal, good()]).await;
    let started = Instant::now();
    ask(&config(&server.uri())).await.expect("an answer");
    started.elapsed()
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_kept_and_bounded() {
    let in_an_hour = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1))
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    for (name, value) in [
        ("retry-after", "0.04"),
        ("retry-after-ms", "40"),
        // Far beyond the bound of 60 ms: cut to it.
        ("retry-after", "3600"),
        ("retry-after", in_an_hour.as_str()),
    ] {
        let waited = delay(name, value).await;
        assert!((Duration::from_millis(40)..Duration::from_secs(3)).contains(&waited), "{name}: {value}: {waited:?}");
    }
    // Neither a past date nor nonsense delays anything beyond the client's own short wait.
    for value in ["Wed, 21 Oct 2015 07:28:00 GMT", "soon"] {
        delay("retry-after", value).await;
    }
}

#[tokio::test]
async fn one_request_that_is_told_to_wait_holds_back_the_others() {
    let server = server(vec![ResponseTemplate::new(429).insert_header("retry-after-ms", "50"), good()]).await;
    let mut config = config(&server.uri());
    // The first question gives up at once; the wait that was asked for holds for the second.
    config.retry.max_attempts = 1;
    let backend = backend(&config);
    let (conversation, decoding) = (question(false), Decoding::default());
    let started = Instant::now();
    assert!(backend.reply(&conversation, &decoding).await.is_err());
    backend.reply(&conversation, &decoding).await.expect("an answer");
    assert!(started.elapsed() >= Duration::from_millis(50), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_reply_that_cannot_be_used_is_asked_for_again_and_named() {
    for (response, words) in [
        (ResponseTemplate::new(200).set_body_raw("<html>hello</html>", "text/html"), "text/html instead of JSON"),
        (ResponseTemplate::new(200).set_body_raw("data: {}\n\n", "text/event-stream"), "text/event-stream instead"),
        (ResponseTemplate::new(200).set_body_raw("{\"choices\": [", "application/json"), "ends early"),
        (ResponseTemplate::new(200).set_body_raw("not json", "application/json"), "is no chat completion"),
        (ResponseTemplate::new(200).set_body_raw([0xff, 0xfe, 0x00], "application/json"), "is no chat completion"),
        (ResponseTemplate::new(204), "ends early"),
        (ResponseTemplate::new(200).set_body_json(json!({ "choices": [] })), "holds no choice"),
        (ResponseTemplate::new(200).set_body_json(answer("x")["nothing"].clone()), "is no chat completion"),
    ] {
        let (error, asked) = failure(response).await;
        assert_eq!((error.kind, asked), (FailureKind::Transient, 3), "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_reply_without_text_fails_alone() {
    let body = json!({ "choices": [{ "message": { "content": null }, "finish_reason": "length" }] });
    let (error, asked) = failure(ResponseTemplate::new(200).set_body_json(body)).await;
    assert_eq!((error.kind, asked), (FailureKind::Input, 1));
    assert!(error.message.contains("content is null"), "{error}");
}

#[tokio::test]
async fn an_error_under_a_good_status_is_judged_like_a_bad_status() {
    let body = json!({ "error": { "message": "quota used up", "code": 429 } });
    let (error, _) = failure(ResponseTemplate::new(200).set_body_json(body)).await;
    assert_eq!(error.kind, FailureKind::Fatal);
    let (error, asked) = failure(ResponseTemplate::new(200).set_body_json(json!({ "error": "upstream" }))).await;
    assert_eq!((error.kind, asked), (FailureKind::Transient, 3));
}

#[tokio::test]
async fn a_reply_larger_than_the_limit_is_not_read() {
    let server = server(vec![ResponseTemplate::new(200).set_body_json(answer(&"x".repeat(5000)))]).await;
    let error = ask(&HttpConfig { reply_bytes: 1000, ..config(&server.uri()) }).await.expect_err("too long");
    assert!(error.message.contains("longer than 1000 bytes"), "{error}");
    assert_eq!(error.attempts, 1);
}

#[tokio::test]
async fn a_server_that_wants_the_newer_name_of_the_limit_gets_it_from_then_on() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(|request: &Request| {
            let body: Value = request.body_json().expect("JSON");
            if body.get("max_tokens").is_none() {
                return good();
            }
            let message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
            ResponseTemplate::new(400).set_body_json(json!({ "error": { "message": message } }))
        })
        .mount(&server)
        .await;
    let backend = backend(&config(&server.uri()));
    for _ in 0..2 {
        backend.reply(&question(false), &Decoding::default()).await.expect("an answer");
    }
    assert_eq!(requests(&server).await.len(), 3, "one refusal, two answers");
}

#[tokio::test]
async fn a_picture_is_not_sent_to_a_server_that_is_said_to_have_no_vision() {
    let server = server(vec![good()]).await;
    let backend = backend(&HttpConfig { vision: Vision::No, ..config(&server.uri()) });
    let error = backend.reply(&question(true), &Decoding::default()).await.expect_err("no vision");
    assert_eq!((error.kind, error.attempts), (FailureKind::Input, 0));
    backend.reply(&question(false), &Decoding::default()).await.expect("an answer");
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_the_concurrency_allows() {
    let server = server(vec![good().set_delay(Duration::from_millis(25))]).await;
    let backend = backend(&HttpConfig { concurrency: 2, ..config(&server.uri()) });
    assert_eq!(backend.max_in_flight(), 2);
    let (conversation, decoding) = (question(false), Decoding::default());
    let started = Instant::now();
    let replies = futures::future::join_all((0..6).map(|_| backend.reply(&conversation, &decoding))).await;
    assert!(replies.iter().all(Result::is_ok));
    assert!(started.elapsed() >= Duration::from_millis(75), "{:?}", started.elapsed());
}

#[tokio::test]
async fn requests_keep_to_the_rate_that_is_set() {
    let server = server(vec![good()]).await;
    let rate = NonZeroU32::new(3000);
    let backend = backend(&HttpConfig { requests_per_minute: rate, concurrency: 8, ..config(&server.uri()) });
    let (conversation, decoding) = (question(false), Decoding::default());
    let started = Instant::now();
    futures::future::join_all((0..4).map(|_| backend.reply(&conversation, &decoding))).await;
    assert!(started.elapsed() >= Duration::from_millis(55), "{:?}", started.elapsed());
}

/// A server of raw bytes: `serve` gets each connection after its request was read. Returns the address and how many
/// connections there were.
fn raw_server(serve: impl Fn(&mut TcpStream) + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counted.fetch_add(1, Ordering::SeqCst);
            read_request(&mut stream);
            serve(&mut stream);
        }
    });
    (address, count)
}

fn read_request(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(read) = stream.read(&mut buffer) else { return };
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return;
            }
        }
    }
}

fn head(length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_asked_for_again_and_named() {
    let (address, count) = raw_server(|stream| {
        let _ = write!(stream, "{}{{\"choices\":", head(500));
    });
    let error = ask(&config(&address)).await.expect_err("a broken reply");
    assert_eq!((error.kind, error.attempts), (FailureKind::Transient, 3));
    assert!(error.message.contains("broke off after 11 bytes"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_connection_that_is_reset_is_tried_again() {
    let calls = AtomicUsize::new(0);
    let (address, _) = raw_server(move |stream| {
        if calls.fetch_add(1, Ordering::SeqCst) == 2 {
            let body = answer("An owl.").to_string();
            let _ = write!(stream, "{}{body}", head(body.len()));
        }
        // Otherwise it is closed without a word.
    });
    assert_eq!(ask(&config(&address)).await.expect("an answer at the third attempt").text, "An owl.");
    let (address, _) = raw_server(|_| {});
    let error = ask(&config(&address)).await.expect_err("a reset");
    assert_eq!((error.kind, error.attempts), (FailureKind::Transient, 3));
    assert!(error.message.contains("broke off"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let error = ask(&config(&address)).await.expect_err("no server");
    assert_eq!((error.kind, error.attempts), (FailureKind::Transient, 3));
    assert!(error.message.contains(&format!("cannot connect to {address}")), "{error}");
}

#[tokio::test]
async fn a_server_that_is_silent_or_endlessly_slow_is_given_up_in_time() {
    let silent = server(vec![good().set_delay(Duration::from_secs(60))]).await;
    let (slow, _) = raw_server(|stream| {
        let _ = write!(stream, "{}", head(100_000));
        // One byte every 5 ms is never silent for long, and would take minutes.
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    for address in [silent.uri(), slow] {
        let mut config = HttpConfig { total_timeout: Duration::from_millis(80), ..config(&address) };
        config.retry.max_attempts = 2;
        let started = Instant::now();
        let error = ask(&config).await.expect_err("too slow");
        assert_eq!((error.kind, error.attempts), (FailureKind::Transient, 2));
        assert!(error.message.contains("--timeout"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn slow_bytes_within_the_time_are_an_answer() {
    let (address, _) = raw_server(|stream| {
        let body = answer("An owl.").to_string();
        let _ = write!(stream, "{}", head(body.len()));
        for piece in body.as_bytes().chunks(16) {
            let _ = stream.write_all(piece);
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    assert_eq!(ask(&config(&address)).await.expect("an answer").text, "An owl.");
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_before_anything_is_sent() {
    let usable = config("http://127.0.0.1:9");
    for broken in [
        HttpConfig { base_url: "not a url".to_owned(), ..usable.clone() },
        HttpConfig { model: " ".to_owned(), ..usable.clone() },
        HttpConfig { concurrency: 0, ..usable.clone() },
        HttpConfig { api_key_env: String::new(), ..usable.clone() },
    ] {
        assert_eq!(HttpBackend::new(&broken).map(|_| ()).expect_err("unusable").exit_code(), 2);
    }
    assert!(HttpBackend::new(&usable).is_ok());
}

/// Collects everything that the program would log, at the finest level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_key_is_in_no_error_no_info_no_log_and_no_answer() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // This test's runtime has one thread, so that all it does is logged here.
    let _guard = tracing::subscriber::set_default(subscriber);
    // With a single subscriber alive, tracing asks the thread that reaches a log statement first, which may be another
    // test's without one, and would then drop the statement for good.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());

    let echo = format!("your key {KEY} is bad");
    let error_body = json!({ "error": { "message": echo, "type": KEY } });
    // The cut of a long message must not leave half a key.
    let at_the_cut = json!({ "error": format!("{}{KEY}", "x".repeat(390)) });
    let json = |status, body: &Value| ResponseTemplate::new(status).set_body_json(body);
    let mut odd = answer(&echo);
    odd["choices"][0]["message"]["content"] = json!({ KEY: 1 });
    let mut texts = Vec::new();
    for response in [
        json(401, &error_body),
        json(403, &error_body),
        json(400, &error_body),
        json(500, &error_body),
        json(400, &at_the_cut),
        ResponseTemplate::new(404).set_body_string(&echo),
        ResponseTemplate::new(302).insert_header("location", format!("http://x/{KEY}")),
        ResponseTemplate::new(200).set_body_raw("x", &format!("text/{KEY}")),
        json(200, &error_body),
        json(200, &json!({ "choices": KEY })),
        json(200, &json!({ "choices": [{ "message": { "content": null, "refusal": echo } }] })),
        json(200, &odd),
        json(200, &answer(&echo)),
    ] {
        let server = server(vec![response]).await;
        let backend = backend(&config(&server.uri()));
        texts.push(format!("{:?}", backend.info()));
        match backend.reply(&question(true), &Decoding::default()).await {
            Ok(reply) => texts.push(format!("{reply:?}")),
            Err(error) => texts.push(format!("{error} {error:?}")),
        }
    }
    let log = String::from_utf8_lossy(&log.0.lock().expect("a log")).into_owned();
    assert!(log.contains("the server is busy or in trouble"), "the retries are logged");
    assert!(texts.iter().any(|text| text.contains("your key [key] is bad")), "{texts:?}");
    texts.push(log);
    for text in texts {
        // Half of it would do harm too.
        assert!(!text.contains(&KEY[..12]), "{text}");
    }
}
