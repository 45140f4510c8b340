//! Comparing objects, and how they lie to each other.

use super::{Asked, Asker, Topic, worded, yes_or_no};
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{Attribute, describe, object_answer, object_answer_also};
use crate::scenes::random::Dice;
use crate::scenes::scene::Scene;

pub(super) fn same(asker: &mut Asker, kind: Kind, attribute: Attribute) -> Option<Asked> {
    let objects = asker.scene().objects.clone();
    let mut alike = Vec::new();
    let mut unlike = Vec::new();
    for (index, first) in objects.iter().enumerate() {
        for (other, second) in objects.iter().enumerate() {
            if index != other {
                let pairs = if attribute.of(first) == attribute.of(second) { &mut alike } else { &mut unlike };
                pairs.push((*first, *second));
            }
        }
    }
    // Only where both answers could come, so that each comes half of the time.
    if alike.is_empty() || unlike.is_empty() {
        return None;
    }
    let yes = asker.dice.chance(0.5);
    let &(first, second) = asker.dice.pick(if yes { &alike } else { &unlike })?;
    let first = describe(asker.dice, asker.scene(), &first, &[attribute])?;
    let second = describe(asker.dice, asker.scene(), &second, &[attribute])?;
    let question = worded(
        asker.dice,
        ["do @ have the same $?", "are @ of the same $?", "is the $ of @ the same?"],
        &format!("{} and {}", first.the(), second.the()),
    )
    .replace('$', attribute.word());
    Some(Asked::new(kind, question, yes_or_no(yes)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Left,
    Right,
    Above,
    Below,
}

impl Direction {
    const ALL: [Direction; 4] = [Direction::Left, Direction::Right, Direction::Above, Direction::Below];

    fn phrase(self) -> &'static str {
        match self {
            Direction::Left => "left of",
            Direction::Right => "right of",
            Direction::Above => "above",
            Direction::Below => "below",
        }
    }
}

/// The object that lies in this direction: the only one there in the whole picture, and in the same row or column, so
/// that no reading of the words has another answer.
fn neighbour_of(scene: &Scene, index: usize, direction: Direction) -> Option<usize> {
    let from = scene.objects[index].place;
    let lies_there = |row: usize, column: usize| match direction {
        Direction::Left => column < from.column(),
        Direction::Right => column > from.column(),
        Direction::Above => row < from.row(),
        Direction::Below => row > from.row(),
    };
    let upright = matches!(direction, Direction::Above | Direction::Below);
    if upright && scene.sign.is_some_and(|sign| lies_there(sign.row.index(), from.column())) {
        return None;
    }
    let mut there =
        (0..scene.objects.len()).filter(|&i| lies_there(scene.objects[i].place.row(), scene.objects[i].place.column()));
    let only = there.next()?;
    let place = scene.objects[only].place;
    let in_line = if upright { place.column() == from.column() } else { place.row() == from.row() };
    (there.next().is_none() && in_line).then_some(only)
}

/// Some direction in which something lies, seen from this object: ("left of", the object there).
pub(super) fn some_neighbour(dice: &mut Dice, scene: &Scene, index: usize) -> Option<(&'static str, usize)> {
    let all: Vec<(&str, usize)> = Direction::ALL
        .iter()
        .filter_map(|&direction| Some((direction.phrase(), neighbour_of(scene, index, direction)?)))
        .collect();
    dice.pick(&all).copied()
}

pub(super) fn neighbour(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (index, _, description) = asker.pick_described(0, &[Attribute::Place])?;
    let (direction, other) = some_neighbour(asker.dice, &asker.scenes[0], index)?;
    let object = asker.scene().objects[other];
    let question = worded(
        asker.dice,
        ["what is @?", "which object is @?", "what do you see @?", "name the object @"],
        &format!("{direction} {}", description.the()),
    );
    let topic = Topic::object(other, [Attribute::Colour, Attribute::Shape]);
    Some(Asked::new(kind, question, object_answer(&object)).also(object_answer_also(&object)).about(topic))
}
