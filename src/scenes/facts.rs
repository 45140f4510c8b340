//! What only text teaches: the colour of fruits, the shape of things, the corners of shapes, what a word names.

use super::scene::{Category, Colour, LEXICON, Shape};

pub(super) fn fruit(colour: Colour) -> &'static str {
    match colour {
        Colour::Red => "strawberry",
        Colour::Orange => "apricot",
        Colour::Yellow => "banana",
        Colour::Green => "lime",
        Colour::Blue => "blueberry",
        Colour::Purple => "plum",
        Colour::Black => "blackberry",
        Colour::White => "coconut",
    }
}

pub(super) fn thing(shape: Shape) -> &'static str {
    match shape {
        Shape::Circle => "coin",
        Shape::Square => "tile",
        Shape::Triangle => "pyramid",
        Shape::Star => "starfish",
        Shape::Cross => "windmill",
        Shape::Ring => "doughnut",
    }
}

/// Corners of the shapes of which nobody disputes them.
pub(super) fn corners(shape: Shape) -> Option<usize> {
    match shape {
        Shape::Circle => Some(0),
        Shape::Triangle => Some(3),
        Shape::Square => Some(4),
        Shape::Star | Shape::Cross | Shape::Ring => None,
    }
}

pub(super) fn category(word: &str) -> Option<Category> {
    LEXICON.iter().find(|(known, _)| *known == word).map(|&(_, category)| category)
}

/// The word with its article, or without where there is none ("a cat", "milk").
pub(super) fn named(word: &str) -> String {
    const WITHOUT_ARTICLE: [&str; 6] = ["milk", "rice", "soup", "corn", "bread", "salt"];
    if WITHOUT_ARTICLE.contains(&word) { word.to_owned() } else { super::phrase::with_article(word) }
}
