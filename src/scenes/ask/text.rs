//! Questions without a picture: facts, small sums, following instructions.

use super::{Asked, Asker, worded, yes_or_no};
use crate::scenes::facts;
use crate::scenes::kind::Kind;
use crate::scenes::phrase::{self, count_also, with_article};
use crate::scenes::scene::{Colour, LEXICON, Shape};

pub(super) fn fruit(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let colour = asker.dice.of(Colour::ALL);
    let fruit = facts::fruit(colour);
    if asker.dice.chance(0.5) {
        let question = worded(
            asker.dice,
            [
                "which fruit is @?",
                "which fruit has the colour @?",
                "name a fruit with the colour @",
                "the colour @ is the colour of which fruit?",
            ],
            colour.word(),
        );
        return Some(Asked::new(kind, question, with_article(fruit)).also([fruit.to_owned()]));
    }
    let question = worded(
        asker.dice,
        ["what colour is @?", "which colour does @ have?", "what is the colour of @?", "tell me the colour of @"],
        &with_article(fruit),
    );
    Some(Asked::new(kind, question, colour.word()))
}

pub(super) fn thing(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let shape = asker.dice.of(Shape::ALL);
    let thing = facts::thing(shape);
    if asker.dice.chance(0.5) {
        let question = worded(
            asker.dice,
            [
                "which thing has the shape of @?",
                "name a thing with the shape of @",
                "which thing is @?",
                "@ is the shape of which thing?",
            ],
            &with_article(shape.word()),
        );
        return Some(Asked::new(kind, question, with_article(thing)).also([thing.to_owned()]));
    }
    let question = worded(
        asker.dice,
        ["what shape is @?", "which shape does @ have?", "what is the shape of @?", "tell me the shape of @"],
        &with_article(thing),
    );
    Some(Asked::new(kind, question, shape.word()).also([with_article(shape.word())]))
}

pub(super) fn corners(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let shape = asker.dice.of(Shape::ALL);
    let corners = facts::corners(shape)?;
    let question =
        worded(asker.dice, ["how many corners does @ have?", "count the corners of @"], &with_article(shape.word()));
    Some(Asked::new(kind, question, phrase::number_word(corners)).also(count_also(corners)))
}

pub(super) fn kind_of_thing(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (word, category) = asker.dice.of(LEXICON);
    if asker.dice.chance(0.2) {
        let yes = asker.dice.chance(0.5);
        let said = if yes {
            category
        } else {
            let others: Vec<_> = super::super::scene::Category::ALL.into_iter().filter(|&c| c != category).collect();
            *asker.dice.pick(&others)?
        };
        let question = format!("is {} {}?", facts::named(word), said.phrase());
        return Some(Asked::new(kind, question, yes_or_no(yes)));
    }
    let question = worded(
        asker.dice,
        ["what kind of thing is @?", "what is @?", "tell me what kind of thing @ is"],
        &facts::named(word),
    );
    Some(Asked::new(kind, question, category.phrase()))
}

pub(super) fn arithmetic(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let dice = &mut *asker.dice;
    let wordings = ["what is @?", "how much is @?", "tell me what @ is"];
    if dice.chance(0.35) {
        // In words, up to nine, as objects are counted.
        let plus = dice.chance(0.5);
        let first = dice.between(usize::from(!plus), if plus { 8 } else { 9 });
        let second = dice.between(1, if plus { (9 - first).min(4) } else { first.min(4) });
        let result = phrase::number_word(if plus { first + second } else { first - second });
        let (first, second) = (phrase::number_word(first), phrase::number_word(second));
        let question = worded(dice, wordings, &format!("{first} {} {second}", if plus { "plus" } else { "minus" }));
        return Some(Asked::new(kind, question, result));
    }
    if dice.chance(0.4) {
        let (first, second) = (dice.below(10), dice.below(10));
        let question = worded(dice, wordings, &format!("{first} plus {second}"));
        return Some(Asked::new(kind, question, (first + second).to_string()));
    }
    // As the number on a sign is reckoned with.
    let number = dice.below(100) as u8;
    let (step, sum) = super::read::sum(asker, number);
    let question = worded(asker.dice, wordings, &format!("{number} {step}"));
    Some(Asked::new(kind, question, sum.to_string()))
}

pub(super) fn compare(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let number = asker.dice.below(100) as u8;
    let (other, larger) = super::read::near(asker, number)?;
    if asker.dice.chance(0.6) {
        let question =
            worded(asker.dice, ["is @?", "answer yes or no: is @?"], &format!("{number} larger than {other}"));
        return Some(Asked::new(kind, question, yes_or_no(larger)));
    }
    let question = worded(
        asker.dice,
        ["which number is larger, @?", "which is larger, @?", "name the larger number: @"],
        &format!("{number} or {other}"),
    );
    Some(Asked::new(kind, question, number.max(other).to_string()))
}

pub(super) fn number_word(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let number = asker.dice.below(10);
    let word = phrase::number_word(number);
    let asked = if asker.dice.chance(0.5) {
        let question = worded(asker.dice, ["write @ in digits", "which number is @?"], &word);
        Asked::new(kind, question, number.to_string())
    } else {
        let question = worded(asker.dice, ["write @ as a word", "which word is @?"], &number.to_string());
        Asked::new(kind, question, word)
    };
    Some(asked)
}

pub(super) fn greeting(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (question, answer) = asker.dice.of([
        ("hello", "hello"),
        ("good morning", "good morning"),
        ("thank you", "you are welcome"),
        ("who are you?", "i am a small owl"),
        ("what can you do?", "i can answer questions"),
        ("how are you?", "i am well"),
    ]);
    Some(Asked::new(kind, question, answer))
}

pub(super) fn repeat(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let mut words: Vec<&str> = LEXICON.iter().map(|(word, _)| *word).collect();
    words.extend(Colour::ALL.map(Colour::word));
    words.extend(Shape::ALL.map(Shape::word));
    let word = *asker.dice.pick(&words)?;
    let asked = match asker.dice.below(3) {
        0 => Asked::new(kind, worded(asker.dice, ["repeat the word @", "say @", "say the word @"], word), word),
        1 => {
            let question = worded(asker.dice, ["say @ twice", "say the word @ twice", "tell me @ two times"], word);
            Asked::new(kind, question, format!("{word} {word}"))
        }
        _ => {
            // Words of the lexicon only: a colour and a shape might make a pair that this split must not speak of.
            let (first, second) = (asker.dice.of(LEXICON).0, asker.dice.of(LEXICON).0);
            let question =
                worded(asker.dice, ["say @", "list the words @", "name @"], &format!("{first} and {second}"));
            Asked::new(kind, question, format!("{first}, {second}")).also([format!("{first} and {second}")])
        }
    };
    Some(asked)
}

pub(super) fn opposite(asker: &mut Asker, kind: Kind) -> Option<Asked> {
    let (first, second) = asker.dice.of([
        ("small", "large"),
        ("left", "right"),
        ("top", "bottom"),
        ("above", "below"),
        ("first", "second"),
        ("yes", "no"),
        ("black", "white"),
        ("plus", "minus"),
    ]);
    let (word, answer) = if asker.dice.chance(0.5) { (first, second) } else { (second, first) };
    let question = worded(
        asker.dice,
        ["what is the opposite of @?", "name the opposite of @", "answer in one word: what is the opposite of @?"],
        word,
    );
    Some(Asked::new(kind, question, answer))
}
