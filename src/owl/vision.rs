//! The vision tower: CLIP's ViT (arXiv 2103.00020), pre-norm, QuickGELU; every token of its output is used.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::config::VisionConfig;
use super::nn::attention::{Pattern, Span, attention};
use super::nn::{LayerNorm, Linear, quick_gelu};
use super::source::TensorSource;
use crate::error::Result;

/// Pixels `[n, 3, S, S]` to tokens `[n * (N + 1), V]`.
#[derive(Debug, Clone)]
pub struct VisionTower {
    config: VisionConfig,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    post_layernorm: LayerNorm,
}

#[derive(Debug, Clone)]
struct Embeddings {
    /// `[1, 1, V]`.
    cls_token: Tensor,
    /// `[1, N + 1, V]`; row 0 is the CLS token's.
    position_embedding: Tensor,
    /// `[V, 3 P P]`: a convolution whose stride is its kernel is a product with flattened patches.
    patch_embed: Tensor,
    pre_layernorm: LayerNorm,
}

#[derive(Debug, Clone)]
struct Layer {
    input_layernorm: LayerNorm,
    query_key_value: Linear,
    dense: Linear,
    post_attention_layernorm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl VisionTower {
    /// Asks for the tensors under `vision_model.`.
    pub fn load(config: &VisionConfig, source: &dyn TensorSource) -> Result<Self> {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let (patch, tokens) = (config.patch_size, config.num_patches() + 1);
        let at = "vision_model.embeddings";
        let patch_embed = source.get(&format!("{at}.patch_embed.weight"), &[width, 3, patch, patch])?;
        let embeddings = Embeddings {
            cls_token: source.get(&format!("{at}.cls_token"), &[1, 1, width])?,
            position_embedding: source.get(&format!("{at}.position_embedding"), &[1, tokens, width])?,
            patch_embed: patch_embed.reshape((width, 3 * patch * patch))?,
            pre_layernorm: LayerNorm::load(source, &format!("{at}.pre_layernorm"), width, eps)?,
        };
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(config, source, &format!("vision_model.encoder.layers.{index}")))
            .collect::<Result<_>>()?;
        let post_layernorm = LayerNorm::load(source, "vision_model.post_layernorm", width, eps)?;
        Ok(Self { config: config.clone(), embeddings, layers, post_layernorm })
    }

    /// The dtype that pixels are cast to.
    pub fn dtype(&self) -> DType {
        self.embeddings.cls_token.dtype()
    }

    /// Tokens of a picture: N + 1.
    pub fn tokens_per_image(&self) -> usize {
        self.config.num_patches() + 1
    }

    /// Pixels `[n, 3, S, S]` to tokens `[n * (N + 1), V]`, CLS first, after the last normalisation.
    pub fn forward(&self, pixel_values: &Tensor) -> Result<Tensor> {
        self.forward_observed(pixel_values, &mut |_, _| ())
    }

    /// As `forward`; `observe` sees the embeddings (as layer 0) and the output of each layer (1-based).
    pub fn forward_observed(&self, pixel_values: &Tensor, observe: &mut dyn FnMut(usize, &Tensor)) -> Result<Tensor> {
        let images = pixel_values.dim(0)?;
        let tokens = self.tokens_per_image();
        let mut x = self.embed(pixel_values)?;
        observe(0, &x);
        let spans = Arc::new(Span::rows(&vec![tokens; images]));
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &self.config, &spans)?;
            observe(index + 1, &x);
        }
        self.post_layernorm.forward(&x)
    }

    /// Patches, CLS token and positions: `[n * (N + 1), V]`.
    fn embed(&self, pixel_values: &Tensor) -> Result<Tensor> {
        let (images, _, height, width) = pixel_values.dims4()?;
        let (patch, embeddings) = (self.config.patch_size, &self.embeddings);
        let (down, across) = (height / patch, width / patch);
        let pixels = pixel_values.to_dtype(self.dtype())?;
        // [n, 3, down, P, across, P] -> [n, down, across, 3, P, P]: row-major patches, channels first within one.
        let patches = pixels
            .narrow(2, 0, down * patch)?
            .narrow(3, 0, across * patch)?
            .contiguous()?
            .reshape(&[images, 3, down, patch, across, patch][..])?
            .permute(vec![0, 2, 4, 1, 3, 5])?
            .contiguous()?
            .reshape((images * down * across, 3 * patch * patch))?;
        let hidden = self.config.hidden_size;
        let patches =
            super::nn::product(&patches, &embeddings.patch_embed)?.reshape((images, down * across, hidden))?;
        let cls = embeddings.cls_token.broadcast_as((images, 1, hidden))?;
        let tokens = Tensor::cat(&[&cls.contiguous()?, &patches], 1)?;
        let positions = embeddings.position_embedding.narrow(1, 0, down * across + 1)?;
        let x = tokens.broadcast_add(&positions)?.reshape((images * (down * across + 1), hidden))?;
        embeddings.pre_layernorm.forward(&x)
    }
}

impl Layer {
    fn load(config: &VisionConfig, source: &dyn TensorSource, at: &str) -> Result<Self> {
        let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        Ok(Self {
            input_layernorm: LayerNorm::load(source, &format!("{at}.input_layernorm"), width, eps)?,
            query_key_value: Linear::load(source, &format!("{at}.self_attn.query_key_value"), 3 * width, width)?,
            dense: Linear::load(source, &format!("{at}.self_attn.dense"), width, width)?,
            post_attention_layernorm: LayerNorm::load(source, &format!("{at}.post_attention_layernorm"), width, eps)?,
            fc1: Linear::load(source, &format!("{at}.mlp.fc1"), inner, width)?,
            fc2: Linear::load(source, &format!("{at}.mlp.fc2"), width, inner)?,
        })
    }

    fn forward(&self, x: &Tensor, config: &VisionConfig, spans: &Arc<Vec<Span>>) -> Result<Tensor> {
        let heads = config.num_attention_heads;
        let pattern = Pattern { heads, head_dim: config.hidden_size / heads, causal: false };
        let fused = self.query_key_value.forward(&self.input_layernorm.forward(x)?)?;
        // The fused projection is head-major: q, k and v of one head are adjacent, [tokens, heads, 3, head_dim].
        let fused = fused.reshape((x.dim(0)?, heads, 3, pattern.head_dim))?;
        let part = |index| -> Result<Tensor> {
            Ok(fused.narrow(2, index, 1)?.contiguous()?.reshape((x.dim(0)?, config.hidden_size))?)
        };
        let read = attention(&part(0)?, &part(1)?, &part(2)?, pattern, spans)?;
        let x = (x + self.dense.forward(&read)?)?;
        let inner = quick_gelu(&self.fc1.forward(&self.post_attention_layernorm.forward(&x)?)?)?;
        Ok((&x + self.fc2.forward(&inner)?)?)
    }
}
