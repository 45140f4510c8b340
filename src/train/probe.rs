//! Heads for vision pre-training: learned queries read the tower's tokens and say what lies where.
//!
//! They stand in for CLIP's pre-training and are thrown away afterwards: their tensors are named `probe.…` and are no
//! part of a finished model.

use std::sync::Arc;

use candle_core::Tensor;

use super::loss::cross_entropy;
use super::parameters::Parameters;
use crate::error::Result;
use crate::owl::nn::Linear;
use crate::owl::nn::attention::{Pattern, Span, attention};

/// One question that is asked of every picture: `queries` learned queries, each answered by one of `classes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub name: &'static str,
    /// The first learned query; several heads may share queries.
    pub first: usize,
    pub queries: usize,
    pub classes: usize,
}

/// Attention pooling over the tower's tokens, and a linear layer a head.
pub struct Probe {
    heads: Vec<(Head, Linear)>,
    queries: Tensor,
    key: Linear,
    value: Linear,
    pattern: Pattern,
}

/// The loss of a batch and how many of each head's answers were right.
pub struct Reading {
    pub loss: Tensor,
    /// Head, right answers, all answers.
    pub right: Vec<(&'static str, usize, usize)>,
}

impl Probe {
    /// Asks for the tensors under `probe.`; `width` is the tower's V.
    pub fn new(heads: &[Head], width: usize, parameters: &Parameters) -> Result<Self> {
        let queries = heads.iter().map(|head| head.first + head.queries).max().unwrap_or(0);
        let heads = heads
            .iter()
            .map(|head| Ok((*head, Linear::load(parameters, &format!("probe.{}", head.name), head.classes, width)?)))
            .collect::<Result<_>>()?;
        let attention_heads = if width.is_multiple_of(32) { width / 32 } else { 1 };
        Ok(Self {
            heads,
            queries: parameters.tensor("probe.queries", &[queries, width])?,
            key: Linear::load(parameters, "probe.key", width, width)?,
            value: Linear::load(parameters, "probe.value", width, width)?,
            pattern: Pattern { heads: attention_heads, head_dim: width / attention_heads, causal: false },
        })
    }

    /// Loss and right answers of `pictures` pictures: tokens [pictures * (N + 1), V], `labels` a row a picture, in the
    /// order of the heads and their queries. The loss is the sum over heads of the mean over their answers.
    pub fn read(&self, tokens: &Tensor, labels: &[Vec<u32>]) -> Result<Reading> {
        let pictures = labels.len();
        let (queries, width) = self.queries.dims2()?;
        let keys = tokens.dim(0)? / pictures.max(1);
        let spans = (0..pictures).map(|picture| Span {
            query_start: picture * queries,
            queries,
            key_start: picture * keys,
            keys,
        });
        let repeated = self.queries.unsqueeze(0)?.broadcast_as((pictures, queries, width))?;
        let repeated = repeated.contiguous()?.reshape((pictures * queries, width))?;
        let spans = Arc::new(spans.collect());
        let read =
            attention(&repeated, &self.key.forward(tokens)?, &self.value.forward(tokens)?, self.pattern, &spans)?;
        let mut right = Vec::new();
        let mut sum: Option<Tensor> = None;
        let mut offset = 0;
        for (head, linear) in &self.heads {
            let rows = (0..pictures).flat_map(|picture| {
                (0..head.queries).map(move |query| (picture * queries + head.first + query) as u32)
            });
            let rows = Tensor::from_vec(rows.collect(), pictures * head.queries, tokens.device())?;
            let logits = linear.forward(&read.index_select(&rows, 0)?)?;
            let targets: Vec<u32> =
                labels.iter().flat_map(|labels| &labels[offset..offset + head.queries]).copied().collect();
            offset += head.queries;
            let chosen = logits.argmax(1)?.to_vec1::<u32>()?;
            let hits = chosen.iter().zip(&targets).filter(|(chosen, target)| chosen == target).count();
            right.push((head.name, hits, targets.len()));
            let loss = cross_entropy(&logits, &targets)?;
            sum = Some(match sum {
                Some(sum) => (sum + loss)?,
                None => loss,
            });
        }
        let loss = match sum {
            Some(loss) => loss,
            None => Tensor::zeros((), tokens.dtype(), tokens.device())?,
        };
        Ok(Reading { loss, right })
    }
}
