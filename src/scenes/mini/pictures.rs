//! The evalset `mini`: thirty scenes from other seeds than training's, half of them with held-out pairs.

use std::collections::BTreeMap;

use super::{ABILITIES, Folder, Images, Manifest, PICTURE_SIDE, Row, ability_table, count, dialogues};
use crate::error::Result;
use crate::scenes::kind::Kind;
use crate::scenes::scene::{HELD_OUT, Split};

const VERSION: &str = "1";

/// Two questions alone about each of the first pictures.
const SINGLE: [[Kind; 2]; 12] = [
    [Kind::ColourOf, Kind::Exists],
    [Kind::ShapeOf, Kind::CountAll],
    [Kind::PlaceOf, Kind::SizeOf],
    [Kind::ReadSign, Kind::SignPlace],
    [Kind::ReadNumber, Kind::NumberPlus],
    [Kind::FruitOf, Kind::CountColour],
    [Kind::ThingOf, Kind::Corners],
    [Kind::MoreOf, Kind::Confirm],
    [Kind::Neighbour, Kind::Sentence],
    [Kind::Caption, Kind::ListColours],
    [Kind::SignKind, Kind::WhatAt],
    [Kind::SameColour, Kind::Twice],
];

/// Dialogues about one picture each.
const DIALOGUES: [&[Kind]; 14] = [
    &[Kind::PlaceOf, Kind::ReferIt],
    &[Kind::ColourOf, Kind::Elliptic, Kind::Elliptic],
    &[Kind::CountAll, Kind::ReferCount, Kind::CountShape],
    &[Kind::ReadNumber, Kind::ReferNumber, Kind::NumberLarger, Kind::SignPlace],
    &[Kind::WhatAt, Kind::ReferIt, Kind::ReferNeighbour, Kind::ReferIt],
    &[Kind::ShapeOf, Kind::ReferIt, Kind::FruitOf],
    &[Kind::Exists, Kind::PlaceOf, Kind::ReferIt, Kind::ThingOf, Kind::CountAll],
    &[Kind::SignExists, Kind::ReadSign, Kind::SignKind],
    &[Kind::PlaceByFruit, Kind::ShapeOf, Kind::ReferIt],
    &[Kind::SizeOf, Kind::Elliptic],
    &[Kind::Neighbour, Kind::ReferIt, Kind::SameShape],
    &[Kind::Caption, Kind::CountAll, Kind::ReferCount, Kind::MoreOf, Kind::ListShapes],
    &[Kind::ReadSign, Kind::ColourOf, Kind::ReferIt, Kind::AddOrTakeAway],
    &[Kind::SameColour, Kind::CountColour, Kind::Twice],
];

/// Dialogues about two pictures each.
const PAIRS: [&[Kind]; 2] = [
    &[Kind::CountTogether, Kind::WhichPicture, Kind::InPicture, Kind::BothShow],
    &[Kind::InPicture, Kind::MoreInWhich, Kind::InPicture],
];

/// Questions without a picture.
const TEXT: [Kind; 3] = [Kind::FactFruit, Kind::Arithmetic, Kind::FactKind];

/// Open questions, for people and judges: the picture, the words, the abilities.
const OPEN: [(usize, &str, &str); 5] = [
    (1, "tell me a short story about this picture", "a,b,d"),
    (4, "where would you see this sign, and why?", "a,b,c,d,e"),
    (7, "what would you make of these objects?", "a,b,d"),
    (9, "explain to a child where the objects are", "a,b,e"),
    (11, "name three words that go with the word on the sign", "a,b,c,d"),
];

