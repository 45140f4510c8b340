//! The file of an ablation: which models are compared, what each is asked, and which claims the answers are held against.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext as _, Result};
use crate::scenes::Split;
use crate::scenes::mini::ExamSet;
use crate::store::atomic;
use crate::train::recipe::Recipe;

/// The file of an ablation, with the training recipe that it varies.
#[derive(Debug, Clone)]
pub struct Plan {
    pub settings: Settings,
    /// The folder of the training recipe: what paths in it are relative to.
    pub base_folder: PathBuf,
    /// The training recipe without its stages.
    base: toml::Table,
    /// Every stage that a variant may name.
    stages: BTreeMap<String, toml::Table>,
    /// The text of the ablation's file, and that of the training recipe: they are part of the report.
    texts: [String; 2],
}

/// The ablation's own file, where it is kept with a report.
const KEPT: &str = "ablation.toml";

/// `recipes/ablation.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub name: String,
    pub title: String,
    /// The training recipe whose model and stages are varied, relative to this file.
    pub base: PathBuf,
    /// The variant that the others are compared with.
    pub reference: String,
    /// Stages that all replicates of a variant share; the others are trained anew for each.
    #[serde(default)]
    pub shared: Vec<String>,
    /// Draws of the bootstrap, and of a permutation test that cannot be computed exactly.
    #[serde(default = "resamples")]
    pub resamples: usize,
    #[serde(default)]
    pub seed: u64,
    /// Paragraphs that the report begins with.
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(rename = "evalset")]
    pub evalsets: Vec<Asked>,
    #[serde(rename = "stage", default)]
    stages: Vec<toml::Table>,
    #[serde(rename = "variant")]
    pub variants: Vec<Variant>,
    #[serde(rename = "claim", default)]
    pub claims: Vec<Claim>,
}

fn resamples() -> usize {
    10_000
}

/// An evalset that the variants answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A built-in evalset's name, or the name of one that is drawn.
    pub name: String,
    /// For people.
    pub title: String,
    pub draw: Option<Draw>,
}

/// Questions about scenes that no stage learns from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    pub scenes: Scenes,
    pub questions: usize,
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenes {
    /// Of the kind that training shows.
    Fresh,
    /// Each with a pair of shape and colour that no picture of the training shows.
    HeldOutPairs,
}

impl Asked {
    /// Its questions, where it is one that is drawn.
    pub fn drawn(&self) -> Option<ExamSet> {
        let draw = self.draw.as_ref()?;
        Some(ExamSet::draw(&self.name, draw.scenes.split(), draw.seed, draw.questions))
    }
}

impl Scenes {
    pub fn split(self) -> Split {
        match self {
            Self::Fresh => Split::Fresh,
            Self::HeldOutPairs => Split::HeldOut,
        }
    }
}

/// A model of the comparison.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub name: String,
    /// For people.
    pub title: String,
    /// Which row of the paper, or whose strategy.
    #[serde(default)]
    pub stands_for: String,
    /// The stages that make it, in order.
    pub stages: Vec<String>,
    /// How often it is trained, each time with another seed for the stages that are not shared.
    #[serde(default = "one")]
    pub replicates: u64,
    /// The evalsets that it answers; all of them where this is left out.
    pub evalsets: Option<Vec<String>>,
}

fn one() -> u64 {
    1
}

/// Something that was said of the variants, put so that the answers decide.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub says: String,
    /// Where it was said.
    pub source: String,
    /// The variant that is said to be better.
    pub better: String,
    /// The one that it is said to be better than.
    pub worse: String,
    pub evalset: String,
    /// `all`, `ability:a`, or `kind:counting` on drawn evalsets.
    pub subset: String,
}

