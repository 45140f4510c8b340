//! The body that is sent, byte for byte, and every shape of reply.

use proptest::prelude::*;

use super::*;
use crate::evalset::Message;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

fn image(name: &str, bytes: &[u8]) -> Part {
    let sha256 = hex::encode(Sha256::digest(bytes));
    Part::Image(ImageBytes { name: name.to_owned(), bytes: bytes.into(), sha256 })
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn dialogue() -> Conversation {
    let message = |role, parts| Message { role, parts };
    Conversation {
        item: "49.jpg".to_owned(),
        turn: 1,
        question_id: 2,
        messages: vec![
            message(Role::Human, vec![image("49.jpg", PNG), text("What is this?")]),
            message(Role::Assistant, vec![text("An owl.")]),
            message(Role::Human, vec![text("Which?")]),
        ],
    }
}

fn json_of(request: &ChatRequest) -> Value {
    let body = body("m", request, LimitField::MaxTokens).expect("a body");
    serde_json::from_slice(&body.json).expect("JSON")
}

fn digest(model: &str, request: &ChatRequest) -> String {
    body(model, request, LimitField::MaxTokens).expect("a body").sha256
}

#[test]
fn a_dialogue_with_a_picture_becomes_exactly_this_body() {
    let body = body("m", &ChatRequest::of(&dialogue(), &Decoding::default()), LimitField::MaxTokens).expect("a body");
    let url = "data:image/png;base64,iVBORw0KGgpyZXN0";
    assert_eq!(
        String::from_utf8(body.json).expect("UTF-8"),
        format!(
            concat!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":"#,
                r#"{{"url":"{}"}}}},{{"type":"text","text":"What is this?"}}]}},"#,
                r#"{{"role":"assistant","content":"An owl."}},{{"role":"user","content":"Which?"}}],"#,
                r#""temperature":0.0,"max_tokens":256,"stream":false}}"#
            ),
            url
        )
    );
}

