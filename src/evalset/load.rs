//! `questions.jsonl` and its pictures become an [`EvalSet`].
//!
//! Which rows are one conversation: those of one `group`; without it, rows of the same image (or images) whose
//! category holds `multi_turn`; always in the order of the file. Every other row is an item of its own. A first turn that
//! is labelled `single_turn` and `multi_turn` is therefore one turn, asked once and counted in both subsets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::defect::{Defect, DefectKind};
use super::image::{ImageProblem, MAX_IMAGE_BYTES};
use super::manifest::{self, Manifest};
use super::row::{self, Row};
use super::source::{MAX_TEXT_BYTES, Source, data_home};
use super::{EvalSet, ImageRoot, Item, Subset, Turn};
use crate::error::Result;

pub(super) const QUESTIONS: &str = "questions.jsonl";

impl EvalSet {
    /// Opens a built-in evalset by name, `owleval` where it was pulled, a folder with `evalset.toml`, or a plain OwlEval
    /// folder (`questions.jsonl` and `cases/`).
    ///
    /// # Errors
    /// Where there is no such evalset, and for every defect of its structure (broken JSON, missing fields, duplicate ids,
    /// unknown labels, paths that leave the folder, a file of another digest than `evalset.toml` says). Pictures that are
    /// missing, corrupt or too large are no error here: they are refused one by one when they are read.
    pub fn open(name_or_folder: impl AsRef<OsStr>) -> Result<Self> {
        Self::open_source(&Source::find(name_or_folder, data_home().as_deref())?)
    }

    /// Opens an evalset that was found before; see [`EvalSet::open`].
    pub fn open_source(source: &Source) -> Result<Self> {
        let reading = Reading::new(source);
        match Defect::refusal(&reading.defects, source.place()) {
            Some(error) => Err(error),
            None => Ok(reading.into_evalset()),
        }
    }

    /// Every turn, with its item, in the order of the items.
    pub fn turns(&self) -> impl Iterator<Item = (&Item, &Turn)> {
        self.items.iter().flat_map(|item| item.turns.iter().map(move |turn| (item, turn)))
    }

    /// The distinct pictures, in the order in which they are first named.
    pub fn image_names(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let names = self.items.iter().flat_map(|item| item.images.iter().map(String::as_str));
        names.filter(|name| seen.insert(*name)).collect()
    }
}

/// An evalset as far as it could be read, and what is wrong with it.
pub(super) struct Reading {
    pub manifest: Manifest,
    pub images: ImageRoot,
    pub rows: Vec<Row>,
    pub conversations: Vec<Gathered>,
    pub defects: Vec<Defect>,
    /// Lines that hold something.
    pub lines: usize,
    sha256: String,
}

/// Rows that are one item, by their index.
pub(super) struct Gathered {
    pub id: String,
    pub images: Vec<String>,
    pub rows: Vec<usize>,
}

impl Reading {
    pub fn new(source: &Source) -> Self {
        let mut defects = Vec::new();
        let manifest = manifest::read(source, &mut defects);
        let images = image_root(source, &manifest, &mut defects);
        let questions = source.path(QUESTIONS);
        let mut digest = Sha256::new();
        let mut lines = 0;
        let mut rows = Vec::new();
        match source.read(QUESTIONS, MAX_TEXT_BYTES) {
            Ok(bytes) => {
                let questions_sha256 = hex::encode(Sha256::digest(&bytes));
                digest.update(format!("{questions_sha256}  {QUESTIONS}\n"));
                compare_digest(&manifest, QUESTIONS, &questions_sha256, &questions, &mut defects);
                (rows, lines) = read_rows(&questions, &bytes, &manifest.abilities, &mut defects);
                if lines == 0 {
                    let defect = Defect::error(DefectKind::File, questions.clone(), "holds no question");
                    defects.push(defect.remedy("write one JSON object a line"));
                }
            }
            Err(failure) => {
                let defect = Defect::error(DefectKind::File, questions.clone(), failure.to_string());
                defects.push(defect.remedy("an evalset is a folder with questions.jsonl and its pictures in cases/"));
            }
        }
        let conversations = gather(&rows, &questions, &mut defects);
        digest_images(&manifest, &images, &rows, &questions, &mut digest, &mut defects);
        let sha256 = hex::encode(digest.finalize());
        Self { manifest, images, rows, conversations, defects, lines, sha256 }
    }

