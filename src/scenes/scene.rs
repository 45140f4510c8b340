//! What is in a scene: objects on a grid of three by three places, and perhaps a sign.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::random::{Dice, Purpose};

/// Places of the grid.
pub const PLACES: usize = 9;
/// The most objects of one scene.
pub const MOST_OBJECTS: usize = 4;

/// Which scenes may be drawn; the seeds of one split give other scenes than the same seeds of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from in pictures: no pair of [`HELD_OUT`] is ever shown or spoken of.
    Train,
    /// Other scenes of the same pairs.
    Fresh,
    /// Every scene holds at least one pair of [`HELD_OUT`].
    HeldOut,
    /// To learn from in words alone: every pair is told, as LLaMA has read of things that no picture has shown it.
    Told,
}

impl Split {
    /// Whether a pair of [`HELD_OUT`] may occur.
    pub fn allows_held_out(self) -> bool {
        matches!(self, Split::HeldOut | Split::Told)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$variant),+];

            /// The word that questions, answers and told scenes use.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            pub fn index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(Colour {
    Red = "red",
    Orange = "orange",
    Yellow = "yellow",
    Green = "green",
    Blue = "blue",
    Purple = "purple",
    Black = "black",
    White = "white",
});

words!(Shape {
    Circle = "circle",
    Square = "square",
    Triangle = "triangle",
    Star = "star",
    Cross = "cross",
    Ring = "ring",
});

words!(Size { Small = "small", Large = "large" });

words!(
    /// A row of the grid.
    Row { Top = "top", Middle = "middle", Bottom = "bottom" }
);

/// The pairs of shape and colour that no picture and no sentence about a picture of [`Split::Train`] contains: every shape once, six of
/// the eight colours once.
pub const HELD_OUT: [(Shape, Colour); 6] = [
    (Shape::Circle, Colour::Purple),
    (Shape::Square, Colour::Orange),
    (Shape::Triangle, Colour::Blue),
    (Shape::Star, Colour::Green),
    (Shape::Cross, Colour::Yellow),
    (Shape::Ring, Colour::Red),
];

pub fn is_held_out(shape: Shape, colour: Colour) -> bool {
    HELD_OUT.contains(&(shape, colour))
}

/// What a word on a sign names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    Animal,
    Food,
    Vehicle,
    Garment,
}

impl Category {
    pub const ALL: [Category; 4] = [Category::Animal, Category::Food, Category::Vehicle, Category::Garment];

    /// The word with its article.
    pub fn phrase(self) -> &'static str {
        match self {
            Category::Animal => "an animal",
            Category::Food => "a food",
            Category::Vehicle => "a vehicle",
            Category::Garment => "a garment",
        }
    }
}

/// The words that signs bear (printed in capitals), eight of each category, of three to five letters.
pub const LEXICON: [(&str, Category); 32] = [
    ("cat", Category::Animal),
    ("dog", Category::Animal),
    ("cow", Category::Animal),
    ("fox", Category::Animal),
    ("owl", Category::Animal),
    ("hen", Category::Animal),
    ("frog", Category::Animal),
    ("mouse", Category::Animal),
    ("milk", Category::Food),
    ("rice", Category::Food),
    ("egg", Category::Food),
    ("soup", Category::Food),
    ("corn", Category::Food),
    ("cake", Category::Food),
    ("bread", Category::Food),
    ("salt", Category::Food),
    ("car", Category::Vehicle),
    ("bus", Category::Vehicle),
    ("boat", Category::Vehicle),
    ("train", Category::Vehicle),
    ("bike", Category::Vehicle),
    ("taxi", Category::Vehicle),
    ("van", Category::Vehicle),
    ("ship", Category::Vehicle),
    ("hat", Category::Garment),
    ("coat", Category::Garment),
    ("shoe", Category::Garment),
    ("sock", Category::Garment),
    ("belt", Category::Garment),
    ("scarf", Category::Garment),
    ("shirt", Category::Garment),
    ("vest", Category::Garment),
];

/// One of the nine places, in reading order (0 is top left, 8 is bottom right).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u8);

impl Place {
    pub fn all() -> impl Iterator<Item = Place> {
        (0..PLACES as u8).map(Place)
    }

    /// `None` beyond the grid.
    pub fn new(index: usize) -> Option<Self> {
        (index < PLACES).then_some(Self(index as u8))
    }

    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// 0 is the top row.
    pub fn row(self) -> usize {
        self.index() / 3
    }

    /// 0 is the left column.
    pub fn column(self) -> usize {
        self.index() % 3
    }

