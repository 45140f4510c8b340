//! From what the user named to a loaded model: where the files are, which device, which dtype, which template.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use candle_core::{DType, Device};

use super::assistant::Assistant;
use super::built_in;
use crate::backend::{BackendInfo, TemplateId};
use crate::error::{Error, Result};
use crate::owl::hub;
use crate::owl::processor::{PreprocessorConfig, Template, Tokenizer};
use crate::owl::weights::{Adapter, Checkpoint, DtypePolicy, Quantization};
use crate::owl::{Config, Owl};

/// The file beside a model's weights that holds the template it was trained with.
const TEMPLATE_FILE: &str = "template.toml";

/// The reference's template, for checkpoints that do not bring their own.
const REFERENCE_TEMPLATE: &str = "readme";

/// A language model of more parameters is quantised on the CPU unless the user says otherwise: in f32 a 7B needs 28 GB.
const LARGE: usize = 2_000_000_000;

/// What to load and how.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalOptions {
    /// `owl-mini`, a checkpoint folder, a GGUF file, or `hf:ORG/NAME`.
    pub model: String,
    /// A PEFT adapter folder, applied unmerged.
    pub lora: Option<PathBuf>,
    /// A built-in template's name or a file; the model's own where none is named.
    pub template: Option<String>,
    pub device: DeviceChoice,
    pub dtype: DtypeChoice,
    /// Conversations decoded together.
    pub batch: Option<usize>,
}

impl LocalOptions {
    /// A model with everything chosen for it.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            lora: None,
            template: None,
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            batch: None,
        }
    }

    /// The model alone, and the dtypes of its towers.
    ///
    /// # Errors
    /// As [`LocalBackend::open`](super::LocalBackend::open).
    pub fn load(&self) -> Result<(Owl, DtypePolicy)> {
        let (checkpoint, _) = checkpoint(self, &self.device.open()?)?;
        let config = Config::parse(&text(&checkpoint, "config.json")?).map_err(|error| error.at(checkpoint.place()))?;
        let owl = Owl::new(&config, &checkpoint)?;
        checkpoint.finish(|_| false)?;
        Ok((owl, checkpoint.policy()))
    }

    /// The template that the model will be asked in. Of a model on the hub nothing is fetched: it is taken to be one of
    /// the published ones.
    ///
    /// # Errors
    /// A model or template that is not there.
    pub fn template(&self) -> Result<Template> {
        match &self.template {
            Some(name) => Template::load(name),
            None if self.model.starts_with(hub::SCHEME) => Template::load(REFERENCE_TEMPLATE),
            None => template(self, &checkpoint(self, &Device::Cpu)?.0),
        }
    }
}

/// `auto`, `cpu`, `cuda:N` or `metal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    Auto,
    Cpu,
    Cuda(usize),
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            other => match other.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(index)) => Ok(Self::Cuda(index)),
                _ => Err(Error::input(format!("unknown device {other:?}")).remedy("use auto, cpu, cuda:N or metal")),
            },
        }
    }
}

impl DeviceChoice {
    /// Opens the device; `auto` takes a GPU that this build knows and the machine has, else the CPU.
    ///
    /// # Errors
    /// A GPU was asked for by name and this build or this machine has none.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto => Ok(cuda(0).or_else(|_| metal()).unwrap_or(Device::Cpu)),
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => cuda(index),
            Self::Metal => metal(),
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    // Opening a device without a driver library panics inside of the bindings: ask first.
    let has_driver = unsafe { candle_core::cuda_backend::cudarc::driver::sys::is_culib_present() };
    if !has_driver {
        return Err(Error::input("there is no CUDA driver on this machine").remedy("use --device cpu"));
    }
    Device::new_cuda(index).map_err(|source| Error::input(format!("cannot open cuda:{index}")).source(source))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device> {
    Err(Error::input("this build knows no CUDA").remedy("build with --features cuda, or use --device cpu"))
}

#[cfg(feature = "metal")]
fn metal() -> Result<Device> {
    Device::new_metal(0).map_err(|source| Error::input("cannot open the Metal device").source(source))
}

#[cfg(not(feature = "metal"))]
fn metal() -> Result<Device> {
    Err(Error::input("this build knows no Metal").remedy("build with --features metal, or use --device cpu"))
}

/// `auto`, `f32`, `bf16`, `f16`, `q8_0` or `q4_k`; the last two quantise the language model alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtypeChoice {
    Auto,
    Dense(DType),
    Quantized(Quantization),
}

impl FromStr for DtypeChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::Dense(DType::F32)),
            "bf16" => Ok(Self::Dense(DType::BF16)),
            "f16" => Ok(Self::Dense(DType::F16)),
            other => other.parse().map(Self::Quantized).map_err(|_| {
                Error::input(format!("unknown dtype {other:?}")).remedy("use auto, f32, bf16, f16, q8_0 or q4_k")
            }),
        }
    }
}