/// Every file of the evalset: path inside its folder -> bytes.
pub fn files() -> Result<BTreeMap<String, Vec<u8>>> {
    let mut folder = Folder::new(PICTURE_SIDE);
    let mut number = 0;
    let mut next = |kinds: &[Kind]| {
        number += 1;
        // Every other scene holds a held-out pair; each has something in it.
        let split = if number % 2 == 0 { Split::HeldOut } else { Split::Fresh };
        Folder::find(kinds, split, number, |found| found.scenes.iter().all(|scene| scene.objects.len() >= 2))
    };
    for (number, kinds) in SINGLE.iter().enumerate() {
        let dialogue = next(kinds)?;
        let images = folder.add_pictures(&dialogue)?;
        folder.add_turns(&dialogue, &images, None);
        for (_, question, abilities) in OPEN.iter().filter(|(picture, ..)| *picture == number + 1) {
            folder.add_row(&images, question, (*abilities).to_owned(), &["single_turn"], None, Vec::new());
        }
    }
    for (number, kinds) in DIALOGUES.into_iter().chain(PAIRS).enumerate() {
        let dialogue = next(kinds)?;
        let images = folder.add_pictures(&dialogue)?;
        folder.add_turns(&dialogue, &images, Some(&format!("dialogue-{:02}", number + 1)));
    }
    for kind in TEXT {
        let dialogue = next(&[kind])?;
        folder.add_turns(&dialogue, &Images::None, None);
    }
    let read_me = read_me(&folder.rows, folder.pictures, folder.held_out);
    let manifest = Manifest {
        name: "mini".to_owned(),
        version: VERSION,
        description: "Synthetic scenes of coloured shapes and signs, with questions for all six abilities of OwlEval"
            .to_owned(),
        source: "drawn and asked by owleval itself (src/scenes/mini)",
        licence: "Apache-2.0",
        images: Some("cases"),
        abilities: ABILITIES.into(),
        sha256: BTreeMap::new(),
    };
    folder.finish(manifest, read_me)
}

fn read_me(rows: &[Row], pictures: usize, held_out: usize) -> String {
    let open = count(rows, |row| row.reference.is_empty());
    let pairs: Vec<String> = HELD_OUT.iter().map(|(shape, colour)| format!("{colour} {shape}")).collect();
    format!(
        "# mini\n\
         \n\
         A small evalset of synthetic scenes: {pictures} pictures, {questions} questions, of which {turns} belong to \
         {dialogues} dialogues of two to five turns ({two} of them about two pictures). {closed} questions are closed \
         and have references (the first is the canonical answer, the others say the same); {open} are open, for people \
         and judges.\n\
         \n\
         | ability | | questions |\n\
         |---|---|---|\n\
         {abilities}\n\
         ## What is in a picture\n\
         \n\
         One to four objects on a grid of three by three places, each small or large, of eight colours and six shapes; \
         in some pictures a sign, a plate across one row with a word or a number.\n\
         \n\
         - A place is named by row and column: top left, top middle, top right, middle left, middle, middle right, \
         bottom left, bottom middle, bottom right. The place of a sign is its row.\n\
         - A sign is not an object: it does not count where objects are counted.\n\
         - \"left of\", \"right of\", \"above\" and \"below\" are asked only where one single object lies that way.\n\
         - A description stands in reading order, one part an object, then the sign: \"top left a large red circle, \
         bottom middle a small blue star, sign top milk\".\n\
         \n\
         ## How it was made\n\
         \n\
         By `owleval` itself, from a fixed seed (`src/scenes/mini`); a test makes it again and compares. No picture is \
         one that `owl-mini` was trained on: the scenes come from other seeds (a simple one may come twice by chance, in \
         other tints), and {held_out} of the {pictures} hold pairs of colour and shape that no \
         picture of its training showed: {pairs}.\n\
         \n\
         Licence: Apache-2.0, as the project.\n",
        questions = rows.len(),
        turns = count(rows, |row| row.group.is_some()),
        dialogues = dialogues(rows),
        abilities = ability_table(rows),
        two = PAIRS.len(),
        closed = rows.len() - open,
        pairs = pairs.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mini_holds_what_was_promised_and_is_small() {
        let files = files().unwrap();
        let size: usize = files.values().map(Vec::len).sum();
        assert!(size < 400_000, "{size} bytes");
        let pictures = files.keys().filter(|name| name.ends_with(".png")).count();
        assert!(pictures >= 24);
        let rows: Vec<serde_json::Value> = std::str::from_utf8(&files["questions.jsonl"])
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(rows.len() >= 60);
        let mut groups: BTreeMap<&str, Vec<&serde_json::Value>> = BTreeMap::new();
        for row in &rows {
            if let Some(group) = row["group"].as_str() {
                groups.entry(group).or_default().push(row);
            }
        }
        assert!(groups.len() >= 12);
        assert!(groups.values().all(|turns| (2..=5).contains(&turns.len())));
        assert!(groups.values().any(|turns| turns[0]["image"].as_array().is_some_and(|images| images.len() == 2)));
        for (letter, _) in ABILITIES {
            assert!(rows.iter().any(|row| row["ability"].as_str().unwrap().split(',').any(|own| own == letter)));
        }
        let open = rows.iter().filter(|row| row.get("reference").is_none()).count();
        assert_eq!(open, OPEN.len());
        let read_me = std::str::from_utf8(&files["README.md"]).unwrap();
        assert!(read_me.contains(&format!("{} of the {pictures} hold pairs", pictures / 2)), "{read_me}");
    }
}
