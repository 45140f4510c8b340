//! The model's configuration, in the names of the Hugging Face checkpoint (`config.json`). Unknown keys are ignored.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext, Result};

/// `config.json` of an mPLUG-Owl checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Q: how many visual tokens the abstractor writes for a picture, `vit_eos` not counted.
    #[serde(default = "num_query_tokens")]
    pub num_query_tokens: usize,
    #[serde(default)]
    pub vision_config: VisionConfig,
    #[serde(default)]
    pub visual_abstractor_config: AbstractorConfig,
    pub text_config: TextConfig,
    #[serde(default = "initializer_range")]
    pub initializer_range: f64,
}

/// The vision tower: a CLIP ViT whose activation is always QuickGELU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// V.
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// S, in pixels: pictures are S x S.
    pub image_size: usize,
    /// P, in pixels.
    pub patch_size: usize,
    pub layer_norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            image_size: 224,
            patch_size: 14,
            layer_norm_eps: 1e-6,
        }
    }
}

impl VisionConfig {
    /// N: patches of a picture, floor(S / P) squared.
    pub fn num_patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }
}

/// The visual abstractor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AbstractorConfig {
    /// A; equals the vision tower's V, because queries and image tokens share one key and value projection.
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// The class default is 4096; the released 7B has 2816.
    pub intermediate_size: usize,
    /// E = A.
    pub encoder_hidden_size: usize,
    /// Used by `ffn_ln` alone; the other norms of the abstractor have the constant 1e-5.
    pub layer_norm_eps: f64,
    /// Applied in training only, to attention probabilities.
    pub attention_probs_dropout_prob: f64,
}

impl Default for AbstractorConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1024,
            num_hidden_layers: 6,
            num_attention_heads: 16,
            intermediate_size: 4096,
            encoder_hidden_size: 1024,
            layer_norm_eps: 1e-6,
            attention_probs_dropout_prob: 0.1,
        }
    }
}

/// The language model: LLaMA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Anything but `llama` is refused: the multilingual checkpoint's `bloom` has another decoder.
    pub model_type: String,
    /// W.
    pub vocab_size: usize,
    /// H.
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub max_position_embeddings: usize,
    pub rms_norm_eps: f64,
    pub bos_token_id: u32,
    pub eos_token_id: u32,
    pub pad_token_id: Option<u32>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            model_type: "llama".into(),
            vocab_size: 32000,
            hidden_size: 4096,
            intermediate_size: 11008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-6,
            bos_token_id: 1,
            eos_token_id: 2,
            pad_token_id: Some(0),
        }
    }
}

impl TextConfig {
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

impl Config {
    /// Reads and checks `config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).or_at("cannot read the model's configuration", path)?;
        Self::parse(&text).map_err(|error| error.at(path))
    }

    /// Parses and checks the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = serde_json::from_str(text).map_err(|source| {
            Error::input(format!("not an mPLUG-Owl configuration: {source}"))
                .remedy("give a checkpoint folder in the Hugging Face layout of mPLUG-Owl")
                .source(source)
        })?;
        config.check()?;
        Ok(config)
    }

    /// Image slots of one picture in the prompt: Q + 1, the last for `vit_eos` (65 for the 7B).
    pub fn slots_per_image(&self) -> usize {
        self.num_query_tokens + 1
    }

    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::input(message));
        if self.model_type != "mplug-owl" {
            return refuse(format!("model_type is `{}`, not `mplug-owl`", self.model_type));
        }
        let (vision, abstractor, text) = (&self.vision_config, &self.visual_abstractor_config, &self.text_config);
        if text.model_type != "llama" {
            return refuse(format!("the language model is `{}`; only `llama` is built in", text.model_type));
        }
        let widths = [
            ("vision_config", vision.hidden_size, vision.num_attention_heads),
            ("visual_abstractor_config", abstractor.hidden_size, abstractor.num_attention_heads),
            ("text_config", text.hidden_size, text.num_attention_heads),
        ];
        for (tower, width, heads) in widths {
            if heads == 0 || width == 0 || width % heads != 0 {
                return refuse(format!("{tower}: hidden_size {width} is no multiple of num_attention_heads {heads}"));
            }
        }
        if text.head_dim() % 2 != 0 {
            return refuse(format!("text_config: rotary positions need an even head size, not {}", text.head_dim()));
        }
        if abstractor.hidden_size != vision.hidden_size || abstractor.encoder_hidden_size != vision.hidden_size {
            return refuse(format!(
                "the abstractor's hidden_size {} and encoder_hidden_size {} must equal the vision tower's {}",
                abstractor.hidden_size, abstractor.encoder_hidden_size, vision.hidden_size
            ));
        }
        if vision.patch_size == 0 || vision.num_patches() == 0 {
            return refuse(format!("image_size {} holds no patch of {}", vision.image_size, vision.patch_size));
        }
        if self.num_query_tokens == 0 || text.vocab_size == 0 {
            return refuse("num_query_tokens and vocab_size must be above 0".into());
        }
        Ok(())
    }
}

fn model_type() -> String {
    "mplug-owl".into()
}

fn num_query_tokens() -> usize {
    64
}

fn initializer_range() -> f64 {
    0.02
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_reference_classes() {
        let config = Config::parse(r#"{"text_config": {}}"#).unwrap();
        assert_eq!(config.slots_per_image(), 65);
        assert_eq!(config.vision_config.num_patches(), 256);
        assert_eq!(config.visual_abstractor_config.intermediate_size, 4096);
        assert_eq!(config.text_config.head_dim(), 128);
    }

    #[test]
    fn unknown_keys_are_ignored_and_bad_shapes_are_named() {
        assert!(Config::parse(r#"{"text_config": {}, "id2label": {"0": "LABEL_0"}}"#).is_ok());
        let error = Config::parse(r#"{"text_config": {"num_attention_heads": 7}}"#).unwrap_err();
        assert!(error.to_string().contains("text_config: hidden_size 4096"), "{error}");
        let error = Config::parse(r#"{"text_config": {"model_type": "bloom"}}"#).unwrap_err();
        assert!(error.to_string().contains("bloom"), "{error}");
        assert!(Config::parse("{}").unwrap_err().to_string().contains("text_config"));
    }
}