impl DtypeChoice {
    /// The dtypes of the towers on a device.
    ///
    /// `auto` is what is fast: on the CPU f32, and Q8_0 for the matrices of a language model that would be too large;
    /// on a GPU bf16.
    ///
    /// # Errors
    /// Half precision on the CPU: candle widens whole matrices at every product there.
    fn policy(self, device: &Device, language_parameters: usize) -> Result<DtypePolicy> {
        match self {
            Self::Auto if !device.is_cpu() => Ok(DtypePolicy::dense(DType::BF16)),
            Self::Auto if language_parameters > LARGE => Ok(DtypePolicy::quantized(Quantization::Q8_0)),
            Self::Auto => Ok(DtypePolicy::dense(DType::F32)),
            Self::Dense(dtype) if device.is_cpu() && dtype != DType::F32 => {
                Err(Error::input(format!("{} is some hundred times slower than f32 on the CPU", dtype.as_str()))
                    .remedy("use --dtype f32, or q8_0 for a large model"))
            }
            Self::Dense(dtype) => Ok(DtypePolicy::dense(dtype)),
            Self::Quantized(quantization) => Ok(DtypePolicy::quantized(quantization)),
        }
    }
}

/// Loads the model and says what it is.
pub(super) fn open(options: &LocalOptions) -> Result<(Assistant, BackendInfo)> {
    let device = options.device.open()?;
    let (checkpoint, id) = checkpoint(options, &device)?;
    let config = Config::parse(&text(&checkpoint, "config.json")?).map_err(|error| error.at(checkpoint.place()))?;
    let adapter = options.lora.as_deref().map(Adapter::open).transpose()?;
    let adapter_info = match (&adapter, &options.lora) {
        (Some(adapter), Some(folder)) => Some(serde_json::json!({
            "folder": folder.file_name().map(|name| name.to_string_lossy()),
            "sha256": adapter.weights_sha256()?,
            "scaling": adapter.scaling(),
            "pairs": adapter.pairs().count(),
        })),
        _ => None,
    };
    let checkpoint = match adapter {
        Some(adapter) => checkpoint.with_adapter(adapter)?,
        None => checkpoint,
    };
    let owl = Owl::new(&config, &checkpoint)?;
    checkpoint.finish(|_| false)?;
    for name in checkpoint.left_dense() {
        tracing::warn!("{name} has a shape that cannot be quantised and stays f32");
    }
    let weights_sha256 = checkpoint.weights_sha256()?;
    let assistant = Assistant {
        tokenizer: std::sync::Arc::new(tokenizer(&checkpoint)?),
        preprocessor: preprocessor(&checkpoint, &config)?,
        template: template(options, &checkpoint)?,
        weights_sha256: match &adapter_info {
            Some(adapter) => format!("{weights_sha256}+{}", adapter["sha256"].as_str().unwrap_or_default()),
            None => weights_sha256.clone(),
        },
        owl,
    };
    check_vocabulary(&assistant, &config)?;
    let info = BackendInfo {
        id,
        kind: "owl".into(),
        sha256: Some(weights_sha256),
        config: serde_json::to_value(&config).map_err(|source| Error::failed("no configuration").source(source))?,
        adapter: adapter_info,
        template: Some(TemplateId {
            name: assistant.template.name().to_owned(),
            sha256: assistant.template.sha256().to_owned(),
        }),
        device: device_name(&device),
        dtype: dtype_name(checkpoint.policy()),
    };
    Ok((assistant, info))
}

/// Opens the weights in the dtypes that suit their size; nothing but headers is read yet.
fn checkpoint(options: &LocalOptions, device: &Device) -> Result<(Checkpoint, String)> {
    let open = |policy: DtypePolicy| -> Result<(Checkpoint, String)> {
        if options.model == built_in::NAME {
            return Ok((built_in::open(device, policy)?, built_in::NAME.to_owned()));
        }
        let path = hub::resolve(&options.model)?;
        if !path.exists() {
            return Err(Error::input(format!("there is no model {:?}", options.model))
                .remedy("give owl-mini, a checkpoint folder in the Hugging Face layout, a GGUF file, or hf:ORG/NAME"));
        }
        let id = match options.model.strip_prefix(hub::SCHEME) {
            Some(id) => id.to_owned(),
            None => name_of(&path),
        };
        Ok((Checkpoint::open(&path, device, policy)?, id))
    };
    let (checkpoint, id) = open(DtypePolicy::default())?;
    let parameters: usize = checkpoint
        .names()
        .filter(|(name, _)| name.starts_with("language_model."))
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    let policy = options.dtype.policy(device, parameters)?;
    if policy == checkpoint.policy() { Ok((checkpoint, id)) } else { open(policy) }
}

