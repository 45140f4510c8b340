//! How things are named: objects by what tells them apart, places, numbers.

use super::random::Dice;
use super::scene::{Colour, HELD_OUT, Object, Place, Scene, Shape, Size, Split};

/// What an object can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Colour,
    Shape,
    Size,
    Place,
}

impl Attribute {
    pub(super) const ALL: [Attribute; 4] = [Attribute::Colour, Attribute::Shape, Attribute::Size, Attribute::Place];

    pub(super) fn word(self) -> &'static str {
        match self {
            Attribute::Colour => "colour",
            Attribute::Shape => "shape",
            Attribute::Size => "size",
            Attribute::Place => "place",
        }
    }

    /// The object's, in the words of an answer.
    pub(super) fn of(self, object: &Object) -> String {
        match self {
            Attribute::Colour => object.colour.to_string(),
            Attribute::Shape => object.shape.to_string(),
            Attribute::Size => object.size.to_string(),
            Attribute::Place => object.place.to_string(),
        }
    }

    /// Other forms of the same answer.
    pub(super) fn also(self, object: &Object) -> Vec<String> {
        match self {
            Attribute::Colour => Vec::new(),
            Attribute::Shape => vec![with_article(object.shape.word()), format!("the {}", object.shape)],
            Attribute::Size => match object.size {
                Size::Small => vec!["little".to_owned()],
                Size::Large => vec!["big".to_owned()],
            },
            Attribute::Place => other_names(object.place),
        }
    }
}

/// What is said of an object; what is not said matches all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Description {
    pub size: Option<Size>,
    pub colour: Option<Colour>,
    pub shape: Option<Shape>,
    pub place: Option<Place>,
}

impl Description {
    pub(super) fn matches(&self, object: &Object) -> bool {
        self.size.is_none_or(|size| size == object.size)
            && self.colour.is_none_or(|colour| colour == object.colour)
            && self.shape.is_none_or(|shape| shape == object.shape)
            && self.place.is_none_or(|place| place == object.place)
    }

    pub(super) fn count(&self, scene: &Scene) -> usize {
        scene.objects.iter().filter(|object| self.matches(object)).count()
    }

    pub(super) fn says(&self, attribute: Attribute) -> bool {
        match attribute {
            Attribute::Colour => self.colour.is_some(),
            Attribute::Shape => self.shape.is_some(),
            Attribute::Size => self.size.is_some(),
            Attribute::Place => self.place.is_some(),
        }
    }

    /// "large red circle", "red object", "object in the top left".
    pub(super) fn noun(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        words.extend(self.size.map(Size::word));
        words.extend(self.colour.map(Colour::word));
        words.push(self.shape.map_or("object", Shape::word));
        let noun = words.join(" ");
        match self.place {
            Some(place) => format!("{noun} in the {place}"),
            None => noun,
        }
    }

    pub(super) fn the(&self) -> String {
        format!("the {}", self.noun())
    }

    /// Whether it speaks of a pair that the split must not speak of.
    pub(super) fn is_barred(&self, split: Split) -> bool {
        !split.allows_held_out()
            && HELD_OUT.iter().any(|&(shape, colour)| self.shape == Some(shape) && self.colour == Some(colour))
    }
}

/// Every way to tell an object apart: (size, colour, shape, place).
const WAYS: [(bool, bool, bool, bool); 9] = [
    (false, false, true, false),
    (false, true, false, false),
    (false, true, true, false),
    (true, false, true, false),
    (true, false, false, false),
    (true, true, false, false),
    (true, true, true, false),
    (false, false, false, true),
    (false, false, false, false),
];

/// A description that only this object of the scene matches and that says nothing of what is hidden.
pub(super) fn describe(dice: &mut Dice, scene: &Scene, object: &Object, hidden: &[Attribute]) -> Option<Description> {
    let unique: Vec<Description> = WAYS
        .iter()
        .map(|&(size, colour, shape, place)| Description {
            size: size.then_some(object.size),
            colour: colour.then_some(object.colour),
            shape: shape.then_some(object.shape),
            place: place.then_some(object.place),
        })
        .filter(|description| !hidden.iter().any(|&attribute| description.says(attribute)))
        .filter(|description| description.count(scene) == 1)
        .collect();
    dice.pick(&unique).copied()
}

/// "a circle", "an orange circle".
pub(super) fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// The answer that names an object: "a red circle".
pub(super) fn object_answer(object: &Object) -> String {
    with_article(&format!("{} {}", object.colour, object.shape))
}

pub(super) fn object_answer_also(object: &Object) -> Vec<String> {
    let plain = format!("{} {}", object.colour, object.shape);
    vec![format!("the {plain}"), plain, format!("a {}", object.name()), format!("the {}", object.name()), object.name()]
}

/// What else people call a place.
pub(super) fn other_names(place: Place) -> Vec<String> {
    let mut names = vec![format!("in the {place}"), format!("the {place}"), format!("at the {place}")];
    let more: &[&str] = match place.index() {
        0 => &["upper left"],
        1 => &["top", "top centre", "top center"],
        2 => &["upper right"],
        3 => &["left", "left middle"],
        4 => &["centre", "center", "in the centre", "in the center"],
        5 => &["right", "right middle"],
        6 => &["lower left"],
        7 => &["bottom", "bottom centre", "bottom center"],
        _ => &["lower right"],
    };
    names.extend(more.iter().map(|&name| name.to_owned()));
    names
}

/// Zero to twelve.
const NUMBER_WORDS: [&str; 13] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// The word of a count, in digits beyond twelve.
pub(super) fn number_word(number: usize) -> String {
    NUMBER_WORDS.get(number).map_or_else(|| number.to_string(), |&word| word.to_owned())
}

/// The other forms of a count.
pub(super) fn count_also(number: usize) -> Vec<String> {
    let mut forms = vec![number.to_string()];
    if number == 0 {
        forms.extend(["none".to_owned(), "no".to_owned()]);
    }
    forms
}

pub(super) fn plural(shape: Shape) -> String {
    match shape {
        Shape::Cross => "crosses".to_owned(),
        _ => format!("{shape}s"),
    }
}
