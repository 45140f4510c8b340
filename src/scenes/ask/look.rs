//! Colour, shape, size and place of one object, and whether there is one.

use super::{Asked, Asker, Topic, worded, yes_or_no};
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{Attribute, Description, object_answer, object_answer_also, with_article};
use crate::scenes::random::Dice;
use crate::scenes::scene::{Colour, Place, Shape, Size};

/// A question for one attribute of `subject` ("the circle").
pub(super) fn attribute_question(dice: &mut Dice, attribute: Attribute, subject: &str) -> String {
    match attribute {
        Attribute::Colour => worded(
            dice,
            [
                "what colour is @?",
                "what colour is @?",
                "which colour does @ have?",
                "what is the colour of @?",
                "tell me the colour of @",
            ],
            subject,
        ),
        Attribute::Shape => worded(
            dice,
            [
                "what shape is @?",
                "what shape is @?",
                "which shape does @ have?",
                "what is the shape of @?",
                "tell me the shape of @",
            ],
            subject,
        ),
        Attribute::Size => worded(
            dice,
            ["what size is @?", "is @ small or large?", "what is the size of @?", "tell me the size of @"],
            subject,
        ),
        Attribute::Place => worded(
            dice,
            ["where is @?", "where is @?", "in which place is @?", "what is the place of @?", "tell me where @ is"],
            subject,
        ),
    }
}

pub(super) fn attribute_of(asker: &mut Asker, kind: Kind, attribute: Attribute) -> Option<Asked> {
    let (index, object, description) = asker.pick_described(0, &[attribute])?;
    let question = attribute_question(asker.dice, attribute, &description.the());
    let known = Attribute::ALL.into_iter().filter(|&other| other == attribute || description.says(other));
    let topic = Topic { asked: Some(attribute), ..Topic::object(index, known) };
    Some(Asked::new(kind, question, attribute.of(&object)).also(attribute.also(&object)).about(topic))
}

pub(super) fn what_at(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    const WORDINGS: [&str; 4] =
        ["what is in the @?", "what do you see in the @?", "which object is in the @?", "name the object in the @"];
    const SHARE_EMPTY: f64 = 0.12;
    if asker.dice.chance(SHARE_EMPTY) {
        let scene = asker.scene();
        let empty: Vec<Place> = Place::all()
            .filter(|&place| scene.at(place).is_none() && scene.sign.is_none_or(|sign| sign.row.index() != place.row()))
            .collect();
        let place = *asker.dice.pick(&empty)?;
        let question = worded(asker.dice, ["what is in the @?", "what do you see in the @?"], &place.to_string());
        let also = ["it is empty", "empty", "no object"].map(str::to_owned);
        return Some(Asked::new(kind, question, "nothing").also(also));
    }
    let index = asker.pick_object(0)?;
    let object = asker.scene().objects[index];
    let question = worded(asker.dice, WORDINGS, &object.place.to_string());
    let topic = Topic::object(index, [Attribute::Place, Attribute::Colour, Attribute::Shape]);
    Some(Asked::new(kind, question, object_answer(&object)).also(object_answer_also(&object)).about(topic))
}

/// Which of size, colour and shape an "is there a …?" names.
const NAMED: [(bool, bool, bool); 6] = [
    (false, false, true),
    (false, true, false),
    (false, true, true),
    (false, true, true),
    (true, false, true),
    (true, true, true),
];

/// Some description of this form that matches (or does not match) something in one of the scenes.
pub(super) fn any_description(
    asker: &mut Asker,
    form: (bool, bool, bool),
    wanted: impl Fn(&Asker, &Description) -> bool,
) -> Option<Description> {
    let mut all = Vec::new();
    let sizes: Vec<Option<Size>> = if form.0 { Size::ALL.map(Some).to_vec() } else { vec![None] };
    let colours: Vec<Option<Colour>> = if form.1 { Colour::ALL.map(Some).to_vec() } else { vec![None] };
    let shapes: Vec<Option<Shape>> = if form.2 { Shape::ALL.map(Some).to_vec() } else { vec![None] };
    for &size in &sizes {
        for &colour in &colours {
            for &shape in &shapes {
                let description = Description { size, colour, shape, place: None };
                if !description.is_barred(asker.split) && wanted(asker, &description) {
                    all.push(description);
                }
            }
        }
    }
    asker.dice.pick(&all).copied()
}

