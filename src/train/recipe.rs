//! A recipe: which model, which stages, who learns in each, from what data and with which numbers.
//!
//! Recipes are TOML files under `recipes/`. Unknown keys are refused by name, so that a misspelt one cannot be
//! silently ignored in a run of hours.

mod data;
mod model;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use data::Data;
pub use model::{Abstractor, Model, Text, Vision};

use super::optimizer::Settings;
use super::parameters::Initializer;
use super::schedule::{Decay, Schedule};
use crate::error::{Error, IoContext, Result};

/// A whole recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The name of the model that comes out.
    pub name: String,
    /// What all random numbers derive from.
    pub seed: u64,
    pub model: Model,
    pub tokenizer: Tokenizer,
    #[serde(default)]
    pub lora: Lora,
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
}

/// Where the tokenizer comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokenizer {
    /// A `tokenizer.json`, relative to the recipe. Without it one is trained on the dialogues of the scenes, with
    /// as many pieces as `model.text_config.vocab_size`.
    pub file: Option<PathBuf>,
}

/// The low-rank adapter (section 9.1 of the specification).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    pub rank: usize,
    pub alpha: f64,
    /// The projections that get an adapter, in every layer of the language model.
    pub targets: Vec<String>,
    /// Whether the finished model has the adapter merged into its weights, or beside them.
    pub merge: bool,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 8, alpha: 32.0, targets: vec!["q_proj".to_owned(), "v_proj".to_owned()], merge: true }
    }
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Language pre-training: text, and scenes told in words where a picture will be.
    Language,
    /// Vision pre-training: the tower says what lies where, through heads that are thrown away.
    Vision,
    /// The paper's first stage: pictures through tower and abstractor into a frozen language model.
    Abstractor,
    /// The paper's second stage: joint instruction tuning, text and pictures.
    Instruction,
}

/// A part of the model that learns or stays frozen as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    Vision,
    /// Queries, layers, `visual_fc` and `vit_eos`.
    Abstractor,
    /// The end-of-picture vector alone; the told scenes use it too.
    VitEos,
    Language,
    Lora,
}

impl Group {
    /// Whether a tensor of that name belongs to the group.
    pub fn holds(self, name: &str) -> bool {
        let adapter = name.contains(".lora_A.") || name.contains(".lora_B.");
        match self {
            Group::Vision => name.starts_with("vision_model.") || name.starts_with("probe."),
            Group::Abstractor => name.starts_with("abstractor.") || name == "query_tokens",
            Group::VitEos => name == "abstractor.vit_eos",
            Group::Language => name.starts_with("language_model.") && !adapter,
            Group::Lora => adapter,
        }
    }
}

/// An optimiser, in the recipe's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The paper's.
    #[default]
    Adamw,
    /// For matrices of layers; everything else moves by AdamW.
    Muon,
}

impl Method {
    fn is_adamw(&self) -> bool {
        *self == Method::Adamw
    }
}

/// One stage of the training.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub name: String,
    pub kind: Kind,
    pub trainable: Vec<Group>,
    /// The stages whose results this one starts from; without it all that come earlier in the recipe.
    pub from: Option<Vec<String>>,
    /// Rounds of one stage among those: where this one starts, a tensor that several of them trained is their mean, not what the
    /// last of them left (Izmailov et al., arXiv 1803.05407).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub average: Vec<String>,
    pub steps: usize,
    /// Examples in a micro-batch.
    pub batch: usize,
    /// Micro-batches in an update.
    #[serde(default = "one")]
    pub accumulate: usize,
    pub lr: f64,
    #[serde(default)]
    pub min_lr: f64,
    pub schedule: Decay,
    #[serde(default)]
    pub warmup: usize,
    #[serde(default = "betas")]
    pub betas: (f64, f64),
    #[serde(default = "small")]
    pub eps: f64,
    #[serde(default)]
    pub weight_decay: f64,
    /// Whether norms and biases decay as well, as in the paper's own code for LoRA.
    #[serde(default)]
    pub decay_all: bool,
    pub clip: Option<f64>,
    /// What moves the matrices of the layers.
    #[serde(default, skip_serializing_if = "Method::is_adamw")]
    pub optimizer: Method,
    /// The standard deviation of weights that no earlier stage trained; 0.02 as in the reference if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initializer_range: Option<f64>,
    /// Whether the vision tower's positions start as sines and cosines of row and column.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sine_positions: bool,
    /// Whether the language model starts out looking for like and copying it, see [`Initializer`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mimetic_attention: bool,
    /// Added to the recipe's seed, so that two stages see other examples.
    #[serde(default)]
    pub seed: u64,
    /// Positions of a sequence after which it is cut (section 9.3).
    #[serde(default = "length")]
    pub max_length: usize,
    #[serde(default = "ten")]
    pub log_every: usize,
    /// 0: never.
    #[serde(default)]
    pub sample_every: usize,
    #[serde(default = "samples")]
    pub samples: usize,
    /// 0: only at the end.
    #[serde(default)]
    pub checkpoint_every: usize,
    pub data: Data,
}

