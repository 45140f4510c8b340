//! The answers among the inputs: run folders and bare files.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::scores::{Scored, ScoredModel};
use super::sources::{read_input, seen_from};
use super::subsets::picture;
use super::{Input, InputKind, Missing};
use crate::backend::published::PublishedAnswers;
use crate::error::{Error, Result};
use crate::evalset::{EvalSet, Turn};
use crate::record::{FailureRow, FailureRowKind, RunManifest};
use crate::score::exact_match;
use crate::store::{journal, run_folder};

/// The answers of one model.
#[derive(Debug)]
pub(super) struct Answered {
    /// The answers' `model_id`; with the run's name where two runs are of one model.
    pub model_id: String,
    pub path: PathBuf,
    pub published: PublishedAnswers,
    pub run: Option<Run>,
}

/// What a run folder says beside its answers.
#[derive(Debug)]
pub(super) struct Run {
    pub manifest: RunManifest,
    /// By question, without those that were answered after all.
    pub failures: BTreeMap<u64, FailureRow>,
    /// The folder as the inputs name it.
    pub folder: String,
}

/// Opens them all, run folders first, and says where they come from.
pub(super) fn read(runs: &[PathBuf], files: &[PathBuf], out: &Path, inputs: &mut Vec<Input>) -> Result<Vec<Answered>> {
    let mut answered = Vec::new();
    for folder in runs {
        let manifest = run_folder::read_manifest(folder)?;
        let (answers, failures) = (folder.join("answers.jsonl"), folder.join("failures.jsonl"));
        read_input(InputKind::Run, folder, &folder.join("run.json"), out, inputs)?;
        read_input(InputKind::RunAnswers, &answers, &answers, out, inputs)?;
        let mut failed = Vec::new();
        if failures.exists() {
            read_input(InputKind::RunFailures, &failures, &failures, out, inputs)?;
            failed = journal::read::<FailureRow>(&failures)?.0;
        }
        let published = PublishedAnswers::open(folder)?;
        let failures = failed
            .into_iter()
            .filter(|row| published.answer(row.question_id).is_none())
            .map(|row| (row.question_id, row))
            .collect();
        let run = Run { manifest, failures, folder: seen_from(out, folder) };
        let model_id = published.model_id().to_owned();
        answered.push(Answered { model_id, path: folder.clone(), published, run: Some(run) });
    }
    for file in files {
        let published = PublishedAnswers::open(file)?;
        let digest = published.sha256().to_owned();
        inputs.push(Input { kind: InputKind::Answers, path: seen_from(out, file), sha256: digest });
        let model_id = published.model_id().to_owned();
        answered.push(Answered { model_id, path: file.clone(), published, run: None });
    }
    tell_apart(&mut answered)?;
    Ok(answered)
}

/// Several runs of one model (other decoding, other seed) bear the names of their folders too.
fn tell_apart(answered: &mut [Answered]) -> Result<()> {
    let mut seen = HashSet::new();
    let ids: Vec<String> = answered.iter().map(|one| one.model_id.clone()).collect();
    for (index, one) in answered.iter_mut().enumerate() {
        let is_shared = ids.iter().enumerate().any(|(other, id)| other != index && *id == one.model_id);
        if let Some(run) = one.run.as_ref().filter(|_| is_shared) {
            one.model_id = format!("{} ({})", one.model_id, run.manifest.id);
        }
        if !seen.insert(one.model_id.clone()) {
            return Err(Error::input(format!("a second set of answers of {}", one.model_id))
                .at(&one.path)
                .remedy("leave one of them out, or give one another model_id"));
        }
    }
    Ok(())
}

impl Answered {
    /// The answer to a question; `None` where there is none, or where a remark stands in its place.
    pub fn answer(&self, question_id: u64) -> Option<&str> {
        self.published.answer(question_id).filter(|row| row.annotation.is_none()).map(|row| row.answer.as_str())
    }

    /// Whether it is right; `None` where there is no answer or no reference.
    pub fn is_right(&self, turn: &Turn) -> Option<bool> {
        exact_match(self.answer(turn.question_id)?, &turn.reference)
    }

    /// The answers that can be scored.
    pub fn scored(&self, evalset: &EvalSet) -> ScoredModel {
        let answers = evalset.turns().filter_map(|(item, turn)| {
            Some(Scored {
                question_id: turn.question_id,
                picture: picture(item),
                subsets: turn.subsets.iter().map(|subset| subset.name().to_owned()).collect(),
                abilities: turn.abilities.clone(),
                right: self.is_right(turn)?,
            })
        });
        ScoredModel { model_id: self.model_id.clone(), answers: answers.collect() }
    }

    /// Questions that a run failed on.
    pub fn missing(&self) -> impl Iterator<Item = Missing> {
        let failures = self.run.iter().flat_map(|run| run.failures.values());
        failures.map(|row| {
            let why = match row.kind {
                FailureRowKind::Blocked => "no answer: an earlier turn of its conversation failed".to_owned(),
                _ => format!("no answer: {}", row.message),
            };
            Missing { model_id: self.model_id.clone(), question_id: row.question_id, why }
        })
    }

    /// Refuses answers to another evalset.
    pub fn check(&self, evalset: &EvalSet) -> Result<()> {
        let remedy = "name the evalset that was answered, with --evalset; report runs of different evalsets apart";
        if let Some(run) = &self.run
            && run.manifest.evalset.sha256 != evalset.sha256
        {
            let name = &run.manifest.evalset.name;
            let message =
                format!("the run answered the evalset {name} of another digest than that of {}", evalset.name);
            return Err(Error::input(message).at(&self.path).remedy(remedy));
        }
        if !evalset.turns().any(|(_, turn)| self.published.answer(turn.question_id).is_some()) {
            return Err(Error::input(format!("it answers no question of the evalset {}", evalset.name))
                .at(&self.path)
                .remedy(remedy));
        }
        Ok(())
    }
}