    /// The words that name it: a row and a column, so that "left" alone never means a place.
    pub fn words(self) -> &'static [&'static str] {
        const WORDS: [&[&str]; PLACES] = [
            &["top", "left"],
            &["top", "middle"],
            &["top", "right"],
            &["middle", "left"],
            &["middle"],
            &["middle", "right"],
            &["bottom", "left"],
            &["bottom", "middle"],
            &["bottom", "right"],
        ];
        WORDS[self.index()]
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    pub place: Place,
    pub size: Size,
    pub colour: Colour,
    pub shape: Shape,
}

impl Object {
    /// "large red circle".
    pub fn name(&self) -> String {
        format!("{} {} {}", self.size, self.colour, self.shape)
    }
}

/// What a sign says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignText {
    /// Of the [`LEXICON`], in lower case.
    Word(&'static str),
    /// From 0 to 99.
    Number(u8),
}

impl fmt::Display for SignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignText::Word(word) => f.write_str(word),
            SignText::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A plate with printed text, which takes a whole row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sign {
    pub row: Row,
    pub text: SignText,
}

/// One to four objects on places of their own, and perhaps a sign in a row without objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scene {
    /// In reading order of their places.
    pub objects: Vec<Object>,
    pub sign: Option<Sign>,
}

impl Scene {
    /// The scene `index` of a split; a share `signs` of all scenes bears a sign.
    pub fn sample(split: Split, seed: u64, index: u64, signs: f64) -> Self {
        Self::draw_from(&mut Dice::new(Purpose::Scene, split, seed, index), split, signs)
    }

    pub(super) fn draw_from(dice: &mut Dice, split: Split, signs: f64) -> Self {
        let sign = dice.chance(signs).then(|| Sign { row: dice.of(Row::ALL), text: sign_text(dice) });
        let mut places: Vec<Place> =
            Place::all().filter(|place| sign.is_none_or(|sign| sign.row.index() != place.row())).collect();
        dice.shuffle(&mut places);

        const NUMBER_OF_OBJECTS: [f64; MOST_OBJECTS] = [0.2, 0.25, 0.27, 0.28];
        let count = dice.weighted(&NUMBER_OF_OBJECTS).map_or(1, |index| index + 1);
        let held_out = if split == Split::HeldOut { dice.below(count) } else { count };
        let mut objects: Vec<Object> = Vec::with_capacity(count);
        for (number, &place) in places.iter().take(count).enumerate() {
            let (shape, colour) = if number == held_out {
                dice.of(HELD_OUT)
            } else {
                loop {
                    let pair = (attribute(dice, &objects, |o| o.shape), attribute(dice, &objects, |o| o.colour));
                    if split.allows_held_out() || !is_held_out(pair.0, pair.1) {
                        break pair;
                    }
                }
            };
            objects.push(Object { place, size: dice.of(Size::ALL), colour, shape });
        }
        objects.sort_by_key(|object| object.place);
        Self { objects, sign }
    }

    pub fn at(&self, place: Place) -> Option<&Object> {
        self.objects.iter().find(|object| object.place == place)
    }

    /// The number on the sign.
    pub fn number(&self) -> Option<u8> {
        match self.sign?.text {
            SignText::Number(number) => Some(number),
            SignText::Word(_) => None,
        }
    }

    /// The word on the sign.
    pub fn word(&self) -> Option<&'static str> {
        match self.sign?.text {
            SignText::Word(word) => Some(word),
            SignText::Number(_) => None,
        }
    }

    pub fn has_held_out_pair(&self) -> bool {
        self.objects.iter().any(|object| is_held_out(object.shape, object.colour))
    }
}

trait Attribute: Copy + 'static {
    fn any(dice: &mut Dice) -> Self;
}

impl Attribute for Shape {
    fn any(dice: &mut Dice) -> Self {
        dice.of(Self::ALL)
    }
}

impl Attribute for Colour {
    fn any(dice: &mut Dice) -> Self {
        dice.of(Self::ALL)
    }
}

/// Now and then that of an object that is already there, so that there is something to count and to compare.
fn attribute<T: Attribute>(dice: &mut Dice, objects: &[Object], of: impl Fn(&Object) -> T) -> T {
    const SHARE_REPEATED: f64 = 0.3;
    match dice.pick(objects) {
        Some(object) if dice.chance(SHARE_REPEATED) => of(object),
        _ => T::any(dice),
    }
}

fn sign_text(dice: &mut Dice) -> SignText {
    if dice.chance(0.5) {
        SignText::Word(dice.of(LEXICON).0)
    } else if dice.chance(0.15) {
        SignText::Number(dice.below(10) as u8)
    } else {
        SignText::Number(dice.below(100) as u8)
    }
}
