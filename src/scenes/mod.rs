//! Synthetic scenes: what is in them, how they are drawn, what can be asked about them.
//!
//! ```text
//! (split, seed, index) -> Scene -> draw    pixels
//!                               -> labels  targets of supervised vision pre-training
//!                               -> told    words, where the picture will be, of language pre-training
//!                               -> ask     Dialogue, ExamQuestion
//! ```
//!
//! Everything is a pure function of its arguments, so that a recipe names its whole data by a seed.

mod ask;
mod corpus;
mod dialogue;
mod draw;
mod exam;
mod facts;
mod kind;
mod labels;
pub mod mini;
#[cfg(test)]
mod oracle;
mod phrase;
mod random;
mod scene;
#[cfg(test)]
mod tests;

pub use corpus::corpus;
pub use dialogue::{Dialogue, DialogueMix, QuestionAnswer, dialogue, dialogue_of};
pub use draw::{SIDE, draw, draw_with_side};
pub use exam::{ExamQuestion, chance, exam, exam_of};
pub use kind::{Group, Kind};
pub use labels::{
    CHARACTER_CLASSES, COLOUR_CLASSES, Labels, SHAPE_CLASSES, SIGN_POSITIONS, SIGN_ROW_CLASSES, SIZE_CLASSES,
    TOLD_SLOTS, labels, told,
};
pub use scene::{
    Category, Colour, HELD_OUT, LEXICON, MOST_OBJECTS, Object, PLACES, Place, Row, Scene, Shape, Sign, SignText, Size,
    Split, is_held_out,
};
