//! What can be asked, and which of OwlEval's abilities it takes.

use serde::{Deserialize, Serialize};

/// What a kind of question measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    Colour,
    Shape,
    Size,
    Place,
    Existence,
    Counting,
    Instruction,
    Reading,
    /// What text alone taught, asked of a picture.
    Knowledge,
    Reasoning,
    /// Questions that only the turn before makes plain.
    Dialogue,
    TwoPictures,
    /// Questions without a picture.
    TextOnly,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident { $group:ident, $abilities:expr, $pictures:literal, $weight:literal })+) => {
        /// A kind of question.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind { $($(#[$doc])* $kind),+ }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind),+];

            pub fn group(self) -> Group {
                match self { $(Kind::$kind => Group::$group),+ }
            }

            /// OwlEval's abilities: a instruction, b visual, c text in the picture, d knowledge, e reasoning,
            /// f multi-turn.
            pub fn abilities(self) -> &'static [char] {
                match self { $(Kind::$kind => &$abilities),+ }
            }

            /// Pictures that the question is about: none, one or two.
            pub fn pictures(self) -> usize {
                match self { $(Kind::$kind => $pictures),+ }
            }

            /// How often it is asked, in proportion to the other kinds of as many pictures, unless a mix says otherwise.
            pub fn usual_weight(self) -> f64 {
                match self { $(Kind::$kind => $weight),+ }
            }
        }
    };
}

