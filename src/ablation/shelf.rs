//! Where trained stages stand: one folder a stage and what it started from, so that variants share what they have in common.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::plan::{Plan, Variant};
use crate::error::{Error, IoContext as _, Result};
use crate::train::checkpoint::{self, Files, State};
use crate::train::recipe::{Recipe, Stage};
use crate::train::stage::{Options, Trainer};

/// A stage of one model of the comparison.
#[derive(Debug, Clone)]
pub struct Link {
    pub stage: String,
    /// 0 for a shared stage, whoever asks.
    pub replicate: u64,
    /// The sha256 of what decides its numbers, all stages before it included.
    pub sha256: String,
    pub folder: PathBuf,
}

impl Link {
    /// Waits until no other process works on the stage, and keeps it so for as long as the file lives.
    fn lock(&self, say: &dyn Fn(&str)) -> Result<File> {
        std::fs::create_dir_all(&self.folder).or_at("cannot make the folder", &self.folder)?;
        let path = self.folder.join("lock");
        let file = File::create(&path).or_at("cannot write", &path)?;
        if file.try_lock().is_err() {
            say(&format!("another process works on stage {}: waiting", self.stage));
            file.lock().or_at("cannot lock", &path)?;
        }
        Ok(file)
    }
}

/// The folder of trained stages.
pub struct Shelf<'a> {
    plan: &'a Plan,
    out: &'a Path,
}

impl<'a> Shelf<'a> {
    pub fn new(plan: &'a Plan, out: &'a Path) -> Self {
        Self { plan, out }
    }

    /// The stages of a model, in order.
    pub fn chain(&self, variant: &Variant, replicate: u64) -> Result<Vec<Link>> {
        let mut chain: Vec<Link> = Vec::new();
        let (first, own) = (self.plan.recipe(variant, 0)?, self.plan.recipe(variant, replicate)?);
        for (index, name) in variant.stages.iter().enumerate() {
            let is_shared = self.plan.settings.shared.contains(name);
            let (recipe, replicate) = if is_shared { (&first, 0) } else { (&own, replicate) };
            let stage = &recipe.stages[index];
            let mut digest = Sha256::new();
            digest.update(recipe.stage_sha256(stage));
            for source in recipe.sources(stage) {
                digest.update(chain.iter().find(|link| link.stage == source).map_or("", |link| &link.sha256));
            }
            let sha256 = hex::encode(digest.finalize());
            let folder = self.out.join("stages").join(format!("{name}-{}", &sha256[..12]));
            chain.push(Link { stage: name.clone(), replicate, sha256, folder });
        }
        Ok(chain)
    }

    /// Trains the stages of a model that nobody has trained yet; what was begun is carried on. A stage that another process
    /// is training is waited for.
    ///
    /// # Errors
    /// As [`Trainer::run_stage`].
    pub fn train(&self, variant: &Variant, chain: &[Link], say: &dyn Fn(&str)) -> Result<()> {
        for (index, link) in chain.iter().enumerate() {
            let _lock = link.lock(say)?;
            if state(&link.folder)?.is_some_and(|state| state.finished) {
                continue;
            }
            say(&format!("{}: stage {}", variant.name, link.stage));
            let recipe = self.plan.recipe(variant, link.replicate)?;
            let stage = recipe.stages[index].clone();
            self.trainer(recipe, chain)?.run_stage(&stage)?;
        }
        Ok(())
    }

    /// Takes stages over from the results of `owleval train`, as far as they were trained by the same recipe.
    ///
    /// # Errors
    /// Where a file cannot be copied.
    pub fn reuse(&self, variant: &Variant, chain: &[Link], results: &Path, say: &dyn Fn(&str)) -> Result<()> {
        let recipe = self.plan.recipe(variant, 0)?;
        let tokenizer = self.out.join("tokenizer.json");
        let theirs = results.join("tokenizer.json");
        if !tokenizer.exists() && theirs.exists() {
            let bytes = std::fs::read(&theirs).or_at("cannot read the tokenizer", &theirs)?;
            checkpoint::write_whole(&tokenizer, &bytes)?;
        }
        if std::fs::read(&tokenizer).ok() != std::fs::read(&theirs).ok() {
            return Err(Error::input("its tokenizer is another than that of the ablation").at(&theirs));
        }
        let mut taken: Vec<&str> = Vec::new();
        for (link, stage) in chain.iter().zip(&recipe.stages) {
            let from = results.join(&link.stage);
            let is_same =
                state(&from)?.is_some_and(|state| state.finished && state.recipe_sha256 == recipe.stage_sha256(stage));
            let has_sources = recipe.sources(stage).iter().all(|source| taken.contains(source));
            if link.replicate > 0 || !is_same || !has_sources {
                continue;
            }
            taken.push(&link.stage);
            let _lock = link.lock(say)?;
            if state(&link.folder)?.is_some() {
                continue;
            }
            let (from, to) = (Files { folder: from }, Files { folder: link.folder.clone() });
            // The state comes last: it says that the rest is there.
            for (from, to) in [
                (from.checkpoint(), to.checkpoint()),
                (from.optimizer(), to.optimizer()),
                (from.table(), to.table()),
                (from.log(), to.log()),
                (from.state(), to.state()),
            ] {
                std::fs::copy(&from, &to).or_at("cannot copy", &from)?;
            }
            say(&format!("stage {} is taken over", link.stage));
        }
        Ok(())
    }

    /// Writes the model that a chain of trained stages makes.
    ///
    /// # Errors
    /// As [`Trainer::write_model`].
    pub fn assemble(&self, variant: &Variant, replicate: u64, chain: &[Link], folder: &Path) -> Result<()> {
        self.trainer(self.plan.recipe(variant, replicate)?, chain)?.write_model(folder)
    }

    fn trainer(&self, recipe: Recipe, chain: &[Link]) -> Result<Trainer> {
        let folders: BTreeMap<_, _> = chain.iter().map(|link| (link.stage.clone(), link.folder.clone())).collect();
        let options = Options { out: self.out.to_owned(), folders, resume: true, ..Options::default() };
        Trainer::new(recipe, &self.plan.base_folder, options)
    }
}

/// How far a stage is.
pub fn state(folder: &Path) -> Result<Option<State>> {
    checkpoint::read_state(&Files { folder: folder.to_owned() }.state())
}

/// The stage of a link in its recipe.
pub fn stage<'a>(recipe: &'a Recipe, link: &Link) -> Option<&'a Stage> {
    recipe.stages.iter().find(|stage| stage.name == link.stage)
}
