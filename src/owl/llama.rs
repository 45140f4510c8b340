//! The language model: LLaMA (arXiv 2302.13971), as transformers 4.28 computes it.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::cache::Cache;
use super::config::TextConfig;
use super::nn::attention::{Pattern, Span, attention};
use super::nn::{Linear, RmsNorm, Rotary, silu_mul};
use super::source::TensorSource;
use crate::error::Result;

/// Embedded tokens `[T, H]` of packed rows to hidden states `[T, H]`; hidden states to logits `[.., W]`.
#[derive(Debug, Clone)]
pub struct Llama {
    config: TextConfig,
    /// `[W, H]`.
    embed_tokens: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    lm_head: Linear,
    rotary: Rotary,
}

#[derive(Debug, Clone)]
struct Layer {
    input_layernorm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    post_attention_layernorm: RmsNorm,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

/// A row of a batch: its past and how many of the packed tokens are its own.
pub struct CachedRow<'a> {
    pub cache: &'a mut Cache,
    pub tokens: usize,
}

impl Llama {
    /// Asks for the tensors under `language_model.`.
    pub fn load(config: &TextConfig, source: &dyn TensorSource) -> Result<Self> {
        let (hidden, vocabulary) = (config.hidden_size, config.vocab_size);
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(config, source, &format!("language_model.model.layers.{index}")))
            .collect::<Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            embed_tokens: source.get("language_model.model.embed_tokens.weight", &[vocabulary, hidden])?,
            layers,
            norm: RmsNorm::load(source, "language_model.model.norm", hidden, config.rms_norm_eps)?,
            lm_head: Linear::load_without_bias(source, "language_model.lm_head", vocabulary, hidden)?,
            rotary: Rotary::new(config.head_dim()),
        })
    }

    pub fn device(&self) -> &Device {
        self.embed_tokens.device()
    }

    pub fn dtype(&self) -> DType {
        self.embed_tokens.dtype()
    }

    /// Token ids `[T]` (u32) to `[T, H]`; embeddings are not scaled.
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(self.embed_tokens.index_select(ids, 0)?)
    }

    /// Hidden states of packed rows of the given lengths, after the last norm; positions count from 0 in each row.
    pub fn forward(&self, embeds: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        self.forward_observed(embeds, lengths, &mut |_, _| ())
    }

    /// As `forward`; `observe` sees the output of each layer (0-based).
    pub fn forward_observed(
        &self,
        embeds: &Tensor,
        lengths: &[usize],
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let positions = Arc::new(lengths.iter().flat_map(|&length| 0..length as u32).collect());
        let spans = Arc::new(Span::rows(lengths));
        let mut x = embeds.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, self, &positions, &mut |q, k, v| attention(q, k, v, self.pattern(), &spans))?;
            observe(index, &x);
        }
        self.norm.forward(&x)
    }

    /// Hidden states of the new tokens `[T, H]` of rows that go on from their caches, which grow by those tokens.
    pub fn forward_cached(&self, embeds: &Tensor, rows: &mut [CachedRow]) -> Result<Tensor> {
        let positions = Arc::new(
            rows.iter().flat_map(|row| (row.cache.len()..row.cache.len() + row.tokens).map(|p| p as u32)).collect(),
        );
        let mut x = embeds.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, self, &positions, &mut |q, k, v| {
                let mut start = 0;
                let mut read = Vec::with_capacity(rows.len());
                for row in rows.iter_mut() {
                    let own = |x: &Tensor| x.narrow(0, start, row.tokens);
                    let (q, k, v) = (own(q)?, own(k)?, own(v)?);
                    read.push(row.cache.attend(index, &q, &k, &v, self.pattern())?);
                    start += row.tokens;
                }
                if read.len() == 1 { Ok(read.remove(0)) } else { Ok(Tensor::cat(&read, 0)?) }
            })?;
        }
        for row in rows.iter_mut() {
            row.cache.advance(row.tokens);
        }
        self.norm.forward(&x)
    }

    /// Logits `[n, W]` of hidden states `[n, H]`: of any positions, chosen by the caller.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.lm_head.forward(hidden)
    }

    /// Bytes of all matrices that a step of decoding reads, as they lie in memory: some may be quantised, others not.
    pub fn matrix_bytes(&self) -> usize {
        self.layers.iter().flat_map(Layer::matrices).chain([&self.lm_head]).map(Linear::bytes).sum()
    }

    /// An empty cache with room for `capacity` tokens.
    pub fn cache(&self, capacity: usize) -> Result<Cache> {
        let width = self.config.hidden_size;
        Cache::new(self.layers.len(), width, capacity, self.dtype(), self.device())
    }

    fn pattern(&self) -> Pattern {
        Pattern { heads: self.config.num_attention_heads, head_dim: self.config.head_dim(), causal: true }
    }
}

/// What reads the past: queries, keys and values `[T, H]` to `[T, H]`.
type Attend<'a> = dyn FnMut(&Tensor, &Tensor, &Tensor) -> Result<Tensor> + 'a;

impl Layer {
    fn load(config: &TextConfig, source: &dyn TensorSource, at: &str) -> Result<Self> {
        let (hidden, inner, eps) = (config.hidden_size, config.intermediate_size, config.rms_norm_eps);
        let linear = |name: &str, out, input| Linear::load_without_bias(source, &format!("{at}.{name}"), out, input);
        Ok(Self {
            input_layernorm: RmsNorm::load(source, &format!("{at}.input_layernorm"), hidden, eps)?,
            q_proj: linear("self_attn.q_proj", hidden, hidden)?,
            k_proj: linear("self_attn.k_proj", hidden, hidden)?,
            v_proj: linear("self_attn.v_proj", hidden, hidden)?,
            o_proj: linear("self_attn.o_proj", hidden, hidden)?,
            post_attention_layernorm: RmsNorm::load(source, &format!("{at}.post_attention_layernorm"), hidden, eps)?,
            gate_proj: linear("mlp.gate_proj", inner, hidden)?,
            up_proj: linear("mlp.up_proj", inner, hidden)?,
            down_proj: linear("mlp.down_proj", hidden, inner)?,
        })
    }

    fn matrices(&self) -> [&Linear; 7] {
        let Self { q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, .. } = self;
        [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]
    }

    fn forward(&self, x: &Tensor, llama: &Llama, positions: &Arc<Vec<u32>>, attend: &mut Attend) -> Result<Tensor> {
        let n = self.input_layernorm.forward(x)?;
        let q = llama.rotary.apply(&self.q_proj.forward(&n)?, positions)?;
        let k = llama.rotary.apply(&self.k_proj.forward(&n)?, positions)?;
        let read = attend(&q, &k, &self.v_proj.forward(&n)?)?;
        let x = (x + self.o_proj.forward(&read)?)?;
        let n = self.post_attention_layernorm.forward(&x)?;
        let inner = silu_mul(&self.gate_proj.forward(&n)?, &self.up_proj.forward(&n)?)?;
        Ok((&x + self.down_proj.forward(&inner)?)?)
    }
}
