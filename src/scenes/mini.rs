//! The built-in evalset `mini` in OwlEval's format: thirty scenes from other seeds than training's, half of them with
//! held-out pairs.
//!
//! The committed folder `evalsets/mini` is what [`write`] writes; a test makes it again and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::dialogue::{Dialogue, dialogue_of};
use super::draw::SIDE;
use super::kind::Kind;
use super::scene::{HELD_OUT, Split};
use crate::error::{Error, IoContext, Result};

const SEED: u64 = 2304_14178;
const VERSION: &str = "1";

/// Pixels a side, so that people see crisp pictures; the small model makes them small again.
const PICTURE_SIDE: u32 = SIDE * 4;

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

const ABILITIES: [(&str, &str); 6] = [
    ("a", "instruction understanding"),
    ("b", "visual understanding"),
    ("c", "optical character recognition"),
    ("d", "knowledge transfer"),
    ("e", "reasoning"),
    ("f", "multi-turn dialogue"),
];

/// A line of `questions.jsonl`.
#[derive(Serialize)]
struct Row {
    image: Images,
    question_id: usize,
    question: String,
    ability: String,
    category: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reference: Vec<String>,
}

#[derive(Serialize, Clone)]
#[serde(untagged)]
enum Images {
    None,
    One(String),
    Several(Vec<String>),
}

#[derive(Serialize)]
struct Manifest {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    source: &'static str,
    licence: &'static str,
    images: &'static str,
    abilities: BTreeMap<&'static str, &'static str>,
    sha256: BTreeMap<String, String>,
}

#[derive(Default)]
struct Folder {
    /// Path inside the folder -> bytes.
    files: BTreeMap<String, Vec<u8>>,
    rows: Vec<Row>,
    pictures: usize,
    held_out: usize,
}

impl Folder {
    fn add_pictures(&mut self, dialogue: &Dialogue) -> Result<Images> {
        let mut names = Vec::new();
        for (picture, scene) in dialogue.pictures(PICTURE_SIDE).iter().zip(&dialogue.scenes) {
            self.pictures += 1;
            self.held_out += usize::from(scene.has_held_out_pair());
            let name = format!("{:02}.png", self.pictures);
            self.files.insert(format!("cases/{name}"), png(picture)?);
            names.push(name);
        }
        Ok(match names.len() {
            0 => Images::None,
            1 => Images::One(names.remove(0)),
            _ => Images::Several(names),
        })
    }

    fn add_turns(&mut self, dialogue: &Dialogue, images: &Images, group: Option<&str>) {
        for (number, turn) in dialogue.turns.iter().enumerate() {
            let category: &[&str] = match (group, number) {
                (None, _) => &["single_turn"],
                // As in OwlEval, the first turn of a dialogue is a question that stands alone, too.
                (Some(_), 0) => &["single_turn", "multi_turn"],
                (Some(_), _) => &["multi_turn"],
            };
            let letters: Vec<String> = turn.abilities.iter().map(char::to_string).collect();
            let mut reference = vec![turn.answer.clone()];
            reference.extend(turn.accepted.iter().cloned());
            self.add_row(images, &turn.question, letters.join(","), category, group, reference);
        }
    }

    fn add_row(
        &mut self,
        image: &Images,
        question: &str,
        ability: String,
        category: &'static [&'static str],
        group: Option<&str>,
        reference: Vec<String>,
    ) {
        self.rows.push(Row {
            image: image.clone(),
            question_id: self.rows.len() + 1,
            question: question.to_owned(),
            ability,
            category,
            group: group.map(str::to_owned),
            reference,
        });
    }
}

