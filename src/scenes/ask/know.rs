//! What text alone taught, asked of a picture.

use super::{Asked, Asker, worded};
use crate::scenes::facts;
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{Attribute, Description, count_also, number_word, other_names, with_article};

pub(super) fn fruit_of(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (_, object, description) = asker.pick_described(0, &[Attribute::Colour])?;
    let question = worded(
        asker.dice,
        ["which fruit has the colour of @?", "name a fruit with the colour of @", "@ has the colour of which fruit?"],
        &description.the(),
    );
    let fruit = facts::fruit(object.colour);
    Some(Asked::new(kind, question, with_article(fruit)).also([fruit.to_owned(), format!("the {fruit}")]))
}

pub(super) fn thing_of(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (_, object, description) = asker.pick_described(0, &[Attribute::Shape])?;
    let question = worded(
        asker.dice,
        ["which thing has the shape of @?", "name a thing with the shape of @", "@ has the shape of which thing?"],
        &description.the(),
    );
    let thing = facts::thing(object.shape);
    Some(Asked::new(kind, question, with_article(thing)).also([thing.to_owned(), format!("the {thing}")]))
}

pub(super) fn corners_of(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (_, object, description) = asker.pick_described(0, &[Attribute::Shape])?;
    let corners = facts::corners(object.shape)?;
    let question = worded(asker.dice, ["how many corners does @ have?", "count the corners of @"], &description.the());
    Some(Asked::new(kind, question, number_word(corners)).also(count_also(corners)))
}

pub(super) fn place_by_fruit(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let index = asker.pick_object(0)?;
    let object = asker.scene().objects[index];
    let alike = Description { colour: Some(object.colour), ..Description::default() };
    if alike.count(asker.scene()) != 1 {
        return None;
    }
    let question = worded(
        asker.dice,
        ["where is the object with the colour of @?", "tell me where the object with the colour of @ is"],
        &with_article(facts::fruit(object.colour)),
    );
    Some(Asked::new(kind, question, object.place.to_string()).also(other_names(object.place)))
}

pub(super) fn sign_kind(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let category = facts::category(asker.scene().word()?)?;
    let question = asker.dice.of([
        "what kind of thing does the sign name?",
        "what kind of thing is on the sign?",
        "what kind of thing is the word on the sign?",
    ]);
    let plain = category.phrase().trim_start_matches("an ").trim_start_matches("a ");
    Some(Asked::new(kind, question, category.phrase()).also([plain.to_owned(), format!("{plain}s")]))
}
