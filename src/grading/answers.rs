//! The answers that a sheet is made of: run folders and published files, told apart by model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::sealed::RepairNote;
use crate::backend::published::{PublishedAnswers, RepairKind};
use crate::error::{Error, Result};
use crate::evalset::EvalSet;
use crate::record::{FailureRow, FailureRowKind, History};
use crate::store::{journal, run_folder};

/// A run folder or an answers file, as the command line names it: `PATH`, or `NAME=PATH` where two of the same model
/// are to be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSource {
    /// Stands for the `model_id` on the sheet.
    pub name: Option<String>,
    pub path: PathBuf,
}

impl AnswerSource {
    /// A path that exists is a path, whatever characters it holds.
    pub fn of(argument: &str) -> Self {
        match argument.split_once('=') {
            Some((name, path)) if !name.is_empty() && !Path::new(argument).exists() => {
                Self { name: Some(name.to_owned()), path: PathBuf::from(path) }
            }
            _ => Self { name: None, path: PathBuf::from(argument) },
        }
    }
}

/// The answers of one model.
#[derive(Debug)]
pub(super) struct Answers {
    pub model_id: String,
    pub published: PublishedAnswers,
    /// What the model was told in the earlier turns.
    pub history: History,
    /// Why questions have no answer, where the run says it.
    failures: BTreeMap<u64, FailureRowKind>,
}

/// An answer, or why there is none.
pub(super) type Found<'a> = Result<&'a str, String>;

impl Answers {
    fn open(source: &AnswerSource, evalset: &EvalSet) -> Result<Self> {
        let published = PublishedAnswers::open(&source.path)?;
        let mut history = History::Own;
        let mut failures = BTreeMap::new();
        if source.path.is_dir() {
            let manifest = run_folder::read_manifest(&source.path)?;
            if manifest.evalset.sha256 != evalset.sha256 {
                return Err(Error::input(format!(
                    "the run answered another evalset than {}: {} ({}…)",
                    evalset.name,
                    manifest.evalset.name,
                    manifest.evalset.sha256.get(..12).unwrap_or_default()
                ))
                .at(&source.path)
                .remedy("name the evalset that was answered, with --evalset"));
            }
            history = manifest.history;
            let path = source.path.join("failures.jsonl");
            if path.exists() {
                let (rows, _) = journal::read::<FailureRow>(&path)?;
                failures = rows.into_iter().map(|row| (row.question_id, row.kind)).collect();
            }
        }
        let model_id = source.name.clone().unwrap_or_else(|| published.model_id().to_owned());
        let answers = Self { model_id, published, history, failures };
        answers.refuse_other_questions(evalset)?;
        Ok(answers)
    }

    /// The answer to a question, or why it is missing.
    pub fn find(&self, question_id: u64) -> Found<'_> {
        match self.published.answer(question_id) {
            Some(row) => match row.annotation {
                None => Ok(&row.answer),
                Some(annotation) => Err(format!("no answer, but {annotation}")),
            },
            None => Err(match self.failures.get(&question_id) {
                Some(FailureRowKind::Blocked) => "an earlier turn of its conversation failed".to_owned(),
                Some(kind) => format!("the run failed on it ({})", kind_name(*kind)),
                None => "there is no such row".to_owned(),
            }),
        }
    }

    /// Everything that was repaired, and rows that answer nothing of the evalset.
    pub fn repairs(&self, evalset: &EvalSet) -> Vec<RepairNote> {
        let note = |question_id, what| RepairNote { model_id: self.model_id.clone(), question_id, what };
        let known: std::collections::BTreeSet<u64> = evalset.turns().map(|(_, turn)| turn.question_id).collect();
        let foreign = self.published.answers().filter(|row| !known.contains(&row.question_id));
        let foreign = foreign.map(|row| {
            let what = format!("question {}: the evalset has no such question; the row is left out", row.question_id);
            note(row.question_id, what)
        });
        let repairs = self.published.repairs(Some(evalset));
        repairs.into_iter().map(|repair| note(repair.question_id, repair.to_string())).chain(foreign).collect()
    }

    /// The texts of published files have drifted, but not all of them are other texts.
    fn refuse_other_questions(&self, evalset: &EvalSet) -> Result<()> {
        let mut common = 0;
        let mut worded = 0;
        for (_, turn) in evalset.turns() {
            if let Some(row) = self.published.answer(turn.question_id) {
                common += 1;
                worded += usize::from(!row.question.is_empty());
            }
        }
        let repairs = self.published.repairs(Some(evalset));
        let other_words = |repair: &&crate::backend::published::Repair| {
            matches!(repair.what, RepairKind::QuestionText { same_words: false, .. })
        };
        if common == 0 || worded > 0 && repairs.iter().filter(other_words).count() == worded {
            return Err(Error::input(format!(
                "the file answers other questions than those of evalset {}",
                evalset.name
            ))
            .at(self.published.path())
            .remedy("name the evalset that was answered, with --evalset"));
        }
        Ok(())
    }
}

fn kind_name(kind: FailureRowKind) -> &'static str {
    match kind {
        FailureRowKind::Input => "the question could not be asked",
        FailureRowKind::Transient => "the model or its server failed",
        FailureRowKind::Fatal => "nothing more could be asked",
        FailureRowKind::Blocked => "blocked",
    }
}

/// Opens all answers of a sheet, in the order given.
///
/// # Errors
/// Where one cannot be read or answers another evalset, or two are of the same model and no name tells them apart.
pub(super) fn open_all(sources: &[AnswerSource], evalset: &EvalSet) -> Result<Vec<Answers>> {
    let mut all: Vec<Answers> = Vec::with_capacity(sources.len());
    for source in sources {
        let answers = Answers::open(source, evalset)?;
        if let Some(other) = all.iter().find(|other| other.model_id == answers.model_id) {
            return Err(Error::input(format!(
                "these are answers of the model {:?}, and so are those in {}",
                answers.model_id,
                other.published.path().display()
            ))
            .at(answers.published.path())
            .remedy("tell the two apart by names of your own, as in `first=PATH second=PATH`"));
        }
        all.push(answers);
    }
    if all.is_empty() {
        return Err(Error::input("there are no answers to grade")
            .remedy("name run folders or answers files; `owleval run` makes a run folder"));
    }
    Ok(all)
}

/// Digest of the text of an answer, which ties a grade to it.
pub(super) fn text_sha256(answer: &str) -> String {
    hex::encode(Sha256::digest(answer.as_bytes()))
}
