//! What a model is asked for one turn: the pictures, what was said before, and the question.

use super::{Conversation, ImageBytes, Item, Message, Part, Role};
use crate::error::{Error, Result};

impl Conversation {
    /// The conversation that ends with the question of turn `turn` (0-based) of `item`.
    ///
    /// `images` are the item's pictures in order (see [`super::EvalSet::pictures`]); all of them stand in the first human
    /// message, before its text. `earlier` are the (question, answer) pairs of the turns before that count as said: all of
    /// them for a dialogue with history, none for a question asked alone, which then bears the pictures itself.
    ///
    /// # Errors
    /// Where the item has no such turn, or other pictures than those given.
    pub fn new<S: AsRef<str>>(item: &Item, turn: usize, images: &[ImageBytes], earlier: &[(S, S)]) -> Result<Self> {
        let Some(asked) = item.turns.get(turn) else {
            return Err(Error::failed(format!("item {} has {} turns, no turn {turn}", item.id, item.turns.len())));
        };
        if !item.images.iter().eq(images.iter().map(|image| &image.name)) {
            return Err(Error::failed(format!("item {} was given other pictures than its own", item.id)));
        }
        let mut messages = Vec::with_capacity(2 * earlier.len() + 1);
        for (question, answer) in earlier {
            messages.push(Message::text(Role::Human, question.as_ref()));
            messages.push(Message::text(Role::Assistant, answer.as_ref()));
        }
        messages.push(Message::text(Role::Human, &asked.question));
        messages[0].parts.splice(0..0, images.iter().cloned().map(Part::Image));
        Ok(Self { item: item.id.clone(), turn, question_id: asked.question_id, messages })
    }

    /// The pictures, in order.
    pub fn images(&self) -> impl Iterator<Item = &ImageBytes> {
        self.messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::Image(image) => Some(image),
            Part::Text(_) => None,
        })
    }
}

impl Message {
    /// A message of text alone.
    pub fn text(role: Role, text: &str) -> Self {
        Self { role, parts: vec![Part::Text(text.to_owned())] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evalset::Turn;

    fn picture(name: &str) -> ImageBytes {
        ImageBytes { name: name.to_owned(), bytes: std::sync::Arc::from(name.as_bytes()), sha256: String::new() }
    }

    fn item(images: &[&str], questions: &[&str]) -> Item {
        let turns = questions.iter().zip(1..).map(|(question, question_id)| Turn {
            question_id,
            question: (*question).to_owned(),
            abilities: Vec::new(),
            subsets: Vec::new(),
            reference: Vec::new(),
        });
        Item {
            id: "dialogue".to_owned(),
            images: images.iter().map(|name| (*name).to_owned()).collect(),
            turns: turns.collect(),
        }
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn pictures_stand_in_the_first_human_message_before_its_text() {
        let item = item(&["1.png", "2.png"], &["What is left?", "And right?", "Which is larger?"]);
        let images = [picture("1.png"), picture("2.png")];
        let earlier = [("What is left?", "A cup."), ("And right?", "A jug.")];
        let conversation = Conversation::new(&item, 2, &images, &earlier).expect("a conversation");
        assert_eq!((conversation.turn, conversation.question_id, conversation.item.as_str()), (2, 3, "dialogue"));
        assert_eq!(
            conversation.messages,
            [
                Message {
                    role: Role::Human,
                    parts: vec![Part::Image(images[0].clone()), Part::Image(images[1].clone()), text("What is left?")]
                },
                Message { role: Role::Assistant, parts: vec![text("A cup.")] },
                Message { role: Role::Human, parts: vec![text("And right?")] },
                Message { role: Role::Assistant, parts: vec![text("A jug.")] },
                Message { role: Role::Human, parts: vec![text("Which is larger?")] },
            ]
        );
        assert_eq!(conversation.images().map(|image| image.name.as_str()).collect::<Vec<_>>(), ["1.png", "2.png"]);
    }

    #[test]
    fn a_question_without_history_bears_the_pictures_itself() {
        let item = item(&["1.png"], &["What?", "Why?"]);
        let images = [picture("1.png")];
        let conversation = Conversation::new::<&str>(&item, 1, &images, &[]).expect("a conversation");
        let parts = vec![Part::Image(images[0].clone()), text("Why?")];
        assert_eq!(conversation.messages, [Message { role: Role::Human, parts }]);
    }

    #[test]
    fn text_only_questions_have_no_picture() {
        let conversation =
            Conversation::new::<&str>(&item(&[], &["Two and two?"]), 0, &[], &[]).expect("a conversation");
        assert_eq!(conversation.messages, [Message { role: Role::Human, parts: vec![text("Two and two?")] }]);
    }

    #[test]
    fn a_turn_or_pictures_that_the_item_has_not_are_refused() {
        let item = item(&["1.png"], &["What?"]);
        assert!(Conversation::new::<&str>(&item, 1, &[picture("1.png")], &[]).is_err());
        assert!(Conversation::new::<&str>(&item, 0, &[], &[]).is_err());
        assert!(Conversation::new::<&str>(&item, 0, &[picture("2.png")], &[]).is_err());
    }
}