impl Plan {
    /// Reads and checks an ablation's file and the training recipe that it names.
    ///
    /// # Errors
    /// Where a file cannot be read, or names a stage, variant or evalset that is not there.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with(path, |base| base.to_owned())
    }

    /// Reads what [`Plan::keep`] kept.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn read_kept(folder: &Path) -> Result<Self> {
        Self::read_with(&folder.join(KEPT), |base| base.file_name().map_or_else(|| base.to_owned(), PathBuf::from))
    }

    /// Writes the ablation's file and the training recipe into a folder, beside each other wherever they were.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        let base = self.settings.base.file_name().unwrap_or_default();
        let [own, trained] = &self.texts;
        atomic::write(&folder.join(KEPT), own.as_bytes())?;
        atomic::write(&folder.join(base), trained.as_bytes())
    }

    /// `place` tells where the training recipe is, from the folder of the ablation's file.
    fn read_with(path: &Path, place: impl Fn(&Path) -> PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(path).or_at("cannot read the ablation", path)?;
        let settings: Settings = toml::from_str(&text).map_err(|error| unusable(path, &error))?;
        let base_path = path.parent().unwrap_or(Path::new(".")).join(place(&settings.base));
        let base_text = std::fs::read_to_string(&base_path).or_at("cannot read the training recipe", &base_path)?;
        // Its errors name its own keys.
        Recipe::parse(&base_text).map_err(|error| error.at(&base_path))?;
        let mut base: toml::Table = toml::from_str(&base_text).map_err(|error| unusable(&base_path, &error))?;
        let trained = match base.remove("stage") {
            Some(toml::Value::Array(stages)) => stages,
            _ => Vec::new(),
        };
        let mut stages: BTreeMap<String, toml::Table> = BTreeMap::new();
        for stage in trained.into_iter().filter_map(|stage| stage.as_table().cloned()) {
            stages.insert(word(&stage, "name"), stage);
        }
        for change in &settings.stages {
            let (name, like) = (word(change, "name"), word(change, "like"));
            let mut stage = stages.get(&like).cloned().ok_or_else(|| {
                Error::input(format!("stage {name:?} is like {like:?}, which is no stage of the recipe")).at(path)
            })?;
            let mut change = change.clone();
            change.remove("like");
            merge(&mut stage, change);
            stages.insert(name, stage);
        }
        let base_folder = base_path.parent().unwrap_or(Path::new(".")).to_owned();
        let plan = Self { settings, base_folder, base, stages, texts: [text, base_text] };
        plan.check().map_err(|error| error.at(path))?;
        Ok(plan)
    }

    fn check(&self) -> Result<()> {
        let Settings { variants, evalsets, shared, claims, reference, .. } = &self.settings;
        let names: BTreeSet<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        let asked: BTreeSet<&str> = evalsets.iter().map(|evalset| evalset.name.as_str()).collect();
        if names.len() < variants.len() || asked.len() < evalsets.len() {
            return Err(Error::input("two variants or two evalsets have the same name"));
        }
        let known = |what: &str, name: &str, names: &BTreeSet<&str>| {
            let all = || names.iter().copied().collect::<Vec<_>>().join(", ");
            let missing =
                || Error::input(format!("there is no {what} {name:?}")).remedy(format!("there are: {}", all()));
            if names.contains(name) { Ok(()) } else { Err(missing()) }
        };
        known("variant", reference, &names)?;
        for claim in claims {
            known("variant", &claim.better, &names)?;
            known("variant", &claim.worse, &names)?;
            known("evalset", &claim.evalset, &asked)?;
        }
        for variant in variants {
            for evalset in variant.evalsets.iter().flatten() {
                known("evalset", evalset, &asked)?;
            }
            if variant.replicates == 0 {
                return Err(Error::input(format!("variant {:?}: replicates must be at least 1", variant.name)));
            }
            // What is trained anew cannot be what all replicates start from.
            let anew = variant.stages.iter().position(|stage| !shared.contains(stage)).unwrap_or(usize::MAX);
            if let Some(stage) = variant.stages.iter().skip(anew).find(|stage| shared.contains(stage))
                && variant.replicates > 1
            {
                let message = format!("variant {:?}: the shared stage {stage:?} follows one that is not", variant.name);
                return Err(Error::input(message));
            }
            self.recipe(variant, 0)?;
        }
        Ok(())
    }

    /// The variants, each with every replicate.
    pub fn models(&self) -> impl Iterator<Item = (&Variant, u64)> {
        self.settings
            .variants
            .iter()
            .flat_map(|variant| (0..variant.replicates).map(move |replicate| (variant, replicate)))
    }

    /// The evalsets that a variant answers.
    pub fn asked_of<'a>(&'a self, variant: &'a Variant) -> impl Iterator<Item = &'a Asked> {
        let wanted = |name: &String| variant.evalsets.as_ref().is_none_or(|names| names.contains(name));
        self.settings.evalsets.iter().filter(move |evalset| wanted(&evalset.name))
    }

    /// The training recipe of a variant. Replicates differ in the seed alone; the first has the recipe's own.
    ///
    /// # Errors
    /// Where the variant names a stage that is not there, or a changed stage is none.
    pub fn recipe(&self, variant: &Variant, replicate: u64) -> Result<Recipe> {
        let mut table = self.base.clone();
        let stages = variant.stages.iter().map(|name| {
            let names = || self.stages.keys().cloned().collect::<Vec<_>>().join(", ");
            let stage = self.stages.get(name).ok_or_else(|| {
                Error::input(format!("variant {:?}: there is no stage {name:?}", variant.name))
                    .remedy(format!("there are: {}", names()))
            })?;
            Ok(toml::Value::Table(stage.clone()))
        });
        table.insert("stage".to_owned(), toml::Value::Array(stages.collect::<Result<_>>()?));
        let mut recipe = Recipe::parse(&table.to_string())?;
        recipe.name.clone_from(&variant.name);
        recipe.seed = recipe.seed.wrapping_add(replicate);
        Ok(recipe)
    }
}