kinds! {
    /// "what colour is the circle?"
    ColourOf { Colour, ['a', 'b'], 1, 2.0 }
    /// "what shape is the red object?"
    ShapeOf { Shape, ['a', 'b'], 1, 2.0 }
    /// "is the circle small or large?"
    SizeOf { Size, ['a', 'b'], 1, 1.0 }
    /// "where is the circle?"
    PlaceOf { Place, ['a', 'b'], 1, 2.0 }
    /// "what is in the top left?"
    WhatAt { Place, ['a', 'b'], 1, 2.0 }
    /// "is there a red circle?"
    Exists { Existence, ['a', 'b'], 1, 1.5 }
    /// "how many objects are there?"
    CountAll { Counting, ['a', 'b', 'e'], 1, 1.0 }
    /// "how many red objects are there?"
    CountColour { Counting, ['a', 'b', 'e'], 1, 1.0 }
    /// "how many circles are there?"
    CountShape { Counting, ['a', 'b', 'e'], 1, 1.0 }
    /// "describe the picture"
    Caption { Instruction, ['a', 'b'], 1, 1.0 }
    /// "list the colours from left to right"
    ListColours { Instruction, ['a', 'b'], 1, 0.7 }
    /// "list the shapes from top to bottom"
    ListShapes { Instruction, ['a', 'b'], 1, 0.7 }
    /// "answer in a sentence: what colour is the circle?"
    Sentence { Instruction, ['a', 'b'], 1, 0.7 }
    /// "say the colour of the circle twice"
    Twice { Instruction, ['a', 'b'], 1, 0.7 }
    /// "answer yes or no: is the circle red?"
    Confirm { Instruction, ['a', 'b'], 1, 1.0 }
    /// "what does the sign say?"
    ReadSign { Reading, ['a', 'b', 'c'], 1, 2.5 }
    /// "which number is on the sign?"
    ReadNumber { Reading, ['a', 'b', 'c'], 1, 2.0 }
    /// "where is the sign?"
    SignPlace { Reading, ['a', 'b', 'c'], 1, 0.7 }
    /// "is there a sign?"
    SignExists { Reading, ['a', 'b', 'c'], 1, 0.7 }
    /// "which fruit has the colour of the circle?"
    FruitOf { Knowledge, ['a', 'b', 'd'], 1, 1.0 }
    /// "which thing has the shape of the red object?"
    ThingOf { Knowledge, ['a', 'b', 'd'], 1, 1.0 }
    /// "how many corners does the red object have?"
    Corners { Knowledge, ['a', 'b', 'd', 'e'], 1, 0.7 }
    /// "where is the object with the colour of a banana?"
    PlaceByFruit { Knowledge, ['a', 'b', 'd'], 1, 0.7 }
    /// "what kind of thing does the sign name?"
    SignKind { Knowledge, ['a', 'b', 'c', 'd'], 1, 1.0 }
    /// "are there more red or blue objects?"
    MoreOf { Reasoning, ['a', 'b', 'e'], 1, 1.0 }
    /// "how many objects are left if one is taken away?"
    AddOrTakeAway { Reasoning, ['a', 'b', 'e'], 1, 1.0 }
    /// "is the number on the sign larger than 30?"
    NumberLarger { Reasoning, ['a', 'b', 'c', 'e'], 1, 1.0 }
    /// "what is the number on the sign plus one?"
    NumberPlus { Reasoning, ['a', 'b', 'c', 'e'], 1, 1.0 }
    /// "do the circle and the square have the same colour?"
    SameColour { Reasoning, ['a', 'b', 'e'], 1, 0.8 }
    /// "do the red object and the blue object have the same shape?"
    SameShape { Reasoning, ['a', 'b', 'e'], 1, 0.8 }
    /// "what is left of the circle?"
    Neighbour { Reasoning, ['a', 'b', 'e'], 1, 2.0 }
    /// "what colour is it?"
    ReferIt { Dialogue, ['a', 'b', 'f'], 1, 4.0 }
    /// "and the square?"
    Elliptic { Dialogue, ['a', 'b', 'f'], 1, 4.0 }
    /// "and if one is taken away?"
    ReferCount { Dialogue, ['a', 'b', 'e', 'f'], 1, 6.0 }
    /// "and what is left of it?"
    ReferNeighbour { Dialogue, ['a', 'b', 'e', 'f'], 1, 4.0 }
    /// "and what is that plus one?"
    ReferNumber { Dialogue, ['a', 'b', 'c', 'e', 'f'], 1, 4.0 }
    /// "in which picture is the red circle?"
    WhichPicture { TwoPictures, ['a', 'b'], 2, 1.0 }
    /// "how many objects are there in both pictures together?"
    CountTogether { TwoPictures, ['a', 'b', 'e'], 2, 1.0 }
    /// "what colour is the circle in the second picture?"
    InPicture { TwoPictures, ['a', 'b'], 2, 2.0 }
    /// "do both pictures show a circle?"
    BothShow { TwoPictures, ['a', 'b', 'e'], 2, 1.0 }
    /// "which picture has more objects?"
    MoreInWhich { TwoPictures, ['a', 'b', 'e'], 2, 0.7 }
    /// "which fruit is yellow?", "what colour is a banana?"
    FactFruit { TextOnly, ['a', 'd'], 0, 2.0 }
    /// "which thing has the shape of a circle?", "what shape is a coin?"
    FactThing { TextOnly, ['a', 'd'], 0, 2.0 }
    /// "how many corners does a triangle have?"
    FactCorners { TextOnly, ['a', 'd'], 0, 0.5 }
    /// "what kind of thing is a cat?"
    FactKind { TextOnly, ['a', 'd'], 0, 2.0 }
    /// "what is 3 plus 4?"
    Arithmetic { TextOnly, ['a', 'e'], 0, 2.0 }
    /// "is 42 larger than 30?"
    CompareNumbers { TextOnly, ['a', 'e'], 0, 2.0 }
    /// "write seven in digits"
    NumberWord { TextOnly, ['a', 'd'], 0, 0.7 }
    /// "hello"
    Greeting { TextOnly, ['a'], 0, 0.3 }
    /// "repeat the word milk"
    Repeat { TextOnly, ['a'], 0, 1.0 }
    /// "what is the opposite of small?"
    Opposite { TextOnly, ['a', 'd'], 0, 0.5 }
}

impl Kind {
    /// Whether only a scene with a sign can be asked this.
    pub fn needs_sign(self) -> bool {
        use Kind::*;
        matches!(self, ReadSign | ReadNumber | SignPlace | SignKind | NumberLarger | NumberPlus | ReferNumber)
    }

    /// The kinds of question that may come before one which refers back; empty where it stands alone.
    pub fn openers(self) -> &'static [Kind] {
        use Kind::*;
        match self {
            ReferIt | ReferNeighbour => &[ColourOf, ShapeOf, SizeOf, PlaceOf, WhatAt],
            Elliptic => &[ColourOf, ShapeOf, SizeOf, PlaceOf],
            ReferCount => &[CountAll],
            ReferNumber => &[ReadNumber, ReadSign],
            _ => &[],
        }
    }
}
