//! Evalsets drawn for one purpose: as many questions as one likes about scenes that nobody was trained on.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ABILITIES, Folder, Manifest, ability_table, write};
use crate::error::Result;
use crate::scenes::dialogue::Dialogue;
use crate::scenes::draw::SIDE;
use crate::scenes::exam::exam;
use crate::scenes::kind::Group;
use crate::scenes::scene::Split;

const VERSION: &str = "1";

/// Questions of an exam as an evalset: every kind of question about pictures as often, each about scenes of its own.
#[derive(Debug)]
pub struct ExamSet {
    name: String,
    split: Split,
    seed: u64,
    dialogues: Vec<Dialogue>,
}

impl ExamSet {
    /// `count` questions of an exam. A question that refers back brings the one before it, which is a row, too.
    pub fn draw(name: &str, split: Split, seed: u64, count: usize) -> Self {
        let dialogues = exam(split, seed, count).into_iter().map(|question| {
            let turns = question.history.into_iter().chain([question.turn]).collect();
            Dialogue { scenes: question.scenes, picture_seeds: question.picture_seeds, turns }
        });
        Self { name: name.to_owned(), split, seed, dialogues: dialogues.collect() }
    }

    /// What each question measures, by its id.
    pub fn groups(&self) -> BTreeMap<u64, Group> {
        let turns = self.dialogues.iter().flat_map(|dialogue| &dialogue.turns);
        (1..).zip(turns.map(|turn| turn.kind.group())).collect()
    }

    /// Path inside the evalset's folder -> bytes.
    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let Self { name, split, seed, dialogues } = self;
        let mut folder = Folder::new(SIDE);
        for (number, dialogue) in (1..).zip(dialogues) {
            let images = folder.add_pictures(dialogue)?;
            let group = (dialogue.turns.len() > 1).then(|| format!("dialogue-{number:04}"));
            folder.add_turns(dialogue, &images, group.as_deref());
        }
        for (row, group) in folder.rows.iter_mut().zip(self.groups().into_values()) {
            row.kind = Some(group);
        }
        let read_me = format!(
            "# {name}\n\n{} questions about {} pictures of generated scenes (`owleval`, split {split:?}, seed {seed}).\n\n\
             | ability | | questions |\n|---|---|---|\n{}",
            folder.rows.len(),
            folder.pictures,
            ability_table(&folder.rows),
        );
        let manifest = Manifest {
            name: name.clone(),
            version: VERSION,
            description: format!("Questions about generated scenes, split {split:?}, seed {seed}"),
            source: "drawn and asked by owleval itself (src/scenes)",
            licence: "Apache-2.0",
            images: Some("cases"),
            abilities: BTreeMap::from(ABILITIES),
            sha256: BTreeMap::new(),
        };
        folder.finish(manifest, read_me)
    }

    /// Writes the evalset into `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// Where a picture or a row cannot be encoded, or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write(folder, &self.files()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exam_set_is_a_sound_evalset_and_the_same_every_time() {
        let set = ExamSet::draw("scenes", Split::Fresh, 5, 60);
        let files = set.files().unwrap();
        assert_eq!(files, ExamSet::draw("scenes", Split::Fresh, 5, 60).files().unwrap());
        let text = std::str::from_utf8(&files["questions.jsonl"]).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(rows.len() > 60, "questions that refer back bring the ones before them");
        assert_eq!(rows.len(), set.groups().len());
        for row in &rows {
            assert!(row["reference"].as_array().is_some_and(|accepted| !accepted.is_empty()), "{row}");
            assert!(row["kind"].is_string(), "{row}");
            let image = row["image"].as_str().or_else(|| row["image"][0].as_str()).unwrap();
            assert!(files.contains_key(&format!("cases/{image}")), "{row}");
        }
        let letters: String = rows.iter().filter_map(|row| row["ability"].as_str()).collect();
        assert!(('a'..='f').all(|letter| letters.contains(letter)), "{letters}");
    }
}
