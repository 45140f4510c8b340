//! Low-rank adapters (LoRA, arXiv 2106.09685) in the format of the PEFT library: a folder with `adapter_config.json` and
//! `adapter_model.safetensors` or `adapter_model.bin`.
//!
//! A matrix `W` `[out, in]` is used as `W + scaling · B A` with `A` `[r, in]`, `B` `[out, r]` and scaling = alpha / r.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoint::{Checkpoint, is_adapter};
use super::file::WeightFile;
use super::{canonical_name, convert, export};
use crate::error::{Error, IoContext, Result};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// Where the factors may be, in the order of preference. The last two are what a training run saves: base weights and
/// factors in one file.
const WEIGHT_FILES: [&str; 4] = [WEIGHTS_FILE, "adapter_model.bin", "model.safetensors", "pytorch_model.bin"];

/// Keys of `adapter_config.json` that change the computation in a way that is not implemented: each may be absent or
/// empty (null, false, 0, an empty list or object).
const UNSUPPORTED: [&str; 16] = [
    "fan_in_fan_out",
    "modules_to_save",
    "use_dora",
    "use_rslora",
    "use_qalora",
    "lora_bias",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "megatron_config",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "corda_config",
    "eva_config",
    "arrow_config",
];

/// `adapter_config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterConfig {
    /// r.
    pub rank: usize,
    /// alpha; the scaling is alpha / r.
    pub alpha: f64,
    /// Dropout on the input of A, in training only.
    pub dropout: f64,
    pub target_modules: TargetModules,
    /// What the adapter was trained on, as its maker wrote it.
    pub base_model: Option<String>,
}

/// Which layers PEFT adapts. On loading, the names of the factors decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// A regular expression that a layer's whole name matches.
    Pattern(String),
    /// Layers of these names or whose names end in `.<name>`.
    Names(Vec<String>),
}

impl AdapterConfig {
    /// alpha / r.
    pub fn scaling(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    fn from_json(json: &Value) -> Result<Self> {
        let refuse = |key: &str, value: &Value| {
            Err(Error::input(format!("the adapter sets {key:?} to {value}, which is not supported"))
                .remedy("merge the adapter with the library that made it, and use the merged checkpoint"))
        };
        let get = |key: &str| json.get(key).unwrap_or(&Value::Null);
        if get("peft_type").as_str().is_none_or(|kind| kind != "LORA") {
            return refuse("peft_type", get("peft_type"));
        }
        if !matches!(get("bias"), Value::Null) && get("bias") != "none" {
            return refuse("bias", get("bias"));
        }
        // PiSSA, OLoRA and LoftQ change the base weights when the adapter is made.
        if let Value::String(start) = get("init_lora_weights")
            && start != "gaussian"
        {
            return refuse("init_lora_weights", get("init_lora_weights"));
        }
        for key in UNSUPPORTED {
            let value = get(key);
            let empty = match value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(items) => items.is_empty(),
                _ => false,
            };
            if !empty {
                return refuse(key, value);
            }
        }
        let broken = |key: &str| {
            Error::input(format!("the adapter's {key:?} is {}, which is not usable", get(key)))
                .remedy("the file is damaged, or no adapter_config.json of PEFT")
        };
        let rank = get("r").as_u64().filter(|rank| *rank > 0).ok_or_else(|| broken("r"))?;
        let alpha = get("lora_alpha").as_f64().filter(|alpha| alpha.is_finite()).ok_or_else(|| broken("lora_alpha"))?;
        let dropout = match get("lora_dropout") {
            Value::Null => 0.0,
            value => value.as_f64().filter(|p| (0.0..1.0).contains(p)).ok_or_else(|| broken("lora_dropout"))?,
        };
        let target_modules =
            serde_json::from_value(get("target_modules").clone()).map_err(|_| broken("target_modules"))?;
        Ok(Self {
            rank: rank as usize,
            alpha,
            dropout,
            target_modules,
            base_model: get("base_model_name_or_path").as_str().map(str::to_owned),
        })
    }