/// How many of the description's words are true of something in the scene, each alone.
fn parts_seen(asker: &Asker, description: &Description) -> usize {
    let seen = |part: Description| part.count(asker.scene()) > 0;
    let alone = Description::default();
    usize::from(description.size.is_some_and(|size| seen(Description { size: Some(size), ..alone })))
        + usize::from(description.colour.is_some_and(|colour| seen(Description { colour: Some(colour), ..alone })))
        + usize::from(description.shape.is_some_and(|shape| seen(Description { shape: Some(shape), ..alone })))
}

pub(super) fn exists(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let form = asker.dice.of(NAMED);
    let parts = usize::from(form.0) + usize::from(form.1) + usize::from(form.2);
    let yes = asker.dice.chance(0.5);
    let description = if yes {
        any_description(asker, form, |asker, description| description.count(asker.scene()) > 0)?
    } else {
        // Half of what is not there differs in one word only from what is.
        let near = asker.dice.chance(0.5);
        let absent = |asker: &Asker, description: &Description| description.count(asker.scene()) == 0;
        let close =
            |asker: &Asker, d: &Description| absent(asker, d) && (parts == 1 || parts_seen(asker, d) + 1 >= parts);
        match near.then(|| any_description(asker, form, close)).flatten() {
            Some(description) => description,
            None => any_description(asker, form, absent)?,
        }
    };
    let a = with_article(&description.noun());
    let question = worded(
        asker.dice,
        ["is there @?", "is there @ in the picture?", "do you see @?", "does the picture show @?"],
        &a,
    );
    let topic = match asker.scene().objects.iter().position(|object| description.matches(object)) {
        Some(index) if description.count(asker.scene()) == 1 => {
            Topic::object(index, Attribute::ALL.into_iter().filter(|&attribute| description.says(attribute)))
        }
        _ => Topic::default(),
    };
    Some(Asked::new(kind, question, yes_or_no(yes)).about(topic))
}

pub(super) fn confirm(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let attribute = asker.dice.of([Attribute::Colour, Attribute::Shape, Attribute::Size]);
    let (index, object, description) = asker.pick_described(0, &[attribute])?;
    let yes = asker.dice.chance(0.5);
    // No sentence may pair a shape with a colour that the split bars, whatever the answer.
    let bars = |colour, shape| {
        Description { colour: Some(colour), shape: Some(shape), ..Description::default() }.is_barred(asker.split)
    };
    let said = match attribute {
        Attribute::Colour => {
            let others: Vec<Colour> =
                Colour::ALL.into_iter().filter(|&c| c != object.colour && !bars(c, object.shape)).collect();
            let colour = if yes { object.colour } else { *asker.dice.pick(&others)? };
            colour.to_string()
        }
        Attribute::Shape => {
            let others: Vec<Shape> =
                Shape::ALL.into_iter().filter(|&s| s != object.shape && !bars(object.colour, s)).collect();
            let shape = if yes { object.shape } else { *asker.dice.pick(&others)? };
            with_article(shape.word())
        }
        _ => {
            let size = if yes { object.size } else { Size::ALL[1 - object.size.index()] };
            size.to_string()
        }
    };
    let the = description.the();
    let question =
        worded(asker.dice, ["answer yes or no: is @?", "is @?", "say yes or no: is @?"], &format!("{the} {said}"));
    let known = Attribute::ALL.into_iter().filter(|&other| other == attribute || description.says(other));
    Some(Asked::new(kind, question, yes_or_no(yes)).about(Topic::object(index, known)))
}
