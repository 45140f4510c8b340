//! A stage in its place: where its weights come from, what it learns from, and the finished model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::checkpoint::{self, Files, State};
use super::data::batch::{Batches, DEVIATION, MEAN};
use super::data::file::File;
use super::data::scenes::{self, Scenes};
use super::data::{Conversations, Split};
use super::lanes::Lanes;
use super::learner::{Learner, MakeWork, Work};
use super::optimizer::Optimizer;
use super::parameters::{Parameters, generator};
use super::recipe::{Group, Kind, Recipe, Stage};
use super::run::{self, Session};
use crate::error::{Error, IoContext, Result};
use crate::owl::config::Config;
use crate::owl::processor::{Template, Tokenizer, TokenizerTrainer, decode_and_resize};

/// How many dialogues the tokenizer is trained on.
const TOKENIZER_DIALOGUES: usize = 3000;
/// Pictures that vision pre-training reads to report its accuracy.
const READ: usize = 192;

/// What `owleval train` was asked to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub out: PathBuf,
    /// Stages whose files are in folders of their own instead of `out/<stage>`, by name.
    pub folders: BTreeMap<String, PathBuf>,
    /// One stage alone; without it all, in order.
    pub stage: Option<String>,
    /// Carry on what was begun.
    pub resume: bool,
    /// A safetensors file, or a folder with `model.safetensors`, whose tensors replace fresh ones.
    pub init: Option<PathBuf>,
    /// Stop each stage after this many updates: for tests.
    pub stop_after: Option<usize>,
}

/// A recipe that is being carried out.
pub struct Trainer {
    recipe: Recipe,
    /// What paths in the recipe are relative to.
    base: PathBuf,
    options: Options,
    config: Config,
    tokenizer: Tokenizer,
    device: Device,
}

impl Trainer {
    /// Checks the recipe's model and makes or reads its tokenizer.
    pub fn new(recipe: Recipe, base: &Path, options: Options) -> Result<Self> {
        tune_allocator();
        let config = Config::parse(&recipe.model.config_json().to_string())?;
        run::make_folder(&options.out)?;
        let path = options.out.join("tokenizer.json");
        let tokenizer = tokenizer(&recipe, base, &path)?;
        let (pieces, vocabulary) = (tokenizer.vocab_size(), config.text_config.vocab_size);
        if pieces > vocabulary {
            let message = format!("the tokenizer has {pieces} pieces, model.text_config.vocab_size is {vocabulary}");
            return Err(Error::input(message));
        }
        Ok(Self { recipe, base: base.to_owned(), options, config, tokenizer, device: Device::Cpu })
    }

    /// Carries out the stages that were asked for, then writes the finished model if all are finished.
    pub fn run(&self) -> Result<()> {
        let wanted = |stage: &&Stage| self.options.stage.as_ref().is_none_or(|name| *name == stage.name);
        let stages = self.recipe.stages.iter().filter(wanted).collect::<Vec<_>>();
        if stages.is_empty() {
            let names = self.recipe.stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>().join(", ");
            let name = self.options.stage.as_deref().unwrap_or_default();
            return Err(Error::input(format!("the recipe has no stage {name:?}")).remedy(format!("it has: {names}")));
        }
        for stage in stages {
            self.run_stage(stage)?;
        }
        let mut finished = true;
        for stage in &self.recipe.stages {
            let state = checkpoint::read_state(&self.files(&stage.name).state())?;
            finished &= state.is_some_and(|state| state.finished);
        }
        if finished {
            self.write_model(&self.options.out.join("model"))?;
        }
        Ok(())
    }

    /// Carries out one stage. Its folder must be new, unless it is to be resumed.
    pub fn run_stage(&self, stage: &Stage) -> Result<State> {
        let files = self.files(&stage.name);
        let digest = self.recipe.stage_sha256(stage);
        let saved = if self.options.resume { checkpoint::read(&files, &digest)? } else { None };
        if saved.is_none() && files.state().exists() {
            return Err(Error::input("this stage has been trained before")
                .at(&files.folder)
                .remedy("carry it on with --resume, or give another --out"));
        }
        if let (Some(saved), Some(state)) = (&saved, checkpoint::read_state(&files.state())?)
            && saved.updates >= stage.steps
            && state.finished
        {
            return Ok(state);
        }
        run::make_folder(&files.folder)?;

        let mut parameters = self.parameters(stage)?;
        if let Some(saved) = &saved {
            parameters.insert(saved.values());
        }
        let heads: &[_] = if stage.kind == Kind::Vision { &scenes::HEADS } else { &[] };
        let learner = Learner::new(&self.config, parameters, heads, stage.data.told_noise)?;
        let mut optimizer = Optimizer::new(learner.parameters.trainable(), stage.optimizer())?;
        if let Some(saved) = &saved {
            saved.restore(&mut optimizer)?;
        }

        let seed = self.seed(stage);
        let conversations = if stage.kind == Kind::Vision { None } else { Some(Arc::new(self.batches(stage, seed)?)) };
        let work: MakeWork = match &conversations {
            Some(batches) => {
                let batches = batches.clone();
                Arc::new(move |step, part| Ok(Work::Conversations(batches.train(step, part)?)))
            }
            None => self.pictures(stage, seed, Split::Train, stage.batch),
        };
        let read = match &conversations {
            Some(_) => Vec::new(),
            None => run::MEASURED.map(|(split, _)| self.pictures(stage, seed, split, READ)).to_vec(),
        };
        let lanes = Lanes::new(stage.accumulate)?;
        let session = Session {
            stage,
            files,
            lanes: &lanes,
            recipe_sha256: digest,
            learner: &learner,
            tokenizer: &self.tokenizer,
            work,
            asked: conversations.as_deref(),
            read,
            stop_after: self.options.stop_after,
        };
        run::train(&session, &mut optimizer, saved.map_or(0.0, |saved| saved.seconds))
    }

