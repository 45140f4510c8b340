//! Search: which cards hold a text.

use crate::grading::Session;

/// The cards whose question, answer, earlier turns or note hold a text, whatever its case, in order.
pub fn cards(session: &Session, text: &str) -> Vec<usize> {
    let wanted = text.to_lowercase();
    let holds = |text: &str| text.to_lowercase().contains(&wanted);
    let cards = session.deck().cards.iter().enumerate();
    let found = cards.filter(|(index, card)| {
        holds(&card.question)
            || holds(&card.answer)
            || card.before.iter().any(|exchange| holds(&exchange.question) || holds(&exchange.answer))
            || holds(&session.mark(*index).note)
    });
    found.map(|(index, _)| index).collect()
}
