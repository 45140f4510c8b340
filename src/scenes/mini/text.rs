//! The evalset `mini-text`: what `owl-mini` knows and can do without a picture, inside its vocabulary.

use std::collections::BTreeMap;

use super::{ABILITIES, Folder, Images, Manifest, PICTURE_SIDE, Row, ability_table, count, dialogues};
use crate::error::Result;
use crate::scenes::kind::Kind;
use crate::scenes::scene::Split;

const VERSION: &str = "1";

/// How often each kind is asked alone.
const EACH: usize = 4;

const SINGLE: [Kind; 10] = [
    Kind::FactFruit,
    Kind::FactThing,
    Kind::FactCorners,
    Kind::FactKind,
    Kind::Arithmetic,
    Kind::CompareNumbers,
    Kind::NumberWord,
    Kind::Greeting,
    Kind::Repeat,
    Kind::Opposite,
];

const DIALOGUES: [&[Kind]; 6] = [
    &[Kind::Greeting, Kind::FactFruit],
    &[Kind::Arithmetic, Kind::CompareNumbers],
    &[Kind::FactThing, Kind::FactCorners, Kind::Opposite],
    &[Kind::Repeat, Kind::FactKind],
    &[Kind::NumberWord, Kind::Arithmetic, Kind::Arithmetic],
    &[Kind::FactFruit, Kind::FactThing],
];

/// Every file of the evalset: path inside its folder -> bytes.
pub fn files() -> Result<BTreeMap<String, Vec<u8>>> {
    let mut folder = Folder::new(PICTURE_SIDE);
    // Numbers that `mini` does not use.
    let mut number = 1_000;
    for kind in SINGLE {
        let mut asked: Vec<String> = Vec::new();
        while asked.len() < EACH {
            number += 1;
            let is_new = |question: &String| !asked.contains(question);
            let Ok(dialogue) = Folder::find(&[kind], Split::Fresh, number, |found| is_new(&found.turns[0].question))
            else {
                // Some kinds have fewer wordings than that.
                break;
            };
            folder.add_turns(&dialogue, &Images::None, None);
            asked.push(dialogue.turns[0].question.clone());
        }
    }
    for (index, kinds) in DIALOGUES.into_iter().enumerate() {
        number += 1;
        let dialogue = Folder::find(kinds, Split::Fresh, number, |_| true)?;
        folder.add_turns(&dialogue, &Images::None, Some(&format!("dialogue-{:02}", index + 1)));
    }
    let read_me = read_me(&folder.rows);
    let manifest = Manifest {
        name: "mini-text".to_owned(),
        version: VERSION,
        description: "Questions without pictures, of facts, numbers and instructions, in the words that owl-mini knows"
            .to_owned(),
        source: "asked by owleval itself (src/scenes/mini)",
        licence: "Apache-2.0",
        images: None,
        abilities: ABILITIES.into_iter().filter(|(letter, _)| !["b", "c", "f"].contains(letter)).collect(),
        sha256: BTreeMap::new(),
    };
    folder.finish(manifest, read_me)
}

fn read_me(rows: &[Row]) -> String {
    format!(
        "# mini-text\n\
         \n\
         {questions} questions without pictures, {turns} of them in {dialogues} dialogues, in the words that `owl-mini` \
         knows: which fruit has which colour, which thing which shape, sums and comparisons of numbers below one hundred, \
         numbers in words, greetings, repeating, opposites. All have references.\n\
         \n\
         | ability | | questions |\n\
         |---|---|---|\n\
         {abilities}\n\
         Made by `owleval` itself, from a fixed seed (`src/scenes/mini`); a test makes it again and compares. Facts are \
         asked as they are taught, and there are only so many sums: a question may have occurred in training in these \
         words. What it measures is what training on pictures leaves of the text-only ability, not whether sums generalise.\n\
         \n\
         Licence: Apache-2.0, as the project.\n",
        questions = rows.len(),
        turns = count(rows, |row| row.group.is_some()),
        dialogues = dialogues(rows),
        abilities = ability_table(rows),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn mini_text_asks_every_kind_without_pictures_and_each_question_has_a_reference() {
        let files = files().unwrap();
        assert!(files.keys().all(|name| !name.ends_with(".png")));
        let text = std::str::from_utf8(&files["questions.jsonl"]).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(rows.len() >= 40, "{}", rows.len());
        assert!(rows.iter().all(|row| row["image"].is_null() && !row["reference"].as_array().unwrap().is_empty()));
        let alone = rows.iter().filter(|row| row.get("group").is_none());
        let questions: BTreeSet<&str> = alone.clone().map(|row| row["question"].as_str().unwrap()).collect();
        assert_eq!(questions.len(), alone.count(), "no question stands there twice");
    }
}
