//! Weights: from the files that people have to the tensors that the model asks for, by name and shape.
//!
//! ```text
//! safetensors │ pytorch_model.bin │ GGUF │ embedded bytes     file.rs + one reader a format: name -> range of bytes
//!        └──────── Checkpoint ────────┘                       which files (layout.rs), which names, which were asked for
//!                     │  tensor by tensor (load.rs), converted or quantised on the way (convert.rs)
//!            source::TensorSource                             what the model sees
//! ```
//!
//! Files are mapped, each tensor is converted straight out of the map, and its pages are given back afterwards: at no
//! time do two copies of the weights lie in memory. `lora.rs` reads and writes adapters, `gguf.rs` and `export.rs` write
//! whole models, `summary.rs` tells what a model consists of from the headers alone.

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use crate::error::Result;

mod byte_reader;
mod checkpoint;
mod convert;
mod digest;
mod export;
mod file;
mod gguf;
mod layout;
mod load;
pub mod lora;
mod pickle;
mod pytorch;
mod safetensors;
mod summary;

pub use checkpoint::{Checkpoint, SideFile};
pub(super) use digest::of_file as file_sha256;
pub use export::{SHARD_BYTES, export, merge_adapter};
pub use file::Encoding;
pub use gguf::{QuantizeOptions, quantize};
pub use lora::Adapter;
pub use summary::{FileSummary, Summary, TowerSummary};

/// How the language model's weight matrices are quantised, in the block formats of GGML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// 8.5 bits a weight: blocks of 32 with one scale.
    Q8_0,
    /// 4.5 bits a weight: super-blocks of 256 with scales and minima of their own.
    Q4K,
}

impl Quantization {
    pub fn ggml(self) -> GgmlDType {
        match self {
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q4K => GgmlDType::Q4K,
        }
    }

    /// The name on the command line: `q8_0` or `q4_k`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
        }
    }

    /// Whether a matrix `[out, in]` can be quantised: candle's fast kernels want whole super-blocks of 256 along the
    /// input and tiles of 16 rows; other shapes would be up to a hundred times slower than f32.
    pub fn fits(shape: &[usize]) -> bool {
        matches!(shape, [rows, columns] if rows % 16 == 0 && columns % 256 == 0 && *rows > 0 && *columns > 0)
    }
}

impl std::str::FromStr for Quantization {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "q8_0" => Ok(Self::Q8_0),
            "q4_k" => Ok(Self::Q4K),
            other => {
                Err(crate::error::Error::input(format!("unknown quantisation {other:?}")).remedy("use q8_0 or q4_k"))
            }
        }
    }
}

/// In which types the towers are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtypePolicy {
    /// Vision tower, abstractor and query tokens.
    pub vision: DType,
    /// Language model: everything that is not quantised.
    pub language: DType,
    /// Quantises the language model's linear layers while loading (never its embeddings).
    pub quantize: Option<Quantization>,
}

impl DtypePolicy {
    /// Everything in one dtype, nothing quantised at load.
    pub fn dense(dtype: DType) -> Self {
        Self { vision: dtype, language: dtype, quantize: None }
    }

    /// Everything f32 but for the quantised matrices of the language model.
    pub fn quantized(quantization: Quantization) -> Self {
        Self { vision: DType::F32, language: DType::F32, quantize: Some(quantization) }
    }

    /// The dtype of the tower to which a tensor belongs.
    pub fn of(&self, name: &str) -> DType {
        if name.starts_with(LANGUAGE_MODEL) { self.language } else { self.vision }
    }
}

impl Default for DtypePolicy {
    fn default() -> Self {
        Self::dense(DType::F32)
    }
}

const LANGUAGE_MODEL: &str = "language_model.";

/// Whether a name is that of a weight matrix of the language model that may be quantised: the projections of attention
/// and feed-forward network, and the output head; not the embeddings, which are looked up and not multiplied.
pub fn is_language_linear(name: &str) -> bool {
    const LAYERS: [&str; 8] = [
        ".self_attn.q_proj.weight",
        ".self_attn.k_proj.weight",
        ".self_attn.v_proj.weight",
        ".self_attn.o_proj.weight",
        ".mlp.gate_proj.weight",
        ".mlp.up_proj.weight",
        ".mlp.down_proj.weight",
        ".lm_head.weight",
    ];
    name.starts_with(LANGUAGE_MODEL) && LAYERS.iter().any(|layer| name.ends_with(layer))
}

/// Whether a name is that of a buffer which the model computes itself: files of several versions of transformers hold
/// them, sometimes in half precision, and they must not be used.
pub fn is_buffer(name: &str) -> bool {
    const BUFFERS: [&str; 5] =
        ["rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached", "position_ids", "masked_bias"];
    BUFFERS
        .iter()
        .any(|buffer| name.strip_suffix(buffer).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

/// The name of section 3 for a name found in a file: raw training state dicts carry the prefix `base_model.model.`,
/// newer ones `.base_layer.` in adapted layers, and the adapter's name (`default`) in `lora_A.default.weight`.
pub fn canonical_name(name: &str) -> String {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    name.replace(".base_layer.", ".")
        .replace(".lora_A.default.weight", ".lora_A.weight")
        .replace(".lora_B.default.weight", ".lora_B.weight")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_raw_training_state_dicts_become_the_names_of_the_model() {
        let layer = "language_model.model.layers.0.self_attn.q_proj";
        assert_eq!(canonical_name(&format!("base_model.model.{layer}.weight")), format!("{layer}.weight"));
        assert_eq!(canonical_name(&format!("base_model.model.{layer}.base_layer.weight")), format!("{layer}.weight"));
        assert_eq!(
            canonical_name(&format!("base_model.model.{layer}.lora_A.default.weight")),
            format!("{layer}.lora_A.weight")
        );
        assert_eq!(canonical_name("query_tokens"), "query_tokens");
    }

    #[test]
    fn buffers_are_known_by_their_last_names_only() {
        assert!(is_buffer("language_model.model.layers.3.self_attn.rotary_emb.inv_freq"));
        assert!(is_buffer("vision_model.embeddings.position_ids"));
        assert!(is_buffer("x.attn.masked_bias"));
        assert!(!is_buffer("vision_model.embeddings.position_embedding"));
        assert!(!is_buffer("x.unmasked_bias"));
    }

    #[test]
    fn embeddings_and_other_towers_are_never_quantised() {
        assert!(is_language_linear("language_model.lm_head.weight"));
        assert!(is_language_linear("language_model.model.layers.11.mlp.down_proj.weight"));
        assert!(!is_language_linear("language_model.model.embed_tokens.weight"));
        assert!(!is_language_linear("vision_model.encoder.layers.0.mlp.fc1.weight"));
        assert!(Quantization::fits(&[48, 512]));
        assert!(!Quantization::fits(&[48, 128]));
        assert!(!Quantization::fits(&[40, 256]));
    }
}
