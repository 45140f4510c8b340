//! The visual abstractor (section 3.2 of the paper): a few learned queries read the image tokens and become the visual
//! tokens of the language model. It has no positional embeddings of its own.

use std::sync::Arc;

use candle_core::Tensor;

use super::config::Config;
use super::nn::attention::{Pattern, Span, attention};
use super::nn::{LayerNorm, Linear, silu_mul};
use super::source::TensorSource;
use crate::error::Result;

/// The constant of `norm1`, `normk` and `norm2`; `ffn_ln` alone has the configured one.
const NORM_EPS: f64 = 1e-5;

/// Image tokens `[n * (N + 1), V]` to visual tokens `[n, Q + 1, H]`.
#[derive(Debug, Clone)]
pub struct Abstractor {
    pattern: Pattern,
    /// `[1, Q, A]`.
    query_tokens: Tensor,
    layers: Vec<Layer>,
    visual_fc: Linear,
    /// `[1, 1, H]`: closes every picture, in the language model's width.
    vit_eos: Tensor,
}

#[derive(Debug, Clone)]
struct Layer {
    norm1: LayerNorm,
    normk: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out_proj: Linear,
    norm2: LayerNorm,
    /// Gate.
    w1: Linear,
    /// Up.
    w3: Linear,
    ffn_ln: LayerNorm,
    /// Down.
    w2: Linear,
}

impl Abstractor {
    /// Asks for `query_tokens` and the tensors under `abstractor.`.
    pub fn load(config: &Config, source: &dyn TensorSource) -> Result<Self> {
        let abstractor = &config.visual_abstractor_config;
        let (width, text_width) = (abstractor.hidden_size, config.text_config.hidden_size);
        let heads = abstractor.num_attention_heads;
        let layers = (0..abstractor.num_hidden_layers)
            .map(|index| Layer::load(config, source, &format!("abstractor.encoder.layers.{index}.crossattention")))
            .collect::<Result<_>>()?;
        Ok(Self {
            pattern: Pattern { heads, head_dim: width / heads, causal: false },
            query_tokens: source.get("query_tokens", &[1, config.num_query_tokens, width])?,
            layers,
            visual_fc: Linear::load(source, "abstractor.visual_fc", text_width, width)?,
            vit_eos: source.get("abstractor.vit_eos", &[1, 1, text_width])?,
        })
    }

    /// Image tokens `[n * (N + 1), V]` of `images` pictures to `[n, Q + 1, H]`.
    pub fn forward(&self, image_tokens: &Tensor, images: usize) -> Result<Tensor> {
        self.forward_observed(image_tokens, images, &mut |_, _| ())
    }

    /// As `forward`; `observe` sees the output `[n * Q, A]` of each layer (0-based).
    pub fn forward_observed(
        &self,
        image_tokens: &Tensor,
        images: usize,
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let (_, queries, width) = self.query_tokens.dims3()?;
        let tokens = image_tokens.dim(0)? / images;
        let mut q = self.query_tokens.broadcast_as((images, queries, width))?.contiguous()?;
        q = q.reshape((images * queries, width))?;
        let spans = Arc::new(
            (0..images)
                .map(|image| Span {
                    query_start: image * queries,
                    queries,
                    key_start: image * (queries + tokens),
                    keys: queries + tokens,
                })
                .collect::<Vec<_>>(),
        );
        for (index, layer) in self.layers.iter().enumerate() {
            q = layer.forward(&q, image_tokens, images, self.pattern, &spans)?;
            observe(index, &q);
        }
        let visual = self.visual_fc.forward(&q)?;
        let text_width = visual.dim(1)?;
        let visual = visual.reshape((images, queries, text_width))?;
        let eos = self.vit_eos.broadcast_as((images, 1, text_width))?.contiguous()?;
        Ok(Tensor::cat(&[&visual, &eos], 1)?)
    }
}

impl Layer {
    fn load(config: &Config, source: &dyn TensorSource, at: &str) -> Result<Self> {
        let abstractor = &config.visual_abstractor_config;
        let (width, inner) = (abstractor.hidden_size, abstractor.intermediate_size);
        let encoder = abstractor.encoder_hidden_size;
        let norm = |name: &str, width, eps| LayerNorm::load(source, &format!("{at}.{name}"), width, eps);
        let linear = |name: &str, out, input| Linear::load(source, &format!("{at}.{name}"), out, input);
        Ok(Self {
            norm1: norm("norm1", width, NORM_EPS)?,
            normk: norm("normk", width, NORM_EPS)?,
            query: linear("attention.query", width, width)?,
            key: linear("attention.key", width, encoder)?,
            value: linear("attention.value", width, encoder)?,
            out_proj: linear("output.out_proj", width, width)?,
            norm2: norm("output.norm2", width, NORM_EPS)?,
            w1: linear("output.mlp.w1", inner, width)?,
            w3: linear("output.mlp.w3", inner, width)?,
            ffn_ln: norm("output.mlp.ffn_ln", inner, abstractor.layer_norm_eps)?,
            w2: linear("output.mlp.w2", width, inner)?,
        })
    }

    /// `q` `[n * Q, A]` to the same shape. Keys and values are the normalised queries and the normalised image tokens;
    /// the residual starts from the normalised query, so the raw one never enters the sum.
    fn forward(
        &self,
        q: &Tensor,
        image_tokens: &Tensor,
        images: usize,
        pattern: Pattern,
        spans: &Arc<Vec<Span>>,
    ) -> Result<Tensor> {
        let n = self.norm1.forward(q)?;
        let m = self.normk.forward(image_tokens)?;
        let width = n.dim(1)?;
        let by_image = |x: &Tensor| -> Result<Tensor> { Ok(x.reshape((images, x.dim(0)? / images, width))?) };
        let kv = Tensor::cat(&[by_image(&n)?, by_image(&m)?], 1)?;
        let kv = kv.reshape((kv.dim(0)? * kv.dim(1)?, width))?;
        let read =
            attention(&self.query.forward(&n)?, &self.key.forward(&kv)?, &self.value.forward(&kv)?, pattern, spans)?;
        let u = (n + self.out_proj.forward(&read)?)?;
        let t = self.norm2.forward(&u)?;
        let inner = silu_mul(&self.w1.forward(&t)?, &self.w3.forward(&t)?)?;
        Ok((u + self.w2.forward(&self.ffn_ln.forward(&inner)?)?)?)
    }
}
