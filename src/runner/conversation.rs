//! What a model is asked at one turn.

use crate::error::{Error, IoContext as _, Result};
use crate::evalset::{Conversation, EvalSet, ImageBytes, ImageRoot, Item, Message, Part, Role};

/// The conversation up to and including the question of `turn`: the item's images stand before the first question
/// that is said. `history` holds the assistant's part by turn; `None` leaves all earlier turns out.
///
/// # Errors
/// Where an earlier turn has no answer.
pub fn conversation(
    item: &Item,
    turn: usize,
    images: &[ImageBytes],
    history: Option<&[Option<String>]>,
) -> Result<Conversation> {
    let mut messages = Vec::new();
    let mut parts: Vec<Part> = images.iter().cloned().map(Part::Image).collect();
    let earlier = if history.is_some() { 0..turn } else { 0..0 };
    for index in earlier {
        let asked = &item.turns[index];
        let answer = history
            .and_then(|history| history.get(index))
            .and_then(Option::as_ref)
            .ok_or_else(|| Error::failed(format!("question {}, an earlier turn, has no answer", asked.question_id)))?;
        parts.push(Part::Text(asked.question.clone()));
        messages.push(Message { role: Role::Human, parts: std::mem::take(&mut parts) });
        messages.push(Message { role: Role::Assistant, parts: vec![Part::Text(answer.clone())] });
    }
    let asked = &item.turns[turn];
    parts.push(Part::Text(asked.question.clone()));
    messages.push(Message { role: Role::Human, parts });
    Ok(Conversation { item: item.id.clone(), turn, question_id: asked.question_id, messages })
}

/// TEMPORARY, until the evalset room reads images.
pub(super) fn read_images(evalset: &EvalSet, item: &Item) -> Result<Vec<ImageBytes>> {
    use sha2::Digest as _;
    let ImageRoot::Folder(folder) = &evalset.images else { return Err(Error::failed("not yet")) };
    let read = |name: &String| {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).or_at("cannot read the picture", &path)?;
        let sha256 = hex::encode(sha2::Sha256::digest(&bytes));
        Ok(ImageBytes { name: name.clone(), bytes: bytes.into(), sha256 })
    };
    item.images.iter().map(read).collect()
}