#[test]
fn decoding_is_written_only_where_it_says_something() {
    let decoding = Decoding {
        max_new_tokens: 7,
        temperature: 0.7,
        top_k: Some(40),
        top_p: Some(0.9),
        repetition_penalty: 1.5,
        no_repeat_ngram_size: 3,
        stop: vec!["Human:".to_owned()],
        seed: u64::MAX,
    };
    let body = json_of(&ChatRequest::of(&dialogue(), &decoding));
    for (name, value) in [
        ("temperature", json!(0.7)),
        ("max_tokens", json!(7)),
        ("top_p", json!(0.9)),
        ("seed", json!(i64::MAX)),
        ("stop", json!(["Human:"])),
        ("top_k", json!(40)),
        ("repetition_penalty", json!(1.5)),
        ("repeat_penalty", json!(1.5)),
        ("no_repeat_ngram_size", json!(3)),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    let seeded = Decoding { seed: 3, ..Decoding::default() };
    assert_eq!(json_of(&ChatRequest::of(&dialogue(), &seeded))["seed"], 3);
}

#[test]
fn further_fields_and_a_system_message_can_be_asked_for() {
    let mut request = ChatRequest::of(&dialogue(), &Decoding::default());
    request.messages.insert(0, ChatMessage { role: ChatRole::System, parts: vec![text("Judge.")] });
    request.extra.insert("response_format".to_owned(), json!({ "type": "json_object" }));
    request.extra.insert("temperature".to_owned(), json!(1));
    let body = json_of(&request);
    assert_eq!(body["messages"][0], json!({ "role": "system", "content": "Judge." }));
    assert_eq!(body["response_format"]["type"], "json_object");
    assert_eq!(body["temperature"], 1);
}

#[test]
fn the_digest_knows_model_pictures_words_and_decoding() {
    let request = ChatRequest::of(&dialogue(), &Decoding::default());
    let same = digest("m", &request);
    assert_eq!(same, digest("m", &request));
    assert_ne!(same, digest("other", &request));
    let mut other = request.clone();
    other.messages[0].parts[0] = image("49.jpg", b"\x89PNG\r\n\x1a\nother");
    assert_ne!(same, digest("m", &other));
    let mut other = request.clone();
    other.messages[2].parts[0] = text("Which one?");
    assert_ne!(same, digest("m", &other));
    let mut other = request.clone();
    other.decoding.max_new_tokens = 255;
    assert_ne!(same, digest("m", &other));
    let mut renamed = request.clone();
    renamed.messages[0].parts[0] = image("elsewhere.jpg", PNG);
    assert_eq!(same, digest("m", &renamed), "the server never sees the name");
    let completion = body("m", &request, LimitField::MaxCompletionTokens).expect("a body");
    assert_ne!(same, completion.sha256);
}

#[test]
fn a_picture_is_named_by_what_it_is_and_an_unknown_one_is_refused() {
    for (bytes, mime) in [
        (PNG, "image/png"),
        (&b"\xff\xd8\xff\xe0"[..], "image/jpeg"),
        (&b"GIF89a"[..], "image/gif"),
        (&b"RIFF\0\0\0\0WEBP"[..], "image/webp"),
    ] {
        let mut request = ChatRequest::of(&dialogue(), &Decoding::default());
        request.messages[0].parts[0] = image("49.jpg", bytes);
        let url = json_of(&request)["messages"][0]["content"][0]["image_url"]["url"].clone();
        assert!(url.as_str().expect("a URL").starts_with(&format!("data:{mime};base64,")), "{url}");
    }
    let mut request = ChatRequest::of(&dialogue(), &Decoding::default());
    request.messages[0].parts[0] = image("49.jpg", b"<svg/>");
    let message = body("m", &request, LimitField::MaxTokens).expect_err("no picture");
    assert!(message.contains("49.jpg"), "{message}");
}

#[test]
fn tokens_are_estimated_from_words_pictures_and_the_answer() {
    let tokens = ChatRequest::of(&dialogue(), &Decoding::default()).estimated_tokens();
    assert_eq!(tokens, 256 + 1000 + (13 / 4 + 1) + (7 / 4 + 1) + (6 / 4 + 1));
}

fn reply(body: Value) -> Result<ParsedReply, ReplyFault> {
    read_reply(body.to_string().as_bytes(), 10)
}

fn with_content(content: Value) -> Value {
    json!({ "choices": [{ "message": { "content": content }, "finish_reason": "stop" }] })
}

#[test]
fn a_full_reply_is_read() {
    let read = reply(json!({
        "id": "x", "object": "chat.completion", "model": "m-2", "system_fingerprint": null,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "An owl.", "tool_calls": [] },
                      "logprobs": null, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14, "details": {} }
    }))
    .expect("a reply");
    let expected = ParsedReply {
        text: "An owl.".to_owned(),
        finish: FinishReason::Stop,
        prompt_tokens: Some(11),
        completion_tokens: Some(3),
        model: Some("m-2".to_owned()),
    };
    assert_eq!(read, expected);
}

#[test]
fn content_may_be_a_text_or_a_list_of_parts() {
    for (content, text) in [
        (json!("a"), "a"),
        (json!(""), ""),
        (json!([{ "type": "text", "text": "a" }, { "type": "thinking", "text": null }, "b"]), "ab"),
        (json!([]), ""),
    ] {
        assert_eq!(reply(with_content(content.clone())).expect("a reply").text, text, "{content}");
    }
    for content in [json!(3), json!({ "text": "a" }), json!([3])] {
        assert!(matches!(reply(with_content(content.clone())), Err(ReplyFault::Malformed(_))), "{content}");
    }
}

#[test]
fn fields_that_are_not_needed_may_have_any_shape() {
    let mut body = with_content(json!("a"));
    body["usage"] = json!({ "prompt_tokens": "many", "completion_tokens": 2.5 });
    body["model"] = json!(7);
    body["error"] = json!(null);
    let read = reply(body).expect("a reply");
    assert_eq!((read.prompt_tokens, read.completion_tokens, read.model), (None, None, None));
    let mut body = with_content(json!("a"));
    body["usage"] = json!("none");
    assert!(reply(body).is_ok());
}

