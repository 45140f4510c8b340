//! Questions that only the turn before makes plain.

use super::{Asked, Asker, Topic, count, read, reason, worded, yes_or_no};
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{
    Attribute, Description, count_also, describe, number_word, object_answer, object_answer_also,
};
use crate::scenes::scene::Colour;

pub(super) fn it(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let index = asker.topic.object?;
    let object = asker.scene().objects[index];
    let unknown: Vec<Attribute> =
        Attribute::ALL.into_iter().filter(|attribute| !asker.topic.known.contains(attribute)).collect();
    let attribute = *asker.dice.pick(&unknown)?;
    let question = match attribute {
        Attribute::Colour => {
            asker.dice.of(["what colour is it?", "which colour does it have?", "and what is its colour?"])
        }
        Attribute::Shape => asker.dice.of(["what shape is it?", "which shape does it have?", "and what is its shape?"]),
        Attribute::Size => asker.dice.of(["what size is it?", "is it small or large?", "and what is its size?"]),
        Attribute::Place => asker.dice.of(["where is it?", "in which place is it?", "and where is it?"]),
    };
    let known = asker.topic.known.iter().copied().chain([attribute]);
    let topic = Topic { asked: Some(attribute), ..Topic::object(index, known) };
    Some(Asked::new(kind, question, attribute.of(&object)).also(attribute.also(&object)).about(topic))
}

pub(super) fn elliptic(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (before, attribute) = (asker.topic.object?, asker.topic.asked?);
    let index = asker.pick_object(0)?;
    if index == before {
        return None;
    }
    let object = asker.scene().objects[index];
    let description = describe(asker.dice, asker.scene(), &object, &[attribute])?;
    let question = worded(asker.dice, ["and @?", "and @?", "what about @?", "and that of @?"], &description.the());
    // "that of" needs something owned: a colour, not a where.
    let question = if attribute == Attribute::Place { question.replace("that of ", "") } else { question };
    let known = Attribute::ALL.into_iter().filter(|&other| other == attribute || description.says(other));
    let topic = Topic { asked: Some(attribute), ..Topic::object(index, known) };
    Some(Asked::new(kind, question, attribute.of(&object)).also(attribute.also(&object)).about(topic))
}

pub(super) fn count(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    if !asker.topic.counted {
        return None;
    }
    if asker.dice.chance(0.5) {
        let all = asker.scene().objects.len();
        let (change, count) = count::change(asker, all);
        let question = worded(asker.dice, ["and if @?", "how many if @?", "and how many if @?"], &change);
        return Some(Asked::new(kind, question, number_word(count)).also(count_also(count)));
    }
    let count = |asker: &Asker, colour: Colour| {
        Description { colour: Some(colour), ..Description::default() }.count(asker.scene())
    };
    let absent = asker.dice.chance(0.2);
    let colours: Vec<Colour> =
        Colour::ALL.into_iter().filter(|&colour| (count(asker, colour) == 0) == absent).collect();
    let colour = *asker.dice.pick(&colours)?;
    let question = worded(
        asker.dice,
        ["how many of them are @?", "and how many of them are @?", "how many are @?"],
        colour.word(),
    );
    let count = count(asker, colour);
    Some(Asked::new(kind, question, number_word(count)).also(count_also(count)))
}

pub(super) fn neighbour(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let index = asker.topic.object?;
    let (direction, other) = reason::some_neighbour(asker.dice, &asker.scenes[0], index)?;
    let object = asker.scene().objects[other];
    let question =
        worded(asker.dice, ["and what is @ it?", "what is @ it?", "which object is @ it?", "and @ it?"], direction);
    let topic = Topic::object(other, [Attribute::Colour, Attribute::Shape]);
    Some(Asked::new(kind, question, object_answer(&object)).also(object_answer_also(&object)).about(topic))
}

pub(super) fn number(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let number = asker.topic.number?;
    if asker.dice.chance(0.5) {
        let (other, larger) = read::near(asker, number)?;
        let question = worded(asker.dice, ["is it larger than @?", "and is it larger than @?"], &other.to_string());
        return Some(Asked::new(kind, question, yes_or_no(larger)));
    }
    let (step, sum) = read::sum(asker, number);
    let question = worded(asker.dice, ["what is that @?", "and what is that @?", "and @?"], &step);
    Some(Asked::new(kind, question, sum.to_string()))
}