/// Every file of the evalset: path inside its folder -> bytes.
pub fn files() -> Result<BTreeMap<String, Vec<u8>>> {
    let mut folder = Folder::default();
    let mut number = 0;
    let mut next = |kinds: &[Kind]| {
        /// Dialogues that are looked at until one is about scenes with something in them.
        const CANDIDATES: u64 = 100;
        number += 1;
        // Every other scene holds a held-out pair.
        let split = if number % 2 == 0 { Split::HeldOut } else { Split::Fresh };
        (0..CANDIDATES)
            .filter_map(|candidate| dialogue_of(kinds, split, SEED, number * CANDIDATES + candidate))
            .find(|dialogue| dialogue.scenes.iter().all(|scene| scene.objects.len() >= 2))
            .ok_or_else(|| Error::failed(format!("no scene was found that can be asked {kinds:?} in turn")))
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
    let Folder { mut files, rows, pictures, held_out } = folder;

    let mut questions = String::new();
    for row in &rows {
        questions += &serde_json::to_string(row).map_err(|e| Error::failed("cannot write a question").source(e))?;
        questions.push('\n');
    }
    files.insert("questions.jsonl".to_owned(), questions.into_bytes());
    let manifest = Manifest {
        name: "mini",
        version: VERSION,
        description: "Synthetic scenes of coloured shapes and signs, with questions for all six abilities of OwlEval",
        source: "drawn and asked by owleval itself (src/scenes/mini.rs)",
        licence: "Apache-2.0",
        images: "cases",
        abilities: ABILITIES.into(),
        sha256: files.iter().map(|(name, bytes)| (name.clone(), hex::encode(Sha256::digest(bytes)))).collect(),
    };
    let manifest = toml::to_string(&manifest).map_err(|e| Error::failed("cannot write evalset.toml").source(e))?;
    files.insert("evalset.toml".to_owned(), manifest.into_bytes());
    files.insert("README.md".to_owned(), read_me(&rows, pictures, held_out).into_bytes());
    Ok(files)
}

/// Writes the evalset into `folder`, which is made where it is missing; other files there are left alone.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let cases = folder.join("cases");
    std::fs::create_dir_all(&cases).or_at("cannot make the folder", &cases)?;
    for (name, bytes) in files()? {
        let path = folder.join(name);
        std::fs::write(&path, bytes).or_at("cannot write", &path)?;
    }
    Ok(())
}

fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|e| Error::failed("cannot write a picture").source(e))?;
    Ok(bytes.into_inner())
}

fn read_me(rows: &[Row], pictures: usize, held_out: usize) -> String {
    let groups: BTreeSet<&String> = rows.iter().filter_map(|row| row.group.as_ref()).collect();
    let count = |wanted: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let open = count(&|row| row.reference.is_empty());
    let mut abilities = String::new();
    for (letter, name) in ABILITIES {
        let questions = count(&|row| row.ability.split(',').any(|own| own == letter));
        abilities += &format!("| {letter} | {name} | {questions} |\n");
    }
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
         By `owleval` itself, from a fixed seed (`src/scenes/mini.rs`); a test makes it again and compares. No picture is \
         one that `owl-mini` was trained on: the scenes come from other seeds (a simple one may come twice by chance, in \
         other tints), and {held_out} of the {pictures} hold pairs of colour and shape that its \
         training never showed nor spoke of: {pairs}.\n\
         \n\
         Licence: Apache-2.0, as the project.\n",
        questions = rows.len(),
        turns = count(&|row| row.group.is_some()),
        dialogues = groups.len(),
        two = PAIRS.len(),
        closed = rows.len() - open,
        pairs = pairs.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("evalsets/mini")
    }

    /// `OWLEVAL_WRITE_MINI=1 cargo test --release mini` writes the folder anew after a change that is meant.
    #[test]
    fn the_committed_evalset_mini_is_what_the_generator_writes() {
        if std::env::var_os("OWLEVAL_WRITE_MINI").is_some() {
            write(&committed()).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let names = |folder: &Path| -> BTreeSet<String> {
            let own = std::fs::read_dir(folder).unwrap().chain(std::fs::read_dir(folder.join("cases")).unwrap());
            let paths = own.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
            paths.map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(folder.path()), names(&committed()));
        for name in names(folder.path()) {
            let (made, kept) = (folder.path().join(&name), committed().join(&name));
            let (made, kept) = (std::fs::read(made).unwrap(), std::fs::read(kept).unwrap());
            // Elsewhere another rounding may shift a pixel at an edge.
            if name.ends_with(".png") && !cfg!(target_arch = "x86_64") {
                let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgb8().into_raw();
                assert!(pixels(&made).iter().zip(pixels(&kept)).all(|(&a, b)| a.abs_diff(b) <= 8), "{name}");
            } else if cfg!(target_arch = "x86_64") || name != "evalset.toml" {
                assert!(made == kept, "{name} differs from the committed one");
            }
        }
    }

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
