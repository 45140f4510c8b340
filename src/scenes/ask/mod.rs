//! One question of a given kind, with its one right answer, wherever the scenes and what was said before allow it.

mod count;
mod know;
mod look;
mod pair;
mod read;
mod reason;
mod refer;
mod tell;
mod text;

use super::dialogue::QuestionAnswer;
use super::kind::Kind;
use super::phrase::{Attribute, Description, describe};
use super::random::Dice;
use super::scene::{Object, Scene, Split, is_held_out};

/// What the turn before was about, for questions that refer to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    /// The one object that was spoken of, as an index into the objects of the (one) scene.
    pub object: Option<usize>,
    /// What has been said of that object.
    pub known: Vec<Attribute>,
    /// What was asked of it.
    pub asked: Option<Attribute>,
    /// All objects were counted.
    pub counted: bool,
    /// The number that was read.
    pub number: Option<u8>,
}

impl Topic {
    fn object(object: usize, known: impl IntoIterator<Item = Attribute>) -> Self {
        Self { object: Some(object), known: known.into_iter().collect(), ..Self::default() }
    }
}

/// A question and what later turns may refer to.
pub(super) struct Asked {
    pub turn: QuestionAnswer,
    pub topic: Topic,
}

impl Asked {
    fn new(kind: Kind, question: impl Into<String>, answer: impl Into<String>) -> Self {
        Self {
            turn: QuestionAnswer {
                question: question.into(),
                answer: answer.into(),
                accepted: Vec::new(),
                kind,
                abilities: kind.abilities(),
            },
            topic: Topic::default(),
        }
    }

    fn also(mut self, forms: impl IntoIterator<Item = String>) -> Self {
        self.turn.accepted.extend(forms);
        self
    }

    fn about(mut self, topic: Topic) -> Self {
        self.topic = topic;
        self
    }
}

/// Who asks: the scenes in sight, what was said last, and the source of choices.
pub(super) struct Asker<'a> {
    pub dice: &'a mut Dice,
    pub split: Split,
    pub scenes: &'a [Scene],
    pub topic: Topic,
}

impl<'a> Asker<'a> {
    /// A question of this kind, or `None` where these scenes or this history do not allow one.
    pub(super) fn ask(&mut self, kind: Kind) -> Option<Asked> {
        if self.scenes.len() != kind.pictures() {
            return None;
        }
        match kind {
            Kind::ColourOf => look::attribute_of(self, kind, Attribute::Colour),
            Kind::ShapeOf => look::attribute_of(self, kind, Attribute::Shape),
            Kind::SizeOf => look::attribute_of(self, kind, Attribute::Size),
            Kind::PlaceOf => look::attribute_of(self, kind, Attribute::Place),
            Kind::WhatAt => look::what_at(self, kind),
            Kind::Exists => look::exists(self, kind),
            Kind::Confirm => look::confirm(self, kind),
            Kind::CountAll => count::all(self, kind),
            Kind::CountColour => count::colour(self, kind),
            Kind::CountShape => count::shape(self, kind),
            Kind::AddOrTakeAway => count::add_or_take_away(self, kind),
            Kind::MoreOf => count::more_of(self, kind),
            Kind::Caption => tell::caption(self, kind),
            Kind::ListColours => tell::list(self, kind, Attribute::Colour),
            Kind::ListShapes => tell::list(self, kind, Attribute::Shape),
            Kind::Sentence => tell::sentence(self, kind),
            Kind::Twice => tell::twice(self, kind),
            Kind::ReadSign => read::sign(self, kind),
            Kind::ReadNumber => read::number(self, kind),
            Kind::SignPlace => read::place(self, kind),
            Kind::SignExists => read::exists(self, kind),
            Kind::NumberLarger => read::larger(self, kind),
            Kind::NumberPlus => read::plus(self, kind),
            Kind::FruitOf => know::fruit_of(self, kind),
            Kind::ThingOf => know::thing_of(self, kind),
            Kind::Corners => know::corners_of(self, kind),
            Kind::PlaceByFruit => know::place_by_fruit(self, kind),
            Kind::SignKind => know::sign_kind(self, kind),
            Kind::SameColour => reason::same(self, kind, Attribute::Colour),
            Kind::SameShape => reason::same(self, kind, Attribute::Shape),
            Kind::Neighbour => reason::neighbour(self, kind),
            Kind::ReferIt => refer::it(self, kind),
            Kind::Elliptic => refer::elliptic(self, kind),
            Kind::ReferCount => refer::count(self, kind),
            Kind::ReferNeighbour => refer::neighbour(self, kind),
            Kind::ReferNumber => refer::number(self, kind),
            Kind::WhichPicture => pair::which_picture(self, kind),
            Kind::CountTogether => pair::count_together(self, kind),
            Kind::InPicture => pair::in_picture(self, kind),
            Kind::BothShow => pair::both_show(self, kind),
            Kind::MoreInWhich => pair::more_in_which(self, kind),
            Kind::FactFruit => text::fruit(self, kind),
            Kind::FactThing => text::thing(self, kind),
            Kind::FactCorners => text::corners(self, kind),
            Kind::FactKind => text::kind_of_thing(self, kind),
            Kind::Arithmetic => text::arithmetic(self, kind),
            Kind::CompareNumbers => text::compare(self, kind),
            Kind::NumberWord => text::number_word(self, kind),
            Kind::Greeting => text::greeting(self, kind),
            Kind::Repeat => text::repeat(self, kind),
            Kind::Opposite => text::opposite(self, kind),
        }
    }

    /// The one scene (the first of two).
    fn scene(&self) -> &'a Scene {
        &self.scenes[0]
    }

    /// One object to ask about: of a held-out pair, mostly, where the split is about those.
    fn pick_object(&mut self, scene: usize) -> Option<usize> {
        let objects = &self.scenes[scene].objects;
        if self.split == Split::HeldOut && self.dice.chance(0.75) {
            let held_out: Vec<usize> =
                (0..objects.len()).filter(|&i| is_held_out(objects[i].shape, objects[i].colour)).collect();
            if let Some(&index) = self.dice.pick(&held_out) {
                return Some(index);
            }
        }
        (!objects.is_empty()).then(|| self.dice.below(objects.len()))
    }

    /// One object of the scene with a description that is only its own.
    fn pick_described(&mut self, scene: usize, hidden: &[Attribute]) -> Option<(usize, Object, Description)> {
        let index = self.pick_object(scene)?;
        let object = self.scenes[scene].objects[index];
        let description = describe(self.dice, &self.scenes[scene], &object, hidden)?;
        Some((index, object, description))
    }
}

/// Puts `subject` in place of "@" in one of the wordings.
fn worded<const N: usize>(dice: &mut Dice, wordings: [&str; N], subject: &str) -> String {
    dice.of(wordings).replace('@', subject)
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