    /// The weights that a stage starts from: fresh ones, then `--init`, then the stages before it, then means of some of those.
    fn parameters(&self, stage: &Stage) -> Result<Parameters> {
        let mut parameters =
            Parameters::new(self.recipe.seed, &stage.trainable, &self.device).with_initializer(stage.initializer());
        if stage.trainable.contains(&Group::Lora) || self.has_adapter(stage) {
            parameters = parameters.with_adapter(&self.recipe.lora);
        }
        if let Some(init) = &self.options.init {
            let file = if init.is_dir() { init.join("model.safetensors") } else { init.clone() };
            parameters.load(&file)?;
        }
        for source in self.recipe.sources(stage) {
            let file = self.files(source).checkpoint();
            if !file.exists() {
                return Err(Error::input(format!(
                    "stage {:?} starts from stage {source:?}, which is missing",
                    stage.name
                ))
                .at(&file)
                .remedy(format!("train it first: --stage {source}")));
            }
            parameters.load(&file)?;
        }
        let averaged: Vec<PathBuf> = stage.average.iter().map(|source| self.files(source).checkpoint()).collect();
        parameters.insert(checkpoint::mean(&averaged)?);
        Ok(parameters)
    }

    /// Whether an earlier stage trained an adapter.
    fn has_adapter(&self, stage: &Stage) -> bool {
        let sources = self.recipe.sources(stage);
        let earlier = self.recipe.stages.iter().filter(|other| sources.contains(&other.name.as_str()));
        earlier.into_iter().any(|other| other.trainable.contains(&Group::Lora))
    }

    fn batches(&self, stage: &Stage, seed: u64) -> Result<Batches> {
        let side = self.config.vision_config.image_size;
        let conversations: Arc<dyn Conversations> = match &stage.data.file {
            Some(file) => Arc::new(File::read(&self.base.join(file), seed, Box::new(move |path| resize(path, side)))?),
            None => Arc::new(Scenes::new(seed, &stage.data.mix, side as u32)?),
        };
        Ok(Batches {
            conversations,
            tokenizer: self.tokenizer.clone(),
            stage: stage.clone(),
            seed,
            query_tokens: self.config.num_query_tokens,
            image_size: side,
            width: self.config.text_config.hidden_size,
        })
    }

    fn pictures(&self, stage: &Stage, seed: u64, split: Split, count: usize) -> MakeWork {
        let side = self.config.vision_config.image_size as u32;
        let (accumulate, count, signs) = (stage.accumulate, count as u64, stage.data.signs);
        Arc::new(move |step, part| {
            let first = (step * accumulate + part) as u64 * count;
            let pictures = (first..first + count).map(|index| scenes::labelled(split, seed, index, side, signs));
            Ok(Work::Pictures(pictures.collect()))
        })
    }

    fn seed(&self, stage: &Stage) -> u64 {
        use rand::RngExt;
        generator(self.recipe.seed, &["stage", &stage.name, &stage.seed.to_string()]).random()
    }

    /// Where a stage's files are.
    fn files(&self, stage: &str) -> Files {
        match self.options.folders.get(stage) {
            Some(folder) => Files { folder: folder.clone() },
            None => Files::new(&self.options.out, stage),
        }
    }

