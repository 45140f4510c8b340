//! The report of an ablation: a function of the tables and the two recipes that stand beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::compare::{ALL, Comparer, Rate, Test, Verdict, adjust};
use super::plan::{Claim, Plan};
use super::results::{Results, StageRow};
use super::sections;
use crate::error::{IoContext as _, Result};
use crate::grading::Finding;
use crate::report::{REPORT, Software, compare_files, with_json, write_files};
use crate::store::atomic;

/// The value of [`Ablation::schema`].
pub const SCHEMA: &str = "owleval-ablation/1";

/// The folder, within the report's, of what it is made of.
const INPUTS: &str = "inputs";

/// `report.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Ablation {
    pub schema: String,
    pub title: String,
    pub notes: Vec<String>,
    pub variants: Vec<VariantRow>,
    pub evalsets: Vec<EvalSetRow>,
    /// By evalset, subset, variant.
    pub rates: Vec<Rate>,
    /// The reference beside each other variant; `p_adjusted` within an evalset and subset.
    pub tests: Vec<Test>,
    pub claims: Vec<ClaimRow>,
    pub stages: Vec<StageRow>,
    pub inputs: Vec<Input>,
    pub resamples: usize,
    pub seed: u64,
    pub software: Software,
}

#[derive(Debug, Clone, Serialize)]
pub struct VariantRow {
    pub name: String,
    pub title: String,
    pub stands_for: String,
    pub stages: Vec<String>,
    pub replicates: u64,
    pub is_reference: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct EvalSetRow {
    pub name: String,
    pub title: String,
    /// With references.
    pub questions: usize,
    /// Of its questions, in order.
    pub subsets: Vec<String>,
}

/// A claim and what came of it; `p_adjusted` is over all claims.
#[derive(Debug, Clone, Serialize)]
pub struct ClaimRow {
    #[serde(flatten)]
    pub claim: Claim,
    pub rate_better: Option<f64>,
    pub rate_worse: Option<f64>,
    pub test: Test,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// As seen from the report's folder.
    pub path: String,
    pub sha256: String,
}

impl Ablation {
    /// Compares what the variants got right.
    ///
    /// # Errors
    /// Where an evalset or variant has no answers.
    pub fn new(plan: &Plan, results: &Results, inputs: Vec<Input>) -> Result<Self> {
        let settings = &plan.settings;
        let comparer = Comparer::new(plan, results);
        let mut rates = Vec::new();
        let mut tests = Vec::new();
        let mut evalsets = Vec::new();
        for asked in &settings.evalsets {
            let subsets = comparer.subsets(&asked.name);
            for subset in &subsets {
                let mut family = Vec::new();
                for variant in &settings.variants {
                    let rate = comparer.rate(&variant.name, &asked.name, subset)?;
                    if rate.is_some() && variant.name != settings.reference {
                        family.push(comparer.test(&settings.reference, &variant.name, &asked.name, subset)?);
                    }
                    rates.extend(rate);
                }
                adjust(&mut family);
                tests.append(&mut family);
            }
            let all = rates.iter().find(|rate| rate.evalset == asked.name && rate.subset == ALL);
            let questions = all.map_or(0, |rate| rate.n);
            evalsets.push(EvalSetRow { name: asked.name.clone(), title: asked.title.clone(), questions, subsets });
        }
        let mut of_claims = settings
            .claims
            .iter()
            .map(|claim| comparer.test(&claim.better, &claim.worse, &claim.evalset, &claim.subset))
            .collect::<Result<Vec<_>>>()?;
        adjust(&mut of_claims);
        let claims = settings.claims.iter().zip(of_claims).map(|(claim, test)| {
            let rate = |variant: &str| comparer.rate(variant, &claim.evalset, &claim.subset);
            Ok(ClaimRow {
                claim: claim.clone(),
                rate_better: rate(&claim.better)?.map(|rate| rate.point),
                rate_worse: rate(&claim.worse)?.map(|rate| rate.point),
                verdict: test.verdict(),
                test,
            })
        });
        let variants = settings.variants.iter().map(|variant| VariantRow {
            name: variant.name.clone(),
            title: variant.title.clone(),
            stands_for: variant.stands_for.clone(),
            stages: variant.stages.clone(),
            replicates: variant.replicates,
            is_reference: variant.name == settings.reference,
        });
        Ok(Self {
            schema: SCHEMA.to_owned(),
            title: settings.title.clone(),
            notes: settings.notes.clone(),
            variants: variants.collect(),
            evalsets,
            rates,
            tests,
            claims: claims.collect::<Result<_>>()?,
            stages: results.stages.clone(),
            inputs,
            resamples: settings.resamples,
            seed: settings.seed,
            software: Software::this(),
        })
    }

    pub fn rate(&self, variant: &str, evalset: &str, subset: &str) -> Option<&Rate> {
        self.rates.iter().find(|rate| rate.variant == variant && rate.evalset == evalset && rate.subset == subset)
    }
}

/// Writes the inputs and the report into `folder`.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(plan: &Plan, results: &Results, folder: &Path) -> Result<Ablation> {
    let inputs = folder.join(INPUTS);
    // Those of an earlier report would be taken for inputs of this one.
    if inputs.exists() {
        std::fs::remove_dir_all(&inputs).or_at("cannot clear the folder", &inputs)?;
    }
    std::fs::create_dir_all(&inputs).or_at("cannot make the folder", &inputs)?;
    plan.keep(&inputs)?;
    for (name, bytes) in results.files()? {
        atomic::write(&inputs.join(name), &bytes)?;
    }
    // What is read again is what the report is made of: a number that does not survive its table would show.
    let (ablation, files) = make(folder)?;
    write_files(folder, &files)?;
    Ok(ablation)
}

/// Makes the report of the inputs that stand in its folder.
fn make(folder: &Path) -> Result<(Ablation, BTreeMap<String, Vec<u8>>)> {
    let inputs_folder = folder.join(INPUTS);
    let plan = Plan::read_kept(&inputs_folder)?;
    let results = Results::read(&inputs_folder)?;
    let mut inputs = Vec::new();
    for path in files_of(&inputs_folder)? {
        let bytes = std::fs::read(&path).or_at("cannot read", &path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        inputs.push(Input { path: format!("{INPUTS}/{name}"), sha256: hex::encode(Sha256::digest(&bytes)) });
    }
    let ablation = Ablation::new(&plan, &results, inputs)?;
    let files = with_json(&ablation, &sections::document(&ablation, &results))?;
    Ok((ablation, files))
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).or_at("cannot read the folder", folder)?;
    let mut files = entries
        .map(|entry| Ok(entry.or_at("cannot read the folder", folder)?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    files.sort();
    Ok(files)
}

/// Whether a folder holds the report of an ablation.
pub fn is_one(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct Made {
        schema: String,
    }
    let made = std::fs::read(folder.join(REPORT)).ok().and_then(|text| serde_json::from_slice::<Made>(&text).ok());
    made.is_some_and(|made| made.schema == SCHEMA)
}

/// Makes every file again from the inputs in the folder and compares it with the one that is there.
///
/// # Errors
/// Where the inputs cannot be read.
pub fn verify(folder: &Path) -> Result<Vec<Finding>> {
    compare_files(folder, &make(folder)?.1)
}
