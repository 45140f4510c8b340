//! All that can be said, for training the tokenizer.

use super::dialogue::{DialogueMix, dialogue};
use super::labels::told;
use super::phrase::with_article;
use super::random::{Dice, Purpose};
use super::scene::{Colour, LEXICON, Scene, Shape, Split};

/// The texts of `dialogues` training dialogues and of as many told scenes, after a list in which every word of the
/// lexicon, every colour and shape, and every number occurs.
pub fn corpus(dialogues: usize) -> Vec<String> {
    const SEED: u64 = 0;
    let mut texts: Vec<String> = LEXICON.iter().map(|(word, _)| format!("the word {word}")).collect();
    texts.extend(Colour::ALL.iter().map(|colour| format!("{} object", with_article(colour.word()))));
    texts.extend(Shape::ALL.iter().map(|shape| with_article(shape.word())));
    texts.extend((0..100).map(|number| format!("the number {number}")));
    let mix = DialogueMix::everything();
    let dice = &mut Dice::new(Purpose::Corpus, Split::Train, SEED, 0);
    for index in 0..dialogues as u64 {
        for turn in dialogue(Split::Train, SEED, index, &mix).turns {
            texts.push(turn.question);
            texts.push(turn.answer);
        }
        let slots = told(&Scene::draw_from(dice, Split::Train, mix.signs));
        texts.extend(slots.iter().map(|slot| slot.join(" ")));
    }
    texts
}
