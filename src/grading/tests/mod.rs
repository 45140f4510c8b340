//! Sheets, sessions and journals together, on a made-up evalset and made-up answers.

mod journals;
mod sheets;
mod tables;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::evalset::fixture;
use crate::store::quick_folder;

/// An evalset of seven questions, and answers of models to it.
pub(super) struct Place {
    pub evalset: TempDir,
    pub folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { evalset: fixture::made_up(), folder: quick_folder() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the answers of a model to questions 1 to 7; `None` leaves a row out.
    pub fn answers(&self, file: &str, model: &str, answer: impl Fn(u64) -> Option<String>) -> AnswerSource {
        let rows = (1..=7).filter_map(|id| answer(id).map(|answer| (id, answer)));
        let rows = rows.map(|(id, answer)| json!({"question_id": id, "answer": answer, "model_id": model}).to_string());
        std::fs::write(self.path(file), rows.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        AnswerSource { name: None, path: self.path(file) }
    }

    /// Models called alpha, beta and gamma that answered everything.
    pub fn three(&self) -> Vec<AnswerSource> {
        ["alpha", "beta", "gamma"]
            .map(|model| {
                self.answers(&format!("{model}.jsonl"), model, |id| Some(format!("it is {id}{}", model.as_bytes()[0])))
            })
            .into()
    }

    pub fn new_sheet<'a>(&'a self, folder: &'a Path, answers: &'a [AnswerSource]) -> NewSheet<'a> {
        NewSheet {
            folder,
            answers,
            evalset: self.evalset.path().as_os_str(),
            seed: 1,
            side_by_side: false,
            repeats: None,
            missing_counts: MissingPolicy::Excluded,
            rubric: None,
            split: None,
        }
    }

    /// A sheet of the three models, with one question that comes again, hidden.
    pub fn sheet(&self) -> PathBuf {
        let folder = self.path("study");
        let answers = self.three();
        NewSheet { repeats: "10%".parse().ok(), ..self.new_sheet(&folder, &answers) }.create().unwrap();
        folder
    }
}

pub(super) fn open(sheet: &Path, rater: &str) -> Session {
    let (session, warnings) = Session::open(sheet, rater).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    session
}

pub(super) fn marks(session: &Session) -> Vec<Mark> {
    (0..session.deck().cards.len()).map(|card| session.mark(card).clone()).collect()
}

pub(super) fn copy(from: &Path, to: &Path, names: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for name in names {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

pub(super) const SHEET_FILES: [&str; 4] = ["sheet.json", "cards.jsonl", "rubric.toml", "sealed.json"];

pub(super) fn os(path: &Path) -> Option<&OsStr> {
    Some(path.as_os_str())
}

#[test]
fn the_practice_round_has_pictures_and_explains_its_grades() {
    let mut session = practice(Rubric::default()).unwrap();
    let deck = session.deck();
    assert!(deck.cards.iter().all(|card| card.suggested.as_ref().is_some_and(|one| one.why.len() > 20)));
    assert!(deck.cards.iter().flat_map(|card| &card.images).all(|image| image.is_absolute() && image.is_file()));
    assert!(Grade::ALL.iter().all(|grade| deck.cards.iter().any(|c| c.suggested.as_ref().unwrap().grade == *grade)));
    assert_eq!(deck.cards.iter().map(|card| card.question_group).collect::<Vec<_>>(), [0, 1, 2, 3, 3, 4, 5]);
    assert_eq!(deck.cards[6].before.len(), 1);
    assert!(!session.is_recorded());
    session.grade(0, Grade::A, 2.0).unwrap();
    assert_eq!((session.undo().unwrap(), session.mark(0).grade), (Some(0), None));
}
