//! Human grades from `grades.csv`, as `owleval grade --export` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::check::GradesId;
use crate::error::{Error, IoContext as _, Result};
use crate::record::Grade;

/// The columns that are needed here; the file has more, in any order.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    rater: String,
    model_id: String,
    question_id: u64,
    grade: String,
    #[serde(default)]
    answer_sha256: String,
}

/// The grades of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HumanGrades {
    /// By rater, the last that each gave.
    by_rater: BTreeMap<String, Grade>,
    /// Digests of the texts that were graded; those who said none are not in it.
    pub texts: BTreeSet<String>,
}

impl HumanGrades {
    /// The middle grade, the lower of the two in the middle: several raters of one answer are one observation.
    pub fn consensus(&self) -> Option<Grade> {
        let mut grades: Vec<Grade> = self.by_rater.values().copied().collect();
        grades.sort_unstable();
        grades.get(grades.len() / 2).copied()
    }
}

/// Everything that was graded.
#[derive(Debug, Clone, Default)]
pub struct Graded {
    pub files: Vec<GradesId>,
    pub raters: BTreeSet<String>,
    pub skipped: usize,
    pub answers: BTreeMap<(String, u64), HumanGrades>,
}

impl Graded {
    /// Reads one or more files of grades.
    ///
    /// # Errors
    /// By file and line: a row without `model_id`, `question_id` or `grade`, or with a grade that is none.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut graded = Self::default();
        for path in paths {
            graded.read_file(path)?;
        }
        Ok(graded)
    }

    fn read_file(&mut self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path).or_at("cannot read the grades", path)?;
        self.files.push(GradesId {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: hex::encode(Sha256::digest(&bytes)),
        });
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::Reader::from_reader(text);
        let remedy = "the columns are those of `owleval grade --export`; model_id, question_id and grade are needed";
        for row in reader.deserialize::<Row>() {
            let row = row.map_err(|source| {
                let line = source.position().map_or(1, csv::Position::line);
                let line = usize::try_from(line).unwrap_or(usize::MAX);
                Error::input(format!("no row of grades: {source}")).at_line(path, line).remedy(remedy).source(source)
            })?;
            let letter = row.grade.trim();
            if letter.is_empty() {
                self.skipped += 1;
                continue;
            }
            let Some(grade) = Grade::from_letter(letter) else {
                let message = format!("the grade {letter:?} of question {} is none of A, B, C and D", row.question_id);
                return Err(Error::input(message).at(path).remedy(remedy));
            };
            let (rater, model_id) = (without_guard(&row.rater), without_guard(&row.model_id));
            self.raters.insert(rater.to_owned());
            let answer = self.answers.entry((model_id.to_owned(), row.question_id)).or_default();
            answer.by_rater.insert(rater.to_owned(), grade);
            if !row.answer_sha256.is_empty() {
                answer.texts.insert(row.answer_sha256);
            }
        }
        Ok(())
    }
}

/// A cell without the apostrophe that keeps a spreadsheet from running it.
fn without_guard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if crate::sanitize::csv_cell(rest) != rest => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Graded> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grades.csv");
        std::fs::write(&path, text).unwrap();
        Graded::read(&[path])
    }

    #[test]
    fn columns_may_come_in_any_order_and_the_last_grade_of_a_rater_counts() {
        let graded = read(
            "question_id,grade,rater,model_id,note\n1,A,ann,owl,\"x, y\"\n1,C,bob,owl,\n2,,ann,owl,\n1,B,ann,owl,\n1,D,cid,'=owl,\n",
        )
        .unwrap();
        assert_eq!((graded.skipped, graded.raters.len(), graded.answers.len()), (1, 3, 2));
        assert_eq!(graded.answers[&("owl".to_owned(), 1)].consensus(), Some(Grade::C));
        assert_eq!(graded.answers[&("=owl".to_owned(), 1)].consensus(), Some(Grade::D));
    }

    #[test]
    fn a_row_that_is_no_grade_is_named() {
        for (text, words) in [
            ("model_id,question_id,grade\nowl,1,A\nowl,x,B\n", ":3: no row of grades"),
            ("model_id,question_id,grade\nowl,1,E\n", "grade \"E\" of question 1"),
            ("model_id,grade\nowl,A\n", "question_id"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
