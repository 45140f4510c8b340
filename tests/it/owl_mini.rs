//! Does `owl-mini` see? Questions about scenes that it was never trained on, with the picture and with another one's.
//!
//! The floors are what the committed model reaches, less what chance may take from a sample of this size; its card
//! (`models/owl-mini/README.md`) says how far that is from where it is meant to be.

use std::collections::BTreeMap;
use std::io::Cursor;

use futures::future::join_all;
use image::{ImageFormat, RgbImage};
use owleval::backend::local::{LocalBackend, LocalOptions};
use owleval::backend::{Backend, Decoding};
use owleval::evalset::{Conversation, ImageBytes, Message, Part, Role};
use owleval::scenes::{ExamQuestion, Group, SIDE, Split, chance, exam};
use sha2::{Digest, Sha256};

const QUESTIONS: usize = 600;

/// Seeds that no recipe uses.
const SEED: u64 = 0x0E7A_1000;

/// Exact answers by group, as shares.
fn scores(backend: &LocalBackend, questions: &[ExamQuestion], pictures_of: &[ExamQuestion]) -> BTreeMap<Group, f64> {
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

fn print(title: &str, scores: &BTreeMap<Group, f64>, beside: &BTreeMap<Group, f64>, chance: &BTreeMap<Group, f64>) {
    println!("{title}: exact answers with the picture, with another's, chance");
    for (group, score) in scores {
        println!(
            "  {group:<14?} {:5.1} % {:5.1} % {:5.1} %",
            100.0 * score,
            100.0 * beside[group],
            100.0 * chance[group]
        );
    }
}

fn mean(scores: &BTreeMap<Group, f64>) -> f64 {
    scores.values().sum::<f64>() / scores.len() as f64
}

#[test]
fn owl_mini_sees_what_it_was_never_shown() {
    let backend = LocalBackend::open(&LocalOptions::new("owl-mini")).unwrap();
    for (title, split, floor) in [("fresh scenes", Split::Fresh, FRESH), ("held-out pairs", Split::HeldOut, HELD_OUT)] {
        let questions = exam(split, SEED, QUESTIONS);
        let right = scores(&backend, &questions, &questions);
        let wrong = scores(&backend, &questions, &with_other_pictures(&questions));
        let chance = chance(&questions);
        print(title, &right, &wrong, &chance);
        assert!(mean(&right) >= floor, "{title}: {:.3} is below {floor}", mean(&right));
        // Without its own picture a question can only be guessed.
        let most = mean(&chance) + 0.05;
        assert!(mean(&wrong) <= most, "{title}: {:.3} with another's picture, {most:.3} is guessing", mean(&wrong));
    }
}

/// Means over the groups.
const FRESH: f64 = 0.42;
const HELD_OUT: f64 = 0.27;
