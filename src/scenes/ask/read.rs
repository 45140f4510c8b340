//! Reading the sign, and reckoning with its number.

use super::{Asked, Asker, Topic, worded, yes_or_no};
use crate::scenes::kind::Kind;
use crate::scenes::phrase::number_word;
use crate::scenes::scene::{Row, SignText};

pub(super) fn sign(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let text = asker.scene().sign?.text;
    let question = match text {
        SignText::Word(_) if asker.dice.chance(0.3) => {
            asker.dice.of(["which word is on the sign?", "read the word on the sign"])
        }
        _ => asker.dice.of([
            "what does the sign say?",
            "what is on the sign?",
            "read the sign",
            "what is written on the sign?",
        ]),
    };
    let topic = Topic { number: asker.scene().number(), ..Topic::default() };
    Some(Asked::new(kind, question, text.to_string()).also(also(text)).about(topic))
}

fn also(text: SignText) -> Vec<String> {
    match text {
        SignText::Number(number) if number < 10 => vec![number_word(usize::from(number))],
        SignText::Number(_) => Vec::new(),
        SignText::Word(word) => vec![format!("the word {word}")],
    }
}

pub(super) fn number(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let number = asker.scene().number()?;
    let question = asker.dice.of([
        "which number is on the sign?",
        "what number does the sign show?",
        "what is the number on the sign?",
        "read the number on the sign",
    ]);
    let topic = Topic { number: Some(number), ..Topic::default() };
    Some(Asked::new(kind, question, number.to_string()).also(also(SignText::Number(number))).about(topic))
}

pub(super) fn place(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let row = asker.scene().sign?.row;
    let question = asker.dice.of(["where is the sign?", "in which row is the sign?", "tell me where the sign is"]);
    let also = match row {
        Row::Middle => vec!["in the middle".to_owned(), "the middle".to_owned(), "centre".to_owned()],
        _ => vec![format!("at the {row}"), format!("the {row}"), format!("the {row} row"), format!("in the {row} row")],
    };
    Some(Asked::new(kind, question, row.word()).also(also))
}

pub(super) fn exists(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let question = asker.dice.of([
        "is there a sign?",
        "do you see a sign?",
        "does the picture show a sign?",
        "is there a sign in the picture?",
    ]);
    Some(Asked::new(kind, question, yes_or_no(asker.scene().sign.is_some())))
}

/// A number near to `number` that makes "is it larger?" yes or no, as likely the one as the other.
pub(super) fn near(asker: &mut Asker, number: u8) -> Option<(u8, bool)> {
    const FARTHEST: u8 = 20;
    // At both ends of the range only one answer could come.
    if !(1..=98).contains(&number) {
        return None;
    }
    let larger = asker.dice.chance(0.5);
    let room = if larger { number } else { 99 - number };
    let distance = asker.dice.between(1, usize::from(room.min(FARTHEST))) as u8;
    Some((if larger { number - distance } else { number + distance }, larger))
}

pub(super) fn larger(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let number = asker.scene().number()?;
    let (other, larger) = near(asker, number)?;
    let question = worded(
        asker.dice,
        [
            "is the number on the sign larger than @?",
            "is the number larger than @?",
            "does the sign show a number larger than @?",
        ],
        &other.to_string(),
    );
    Some(Asked::new(kind, question, yes_or_no(larger)))
}

/// "plus one" or "minus two", and what it gives, from 0 to 99.
pub(super) fn sum(asker: &mut Asker, number: u8) -> (String, u8) {
    loop {
        let step = asker.dice.between(1, 2) as u8;
        let word = number_word(usize::from(step));
        if asker.dice.chance(0.6) {
            if number + step <= 99 {
                return (format!("plus {word}"), number + step);
            }
        } else if number >= step {
            return (format!("minus {word}"), number - step);
        }
    }
}

pub(super) fn plus(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let number = asker.scene().number()?;
    let (step, sum) = sum(asker, number);
    let question = worded(
        asker.dice,
        [
            "what is the number on the sign @?",
            "how much is the number on the sign @?",
            "tell me the number on the sign @",
        ],
        &step,
    );
    Some(Asked::new(kind, question, sum.to_string()).also(also(SignText::Number(sum))))
}
