//! Everything that is wrong with an evalset, each by file, line and question.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::confined::ReadFailure;
use super::defect::{Defect, DefectKind, Severity};
use super::image::{self, ImageFacts, ImageProblem, MAX_IMAGE_BYTES};
use super::load::{QUESTIONS, Reading, compare_digest, relative_image};
use super::manifest;
use super::source::{Source, data_home};
use super::{ImageRoot, Subset};
use crate::error::Result;

/// What was looked at and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    pub name: String,
    /// Lines of `questions.jsonl` that hold something.
    pub questions: usize,
    /// Distinct pictures that are named.
    pub pictures: usize,
    /// In the order of the files: settings and structure first, each file by line.
    pub defects: Vec<Defect>,
}

impl Checked {
    pub fn count(&self, severity: Severity) -> usize {
        self.defects.iter().filter(|defect| defect.severity == severity).count()
    }
}

/// Checks an evalset: its rows, its conversations against their labels, every picture by decoding it, every digest.
///
/// # Errors
/// Only where there is no such evalset. What is wrong in it is listed.
pub fn check(name_or_folder: impl AsRef<OsStr>) -> Result<Checked> {
    let source = Source::find(name_or_folder, data_home().as_deref())?;
    let mut reading = Reading::new(&source);
    let questions = source.path(QUESTIONS);
    let mut defects = std::mem::take(&mut reading.defects);
    check_labels(&reading, &questions, &mut defects);
    let pictures = check_pictures(&reading, &questions, &mut defects);
    check_digests(&source, &reading, &pictures, &mut defects);
    let structure_is_known = !defects.iter().any(Defect::is_refused);
    if structure_is_known {
        note_unused_pictures(&source, &reading, &pictures, &mut defects);
    }
    // By file in the order of first mention, then by line; defects of a whole file come first.
    let mut files: Vec<std::path::PathBuf> = vec![source.path(manifest::FILE), questions];
    for defect in &defects {
        if !files.contains(&defect.file) {
            files.push(defect.file.clone());
        }
    }
    defects.sort_by_key(|defect| (files.iter().position(|file| *file == defect.file), defect.line));
    let name = reading.manifest.name.clone();
    Ok(Checked { name, questions: reading.lines, pictures: pictures.len(), defects })
}

/// OwlEval counts the first question of a picture as single-turn, and all questions of a dialogue as multi-turn.
fn check_labels(reading: &Reading, questions: &Path, defects: &mut Vec<Defect>) {
    let dialogue_images: HashSet<&[String]> = reading
        .conversations
        .iter()
        .filter(|gathered| gathered.rows.len() > 1 && !gathered.images.is_empty())
        .map(|gathered| gathered.images.as_slice())
        .collect();
    for gathered in &reading.conversations {
        let is_dialogue = gathered.rows.len() > 1;
        for (turn, row) in gathered.rows.iter().map(|&index| &reading.rows[index]).enumerate() {
            let single = row.subsets.contains(&Subset::SingleTurn);
            let multi = row.subsets.contains(&Subset::MultiTurn);
            let mut labels = |severity, message: String, remedy: &str| {
                let defect = Defect::new(severity, DefectKind::Labels, questions.to_owned(), message).line(row.line);
                defects.push(defect.question(Some(row.question_id)).remedy(remedy));
            };
            if is_dialogue && turn > 0 && single {
                let message = format!("turn {} of conversation \"{}\" is labelled single_turn", turn + 1, gathered.id);
                labels(Severity::Error, message, "only the first turn can be counted as single_turn");
            }
            if is_dialogue && !multi {
                let message =
                    format!("turn {} of conversation \"{}\" is not labelled multi_turn", turn + 1, gathered.id);
                labels(Severity::Error, message, "every turn of a dialogue is multi_turn");
            }
            if !is_dialogue && multi {
                let message = "is labelled multi_turn, but is the only turn of its conversation".to_owned();
                let remedy = "give the rows of one conversation the same image or the same group";
                labels(Severity::Error, message, remedy);
            }
            if !is_dialogue && !multi && row.group.is_none() && dialogue_images.contains(row.images.as_slice()) {
                let message = "is asked alone, though its picture has a dialogue".to_owned();
                labels(Severity::Warning, message, "label it multi_turn if it is part of the dialogue");
            }
        }
    }
}

