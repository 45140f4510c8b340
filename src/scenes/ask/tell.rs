//! Describing, listing, and answering in the form that is asked for.

use super::{Asked, Asker, Topic, worded};
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{Attribute, number_word, with_article};
use crate::scenes::scene::{Object, Scene};

/// Everything in reading order: "top left a large red circle, bottom middle a small blue star, sign top milk".
pub(super) fn caption_of(scene: &Scene) -> String {
    let mut parts: Vec<String> =
        scene.objects.iter().map(|object| format!("{} {}", object.place, with_article(&object.name()))).collect();
    parts.extend(scene.sign.map(|sign| format!("sign {} {}", sign.row, sign.text)));
    parts.join(", ")
}

pub(super) fn caption(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let question = asker.dice.of([
        "describe the picture",
        "describe this picture",
        "what is in the picture?",
        "what do you see?",
        "tell me all that you see",
    ]);
    Some(Asked::new(kind, question, caption_of(asker.scene())))
}

pub(super) fn list(asker: &mut Asker, kind: Kind, attribute: Attribute) -> Option<Asked> {
    let across = asker.dice.chance(0.5);
    let line = |object: &Object| if across { object.place.column() } else { object.place.row() };
    let mut objects = asker.scene().objects.clone();
    objects.sort_by_key(line);
    // Two in one line would have no order.
    if objects.len() < 2 || objects.windows(2).any(|pair| line(&pair[0]) == line(&pair[1])) {
        return None;
    }
    let names: Vec<String> = objects.iter().map(|object| attribute.of(object)).collect();
    // Some would name a colour that is there twice only once.
    if (1..names.len()).any(|index| names[..index].contains(&names[index])) {
        return None;
    }
    let order = if across { "from left to right" } else { "from top to bottom" };
    let question = worded(
        asker.dice,
        ["list the @s $", "name the @s $", "$, which @s do you see?", "say the @s $"],
        attribute.word(),
    )
    .replace('$', order);
    Some(Asked::new(kind, question, names.join(", ")).also([names.join(" "), names.join(" and ")]))
}

pub(super) fn sentence(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let wordings = ["answer in a sentence: @", "in a sentence: @", "in a full sentence, @"];
    if asker.dice.chance(0.2) {
        let count = asker.scene().objects.len();
        let question = worded(asker.dice, wordings, "how many objects are there?");
        let answer = match count {
            1 => "there is one object".to_owned(),
            _ => format!("there are {} objects", number_word(count)),
        };
        return Some(Asked::new(kind, question, answer));
    }
    let attribute = asker.dice.of(Attribute::ALL);
    let (index, object, description) = asker.pick_described(0, &[attribute])?;
    let the = description.the();
    let (question, value) = match attribute {
        Attribute::Colour => (format!("what colour is {the}?"), object.colour.to_string()),
        Attribute::Shape => (format!("what shape is {the}?"), with_article(object.shape.word())),
        Attribute::Size => (format!("what size is {the}?"), object.size.to_string()),
        Attribute::Place => (format!("where is {the}?"), format!("in the {}", object.place)),
    };
    let question = worded(asker.dice, wordings, &question);
    let known = Attribute::ALL.into_iter().filter(|&other| other == attribute || description.says(other));
    Some(Asked::new(kind, question, format!("{the} is {value}")).about(Topic::object(index, known)))
}

pub(super) fn twice(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let attribute = asker.dice.of([Attribute::Colour, Attribute::Shape, Attribute::Size]);
    let (_, object, description) = asker.pick_described(0, &[attribute])?;
    let subject = format!("the {} of {}", attribute.word(), description.the());
    let question = worded(asker.dice, ["say @ twice", "name @ twice", "tell me @ two times"], &subject);
    let value = attribute.of(&object);
    Some(Asked::new(kind, question, format!("{value} {value}")).also([format!("{value}, {value}")]))
}
