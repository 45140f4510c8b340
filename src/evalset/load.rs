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
mod tests;