#[test]
fn the_finish_reason_is_true_or_taken_from_the_usage() {
    for (reason, used, finish) in [
        (json!("stop"), 10, FinishReason::Stop),
        (json!("eos_token"), 10, FinishReason::Stop),
        (json!("length"), 3, FinishReason::Length),
        (json!("max_tokens"), 3, FinishReason::Length),
        (json!(null), 9, FinishReason::Stop),
        (json!(null), 10, FinishReason::Length),
        (json!("whatever"), 10, FinishReason::Length),
        (json!(["list"]), 3, FinishReason::Stop),
    ] {
        let mut body = with_content(json!("a"));
        body["choices"][0]["finish_reason"] = reason.clone();
        body["usage"] = json!({ "completion_tokens": used });
        assert_eq!(reply(body).expect("a reply").finish, finish, "{reason} {used}");
    }
}

#[test]
fn a_reply_without_text_says_why() {
    let choice = |message: Value, reason: &str| json!({ "choices": [{ "message": message, "finish_reason": reason }] });
    let thought = json!({ "content": "", "reasoning_content": "Hm." });
    for (body, words, again) in [
        (choice(json!({ "content": null }), "stop"), "content is null", true),
        (choice(json!({}), "stop"), "content is null", true),
        (choice(json!({ "content": null }), "length"), "raise --max-new-tokens", false),
        (choice(thought, "length"), "raise --max-new-tokens", false),
        (choice(json!({ "content": null }), "tool_calls"), "calls a tool", false),
        (choice(json!({ "content": null, "refusal": "I must not." }), "stop"), "refused to answer: I must not.", false),
        (choice(json!({ "content": null }), "content_filter"), "content filter withheld", false),
        (choice(json!({ "content": "An" }), "content_filter"), "content filter cut", false),
        (json!({ "choices": [] }), "no choice", true),
        (json!({}), "no choice", true),
    ] {
        let fault = reply(body.clone()).expect_err("no text");
        let (message, is_malformed) = match fault {
            ReplyFault::Malformed(message) => (message, true),
            ReplyFault::NoText(message) => (message, false),
            ReplyFault::Error(error) => panic!("{body}: {error:?}"),
        };
        assert!(message.contains(words), "{message}");
        assert_eq!(is_malformed, again, "{message}");
    }
}

#[test]
fn an_error_under_a_good_status_is_an_error() {
    let fault = reply(json!({ "error": { "message": "upstream", "code": 502 } })).expect_err("an error");
    let ReplyFault::Error(error) = fault else { panic!("{fault:?}") };
    assert_eq!((error.message.as_str(), error.status), ("upstream", Some(502)));
}

#[test]
fn a_body_that_is_no_json_says_whether_it_ended_early() {
    let malformed = |body: &[u8]| match read_reply(body, 10) {
        Err(ReplyFault::Malformed(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(malformed(br#"{"choices":[{"mess"#).contains("ends early"));
    assert!(malformed(b"").contains("ends early"));
    assert!(malformed(b"<html>").contains("no chat completion"));
    assert!(malformed(&b"[".repeat(100_000)).contains("no chat completion"));
}

#[test]
fn only_json_may_hold_a_reply() {
    for good in [None, Some("application/json; charset=utf-8"), Some("Application/Problem+JSON"), Some("text/plain")] {
        assert!(may_be_json(good), "{good:?}");
    }
    for bad in ["text/html", "text/event-stream", "image/png", "application/jsonl"] {
        assert!(!may_be_json(Some(bad)), "{bad}");
    }
}

/// JSON values of any kind, built of the names that replies use, so that wrong shapes stand in the right places.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        "\\PC{0,6}".prop_map(|value| json!(value)),
    ];
    let name = prop::sample::select(vec![
        "choices",
        "message",
        "content",
        "text",
        "finish_reason",
        "usage",
        "completion_tokens",
        "error",
        "code",
        "type",
        "detail",
        "refusal",
        "model",
    ]);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((name.clone(), inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_a_reply_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_reply(&bytes, 10);
        let _ = ServerError::read(&bytes).searchable();
    }

    #[test]
    fn any_json_is_a_reply_or_a_fault(body in any_json(), wrap in any::<bool>()) {
        let body = if wrap { json!({ "choices": [{ "message": body }] }) } else { body };
        let _ = reply(body.clone());
        let _ = ServerError::read(body.to_string().as_bytes()).searchable();
    }

    #[test]
    fn a_reply_cut_anywhere_is_a_fault(cut in 0usize..60) {
        let whole = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;
        prop_assert!(read_reply(&whole.as_bytes()[..cut], 10).is_err());
    }
}
