//! Making a sheet, or carrying on one that was made of the same.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::answers::{AnswerSource, Answers, open_all};
use super::build::{Built, Material};
use super::cards::{self, CARDS, RUBRIC};
use super::clock::now;
use super::event::digest;
use super::leak::Leak;
use super::manifest::{
    self, AnswersId, Counts, EvalSetPlace, MANIFEST, Manifest, Missing, MissingPolicy, PartId, Repeats, SCHEMA, Split,
};
use super::order::share_out;
use super::sealed::{self, RepairNote, SEALED, Sealed, UNBLINDED};
use super::{Rubric, rubric};
use crate::error::{Error, IoContext as _, Result};
use crate::evalset::{EvalSet, ImageRoot};
use crate::record::Software;
use crate::store::atomic;

/// What a sheet is made of.
#[derive(Debug, Clone)]
pub struct NewSheet<'a> {
    pub folder: &'a Path,
    pub answers: &'a [AnswerSource],
    pub evalset: &'a OsStr,
    pub seed: u64,
    pub side_by_side: bool,
    pub repeats: Option<Repeats>,
    pub missing_counts: MissingPolicy,
    /// None for the rubric of the program.
    pub rubric: Option<&'a Path>,
    pub split: Option<Split>,
}

/// A sheet that was made or found.
#[derive(Debug, Clone, Serialize)]
pub struct Created {
    /// The sheets: one, or its parts.
    pub sheets: Vec<PathBuf>,
    /// Whether they were there before.
    pub is_carried_on: bool,
    /// Cards of all sheets together.
    pub cards: usize,
    pub questions: usize,
    pub repairs: Vec<RepairNote>,
    pub leaks: Vec<Leak>,
    pub missing: Vec<Missing>,
}

/// A folder to make, and the items of the evalset that go there.
struct Share {
    folder: PathBuf,
    part: Option<PartId>,
    items: Vec<usize>,
}

