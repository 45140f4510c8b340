//! Counting and comparing counts.

use super::{Asked, Asker, Topic, worded};
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{Description, count_also, number_word, plural};
use crate::scenes::scene::{Colour, Shape, Size};

fn counted(kind: Kind, question: String, count: usize) -> Asked {
    Asked::new(kind, question, number_word(count)).also(count_also(count))
}

pub(super) fn all(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let question = asker.dice.of([
        "how many objects are there?",
        "how many objects are in the picture?",
        "how many objects do you see?",
        "count the objects",
        "what is the number of objects?",
    ]);
    let count = asker.scene().objects.len();
    Some(counted(kind, question.to_owned(), count).about(Topic { counted: true, ..Topic::default() }))
}

const OF_SOME: [&str; 4] =
    ["how many @ are there?", "how many @ are in the picture?", "how many @ do you see?", "count the @"];

/// The share of counts that are zero.
const SHARE_ABSENT: f64 = 0.2;

pub(super) fn colour(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let absent = asker.dice.chance(SHARE_ABSENT);
    let count = |asker: &Asker, colour: Colour| {
        Description { colour: Some(colour), ..Description::default() }.count(asker.scene())
    };
    let mut choices: Vec<Colour> =
        Colour::ALL.into_iter().filter(|&colour| (count(asker, colour) == 0) == absent).collect();
    prefer_many(asker, &mut choices, count);
    let colour = *asker.dice.pick(&choices)?;
    let question = worded(asker.dice, OF_SOME, &format!("{colour} objects"));
    Some(counted(kind, question, count(asker, colour)))
}

pub(super) fn shape(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let absent = asker.dice.chance(SHARE_ABSENT);
    let count =
        |asker: &Asker, shape: Shape| Description { shape: Some(shape), ..Description::default() }.count(asker.scene());
    let mut choices: Vec<Shape> =
        Shape::ALL.into_iter().filter(|&shape| (count(asker, shape) == 0) == absent).collect();
    prefer_many(asker, &mut choices, count);
    let shape = *asker.dice.pick(&choices)?;
    let question = worded(asker.dice, OF_SOME, &plural(shape));
    Some(counted(kind, question, count(asker, shape)))
}

/// Leaves only what there is more than one of, mostly, so that "one" is not nearly always right.
fn prefer_many<T: Copy>(asker: &mut Asker, choices: &mut Vec<T>, count: impl Fn(&Asker, T) -> usize) {
    if asker.dice.chance(0.7) && choices.iter().any(|&choice| count(asker, choice) > 1) {
        choices.retain(|&choice| count(asker, choice) > 1);
    }
}

/// A change of the count: ("one is taken away", the new count).
pub(super) fn change(asker: &mut Asker, count: usize) -> (String, usize) {
    let is = |number: usize| if number == 1 { "is" } else { "are" };
    if asker.dice.chance(0.5) {
        let taken = asker.dice.between(1, count.min(3));
        (format!("{} {} taken away", number_word(taken), is(taken)), count - taken)
    } else {
        let added = asker.dice.between(1, 3);
        (format!("{} {} added", number_word(added), is(added)), count + added)
    }
}

pub(super) fn add_or_take_away(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let count = asker.scene().objects.len();
    let (change, left) = change(asker, count);
    let question = worded(
        asker.dice,
        [
            "how many objects are there if @?",
            "how many objects are there then if @?",
            "if @, how many objects are there?",
            "count the objects if @",
        ],
        &change,
    );
    Some(counted(kind, question, left))
}

pub(super) fn more_of(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    // Name, which is the answer too; another form of it; count.
    let scene = asker.scene();
    let count = |description: Description| description.count(scene);
    let any = Description::default();
    let all: Vec<(String, String, usize)> = match asker.dice.below(5) {
        0 | 1 => Colour::ALL
            .iter()
            .map(|&c| (c.to_string(), format!("{c} objects"), count(Description { colour: Some(c), ..any })))
            .collect(),
        2 | 3 => Shape::ALL
            .iter()
            .map(|&s| (plural(s), s.to_string(), count(Description { shape: Some(s), ..any })))
            .collect(),
        _ => Size::ALL
            .iter()
            .map(|&s| (s.to_string(), format!("{s} objects"), count(Description { size: Some(s), ..any })))
            .collect(),
    };
    let same = asker.dice.chance(0.3);
    let mut pairs = Vec::new();
    for first in &all {
        for second in &all {
            let fits = if same { first.2 == second.2 } else { first.2 != second.2 };
            if first.0 != second.0 && fits && first.2 > 0 && second.2 > 0 {
                pairs.push((first, second));
            }
        }
    }
    if pairs.is_empty() && !same {
        // One against none, where nothing else can be compared.
        pairs = all
            .iter()
            .flat_map(|first| all.iter().map(move |second| (first, second)))
            .filter(|(first, second)| first.2 != second.2)
            .collect();
    }
    let &(first, second) = asker.dice.pick(&pairs)?;
    // "red or blue objects", but "circles or squares"; no colour and no size ends in "s".
    let noun = if first.0.ends_with('s') { "" } else { " objects" };
    let question = worded(
        asker.dice,
        ["are there more @?", "do you see more @?", "which are there more of, @?"],
        &format!("{} or {}{noun}", first.0, second.0),
    );
    let asked = if same {
        Asked::new(kind, question, "the same").also(["same", "equal", "neither", "the same number"].map(str::to_owned))
    } else {
        let more = if first.2 > second.2 { first } else { second };
        Asked::new(kind, question, more.0.clone()).also([more.1.clone(), format!("more {}", more.0)])
    };
    Some(asked)
}
