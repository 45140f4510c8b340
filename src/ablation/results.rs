//! What the models got right, question by question, and how they were trained: the tables that a report is made of.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::answers::{place, run_folder};
use super::plan::{Asked, Plan};
use super::shelf::{self, Link, Shelf};
use crate::error::{Error, IoContext as _, Result};
use crate::evalset::EvalSet;
use crate::record::AnswerRow;
use crate::score::exact_match;
use crate::store::journal;

/// A line of `results.csv`: one model's answer to one question that has a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    pub variant: String,
    /// Counted from 1.
    pub replicate: u64,
    pub evalset: String,
    pub question_id: u64,
    /// The picture or pictures of the conversation; its name where it has none.
    pub picture: String,
    /// What the question measures, of drawn evalsets.
    pub kind: String,
    /// Joined by `;`.
    pub subsets: String,
    /// Joined by `;`.
    pub abilities: String,
    /// 1 or 0.
    pub right: u8,
}

/// A line of `stages.csv`: a stage of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRow {
    pub variant: String,
    pub replicate: u64,
    pub stage: String,
    /// Of what decides its numbers, the stages before it included.
    pub sha256: String,
    /// What learned, joined by `;`.
    pub trainable: String,
    pub updates: usize,
    pub seed: u64,
    /// Of this machine, other work beside it.
    pub seconds: f64,
}

/// A line of `losses.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossRow {
    /// The beginning of the stage's sha256.
    pub stage: String,
    pub step: usize,
    pub loss: f64,
}

/// Everything that a report of an ablation is made of, beside its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    pub answers: Vec<ResultRow>,
    pub stages: Vec<StageRow>,
    pub losses: Vec<LossRow>,
}

impl Results {
    /// Gathers what was trained and answered below `out`.
    ///
    /// # Errors
    /// Where an answer is missing, or a file cannot be read.
    pub fn gather(plan: &Plan, out: &Path) -> Result<Self> {
        let shelf = Shelf::new(plan, out);
        let mut results = Self { answers: Vec::new(), stages: Vec::new(), losses: Vec::new() };
        for asked in &plan.settings.evalsets {
            results.gather_answers(plan, asked, out)?;
        }
        let mut seen = BTreeMap::new();
        for (variant, replicate) in plan.models() {
            let recipe = plan.recipe(variant, replicate)?;
            for link in shelf.chain(variant, replicate)? {
                let state = shelf::state(&link.folder)?
                    .ok_or_else(|| Error::input(format!("stage {} is not trained", link.stage)).at(&link.folder))?;
                let groups = shelf::stage(&recipe, &link).map(|stage| stage.trainable.clone()).unwrap_or_default();
                let groups = groups.iter().map(name_of).collect::<Result<Vec<_>>>()?;
                results.stages.push(StageRow {
                    variant: variant.name.clone(),
                    replicate: replicate + 1,
                    stage: link.stage.clone(),
                    sha256: link.sha256.clone(),
                    trainable: groups.join(";"),
                    updates: state.step,
                    seed: recipe.seed - replicate + link.replicate,
                    seconds: state.seconds.round(),
                });
                seen.entry(link.sha256.clone()).or_insert(link);
            }
        }
        for link in seen.values() {
            results.losses.extend(losses(link)?);
        }
        Ok(results)
    }

    fn gather_answers(&mut self, plan: &Plan, asked: &Asked, out: &Path) -> Result<()> {
        let evalset = EvalSet::open(place(asked, out))?;
        let groups = asked.drawn().map(|set| set.groups()).unwrap_or_default();
        for (variant, replicate) in plan.models() {
            if plan.asked_of(variant).all(|other| other != asked) {
                continue;
            }
            let path = run_folder(out, variant, replicate, asked).join("answers.jsonl");
            let (rows, _) = journal::read::<AnswerRow>(&path)?;
            let answers: HashMap<u64, &str> = rows.iter().map(|row| (row.question_id, row.answer.as_str())).collect();
            for (item, turn) in evalset.turns() {
                let id = turn.question_id;
                let answer =
                    answers.get(&id).ok_or_else(|| Error::input(format!("question {id} has no answer")).at(&path))?;
                let Some(right) = exact_match(answer, &turn.reference) else { continue };
                self.answers.push(ResultRow {
                    variant: variant.name.clone(),
                    replicate: replicate + 1,
                    evalset: asked.name.clone(),
                    question_id: id,
                    picture: if item.images.is_empty() { item.id.clone() } else { item.images.join("+") },
                    kind: groups.get(&id).map(name_of).transpose()?.unwrap_or_default(),
                    subsets: turn.subsets.iter().map(|subset| subset.name()).collect::<Vec<_>>().join(";"),
                    abilities: turn.abilities.join(";"),
                    right: u8::from(right),
                });
            }
        }
        Ok(())
    }

    /// The tables, by their file names.
    ///
    /// # Errors
    /// Where a row cannot be encoded.
    pub fn files(&self) -> Result<BTreeMap<&'static str, Vec<u8>>> {
        Ok(BTreeMap::from([
            ("results.csv", encode(&self.answers)?),
            ("stages.csv", encode(&self.stages)?),
            ("losses.csv", encode(&self.losses)?),
        ]))
    }

    /// Reads the tables of a folder.
    ///
    /// # Errors
    /// Where a table is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            answers: decode(&folder.join("results.csv"))?,
            stages: decode(&folder.join("stages.csv"))?,
            losses: decode(&folder.join("losses.csv"))?,
        })
    }
}

/// What a variant of a plain enum is called in files.
fn name_of(value: &impl Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => Err(Error::failed("a name cannot be written")),
    }
}

fn losses(link: &Link) -> Result<Vec<LossRow>> {
    #[derive(Deserialize)]
    struct Logged {
        step: usize,
        loss: f64,
    }
    let rows: Vec<Logged> = decode(&link.folder.join("loss.csv"))?;
    let stage = format!("{}-{}", link.stage, &link.sha256[..12]);
    Ok(rows.into_iter().map(|row| LossRow { stage: stage.clone(), step: row.step, loss: row.loss }).collect())
}

fn encode<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let failed = |source: csv::Error| Error::failed("a table cannot be written").source(source);
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| Error::failed(format!("a table cannot be written: {error}")))
}

fn decode<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let bytes = std::fs::read(path).or_at("cannot read the table", path)?;
    let rows = csv::Reader::from_reader(bytes.as_slice()).deserialize().collect::<Result<Vec<T>, _>>();
    rows.map_err(|source| Error::input("a line of the table cannot be read").at(path).source(source))
}