    fn to_json(&self) -> Value {
        serde_json::json!({
            "peft_type": "LORA",
            "base_model_name_or_path": self.base_model,
            "task_type": null,
            "inference_mode": true,
            "r": self.rank,
            "target_modules": self.target_modules,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "fan_in_fan_out": false,
            "bias": "none",
            "modules_to_save": null,
            "init_lora_weights": true,
        })
    }
}

/// An adapter: its factors, f32 on the CPU, by the name of the layer they adapt.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub config: AdapterConfig,
    place: PathBuf,
    pairs: BTreeMap<String, (Tensor, Tensor)>,
}

impl Adapter {
    /// Reads an adapter folder.
    ///
    /// # Errors
    /// A file that is missing, damaged or of an unsupported kind (named); a factor without its partner or of a rank
    /// other than the configuration's.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG_FILE);
        let missing = || {
            Error::input("this is no adapter")
                .at(folder)
                .remedy(format!("an adapter folder holds {CONFIG_FILE} and {WEIGHTS_FILE} or adapter_model.bin"))
        };
        if !path.exists() {
            return Err(missing());
        }
        let text = fs::read(&path).or_at("cannot read", &path)?;
        let json: Value = serde_json::from_slice(&text)
            .map_err(|error| Error::input("this is no JSON").at_line(&path, error.line()).source(error))?;
        let config = AdapterConfig::from_json(&json).map_err(|error| error.at(&path))?;
        let weights =
            WEIGHT_FILES.iter().map(|name| folder.join(name)).find(|path| path.exists()).ok_or_else(missing)?;
        let file = WeightFile::open(&weights)?;
        let mut factors: BTreeMap<String, [Option<Tensor>; 2]> = BTreeMap::new();
        for (raw, entry) in &file.contents.entries {
            let name = canonical_name(raw);
            let base_and_factor = name
                .strip_suffix(".lora_A.weight")
                .map(|base| (base, 0))
                .or_else(|| name.strip_suffix(".lora_B.weight").map(|base| (base, 1)));
            let Some((base, factor)) = base_and_factor else {
                let raw_state_dict =
                    weights.file_name().is_some_and(|file| !file.to_string_lossy().contains("adapter"));
                if raw_state_dict && !is_adapter(&name) {
                    continue;
                }
                return Err(Error::input(format!("the tensor {raw:?} is no factor A or B of a linear layer"))
                    .at(&weights)
                    .remedy("merge the adapter with the library that made it, and use the merged checkpoint"));
            };
            let tensor =
                convert::to_tensor(&entry.encoding, &entry.shape, &file.values(entry), DType::F32, &Device::Cpu)
                    .map_err(|error| error.at(&weights))?;
            factors.entry(base.to_owned()).or_default()[factor] = Some(tensor);
        }
        let mut pairs = BTreeMap::new();
        for (base, factors) in factors {
            let [Some(a), Some(b)] = factors else {
                return Err(Error::input(format!("layer {base:?} has only one of the factors A and B"))
                    .at(&weights)
                    .remedy("the file is incomplete: copy it again"));
            };
            pairs.insert(base, (a, b));
        }
        Self::new(config, pairs).map(|adapter| Self { place: folder.to_owned(), ..adapter }).map_err(|e| e.at(&weights))
    }

    /// An adapter of factors `A` `[r, in]` and `B` `[out, r]` by the name of the layer (without `.weight`), as training
    /// makes it.
    pub fn new(config: AdapterConfig, pairs: BTreeMap<String, (Tensor, Tensor)>) -> Result<Self> {
        if pairs.is_empty() {
            return Err(Error::input("the adapter adapts no layer"));
        }
        for (base, (a, b)) in &pairs {
            let fits = a.rank() == 2 && b.rank() == 2 && a.dims()[0] == config.rank && b.dims()[1] == config.rank;
            if !fits {
                return Err(Error::input(format!(
                    "layer {base:?}: the factors have the shapes A {:?} and B {:?}, but [{rank}, in] and [out, {rank}] \
                     are expected",
                    a.dims(),
                    b.dims(),
                    rank = config.rank
                ))
                .remedy("adapter_config.json does not belong to these weights"));
            }
        }
        Ok(Self { config, place: PathBuf::new(), pairs })
    }

    /// The layers in the order of their names, without `.weight`, with A `[r, in]` and B `[out, r]`.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, (&Tensor, &Tensor))> {
        self.pairs.iter().map(|(name, (a, b))| (name.as_str(), (a, b)))
    }

    /// A and B of a layer (named without `.weight`), where it is adapted.
    pub fn get(&self, layer: &str) -> Option<(&Tensor, &Tensor)> {
        self.pairs.get(layer).map(|(a, b)| (a, b))
    }

    /// alpha / r.
    pub fn scaling(&self) -> f64 {
        self.config.scaling()
    }

    /// Whether every factor belongs to a matrix of the checkpoint and fits it.
    ///
    /// # Errors
    /// Names of layers that the checkpoint does not have; factors of other widths.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        let weight = |base: &str| checkpoint.shape_of(&format!("{base}.weight"));
        let unknown: Vec<String> =
            self.pairs.keys().filter(|base| weight(base).is_none()).map(|base| format!("{base:?}")).collect();
        if !unknown.is_empty() {
            return Err(Error::input(format!(
                "the adapter adapts layers that the model does not have: {}",
                unknown.join(", ")
            ))
            .at(&self.place)
            .remedy("the adapter was trained on another model"));
        }
        for (base, (a, b)) in &self.pairs {
            let adapted = [b.dims()[0], a.dims()[1]];
            if weight(base) != Some(&adapted) {
                return Err(Error::input(format!(
                    "the adapter's factors of layer {base:?} give the shape {adapted:?}, but the weight has {:?}",
                    weight(base).unwrap_or_default()
                ))
                .at(&self.place)
                .remedy("the adapter was trained on another model"));
            }
        }
        Ok(())
    }

    /// Lower-case sha256 of the factors' file, for the manifest of a run.
    pub fn weights_sha256(&self) -> Result<String> {
        let path = WEIGHT_FILES.iter().map(|name| self.place.join(name)).find(|path| path.exists());
        match path {
            Some(path) => super::digest::of_file(&path),
            None => Err(Error::failed("the adapter was not read from a folder")),
        }
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors` (f32) under PEFT's names; each file is written whole.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).or_at("cannot create the folder", folder)?;
        let mut tensors = BTreeMap::new();
        for (base, (a, b)) in &self.pairs {
            for (factor, tensor) in [("lora_A", a), ("lora_B", b)] {
                let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
                tensors.insert(format!("base_model.model.{base}.{factor}.weight"), tensor);
            }
        }
        let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = ::safetensors::serialize(&tensors, Some(metadata))
            .map_err(|error| Error::failed("the adapter cannot be written").at(folder).source(error))?;
        let path = folder.join(WEIGHTS_FILE);
        export::write_whole(&path, |to| to.write_all(&bytes).or_at("cannot write", &path))?;
        let path = folder.join(CONFIG_FILE);
        let text = format!("{:#}\n", self.config.to_json());
        export::write_whole(&path, |to| to.write_all(text.as_bytes()).or_at("cannot write", &path))
    }
}

/// `W + scaling · B A` for W `[out, in]`, A `[r, in]`, B `[out, r]`, computed in f32, in the dtype and on the device of W.
///
/// # Errors
/// Shapes that do not fit each other.
pub fn merge(weight: &Tensor, a: &Tensor, b: &Tensor, scaling: f64) -> Result<Tensor> {
    let place = |tensor: &Tensor| tensor.to_device(weight.device())?.to_dtype(DType::F32);
    let delta = (place(b)?.matmul(&place(a)?)? * scaling)?;
    Ok((weight.to_dtype(DType::F32)? + delta)?.to_dtype(weight.dtype())?)
}
