//! The built-in model as a backend: batches, seeds, stop strings, dialogues. On the small random model of the fixtures,
//! whose words mean nothing, but whose numbers are the reference's.

use std::path::PathBuf;

use futures::future::join_all;
use owleval::backend::local::{LocalBackend, LocalOptions};
use owleval::backend::{Backend, Decoding, FailureKind, FinishReason, Reply};
use owleval::evalset::{Conversation, ImageBytes, Message, Part, Role};

fn backend(batch: usize) -> LocalBackend {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/checkpoint");
    let options = LocalOptions { batch: Some(batch), ..LocalOptions::new(folder.display().to_string()) };
    LocalBackend::open(&options).unwrap()
}

fn picture(name: &str) -> ImageBytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/preprocess/images").join(name);
    let bytes = std::fs::read(path).unwrap();
    ImageBytes { name: name.into(), bytes: bytes.into(), sha256: format!("digest of {name}") }
}

fn ask(question_id: u64, text: &str, image: Option<&str>) -> Conversation {
    let mut parts: Vec<Part> = image.map(|name| Part::Image(picture(name))).into_iter().collect();
    parts.push(Part::Text(text.into()));
    let messages = vec![Message { role: Role::Human, parts }];
    Conversation { item: format!("item-{question_id}"), turn: 0, question_id, messages }
}

fn questions() -> Vec<Conversation> {
    let images = [Some("gray8.jpg"), None, Some("palette.gif"), Some("gray8.jpg"), Some("rgba_alpha.png"), None];
    let texts =
        ["Why?", "What is the total amount?", "Where is the man in the image?", "How long?", "Say.", "And now?"];
    texts.iter().zip(images).enumerate().map(|(id, (text, image))| ask(id as u64 + 1, text, image)).collect()
}

fn replies(backend: &LocalBackend, conversations: &[Conversation], decoding: &Decoding) -> Vec<Reply> {
    let replies = conversations.iter().map(|conversation| backend.reply(conversation, decoding));
    futures::executor::block_on(join_all(replies)).into_iter().map(Result::unwrap).collect()
}

fn texts(replies: &[Reply]) -> Vec<&str> {
    replies.iter().map(|reply| reply.text.as_str()).collect()
}

#[test]
fn a_batch_says_what_each_question_gets_alone_greedy_and_sampled() {
    for temperature in [0.0, 1.0] {
        let decoding = Decoding { max_new_tokens: 12, temperature, seed: 5, ..Decoding::default() };
        let alone = replies(&backend(1), &questions(), &decoding);
        let together = replies(&backend(4), &questions(), &decoding);
        assert_eq!(texts(&alone), texts(&together));
        let mut backwards = questions();
        backwards.reverse();
        let mut reversed = replies(&backend(3), &backwards, &decoding);
        reversed.reverse();
        assert_eq!(texts(&alone), texts(&reversed));
    }
}

#[test]
fn another_seed_draws_other_answers_and_the_digest_tells_them_apart() {
    let decoding = |seed| Decoding { max_new_tokens: 12, temperature: 1.0, seed, ..Decoding::default() };
    let backend = backend(2);
    let (one, two) = (replies(&backend, &questions(), &decoding(1)), replies(&backend, &questions(), &decoding(2)));
    assert_ne!(texts(&one), texts(&two));
    assert_ne!(one[0].request_sha256, two[0].request_sha256);
    assert_eq!(one[0].request_sha256.len(), 64);
}

#[test]
fn an_answer_ends_before_a_stop_string_or_at_the_limit_and_says_which() {
    let backend = backend(1);
    let decoding = Decoding { max_new_tokens: 16, ..Decoding::default() };
    let whole = replies(&backend, &questions()[..1], &decoding).remove(0);
    assert_eq!((whole.finish, whole.completion_tokens), (FinishReason::Length, Some(16)));
    let stop: String = whole.text.chars().skip(3).take(2).collect();
    let expected = whole.text.split(&stop).next().unwrap().trim();
    let cut = replies(&backend, &questions()[..1], &Decoding { stop: vec![stop.clone()], ..decoding }).remove(0);
    assert_eq!((cut.text.as_str(), cut.finish), (expected, FinishReason::Stop));
    assert!(cut.completion_tokens < Some(16));
}

#[test]
fn the_next_turn_of_a_dialogue_is_answered_as_if_it_were_asked_anew() {
    let decoding = Decoding { max_new_tokens: 8, ..Decoding::default() };
    let first = ask(1, "Why?", Some("gray8.jpg"));
    let dialogue = backend(1);
    let answer = replies(&dialogue, std::slice::from_ref(&first), &decoding).remove(0);
    let mut second = first.clone();
    second.turn = 1;
    second.question_id = 2;
    second.messages.push(Message { role: Role::Assistant, parts: vec![Part::Text(answer.text)] });
    second.messages.push(Message { role: Role::Human, parts: vec![Part::Text("And then?".into())] });
    let continued = replies(&dialogue, std::slice::from_ref(&second), &decoding).remove(0);
    let anew = replies(&backend(1), &[second], &decoding).remove(0);
    assert_eq!(continued.text, anew.text);
    assert_eq!(continued.prompt_tokens, anew.prompt_tokens);
}

#[test]
fn a_corrupt_picture_fails_its_own_question_and_no_other() {
    let mut broken = ask(1, "Why?", Some("gray8.jpg"));
    if let Part::Image(image) = &mut broken.messages[0].parts[0] {
        image.bytes = image.bytes[..40].to_vec().into();
        image.sha256 = "another".into();
    }
    let conversations = [broken, ask(2, "Why?", Some("gray8.jpg"))];
    let backend = backend(2);
    let decoding = Decoding { max_new_tokens: 4, ..Decoding::default() };
    let asked = conversations.iter().map(|conversation| backend.reply(conversation, &decoding));
    let replies = futures::executor::block_on(join_all(asked));
    let error = replies[0].as_ref().unwrap_err();
    assert_eq!(error.kind, FailureKind::Input);
    assert!(error.message.contains("gray8.jpg"), "{}", error.message);
    assert!(replies[1].is_ok());
}

#[test]
fn what_cannot_be_loaded_is_named_with_a_remedy() {
    let error = LocalBackend::open(&LocalOptions::new("no-such-model")).err().unwrap();
    assert!(error.to_string().contains("no-such-model"), "{error}");
    assert!(error.remedy_text().unwrap().contains("owl-mini"));
}