fn small() -> f64 {
    1e-6
}

fn one() -> usize {
    1
}

fn ten() -> usize {
    10
}

fn samples() -> usize {
    64
}

fn length() -> usize {
    256
}

fn betas() -> (f64, f64) {
    (0.9, 0.98)
}

impl Stage {
    pub fn schedule(&self) -> Schedule {
        Schedule { decay: self.schedule, peak: self.lr, floor: self.min_lr, warmup: self.warmup, steps: self.steps }
    }

    pub fn initializer(&self) -> Initializer {
        let usual = Initializer::default();
        Initializer {
            range: self.initializer_range.unwrap_or(usual.range),
            sine_positions: self.sine_positions,
            mimetic_attention: self.mimetic_attention,
        }
    }

    pub fn optimizer(&self) -> Settings {
        Settings {
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            decay_all: self.decay_all,
            clip: self.clip,
            muon: self.optimizer == Method::Muon,
        }
    }
}

impl Recipe {
    /// Reads and checks a recipe.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).or_at("cannot read the recipe", path)?;
        Self::parse(&text).map_err(|error| error.at(path))
    }

    /// Parses and checks the text of a recipe. An error names the key that is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let recipe: Recipe = toml::from_str(text)
            .map_err(|error| Error::input(format!("the recipe cannot be used: {}", error.to_string().trim())))?;
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<()> {
        if self.stages.is_empty() {
            return Err(Error::input("the recipe has no [[stage]]"));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let name = &stage.name;
            let refuse = |what: String| Err(Error::input(format!("stage {name:?}: {what}")));
            if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') || name == "model" {
                return refuse("this name cannot be a folder of the results".to_owned());
            }
            if self.stages[..index].iter().any(|other| other.name == *name) {
                return refuse("there are two stages of this name".to_owned());
            }
            for from in stage.from.iter().flatten() {
                if !self.stages[..index].iter().any(|other| other.name == *from) {
                    return refuse(format!("from: {from:?} is no earlier stage"));
                }
            }
            let sources = self.sources(stage);
            if let Some(other) = stage.average.iter().find(|name| !sources.contains(&name.as_str())) {
                return refuse(format!("average: it does not start from {other:?}"));
            }
            if stage.steps == 0 || stage.batch == 0 || stage.accumulate == 0 || stage.log_every == 0 {
                return refuse("steps, batch, accumulate and log_every must be at least 1".to_owned());
            }
            if stage.trainable.is_empty() {
                return refuse("trainable is empty: nobody would learn".to_owned());
            }
            let shares = [stage.data.told_share, stage.data.signs];
            if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || stage.data.told_noise < 0.0 {
                return refuse("told_share and signs lie between 0 and 1, told_noise is not negative".to_owned());
            }
            stage.data.mix.check()?;
            let range = stage.initializer_range.unwrap_or(1.0);
            let numbers = [stage.lr, stage.eps, stage.clip.unwrap_or(1.0), range];
            if numbers.iter().any(|number| !(number.is_finite() && *number > 0.0)) {
                return refuse("lr, eps, clip and initializer_range must be positive".to_owned());
            }
        }
        Ok(())
    }

    /// The stages whose results `stage` starts from, earliest first.
    pub fn sources<'a>(&'a self, stage: &'a Stage) -> Vec<&'a str> {
        let earlier = self.stages.iter().take_while(|other| other.name != stage.name).map(|other| other.name.as_str());
        match &stage.from {
            Some(from) => earlier.filter(|name| from.iter().any(|wanted| wanted == name)).collect(),
            None => earlier.collect(),
        }
    }

    /// The sha256 of what decides a stage's numbers, beside the stages that it starts from: seed, model, tokenizer, adapter
    /// and the stage itself, without how often it logs and saves.
    pub fn stage_sha256(&self, stage: &Stage) -> String {
        let mut stage = stage.clone();
        (stage.log_every, stage.sample_every, stage.samples, stage.checkpoint_every) = (1, 0, 0, 0);
        let all = serde_json::json!({
            "seed": self.seed, "model": self.model, "tokenizer": self.tokenizer, "lora": self.lora, "stage": stage,
        });
        hex::encode(Sha256::digest(all.to_string()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A recipe of one stage of the given kind, small enough for tests.
    pub(in crate::train) fn tiny(kind: &str, trainable: &str) -> String {
        format!(
            r#"
            name = "tiny"
            seed = 7
            [model]
            num_query_tokens = 12
            [model.vision_config]
            hidden_size = 16
            intermediate_size = 24
            num_hidden_layers = 1
            num_attention_heads = 2
            image_size = 96
            patch_size = 24
            [model.visual_abstractor_config]
            hidden_size = 16
            encoder_hidden_size = 16
            intermediate_size = 24
            num_hidden_layers = 1
            num_attention_heads = 2
            [model.text_config]
            vocab_size = 400
            hidden_size = 16
            intermediate_size = 24
            num_hidden_layers = 2
            num_attention_heads = 2
            [tokenizer]
            [[stage]]
            name = "only"
            kind = "{kind}"
            trainable = {trainable}
            steps = 6
            batch = 2
            lr = 0.001
            schedule = "cosine"
            warmup = 2
            clip = 1.0
            log_every = 1
            [stage.data]
            "#
        )
    }

    #[test]
    fn a_small_recipe_is_read() {
        let recipe = Recipe::parse(&tiny("language", r#"["language", "vit_eos"]"#)).unwrap();
        assert_eq!(recipe.stages[0].trainable, [Group::Language, Group::VitEos]);
        assert_eq!(recipe.model.config_json()["text_config"]["hidden_size"], 16);
        assert_eq!(recipe.model.config_json()["model_type"], "mplug-owl");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = tiny("language", r#"["language"]"#).replace("warmup = 2", "warm_up = 2");
        let error = Recipe::parse(&text).unwrap_err();
        assert!(error.to_string().contains("warm_up"), "{error}");
    }

    #[test]
    fn a_stage_that_trains_nothing_is_refused_by_name() {
        let error = Recipe::parse(&tiny("language", "[]")).unwrap_err();
        assert!(error.to_string().contains("\"only\""), "{error}");
    }

    #[test]
    fn only_what_a_stage_starts_from_can_be_averaged() {
        let text = tiny("language", r#"["language"]"#).replace("steps = 6", "average = [\"later\"]\nsteps = 6");
        let error = Recipe::parse(&text).unwrap_err();
        assert!(error.to_string().contains("average") && error.to_string().contains("\"later\""), "{error}");
    }

    #[test]
    fn groups_share_the_model_out() {
        let lora = "base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_A.weight";
        assert!(Group::Lora.holds(lora) && !Group::Language.holds(lora));
        assert!(Group::Abstractor.holds("query_tokens") && Group::Abstractor.holds("abstractor.vit_eos"));
        assert!(Group::VitEos.holds("abstractor.vit_eos") && !Group::VitEos.holds("query_tokens"));
        assert!(Group::Vision.holds("vision_model.post_layernorm.bias"));
    }
}