    fn into_evalset(self) -> EvalSet {
        let Self { manifest, images, rows, conversations, sha256, .. } = self;
        let turn = |index: usize| {
            let row = &rows[index];
            Turn {
                question_id: row.question_id,
                question: row.question.clone(),
                abilities: row.abilities.clone(),
                subsets: row.subsets.clone(),
                reference: row.reference.clone(),
            }
        };
        let items = conversations
            .into_iter()
            .map(|gathered| Item {
                id: gathered.id,
                images: gathered.images,
                turns: gathered.rows.into_iter().map(turn).collect(),
            })
            .collect();
        EvalSet {
            name: manifest.name,
            version: manifest.version,
            description: manifest.description,
            source: manifest.source,
            licence: manifest.licence,
            sha256,
            images,
            abilities: manifest.abilities,
            items,
        }
    }
}

/// Where the pictures are; an image folder that is a link out of the evalset is a defect.
fn image_root(source: &Source, manifest: &Manifest, defects: &mut Vec<Defect>) -> ImageRoot {
    match source {
        Source::BuiltIn(name) => ImageRoot::Embedded(name),
        Source::Folder { folder, .. } => {
            let images = folder.join(&manifest.images);
            if let (Ok(outer), Ok(inner)) = (folder.canonicalize(), images.canonicalize())
                && !inner.starts_with(outer)
            {
                let defect = Defect::error(DefectKind::LeavesFolder, images.clone(), "is a link out of the evalset");
                defects.push(defect.remedy("put the pictures themselves into the evalset's folder"));
            }
            ImageRoot::Folder(images)
        }
    }
}

fn read_rows(
    file: &Path,
    bytes: &[u8],
    abilities: &BTreeMap<String, String>,
    defects: &mut Vec<Defect>,
) -> (Vec<Row>, usize) {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut rows = Vec::new();
    let mut lines = 0;
    let mut first_lines: HashMap<u64, usize> = HashMap::new();
    for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = index + 1;
        let Ok(text) = std::str::from_utf8(bytes) else {
            lines += 1;
            let defect = Defect::error(DefectKind::Encoding, file.to_owned(), "is not UTF-8").line(line);
            defects.push(defect.remedy("save the file as UTF-8"));
            continue;
        };
        if text.trim().is_empty() {
            continue;
        }
        lines += 1;
        let parsed = row::parse(file, line, text, abilities);
        defects.extend(parsed.defects);
        if let Some(question_id) = parsed.question_id {
            if let Some(first) = first_lines.get(&question_id) {
                let message = format!("question_id {question_id} was used on line {first} already");
                let defect = Defect::error(DefectKind::DuplicateId, file.to_owned(), message).line(line);
                defects.push(defect.question(Some(question_id)).remedy("give every question an id of its own"));
                continue;
            }
            first_lines.insert(question_id, line);
        }
        rows.extend(parsed.row);
    }
    (rows, lines)
}

/// What makes rows one conversation.
#[derive(PartialEq, Eq, Hash, Clone)]
enum Key<'a> {
    Group(&'a str),
    Images(&'a [String]),
    Alone(u64),
}

/// Gathers rows into conversations, in the order of their first rows, and names them.
fn gather(rows: &[Row], file: &Path, defects: &mut Vec<Defect>) -> Vec<Gathered> {
    let mut order: Vec<(Key, Vec<usize>)> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        let key = match &row.group {
            Some(group) => Key::Group(group),
            None if row.subsets.contains(&Subset::MultiTurn) && !row.images.is_empty() => Key::Images(&row.images),
            None => Key::Alone(row.question_id),
        };
        match places.get(&key) {
            Some(&place) => order[place].1.push(index),
            None => {
                places.insert(key.clone(), order.len());
                order.push((key, vec![index]));
            }
        }
    }
    let ids = item_ids(rows, &order);
    let gathered = order.into_iter().zip(ids);
    gathered
        .map(|((_, indices), id)| {
            let images = rows[indices[0]].images.clone();
            for row in indices.iter().skip(1).map(|&index| &rows[index]) {
                // A later turn may leave its pictures out; it may not bring others.
                if !row.images.is_empty() && row.images != images {
                    let message = format!("names other pictures than the first turn of its conversation \"{id}\"");
                    let defect = Defect::error(DefectKind::Conversation, file.to_owned(), message).line(row.line);
                    let remedy = "all pictures of a conversation stand in every row, or in its first row alone";
                    defects.push(defect.question(Some(row.question_id)).remedy(remedy));
                }
            }
            Gathered { id, images, rows: indices }
        })
        .collect()
}