    /// Writes the finished model as a folder in the Hugging Face layout.
    pub fn write_model(&self, folder: &Path) -> Result<()> {
        run::make_folder(folder)?;
        let Some(last) = self.recipe.stages.last() else { return Ok(()) };
        let mut parameters = self.parameters(last)?;
        parameters.load(&self.files(&last.name).checkpoint())?;
        let adapted = last.trainable.contains(&Group::Lora) || self.has_adapter(last);
        // Building the model asks for every tensor, so that none is missing.
        let learner = Learner::new(&self.config, parameters, &[], 0.0)?;
        let all = learner.parameters.all();
        let (adapter, base): (Vec<_>, Vec<_>) = all
            .into_iter()
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .filter(|(name, _)| !name.starts_with("probe."))
            .partition(|(name, _)| Group::Lora.holds(name));
        let base = if adapted && self.recipe.lora.merge { self.merged(base, &adapter)? } else { base };
        let about = [("format", "pt".to_owned())];
        checkpoint::write_tensors(&folder.join("model.safetensors"), base, &about)?;
        if adapted && !self.recipe.lora.merge {
            self.write_adapter(&folder.join("adapter"), adapter)?;
        }
        let size = self.config.vision_config.image_size;
        let token = &self.config.text_config;
        let files = [
            ("config.json", self.recipe.model.config_json()),
            (
                "generation_config.json",
                serde_json::json!({
                    "bos_token_id": token.bos_token_id, "eos_token_id": token.eos_token_id,
                    "pad_token_id": token.pad_token_id, "do_sample": false,
                }),
            ),
            (
                "preprocessor_config.json",
                serde_json::json!({
                    "size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size},
                    "resample": 3, "rescale_factor": 1.0 / 255.0,
                    "do_resize": true, "do_center_crop": true, "do_rescale": true, "do_normalize": true,
                    "do_convert_rgb": true, "image_mean": MEAN.map(decimal), "image_std": DEVIATION.map(decimal),
                }),
            ),
        ];
        for (name, value) in files {
            let mut text = serde_json::to_vec_pretty(&value)
                .map_err(|error| Error::failed(format!("cannot write {name}: {error}")))?;
            text.push(b'\n');
            checkpoint::write_whole(&folder.join(name), &text)?;
        }
        // The template that gives the very ids of the training.
        let template = Template::built_in("mini").unwrap_or_default();
        checkpoint::write_whole(&folder.join("template.toml"), template.as_bytes())?;
        let kept = self.options.out.join("tokenizer.json");
        let tokenizer = std::fs::read(&kept).or_at("cannot read the tokenizer", &kept)?;
        checkpoint::write_whole(&folder.join("tokenizer.json"), &tokenizer)
    }

    /// W + (alpha / r) B A for every adapted matrix.
    fn merged(&self, base: Vec<(String, Tensor)>, adapter: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let part = |matrix: &str, part: &str| {
            let name = format!("base_model.model.{matrix}.lora_{part}.weight");
            adapter.iter().find(|(other, _)| *other == name).map(|(_, tensor)| tensor)
        };
        let merge = |(name, tensor): (String, Tensor)| -> Result<(String, Tensor)> {
            let matrix = name.strip_suffix(".weight").unwrap_or(&name);
            let (Some(a), Some(b)) = (part(matrix, "A"), part(matrix, "B")) else { return Ok((name, tensor)) };
            let scaling = self.recipe.lora.alpha / self.recipe.lora.rank as f64;
            let tensor = (tensor + (b.matmul(a)? * scaling)?)?;
            Ok((name, tensor))
        };
        base.into_iter().map(merge).collect()
    }

    fn write_adapter(&self, folder: &Path, adapter: Vec<(String, Tensor)>) -> Result<()> {
        run::make_folder(folder)?;
        let lora = &self.recipe.lora;
        let config = serde_json::json!({
            "peft_type": "LORA", "base_model_name_or_path": self.recipe.name, "task_type": null,
            "inference_mode": true, "r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": 0.0,
            "target_modules": format!(".*language_model.*\\.({})", lora.targets.join("|")),
            "bias": "none", "fan_in_fan_out": false, "modules_to_save": null, "init_lora_weights": true,
        });
        checkpoint::write_whole(&folder.join("adapter_config.json"), format!("{config:#}\n").as_bytes())?;
        checkpoint::write_tensors(&folder.join("adapter_model.safetensors"), adapter, &[("format", "pt".to_owned())])
    }
}

/// An f32 as the shortest decimal that means it.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The recipe's tokenizer: what an earlier run left in the results, a file, or one trained on the scenes.
fn tokenizer(recipe: &Recipe, base: &Path, kept: &Path) -> Result<Tokenizer> {
    if !kept.exists() {
        let bytes = match &recipe.tokenizer.file {
            Some(file) => {
                let file = base.join(file);
                std::fs::read(&file).or_at("cannot read the tokenizer", &file)?
            }
            None => {
                // The chunks of the template are encoded as often as questions, and become pieces too.
                let chunks = ["Human: ", "\n", "\nHuman: ", "AI: "];
                let chunks = chunks.into_iter().cycle().take(chunks.len() * TOKENIZER_DIALOGUES);
                let texts = crate::scenes::corpus(TOKENIZER_DIALOGUES);
                let texts = texts.iter().map(String::as_str).chain(chunks);
                TokenizerTrainer::new(recipe.model.text_config.vocab_size).train(texts)?
            }
        };
        checkpoint::write_whole(kept, &bytes)?;
    }
    Tokenizer::load(kept)
}

/// A picture of a file of training data as S x S pixels, by the rules of inference.
fn resize(path: &Path, side: usize) -> Result<image::RgbImage> {
    let bytes = std::fs::read(path).or_at("cannot read the picture", path)?;
    let name = path.display().to_string();
    let picture = decode_and_resize(&bytes, &name, side)?;
    image::RgbImage::from_raw(side as u32, side as u32, picture.pixels)
        .ok_or_else(|| Error::failed("a resized picture has another size").at(path))
}

/// Keeps large temporaries in the process instead of giving them back to the system after every operation: page
/// faults would take a third of the time of a step.
fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets numbers of the C library's allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}