/// Looks at every picture once, and returns the names of those that are named.
fn check_pictures<'a>(reading: &'a Reading, questions: &Path, defects: &mut Vec<Defect>) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    for row in &reading.rows {
        for name in &row.images {
            if !seen.insert(name.as_str()) {
                continue;
            }
            let shown = relative_image(&reading.manifest, name);
            let found = look_at(&reading.images, name);
            let (severity, kind, message, remedy) = match found {
                Ok(facts) => match extension_of_another_format(name, facts) {
                    None => continue,
                    Some(content) => (
                        Severity::Warning,
                        DefectKind::Extension,
                        format!("picture {shown} is a {content} file by its content"),
                        "it is read by its content; rename it if other programs go by the name",
                    ),
                },
                // Found when the rows were read: such an evalset is refused as a whole.
                Err(ImageProblem::Leaves) => continue,
                Err(problem) => {
                    let (kind, remedy) = match &problem {
                        ImageProblem::Missing => (DefectKind::MissingPicture, "put the file there"),
                        ImageProblem::TooManyBytes | ImageProblem::TooManyPixels { .. } => {
                            (DefectKind::GiganticPicture, "scale the picture down")
                        }
                        ImageProblem::UnknownFormat => (DefectKind::CorruptPicture, "save it as PNG or JPEG"),
                        ImageProblem::Leaves
                        | ImageProblem::Empty
                        | ImageProblem::Corrupt(_)
                        | ImageProblem::Unreadable(_) => (DefectKind::CorruptPicture, "get the file again"),
                    };
                    (Severity::Error, kind, format!("picture {shown} {problem}"), remedy)
                }
            };
            let defect = Defect::new(severity, kind, questions.to_owned(), message).line(row.line);
            defects.push(defect.question(Some(row.question_id)).remedy(remedy));
        }
    }
    seen
}

fn look_at(images: &ImageRoot, name: &str) -> Result<ImageFacts, ImageProblem> {
    let bytes = images.encoded(name, MAX_IMAGE_BYTES)?;
    let facts = image::inspect(&bytes)?;
    image::decode(&bytes, facts)?;
    Ok(facts)
}

/// The true format, where the name ends as another one's.
fn extension_of_another_format(name: &str, facts: ImageFacts) -> Option<&'static str> {
    let said = ::image::ImageFormat::from_path(name).ok()?;
    (said != facts.format).then_some(match facts.format {
        ::image::ImageFormat::Png => "PNG",
        ::image::ImageFormat::Jpeg => "JPEG",
        ::image::ImageFormat::Gif => "GIF",
        ::image::ImageFormat::WebP => "WebP",
        _ => "BMP",
    })
}

/// The files of `[sha256]` that were not compared when the rows were read: neither the questions nor a named picture.
fn check_digests(source: &Source, reading: &Reading, pictures: &HashSet<&str>, defects: &mut Vec<Defect>) {
    let compared: HashSet<String> = pictures.iter().map(|name| relative_image(&reading.manifest, name)).collect();
    let settings = source.path(manifest::FILE);
    for file in reading.manifest.sha256.keys() {
        if file == QUESTIONS || compared.contains(file) {
            continue;
        }
        match source.read(file, MAX_IMAGE_BYTES) {
            Ok(bytes) => {
                let found = hex::encode(Sha256::digest(&bytes));
                compare_digest(&reading.manifest, file, &found, &settings, defects);
            }
            Err(failure) => {
                let kind = match failure {
                    ReadFailure::Leaves { .. } => DefectKind::LeavesFolder,
                    _ => DefectKind::MissingFile,
                };
                let defect = Defect::error(kind, settings.clone(), format!("[sha256] names {file}, which {failure}"));
                defects.push(defect.remedy("get the file again, or take its line out"));
            }
        }
    }
}

