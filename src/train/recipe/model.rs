//! What a recipe says of its model, under the names of `config.json`.

use serde::{Deserialize, Serialize};

/// The dimensions of the model, under the names of its `config.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub num_query_tokens: usize,
    pub vision_config: Vision,
    pub visual_abstractor_config: Abstractor,
    pub text_config: Text,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vision {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub image_size: usize,
    pub patch_size: usize,
    #[serde(default = "super::small")]
    pub layer_norm_eps: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abstractor {
    pub hidden_size: usize,
    pub encoder_hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    #[serde(default = "super::small")]
    pub layer_norm_eps: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    #[serde(default = "super::small")]
    pub rms_norm_eps: f64,
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
}

fn positions() -> usize {
    2048
}

impl Model {
    /// The model's `config.json`.
    pub fn config_json(&self) -> serde_json::Value {
        let mut config = serde_json::json!({
            "architectures": ["MplugOwlForConditionalGeneration"],
            "model_type": "mplug-owl",
            "initializer_range": 0.02,
            "tie_word_embeddings": false,
            "torch_dtype": "float32",
        });
        let mut model = serde_json::to_value(self).unwrap_or_default();
        for (section, key, value) in [
            ("vision_config", "model_type", serde_json::json!("mplug_owl_vision_model")),
            ("visual_abstractor_config", "model_type", serde_json::json!("mplug_owl_visual_abstract")),
            ("text_config", "model_type", serde_json::json!("llama")),
            ("text_config", "hidden_act", serde_json::json!("silu")),
            ("text_config", "bos_token_id", serde_json::json!(1)),
            ("text_config", "eos_token_id", serde_json::json!(2)),
            ("text_config", "pad_token_id", serde_json::json!(0)),
            ("text_config", "tie_word_embeddings", serde_json::json!(false)),
        ] {
            model[section][key] = value;
        }
        if let (Some(config), serde_json::Value::Object(model)) = (config.as_object_mut(), model) {
            config.extend(model);
        }
        config
    }
}
