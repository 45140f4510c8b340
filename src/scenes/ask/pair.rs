//! Two pictures in one conversation.

use super::look::{any_description, attribute_question};
use super::{Asked, Asker, worded, yes_or_no};
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{
    Attribute, Description, count_also, number_word, object_answer, object_answer_also, with_article,
};

const ORDER: [&str; 2] = ["first", "second"];

fn which(kind: Kind, question: String, picture: usize) -> Asked {
    let word = ORDER[picture];
    Asked::new(kind, question, word).also([
        format!("the {word}"),
        format!("in the {word}"),
        format!("the {word} picture"),
        format!("in the {word} picture"),
        format!("{word} picture"),
        (picture + 1).to_string(),
    ])
}

pub(super) fn which_picture(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let picture = asker.dice.below(2);
    let (_, _, description) = asker.pick_described(picture, &[Attribute::Place])?;
    // "the object" is in both.
    if description == Description::default() || description.count(&asker.scenes[1 - picture]) > 0 {
        return None;
    }
    let question = worded(
        asker.dice,
        ["in which picture is @?", "which picture shows @?", "which picture has @?"],
        &description.the(),
    );
    Some(which(kind, question, picture))
}

pub(super) fn count_together(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let question = asker.dice.of([
        "how many objects are there in both pictures together?",
        "how many objects do both pictures show together?",
        "count the objects in both pictures together",
    ]);
    let count = asker.scenes.iter().map(|scene| scene.objects.len()).sum();
    Some(Asked::new(kind, question, number_word(count)).also(count_also(count)))
}

pub(super) fn in_picture(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let picture = asker.dice.below(2);
    let phrase = format!("in the {} picture", ORDER[picture]);
    let first = asker.dice.chance(0.3);
    let place = |question: String| match question.strip_suffix('?') {
        // At the start or at the end, with the question mark last.
        _ if first => format!("{phrase}, {question}"),
        Some(stem) => format!("{stem} {phrase}?"),
        None => format!("{question} {phrase}"),
    };
    match asker.dice.below(8) {
        0 => {
            let count = asker.scenes[picture].objects.len();
            let question = place("how many objects are there?".to_owned());
            Some(Asked::new(kind, question, number_word(count)).also(count_also(count)))
        }
        1 if asker.scenes[picture].sign.is_some() => {
            let text = asker.scenes[picture].sign?.text;
            Some(Asked::new(kind, place("what does the sign say?".to_owned()), text.to_string()))
        }
        2 => {
            let index = asker.pick_object(picture)?;
            let object = asker.scenes[picture].objects[index];
            let question = place(format!("what is in the {}?", object.place));
            Some(Asked::new(kind, question, object_answer(&object)).also(object_answer_also(&object)))
        }
        _ => {
            let attribute = asker.dice.of(Attribute::ALL);
            let (_, object, description) = asker.pick_described(picture, &[attribute])?;
            let question = place(attribute_question(asker.dice, attribute, &description.the()));
            Some(Asked::new(kind, question, attribute.of(&object)).also(attribute.also(&object)))
        }
    }
}

pub(super) fn both_show(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let form = asker.dice.of([(false, false, true), (false, true, false)]);
    let shown = |asker: &Asker, d: &Description| asker.scenes.iter().filter(|scene| d.count(scene) > 0).count();
    // Only where both answers could come, so that each comes half of the time.
    let both = any_description(asker, form, |asker, d| shown(asker, d) == 2)?;
    let not_both = any_description(asker, form, |asker, d| shown(asker, d) == 1)?;
    let yes = asker.dice.chance(0.5);
    let a = with_article(&if yes { both } else { not_both }.noun());
    let question = worded(
        asker.dice,
        ["do both pictures show @?", "is there @ in both pictures?", "do you see @ in both pictures?"],
        &a,
    );
    Some(Asked::new(kind, question, yes_or_no(yes)))
}

pub(super) fn more_in_which(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let counts: Vec<usize> = asker.scenes.iter().map(|scene| scene.objects.len()).collect();
    if counts[0] == counts[1] {
        return None;
    }
    let question = asker.dice.of([
        "which picture has more objects?",
        "which picture shows more objects?",
        "in which picture are there more objects?",
    ]);
    Some(which(kind, question.to_owned(), usize::from(counts[1] > counts[0])))
}