impl NewSheet<'_> {
    /// Makes the sheet, or finds that it was made of the same answers in the same way.
    ///
    /// # Errors
    /// Where answers or evalset cannot be used, the folder holds another sheet (what differs is named) or something
    /// else, or cannot be written. `sheet.json` is written last, so that there is a whole sheet or none.
    pub fn create(&self) -> Result<Created> {
        let evalset = EvalSet::open(self.evalset)?;
        let answers = open_all(self.answers, &evalset)?;
        let rubric = self.rubric_text()?;
        let material = Material::new(&evalset, &answers);
        let items = material.answered_items();
        if items.is_empty() {
            return Err(Error::input("none of these files holds an answer that could be graded")
                .remedy("remarks and empty texts are no answers; `owleval run` makes answers"));
        }
        let shares = self.shares(&material, &items)?;
        let mut created = Created {
            sheets: Vec::new(),
            is_carried_on: true,
            cards: 0,
            questions: 0,
            repairs: material.repairs(&items),
            leaks: Vec::new(),
            missing: material.missing(&(0..evalset.items.len()).collect::<Vec<_>>()),
        };
        let mut questions = std::collections::BTreeSet::new();
        for Share { folder, part, items } in shares {
            let cards: usize = items.iter().map(|item| material.cards_of(*item)).sum();
            let repeats = self.repeats.map_or(0, |repeats| repeats.of(cards));
            let built =
                material.build(&items, repeats, self.seed.wrapping_add(part.map_or(0, |part| part.index as u64)));
            created.cards += built.cards.len();
            questions.extend(built.cards.iter().map(|card| card.question_id));
            created.leaks.extend(built.leaks.clone());
            created.is_carried_on &= self.write(&folder, part, &material, &items, built, &rubric)?;
            created.sheets.push(folder);
        }
        created.questions = questions.len();
        // Parts have conversations in common.
        created.leaks.sort();
        created.leaks.dedup();
        Ok(created)
    }

    fn rubric_text(&self) -> Result<String> {
        let Some(path) = self.rubric else { return Ok(rubric::DEFAULT.to_owned()) };
        let text = std::fs::read_to_string(path).or_at("cannot read the rubric", path)?;
        Rubric::parse(&text, path)?;
        Ok(text)
    }

    /// The folders to make, and the items of each.
    fn shares(&self, material: &Material<'_>, items: &[usize]) -> Result<Vec<Share>> {
        let Some(Split { parts, overlap }) = self.split else {
            let everything = (0..material.evalset.items.len()).collect();
            return Ok(vec![Share { folder: self.folder.to_owned(), part: None, items: everything }]);
        };
        if parts < 2 || overlap > items.len() || items.len() - overlap < parts {
            return Err(Error::input(format!(
                "{} conversations cannot be split into {parts} parts with {overlap} in all of them",
                items.len()
            ))
            .remedy("choose at least two parts, and an overlap that leaves a conversation of its own for each"));
        }
        let cards: Vec<usize> = items.iter().map(|item| material.cards_of(*item)).collect();
        let shares = share_out(&cards, parts, overlap, self.seed);
        Ok(shares
            .into_iter()
            .zip(1..)
            .map(|(share, index)| {
                let part = Some(PartId { index, of: parts, overlap });
                let items = share.into_iter().map(|at| items[at]).collect();
                Share { folder: self.folder.join(part_name(index)), part, items }
            })
            .collect())
    }

    /// Writes one sheet; true where it was there already.
    fn write(
        &self,
        folder: &Path,
        part: Option<PartId>,
        material: &Material<'_>,
        items: &[usize],
        built: Built,
        rubric: &str,
    ) -> Result<bool> {
        let cards = cards::to_bytes(&built.cards)?;
        let counts = Counts {
            conversations: items.iter().filter(|item| material.cards_of(**item) > 0).count(),
            questions: built.cards.iter().map(|card| card.question_id).collect::<std::collections::BTreeSet<_>>().len(),
            cards: built.cards.len(),
            missing: 0,
        };
        let missing = material.missing(items);
        let answers = material.answers.iter().map(|answers| answers_id(answers, &built)).collect();
        let sealed =
            Sealed { salt: Sealed::salt(), slots: built.slots, repairs: material.repairs(items), leaks: built.leaks };
        let sealed = sealed.to_bytes()?;
        let manifest = Manifest {
            schema: SCHEMA.to_owned(),
            id: name_of(self.folder, part),
            created_at: now(),
            software: Software::this(),
            evalset: place_of(material.evalset, self.evalset)?,
            seed: self.seed,
            part,
            repeats: self.repeats,
            side_by_side: self.side_by_side,
            missing_counts: self.missing_counts,
            answers,
            counts: Counts { missing: missing.len(), ..counts },
            missing,
            cards_sha256: digest(&cards),
            rubric_sha256: digest(rubric.as_bytes()),
            sealed_sha256: digest(&sealed),
        };
        if folder.join(MANIFEST).exists() {
            let (found, _) = manifest::read::<Manifest>(folder)?;
            refuse_another_sheet(folder, &found, &manifest)?;
            return Ok(true);
        }
        refuse_other_contents(folder)?;
        std::fs::create_dir_all(folder).or_at("cannot create the folder", folder)?;
        let _lock = sealed::lock(folder)?;
        if folder.join(MANIFEST).exists() {
            return Err(Error::input("another owleval has just made a sheet here").at(folder).remedy("try again"));
        }
        for name in [CARDS, RUBRIC, SEALED, MANIFEST] {
            atomic::sweep(&folder.join(name))?;
        }
        atomic::write(&folder.join(CARDS), &cards)?;
        atomic::write(&folder.join(RUBRIC), rubric.as_bytes())?;
        atomic::write(&folder.join(SEALED), &sealed)?;
        atomic::write_json(&folder.join(MANIFEST), &manifest)?;
        Ok(false)
    }
}