/// The last part of a path, without the ending of a file.
fn name_of(path: &Path) -> String {
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = if full.is_dir() { full.file_name() } else { full.file_stem() };
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn text(checkpoint: &Checkpoint, name: &str) -> Result<String> {
    let bytes = checkpoint.side_file(name)?.ok_or_else(|| {
        Error::input(format!("there is no {name} beside the weights"))
            .at(checkpoint.place())
            .remedy("give a checkpoint folder in the Hugging Face layout of mPLUG-Owl")
    })?;
    String::from_utf8(bytes)
        .map_err(|source| Error::input(format!("{name} is not UTF-8")).at(checkpoint.place()).source(source))
}

/// `tokenizer.json` is quicker to read, `tokenizer.model` is what the published checkpoints have.
fn tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer> {
    for name in ["tokenizer.json", "tokenizer.model"] {
        if let Some(bytes) = checkpoint.side_file(name)? {
            return Tokenizer::from_bytes(&bytes).map_err(|error| error.at(checkpoint.place().join(name)));
        }
    }
    Err(Error::input("there is neither a tokenizer.json nor a tokenizer.model beside the weights")
        .at(checkpoint.place())
        .remedy("copy the tokenizer of the model into its folder"))
}

fn preprocessor(checkpoint: &Checkpoint, config: &Config) -> Result<PreprocessorConfig> {
    let preprocessor = match checkpoint.side_file("preprocessor_config.json")? {
        Some(bytes) => PreprocessorConfig::from_json(&String::from_utf8_lossy(&bytes))
            .map_err(|error| error.at(checkpoint.place().join("preprocessor_config.json")))?,
        None => PreprocessorConfig::from_json("{}")?,
    };
    let (found, expected) = (preprocessor.image_size, config.vision_config.image_size);
    if found != expected {
        return Err(Error::input(format!(
            "preprocessor_config.json makes pictures of {found} pixels, the vision tower takes {expected}"
        ))
        .at(checkpoint.place()));
    }
    Ok(preprocessor)
}

fn template(options: &LocalOptions, checkpoint: &Checkpoint) -> Result<Template> {
    match (&options.template, checkpoint.side_file(TEMPLATE_FILE)?) {
        (Some(name), _) => Template::load(name),
        (None, Some(own)) => Template::from_toml(&String::from_utf8_lossy(&own))
            .map_err(|error| error.at(checkpoint.place().join(TEMPLATE_FILE))),
        (None, None) => Template::load(REFERENCE_TEMPLATE),
    }
}

/// A tokenizer of another model would ask for embeddings that are not there.
fn check_vocabulary(assistant: &Assistant, config: &Config) -> Result<()> {
    let (pieces, embeddings) = (assistant.tokenizer.vocab_size(), config.text_config.vocab_size);
    if pieces > embeddings {
        return Err(Error::input(format!("the tokenizer has {pieces} pieces, the model {embeddings} embeddings"))
            .remedy("use the tokenizer that belongs to the checkpoint"));
    }
    Ok(())
}

fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { .. } => "metal".into(),
    }
}

fn dtype_name(policy: DtypePolicy) -> String {
    match policy.quantize {
        Some(quantization) => quantization.name().to_owned(),
        None => policy.language.as_str().to_owned(),
    }
}

/// Rows that are decoded together where the user says nothing: enough to read weights once for many, few enough that
/// caches stay small beside a large model.
pub(super) fn default_batch(assistant: &Assistant) -> usize {
    let text = &assistant.owl.config.text_config;
    // Keys and values of 1,024 tokens, in bytes.
    let cache = 1024 * text.num_hidden_layers * text.hidden_size * 2 * 4;
    ((2usize << 30) / cache.max(1)).clamp(1, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_dtypes_are_read_by_name() {
        assert_eq!("cuda:3".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(3));
        assert!("cuda:x".parse::<DeviceChoice>().unwrap_err().remedy_text().unwrap().contains("cuda:N"));
        assert_eq!("q4_k".parse::<DtypeChoice>().unwrap(), DtypeChoice::Quantized(Quantization::Q4K));
        assert!("int8".parse::<DtypeChoice>().is_err());
    }

    #[test]
    fn half_precision_is_never_chosen_on_the_cpu() {
        let policy = |choice: DtypeChoice, parameters| choice.policy(&Device::Cpu, parameters);
        assert_eq!(policy(DtypeChoice::Auto, 1).unwrap(), DtypePolicy::dense(DType::F32));
        assert_eq!(policy(DtypeChoice::Auto, LARGE + 1).unwrap(), DtypePolicy::quantized(Quantization::Q8_0));
        assert!(policy(DtypeChoice::Dense(DType::BF16), 1).unwrap_err().remedy_text().unwrap().contains("f32"));
    }
}