fn unusable(path: &Path, error: &toml::de::Error) -> Error {
    Error::input(format!("cannot be used: {}", error.to_string().trim())).at(path)
}

fn word(table: &toml::Table, key: &str) -> String {
    table.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}

/// Puts the keys of `change` over those of `table`, tables within tables alike.
fn merge(table: &mut toml::Table, change: toml::Table) {
    for (key, value) in change {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(change)) => merge(inner, change),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_into_tables_and_leaves_the_rest() {
        let mut table: toml::Table = toml::from_str("a = 1\n[data]\nx = 1\ny = 2").unwrap();
        merge(&mut table, toml::from_str("b = 3\n[data]\ny = 5").unwrap());
        assert_eq!(table, toml::from_str("a = 1\nb = 3\n[data]\nx = 1\ny = 5").unwrap());
    }

    #[test]
    fn a_recipe_of_another_folder_is_found_where_both_are_kept() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(from.path().join("models")).unwrap();
        std::fs::copy(recipes.join("ablation-base.toml"), from.path().join("models/base.toml")).unwrap();
        let text = std::fs::read_to_string(recipes.join("ablation.toml")).unwrap();
        let text = text.replacen("base = \"ablation-base.toml\"", "base = \"models/base.toml\"", 1);
        std::fs::write(from.path().join("mine.toml"), text).unwrap();
        let plan = Plan::read(&from.path().join("mine.toml")).unwrap();
        plan.keep(to.path()).unwrap();
        assert_eq!(Plan::read_kept(to.path()).unwrap().texts, plan.texts);
    }

    #[test]
    fn the_committed_ablation_is_sound_and_its_reference_is_the_base_itself() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let plan = Plan::read(&recipes.join("ablation.toml")).unwrap();
        let settings = &plan.settings;
        let reference = settings.variants.iter().find(|variant| variant.name == settings.reference).unwrap();
        let (ours, base) =
            (plan.recipe(reference, 0).unwrap(), Recipe::read(&recipes.join("ablation-base.toml")).unwrap());
        let digests = |recipe: &Recipe| {
            recipe.stages.iter().map(|stage| (stage.name.clone(), recipe.stage_sha256(stage))).collect::<Vec<_>>()
        };
        assert_eq!(digests(&ours), digests(&base));
    }

    #[test]
    fn owl_mini_begins_as_the_ablation_does() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let [base, own] =
            ["ablation-base.toml", "owl-mini.toml"].map(|name| Recipe::read(&recipes.join(name)).unwrap());
        for shared in ["language", "language-2", "vision"] {
            let digest = |recipe: &Recipe| {
                recipe.stages.iter().find(|stage| stage.name == shared).map(|stage| recipe.stage_sha256(stage)).unwrap()
            };
            assert_eq!(digest(&base), digest(&own), "{shared}");
        }
    }
}