fn answers_id(answers: &Answers, built: &Built) -> AnswersId {
    let file = answers.published.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_own = |slot: &&super::sealed::Slot| slot.model_id == answers.model_id && slot.repeats.is_none();
    AnswersId {
        model_id: answers.model_id.clone(),
        file,
        sha256: answers.published.sha256().to_owned(),
        answers: built.slots.iter().filter(is_own).count(),
    }
}

fn place_of(evalset: &EvalSet, given: &OsStr) -> Result<EvalSetPlace> {
    let is_named = matches!(evalset.images, ImageRoot::Embedded(_)) || !Path::new(given).is_dir();
    let place = if is_named {
        given.to_string_lossy().into_owned()
    } else {
        std::path::absolute(given).or_at("cannot find the folder", given)?.to_string_lossy().into_owned()
    };
    Ok(EvalSetPlace { name: evalset.name.clone(), sha256: evalset.sha256.clone(), place })
}

fn part_name(index: usize) -> String {
    format!("part-{index}")
}

/// The parts of a split sheet below a folder, in their order; empty where there are none.
pub fn parts_of(folder: &Path) -> Vec<PathBuf> {
    let part = |index| folder.join(part_name(index));
    (1..).map(part).take_while(|part| part.join(MANIFEST).is_file()).collect()
}

/// A sheet, or the parts that it was split into.
pub fn sheets_of(folder: &Path) -> Vec<PathBuf> {
    let parts = parts_of(folder);
    if parts.is_empty() { vec![folder.to_owned()] } else { parts }
}

fn name_of(folder: &Path, part: Option<PartId>) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().map_or_else(|| "sheet".to_owned(), |name| name.to_string_lossy().into_owned());
    match part {
        None => name,
        Some(part) => format!("{name}-{}", part_name(part.index)),
    }
}

/// Only a sheet of the same answers, made in the same way, is carried on.
fn refuse_another_sheet(folder: &Path, found: &Manifest, wanted: &Manifest) -> Result<()> {
    let mut differences = Vec::new();
    let mut compare = |name: &str, found: String, wanted: String| {
        if found != wanted {
            differences.push(format!("{name}: sheet {found}, now {wanted}"));
        }
    };
    let short = |sha256: &str| sha256.get(..12).unwrap_or(sha256).to_owned() + "…";
    compare("evalset", short(&found.evalset.sha256), short(&wanted.evalset.sha256));
    compare("seed", found.seed.to_string(), wanted.seed.to_string());
    compare("part", format!("{:?}", found.part), format!("{:?}", wanted.part));
    compare("repeats", format!("{:?}", found.repeats), format!("{:?}", wanted.repeats));
    compare("rubric", short(&found.rubric_sha256), short(&wanted.rubric_sha256));
    let ids = |manifest: &Manifest| manifest.answers.iter().map(|a| a.model_id.clone()).collect::<Vec<_>>().join(", ");
    compare("models", ids(found), ids(wanted));
    for (found, wanted) in found.answers.iter().zip(&wanted.answers) {
        if found.model_id == wanted.model_id {
            let name = format!("answers of {} ({})", wanted.model_id, wanted.file);
            compare(&name, short(&found.sha256), short(&wanted.sha256));
        }
    }
    if differences.is_empty() && found.cards_sha256 != wanted.cards_sha256 {
        differences.push("the cards: they were made by another version of owleval".to_owned());
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!("the folder holds another sheet:\n    {}", differences.join("\n    ")))
        .at(folder)
        .remedy("choose another folder with --sheet, or carry the old one on without naming answers"))
}

/// A folder without a sheet may hold what an earlier call left that was killed, and nothing else.
fn refuse_other_contents(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).or_at("cannot read the folder", folder),
    };
    for entry in entries {
        let name = entry.or_at("cannot read the folder", folder)?.file_name().to_string_lossy().into_owned();
        if !atomic::is_leftover(&name) && ![CARDS, RUBRIC, SEALED, UNBLINDED].contains(&name.as_str()) {
            return Err(Error::input(format!("no sheet: it holds {name} and no {MANIFEST}"))
                .at(folder)
                .remedy("choose a new or an empty folder with --sheet"));
        }
    }
    Ok(())
}
