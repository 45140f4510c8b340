//! Evalsets of generated questions, in OwlEval's format: the built-in ones, `mini` ([`pictures`]) and `mini-text` ([`text`]),
//! and as many more as one likes ([`exam`]).
//!
//! The committed folders under `evalsets/` are what [`write`] writes; a test makes them again and compares.

mod exam;
mod pictures;
mod text;

pub use exam::ExamSet;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::dialogue::{Dialogue, dialogue_of};
use super::draw::SIDE;
use super::kind::{Group, Kind};
use super::scene::Split;
use crate::error::{Error, IoContext, Result};

const SEED: u64 = 2304_14178;

/// Pixels a side, so that people see crisp pictures; the small model makes them small again.
const PICTURE_SIDE: u32 = SIDE * 4;

/// Dialogues that are looked at until one suits.
const CANDIDATES: u64 = 100;

const ABILITIES: [(&str, &str); 6] = [
    ("a", "instruction understanding"),
    ("b", "visual understanding"),
    ("c", "optical character recognition"),
    ("d", "knowledge transfer"),
    ("e", "reasoning"),
    ("f", "multi-turn dialogue"),
];

/// An evalset that this module writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mini {
    /// Scenes and questions about them.
    Pictures,
    /// Questions without pictures.
    Text,
}

impl Mini {
    pub const ALL: [Mini; 2] = [Mini::Pictures, Mini::Text];

    /// The evalset's name and that of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Mini::Pictures => "mini",
            Mini::Text => "mini-text",
        }
    }

    /// Every file of the evalset: path inside its folder -> bytes.
    pub fn files(self) -> Result<BTreeMap<String, Vec<u8>>> {
        match self {
            Mini::Pictures => pictures::files(),
            Mini::Text => text::files(),
        }
    }

    /// Writes the evalset into `folder`, which is made where it is missing; other files there are left alone.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(self, folder: &Path) -> Result<()> {
        write(folder, &self.files()?)
    }
}

/// Writes files into a folder, by their paths inside.
fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    for (name, bytes) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).or_at("cannot make the folder", parent)?;
        }
        std::fs::write(&path, bytes).or_at("cannot write", &path)?;
    }
    Ok(())
}

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
    /// What the question measures; of questions drawn for an exam alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Group>,
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
    name: String,
    version: &'static str,
    description: String,
    source: &'static str,
    licence: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<&'static str>,
    abilities: BTreeMap<&'static str, &'static str>,
    sha256: BTreeMap<String, String>,
}

struct Folder {
    /// Pixels a side of the pictures.
    side: u32,
    /// Path inside the folder -> bytes.
    files: BTreeMap<String, Vec<u8>>,
    rows: Vec<Row>,
    pictures: usize,
    held_out: usize,
}

impl Folder {
    fn new(side: u32) -> Self {
        Self { side, files: BTreeMap::new(), rows: Vec::new(), pictures: 0, held_out: 0 }
    }

    fn add_pictures(&mut self, dialogue: &Dialogue) -> Result<Images> {
        let mut names = Vec::new();
        for (picture, scene) in dialogue.pictures(self.side).iter().zip(&dialogue.scenes) {
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
            kind: None,
        });
    }

    /// The dialogue of number `number` that asks these kinds in turn and that `suits`.
    fn find(kinds: &[Kind], split: Split, number: u64, suits: impl Fn(&Dialogue) -> bool) -> Result<Dialogue> {
        (0..CANDIDATES)
            .filter_map(|candidate| dialogue_of(kinds, split, SEED, number * CANDIDATES + candidate))
            .find(suits)
            .ok_or_else(|| Error::failed(format!("nothing was found that can be asked {kinds:?} in turn")))
    }

    /// All files: what was added, and `manifest` with their digests.
    fn finish(self, mut manifest: Manifest, read_me: String) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = self.files;
        let mut questions = String::new();
        for row in &self.rows {
            questions += &serde_json::to_string(row).map_err(|e| Error::failed("cannot write a question").source(e))?;
            questions.push('\n');
        }
        files.insert("questions.jsonl".to_owned(), questions.into_bytes());
        manifest.sha256 =
            files.iter().map(|(name, bytes)| (name.clone(), hex::encode(Sha256::digest(bytes)))).collect();
        let manifest = toml::to_string(&manifest).map_err(|e| Error::failed("cannot write evalset.toml").source(e))?;
        files.insert("evalset.toml".to_owned(), manifest.into_bytes());
        files.insert("README.md".to_owned(), read_me.into_bytes());
        Ok(files)
    }
}

/// Rows for which something holds.
fn count(rows: &[Row], wanted: impl Fn(&Row) -> bool) -> usize {
    rows.iter().filter(|row| wanted(row)).count()
}

/// Dialogues of several turns.
fn dialogues(rows: &[Row]) -> usize {
    rows.iter().filter_map(|row| row.group.as_ref()).collect::<BTreeSet<_>>().len()
}

/// The rows of a table: letter, ability, questions.
fn ability_table(rows: &[Row]) -> String {
    let mut table = String::new();
    for (letter, name) in ABILITIES {
        let questions = count(rows, |row| row.ability.split(',').any(|own| own == letter));
        if questions > 0 {
            table += &format!("| {letter} | {name} | {questions} |\n");
        }
    }
    table
}

fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|e| Error::failed("cannot write a picture").source(e))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn committed(set: Mini) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("evalsets").join(set.name())
    }

    /// Every file below a folder, by its path inside.
    fn names(folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for inside in ["", "cases"] {
            let Ok(entries) = std::fs::read_dir(folder.join(inside)) else { continue };
            let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
            found.extend(paths.map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()));
        }
        found
    }

    /// `OWLEVAL_WRITE_MINI=1 cargo test --release mini` writes the folders anew after a change that is meant.
    #[test]
    fn the_committed_evalsets_are_what_the_generator_writes() {
        for set in Mini::ALL {
            if std::env::var_os("OWLEVAL_WRITE_MINI").is_some() {
                set.write(&committed(set)).unwrap();
            }
            let folder = tempfile::tempdir().unwrap();
            set.write(folder.path()).unwrap();
            assert_eq!(names(folder.path()), names(&committed(set)));
            for name in names(folder.path()) {
                let (made, kept) = (folder.path().join(&name), committed(set).join(&name));
                let (made, kept) = (std::fs::read(made).unwrap(), std::fs::read(kept).unwrap());
                // Elsewhere another rounding may shift a pixel at an edge.
                if name.ends_with(".png") && !cfg!(target_arch = "x86_64") {
                    let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgb8().into_raw();
                    assert!(pixels(&made).iter().zip(pixels(&kept)).all(|(&a, b)| a.abs_diff(b) <= 8), "{name}");
                } else if cfg!(target_arch = "x86_64") || name != "evalset.toml" {
                    assert!(made == kept, "{}/{name} differs from the committed one", set.name());
                }
            }
        }
    }
}
