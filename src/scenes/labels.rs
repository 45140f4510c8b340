//! What is in a scene as numbers (for supervised vision pre-training) and as words (for language pre-training).

use super::scene::{Place, Row, Scene, SignText};

/// Positions of the text of a sign that [`Labels`] names.
pub const SIGN_POSITIONS: usize = 5;
/// Classes of [`Labels::colour`]; the last is "none".
pub const COLOUR_CLASSES: usize = 9;
/// Classes of [`Labels::shape`]; the last is "none".
pub const SHAPE_CLASSES: usize = 7;
/// Classes of [`Labels::size`]; the last is "none".
pub const SIZE_CLASSES: usize = 3;
/// Classes of [`Labels::sign_row`]; the last is "none".
pub const SIGN_ROW_CLASSES: usize = 4;
/// Classes of [`Labels::characters`]: A–Z, 0–9, and "blank" as the last.
pub const CHARACTER_CLASSES: usize = 37;
/// Slots of a told scene: one for each place and two for the sign.
pub const TOLD_SLOTS: usize = 11;

/// A class for each thing that a scene can differ in. An empty place (one under a sign, too) is "none" throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels {
    pub colour: [u8; 9],
    pub shape: [u8; 9],
    pub size: [u8; 9],
    pub sign_row: u8,
    /// The text from its first character on, then blanks.
    pub characters: [u8; SIGN_POSITIONS],
}

pub fn labels(scene: &Scene) -> Labels {
    let mut labels = Labels {
        colour: [COLOUR_CLASSES as u8 - 1; 9],
        shape: [SHAPE_CLASSES as u8 - 1; 9],
        size: [SIZE_CLASSES as u8 - 1; 9],
        sign_row: SIGN_ROW_CLASSES as u8 - 1,
        characters: [CHARACTER_CLASSES as u8 - 1; SIGN_POSITIONS],
    };
    for object in &scene.objects {
        let place = object.place.index();
        labels.colour[place] = object.colour as u8;
        labels.shape[place] = object.shape as u8;
        labels.size[place] = object.size as u8;
    }
    if let Some(sign) = &scene.sign {
        labels.sign_row = sign.row as u8;
        for (label, byte) in labels.characters.iter_mut().zip(sign.text.to_string().bytes()) {
            *label = match byte {
                b'a'..=b'z' => byte - b'a',
                _ => byte - b'0' + 26,
            };
        }
    }
    labels
}

/// The scene in words, [`TOLD_SLOTS`] slots: the nine places in reading order, then two slots for the sign.
///
/// A place: its words, then size, colour and shape, or "empty", or "sign". The sign: "none"; or its row, "word" and the
/// word; or its row, "number", which digit ("first" being that of the tens), and the digit ("none" where a number below
/// ten has no tens).
pub fn told(scene: &Scene) -> Vec<Vec<&'static str>> {
    let mut slots: Vec<Vec<&'static str>> = Place::all()
        .map(|place| {
            let mut slot = place.words().to_vec();
            match scene.at(place) {
                Some(object) => slot.extend([object.size.word(), object.colour.word(), object.shape.word()]),
                None if scene.sign.is_some_and(|sign| sign.row.index() == place.row()) => slot.push("sign"),
                None => slot.push("empty"),
            }
            slot
        })
        .collect();
    match scene.sign {
        None => slots.extend([vec!["sign", "none"], vec!["sign", "none"]]),
        Some(sign) => {
            let row = Row::word(sign.row);
            match sign.text {
                SignText::Word(word) => {
                    slots.extend([vec!["sign", row, "word", word], vec!["sign", row, "word", word]])
                }
                SignText::Number(number) => {
                    let tens = if number < 10 { "none" } else { DIGITS[usize::from(number / 10)] };
                    slots.push(vec!["sign", row, "number", "first", tens]);
                    slots.push(vec!["sign", row, "number", "second", DIGITS[usize::from(number % 10)]]);
                }
            }
        }
    }
    slots
}

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
