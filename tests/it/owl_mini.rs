//! Does `owl-mini` see? Questions about scenes that it was never trained on, with the picture and with another one's.
//!
//! The floors are the model's goal. Its card (`models/owl-mini/README.md`) has all figures.

use std::collections::BTreeMap;
use std::io::Cursor;

use futures::future::join_all;
use image::{ImageFormat, RgbImage};
use owleval::backend::local::{LocalBackend, LocalOptions};
use owleval::backend::{Backend, Decoding};
use owleval::evalset::{Conversation, ImageBytes, Message, Part, Role};
use owleval::scenes::{ExamQuestion, Group, Kind, SIDE, Split, chance, exam_of};
use sha2::{Digest, Sha256};

/// Questions of each group, every kind of the group as often.
const QUESTIONS: usize = 200;

/// Seeds that no recipe uses.
const SEED: u64 = 0x0E7A_1000;

/// Exact answers by group, as shares.
type Scores = BTreeMap<Group, f64>;

fn scores(backend: &LocalBackend, questions: &[ExamQuestion], pictures_of: &[ExamQuestion]) -> Scores {
    let conversations: Vec<Conversation> = questions
        .iter()
        .zip(pictures_of)
        .enumerate()
        .map(|(index, (question, shown))| conversation(index, question, &shown.pictures(SIDE)))
        .collect();
    let decoding = Decoding { max_new_tokens: 32, ..Decoding::default() };
    let replies = futures::executor::block_on(join_all(
        conversations.iter().map(|conversation| backend.reply(conversation, &decoding)),
    ));
    let mut tally: BTreeMap<Group, (usize, usize)> = BTreeMap::new();
    for (question, reply) in questions.iter().zip(replies) {
        let entry = tally.entry(question.group()).or_default();
        entry.0 += usize::from(question.turn.accepts(&reply.unwrap().text));
        entry.1 += 1;
    }
    tally.into_iter().map(|(group, (right, all))| (group, right as f64 / all as f64)).collect()
}

fn conversation(index: usize, question: &ExamQuestion, pictures: &[RgbImage]) -> Conversation {
    let mut messages = Vec::new();
    for turn in question.history.iter().chain([&question.turn]) {
        let mut parts = Vec::new();
        if messages.is_empty() {
            parts.extend(pictures.iter().map(|picture| Part::Image(encoded(picture))));
        }
        parts.push(Part::Text(turn.question.clone()));
        messages.push(Message { role: Role::Human, parts });
        messages.push(Message { role: Role::Assistant, parts: vec![Part::Text(turn.answer.clone())] });
    }
    messages.pop();
    let item = format!("exam-{index}");
    Conversation { item, turn: question.history.len(), question_id: index as u64, messages }
}

fn encoded(picture: &RgbImage) -> ImageBytes {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let bytes = bytes.into_inner();
    ImageBytes { name: "scene.png".into(), sha256: hex::encode(Sha256::digest(&bytes)), bytes: bytes.into() }
}

/// Questions whose pictures are moved on by one question of the same kind and number of pictures.
fn with_other_pictures(questions: &[ExamQuestion]) -> Vec<ExamQuestion> {
    let mut by_kind: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, question) in questions.iter().enumerate() {
        by_kind.entry(format!("{:?}", question.kind())).or_default().push(index);
    }
    let mut shown = questions.to_vec();
    for indices in by_kind.values() {
        for (at, &index) in indices.iter().enumerate() {
            shown[index] = questions[indices[(at + 1) % indices.len()]].clone();
        }
    }
    shown
}

/// As many questions of every group that is about pictures.
fn questions(split: Split) -> Vec<ExamQuestion> {
    let mut groups: BTreeMap<Group, Vec<Kind>> = BTreeMap::new();
    for &kind in Kind::ALL.iter().filter(|kind| kind.pictures() > 0) {
        groups.entry(kind.group()).or_default().push(kind);
    }
    groups.values().flat_map(|kinds| exam_of(kinds, split, SEED, QUESTIONS)).collect()
}

fn print(title: &str, scores: &Scores, beside: &Scores, chance: &Scores) {
    println!("{title}: exact answers with the picture, with another's, chance");
    for (group, score) in scores {
        println!(
            "  {group:<14?} {:5.1} % {:5.1} % {:5.1} %",
            100.0 * score,
            100.0 * beside[group],
            100.0 * chance[group]
        );
    }
    println!(
        "  {:<14} {:5.1} % {:5.1} % {:5.1} %",
        "mean",
        100.0 * mean(scores),
        100.0 * mean(beside),
        100.0 * mean(chance)
    );
}

fn mean(scores: &Scores) -> f64 {
    scores.values().sum::<f64>() / scores.len() as f64
}

/// The least share of exact answers.
fn floor(group: Group) -> f64 {
    match group {
        Group::Colour | Group::Shape | Group::Place | Group::Counting => 0.9,
        _ => 0.8,
    }
}

#[test]
fn owl_mini_sees_what_it_was_never_shown() {
    // `OWLEVAL_EXAM` names another model, such as one just trained.
    let model = std::env::var("OWLEVAL_EXAM").unwrap_or_else(|_| "owl-mini".to_owned());
    let backend = LocalBackend::open(&LocalOptions::new(&model)).unwrap();
    let mut complaints = Vec::new();
    for (title, split) in [("fresh scenes", Split::Fresh), ("held-out pairs", Split::HeldOut)] {
        let questions = questions(split);
        let right = scores(&backend, &questions, &questions);
        let wrong = scores(&backend, &questions, &with_other_pictures(&questions));
        let chance = chance(&questions);
        print(title, &right, &wrong, &chance);
        for (&group, &score) in &right {
            let floor = floor(group);
            if score < floor {
                complaints.push(format!("{title}, {group:?}: {score:.2} is below {floor}"));
            }
        }
        // Without its own picture a question can only be guessed.
        let most = mean(&chance) + 0.05;
        if mean(&wrong) > most {
            complaints.push(format!("{title}: {:.3} with another's picture, {most:.3} is guessing", mean(&wrong)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