fn note_unused_pictures(source: &Source, reading: &Reading, pictures: &HashSet<&str>, defects: &mut Vec<Defect>) {
    for name in reading.images.names() {
        let is_picture = ::image::ImageFormat::from_path(&name).is_ok();
        if is_picture && !pictures.contains(name.as_str()) {
            let file = source.path(&relative_image(&reading.manifest, &name));
            let message = "no question names this picture";
            defects.push(Defect::new(Severity::Note, DefectKind::UnusedPicture, file, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evalset::fixture;

    #[test]
    fn a_good_evalset_has_no_defect() {
        let checked = check(fixture::made_up().path()).expect("checked");
        assert_eq!(checked.defects, []);
        assert_eq!((checked.name.as_str(), checked.questions, checked.pictures), ("made-up", 7, 2));
    }

    #[test]
    fn every_kind_of_defect_is_found_at_its_line() {
        use DefectKind::*;
        let folder = fixture::broken();
        let checked = check(folder.path()).expect("checked");
        let found: HashSet<(DefectKind, Option<usize>, Option<u64>)> =
            checked.defects.iter().map(|defect| (defect.kind, defect.line, defect.question_id)).collect();
        let expected = [
            (LeavesFolder, None, None),
            (Manifest, None, None),
            (MissingFile, None, None),
            (WhiteSpace, Some(1), Some(1)),
            (FullWidth, Some(2), Some(2)),
            (Labels, Some(2), Some(2)),
            (Json, Some(3), None),
            (Json, Some(4), None),
            (Field, Some(5), None),
            (DuplicateId, Some(6), Some(2)),
            (EmptyQuestion, Some(7), Some(7)),
            (UnknownAbility, Some(8), Some(8)),
            (UnknownCategory, Some(9), Some(9)),
            (LeavesFolder, Some(10), Some(10)),
            (MissingPicture, Some(11), Some(11)),
            (CorruptPicture, Some(12), Some(12)),
            (CorruptPicture, Some(13), Some(13)),
            (GiganticPicture, Some(14), Some(14)),
            (Extension, Some(15), Some(15)),
            (Digest, Some(16), Some(16)),
            (Labels, Some(16), Some(16)),
            (Conversation, Some(18), Some(18)),
            (ControlCharacter, Some(18), Some(18)),
            (Field, Some(19), Some(19)),
            (Field, Some(20), None),
        ];
        for one in &expected {
            assert!(found.contains(one), "{one:?} is not among {:#?}", checked.defects);
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
    }

    #[test]
    fn a_picture_beside_a_dialogue_and_one_that_nobody_names_are_mentioned() {
        let folder = fixture::made_up();
        let questions = folder.path().join(QUESTIONS);
        let mut text = std::fs::read_to_string(&questions).expect("read");
        text.push_str(
            r#"{"image": "cup.png", "question_id": 8, "question": "?", "ability": "a", "category": ["single_turn"]}"#,
        );
        fixture::write(folder.path(), QUESTIONS, text);
        fixture::write(folder.path(), "cases/spare.png", "");
        let checked = check(folder.path()).expect("checked");
        let found: Vec<_> = checked.defects.iter().map(|defect| (defect.severity, defect.kind, defect.line)).collect();
        let expected =
            [(Severity::Warning, DefectKind::Labels, Some(8)), (Severity::Note, DefectKind::UnusedPicture, None)];
        assert_eq!(found, expected);
    }

    #[test]
    fn broken_settings_are_named_by_their_line() {
        let folder = fixture::made_up();
        fixture::write(folder.path(), "evalset.toml", "name = \"x\"\nversion = \n");
        let checked = check(folder.path()).expect("checked");
        let defect = &checked.defects[0];
        assert_eq!((defect.kind, defect.line), (DefectKind::Manifest, Some(2)));
        assert!(defect.file.ends_with("evalset.toml"));
        fixture::write(folder.path(), "evalset.toml", "images = \"../other\"\n");
        assert_eq!(check(folder.path()).expect("checked").defects[0].kind, DefectKind::LeavesFolder);
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_in_the_place_of_a_picture_does_not_hang() {
        let folder = fixture::made_up();
        let path = folder.path().join("cases/cup.png");
        std::fs::remove_file(&path).expect("removed");
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without NUL");
        // SAFETY: `name` is a valid C string for the time of the call, and mkfifo keeps no pointer to it.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let checked = check(folder.path()).expect("checked");
        assert_eq!(checked.defects[0].kind, DefectKind::CorruptPicture);
        assert!(checked.defects[0].message.contains("not a plain file"));
    }
}