/// A stable and unique name for every item: the group; else the image's file name, where no other item claims it; else
/// `q<question_id>` of the first turn.
fn item_ids(rows: &[Row], order: &[(Key, Vec<usize>)]) -> Vec<String> {
    let wanted: Vec<Option<String>> = order
        .iter()
        .map(|(key, indices)| match key {
            Key::Group(group) => Some((*group).to_owned()),
            Key::Images(_) | Key::Alone(_) => {
                let images = &rows[indices[0]].images;
                (!images.is_empty()).then(|| images.join("+"))
            }
        })
        .collect();
    let mut claims: HashMap<&str, usize> = HashMap::new();
    for name in wanted.iter().flatten() {
        *claims.entry(name).or_default() += 1;
    }
    let groups: HashSet<&str> =
        order.iter().filter_map(|(key, _)| if let Key::Group(group) = key { Some(*group) } else { None }).collect();
    order
        .iter()
        .zip(&wanted)
        .map(|((key, indices), wanted)| match (key, wanted) {
            (Key::Group(group), _) => (*group).to_owned(),
            (_, Some(name)) if claims[name.as_str()] == 1 => name.clone(),
            _ => {
                let mut id = format!("q{}", rows[indices[0]].question_id);
                // A group or a picture may be called so too.
                while groups.contains(id.as_str()) || claims.contains_key(id.as_str()) {
                    id.insert(0, 'q');
                }
                id
            }
        })
        .collect()
}

/// Adds every picture, in the order of the file, to the digest of the evalset: `<sha256>  <name>` a line, or
/// `missing  <name>` for one that cannot be read.
fn digest_images(
    manifest: &Manifest,
    images: &ImageRoot,
    rows: &[Row],
    file: &Path,
    digest: &mut Sha256,
    defects: &mut Vec<Defect>,
) {
    let mut seen = HashSet::new();
    for row in rows {
        for name in row.images.iter().filter(|name| seen.insert(name.as_str())) {
            match images.encoded(name, MAX_IMAGE_BYTES) {
                Ok(bytes) => {
                    let sha256 = hex::encode(Sha256::digest(&bytes));
                    digest.update(format!("{sha256}  {name}\n"));
                    let relative = relative_image(manifest, name);
                    let known = defects.len();
                    compare_digest(manifest, &relative, &sha256, file, defects);
                    for defect in &mut defects[known..] {
                        (defect.line, defect.question_id) = (Some(row.line), Some(row.question_id));
                    }
                }
                Err(problem) => {
                    digest.update(format!("missing  {name}\n"));
                    if matches!(problem, ImageProblem::Leaves) {
                        let message = format!("picture {} {problem}", relative_image(manifest, name));
                        let defect = Defect::error(DefectKind::LeavesFolder, file.to_owned(), message).line(row.line);
                        let remedy = "put the picture itself into the image folder";
                        defects.push(defect.question(Some(row.question_id)).remedy(remedy));
                    }
                }
            }
        }
    }
}

/// A picture's path relative to the evalset, as `[sha256]` names it.
pub(super) fn relative_image(manifest: &Manifest, name: &str) -> String {
    if manifest.images == "." { name.to_owned() } else { format!("{}/{name}", manifest.images) }
}

/// A defect where `evalset.toml` names another digest for a file.
pub(super) fn compare_digest(manifest: &Manifest, relative: &str, found: &str, file: &Path, defects: &mut Vec<Defect>) {
    if let Some(expected) = manifest.sha256.get(relative)
        && expected != found
    {
        let message = format!("{relative} has the digest {found}, but evalset.toml says {expected}");
        let remedy = "get the file again, or write the new digest if the change is meant";
        defects.push(Defect::error(DefectKind::Digest, PathBuf::from(file), message).remedy(remedy));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Error;
    use crate::evalset::fixture;

    fn shape(evalset: &EvalSet) -> Vec<(&str, Vec<&str>, Vec<u64>)> {
        let ids = |item: &Item| item.turns.iter().map(|turn| turn.question_id).collect();
        let mut shapes = Vec::new();
        for item in &evalset.items {
            shapes.push((item.id.as_str(), item.images.iter().map(String::as_str).collect(), ids(item)));
        }
        shapes
    }

    fn set_of(rows: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fixture::write(folder.path(), QUESTIONS, rows.join("\n"));
        folder
    }

    #[test]
    fn groups_and_dialogues_about_a_picture_become_items() {
        let folder = fixture::made_up();
        let evalset = EvalSet::open(folder.path()).expect("an evalset");
        assert_eq!(
            shape(&evalset),
            [
                ("cup.png", vec!["cup.png"], vec![1, 2, 7]),
                ("pair", vec!["cup.png", "jug.jpg"], vec![3, 5]),
                ("jug.jpg", vec!["jug.jpg"], vec![4]),
                ("q6", vec![], vec![6]),
            ]
        );
        assert_eq!((evalset.name.as_str(), evalset.licence.as_deref()), ("made-up", Some("CC0-1.0")));
        assert_eq!(evalset.abilities["c"], "optical character recognition");
        assert_eq!(evalset.items[0].turns[0].subsets, [Subset::SingleTurn, Subset::MultiTurn]);
        assert_eq!(evalset.items[0].turns[1].reference, ["red", "dark red"]);
        assert_eq!(evalset.items[3].turns[0].reference, ["4"]);
        assert_eq!(evalset.image_names(), ["cup.png", "jug.jpg"]);
        let pictures = evalset.pictures(&evalset.items[1]).expect("both pictures");
        assert_eq!(pictures.iter().map(|picture| picture.name.as_str()).collect::<Vec<_>>(), ["cup.png", "jug.jpg"]);
        assert_eq!(pictures[0].sha256, hex::encode(Sha256::digest(&pictures[0].bytes)));
    }

    #[test]
    fn items_have_names_of_their_own() {
        let row = |id: u64, image: &str, rest: &str| {
            format!(r#"{{"question_id": {id}, "question": "?", "ability": "a", "image": {image}{rest}}}"#)
        };
        let (single, multi) = (r#", "category": ["single_turn"]"#, r#", "category": ["multi_turn"]"#);
        let rows = [
            row(1, "\"1.png\"", single),
            row(2, "\"1.png\"", single),
            row(3, "\"2.png\"", multi),
            row(4, "\"2.png\"", multi),
            row(5, "null", &format!(r#"{single}, "group": "q1""#)),
            row(6, "null", multi),
            row(7, "null", multi),
        ];
        let folder = set_of(&rows.each_ref().map(String::as_str));
        let evalset = EvalSet::open(folder.path()).expect("an evalset");
        let ids: Vec<&str> = evalset.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["qq1", "q2", "2.png", "q1", "q6", "q7"]);
    }

    #[test]
    fn a_broken_evalset_is_refused_with_the_first_defect_and_the_number_of_the_others() {
        let folder = fixture::broken();
        let error = EvalSet::open(folder.path()).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.message().contains("more such defects"), "{error}");
        assert!(error.remedy_text().expect("a remedy").contains("owleval evalset check"));
    }

    #[test]
    fn pictures_that_are_missing_or_corrupt_do_not_keep_the_others_from_being_asked() {
        let folder = fixture::made_up();
        fixture::write(folder.path(), "cases/jug.jpg", "no picture");
        let evalset = EvalSet::open(folder.path()).expect("an evalset");
        assert!(evalset.pictures(&evalset.items[0]).is_ok());
        let error = evalset.pictures(&evalset.items[1]).expect_err("refused");
        assert_eq!(error.to_string(), "picture jug.jpg is in no known format (PNG, JPEG, GIF, WebP, BMP)");
        std::fs::remove_file(folder.path().join("cases/cup.png")).expect("removed");
        let error = evalset.pictures(&evalset.items[0]).expect_err("refused");
        assert_eq!(Error::from(error).exit_code(), 2);
    }

    #[test]
    fn the_digest_follows_questions_and_pictures() {
        let folder = fixture::made_up();
        let digest = || EvalSet::open(folder.path()).expect("an evalset").sha256;
        let first = digest();
        assert_eq!(digest(), first);
        fixture::write(folder.path(), "cases/unnamed.png", "anything");
        assert_eq!(digest(), first);
        fixture::write(folder.path(), "cases/cup.png", fixture::picture(::image::ImageFormat::Png, [0, 200, 0]));
        let second = digest();
        assert_ne!(second, first);
        std::fs::remove_file(folder.path().join("cases/cup.png")).expect("removed");
        assert!(![first, second].contains(&digest()));
    }

    #[test]
    fn a_folder_without_questions_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = EvalSet::open(folder.path()).expect_err("refused");
        assert!(error.to_string().ends_with("questions.jsonl: is missing"), "{error}");
        fixture::write(folder.path(), QUESTIONS, "\n \n");
        assert!(EvalSet::open(folder.path()).expect_err("refused").message().contains("no question"));
    }

    #[test]
    #[cfg(unix)]
    fn links_out_of_the_evalset_are_refused() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().expect("a temporary folder");
        fixture::write(outside.path(), "secret.png", fixture::picture(::image::ImageFormat::Png, [1, 2, 3]));
        let row = r#"{"question_id": 1, "question": "?", "ability": "a", "image": "secret.png", "category": ["single_turn"]}"#;

        let folder = set_of(&[row]);
        std::fs::create_dir(folder.path().join("cases")).expect("a folder");
        symlink(outside.path().join("secret.png"), folder.path().join("cases/secret.png")).expect("a link");
        let error = EvalSet::open(folder.path()).expect_err("a linked picture");
        assert!(
            error.to_string().contains("questions.jsonl:1: question 1: picture cases/secret.png leads out"),
            "{error}"
        );

        let folder = set_of(&[row]);
        symlink(outside.path(), folder.path().join("cases")).expect("a link");
        assert!(EvalSet::open(folder.path()).expect_err("a linked folder").message().contains("link out"));

        let folder = set_of(&[]);
        fixture::write(outside.path(), QUESTIONS, row);
        std::fs::remove_file(folder.path().join(QUESTIONS)).expect("removed");
        symlink(outside.path().join(QUESTIONS), folder.path().join(QUESTIONS)).expect("a link");
        assert!(EvalSet::open(folder.path()).expect_err("linked questions").message().contains("leads out"));
    }

    #[test]
    fn the_built_in_evalsets_open_without_a_defect() {
        for name in crate::evalset::built_in_names() {
            let checked = crate::evalset::check(name).expect("a built-in evalset");
            assert_eq!(checked.count(crate::evalset::Severity::Error), 0, "{:?}", checked.defects);
            let reading = Reading::new(&Source::BuiltIn(name));
            assert_eq!((reading.manifest.name.as_str(), reading.manifest.images.as_str()), (name, "cases"));
            let evalset = EvalSet::open(name).expect("a built-in evalset");
            for item in &evalset.items {
                evalset.pictures(item).expect("its pictures");
            }
        }
    }

    fn random_line() -> impl Strategy<Value = String> {
        let value = || {
            prop_oneof![
                Just("null".to_owned()),
                Just("[]".to_owned()),
                Just("{}".to_owned()),
                Just("\"\"".to_owned()),
                Just("[\"single_turn\"]".to_owned()),
                Just("[\"multi_turn\", \"single_turn\"]".to_owned()),
                Just("\"a,b\"".to_owned()),
                Just("\"1.png\"".to_owned()),
                Just("[\"1.png\", \"../2.png\"]".to_owned()),
                (-2i64..6).prop_map(|number| number.to_string()),
                any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
            ]
        };
        let fields = ["image", "question_id", "question", "ability", "category", "group", "reference"];
        let row = prop::collection::vec((prop::sample::select(fields.to_vec()), value()), 0..9).prop_map(|fields| {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            format!("{{{}}}", fields.join(", "))
        });
        prop_oneof![8 => row, 1 => any::<String>(), 1 => Just(String::new())]
    }

    #[test]
    fn random_rows_are_read_or_refused_with_a_place_but_never_panic() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lines = prop::collection::vec(random_line(), 0..6);
        let tail = prop::collection::vec(any::<u8>(), 0..4);
        proptest!(ProptestConfig::with_cases(200), |(lines in lines, tail in tail)| {
            let mut bytes = lines.join("\n").into_bytes();
            bytes.extend(tail);
            fixture::write(folder.path(), QUESTIONS, &bytes);
            let checked = crate::evalset::check(folder.path()).expect("can be checked");
            let refused = checked.defects.iter().any(Defect::is_refused);
            match EvalSet::open(folder.path()) {
                Err(error) => {
                    prop_assert!(refused);
                    prop_assert_eq!(error.exit_code(), 2);
                    prop_assert!(error.to_string().contains(QUESTIONS));
                }
                Ok(evalset) => {
                    prop_assert!(!refused);
                    // Nothing is lost, nothing is there twice.
                    prop_assert_eq!(evalset.turns().count(), checked.questions);
                    let ids: HashSet<u64> = evalset.turns().map(|(_, turn)| turn.question_id).collect();
                    prop_assert_eq!(ids.len(), checked.questions);
                    let names: HashSet<&str> = evalset.items.iter().map(|item| item.id.as_str()).collect();
                    prop_assert_eq!(names.len(), evalset.items.len());
                }
            }
        });
    }
}
