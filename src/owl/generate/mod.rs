//! Batched decoding: rows are admitted, decoded together a token a step, and leave when they are finished.
//!
//! Section 7 of the reference's behaviour: the only stop is EOS (stop strings on request), the penalties see an
//! artificial BOS and the new tokens but not the prompt.

mod sampling;

use std::sync::Arc;

use candle_core::Tensor;

use super::cache::Cache;
use super::llama::CachedRow;
use super::model::{Owl, Row};
use crate::error::{Error, Result};

pub use sampling::{Sampler, Sampling, probabilities};

/// Tokens that one prefill reads at once; longer prompts are read in pieces, which bounds the memory of activations.
const PREFILL_TOKENS: usize = 2048;

/// Says whether what was generated so far ends the answer.
pub type Until = Arc<dyn Fn(&[u32]) -> bool + Send + Sync>;

/// A prompt to be answered.
pub struct Request {
    /// Comes back in [`Finished`].
    pub tag: u64,
    pub prompt: Row,
    /// Features `[n, Q + 1, H]` of the prompt's pictures, in order.
    pub features: Option<Tensor>,
    /// Names the pictures (a digest each), so that a past is only taken up for the same ones.
    pub pictures: Vec<String>,
    /// What is left of an earlier turn of the same conversation.
    pub past: Option<Past>,
    pub sampling: Sampling,
    pub until: Option<Until>,
}

/// A cache and what it has read.
pub struct Past {
    cache: Cache,
    ids: Vec<i64>,
    pictures: Vec<String>,
}

impl Past {
    /// How many tokens of `prompt` need not be read again; at least the last one must be.
    fn shared(&self, prompt: &Row, pictures: &[String]) -> usize {
        let known = self.ids.iter().take(self.cache.len());
        let mut shared = known.zip(&prompt.ids).take_while(|(past, now)| past == now).count();
        shared = shared.min(prompt.len().saturating_sub(1));
        let same = self.pictures.iter().zip(pictures).take_while(|(past, now)| past == now).count();
        match prompt.image_starts.get(same) {
            Some(other) => shared.min(*other),
            None => shared,
        }
    }
}

/// Why a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// EOS, or [`Request::until`].
    Stop,
    /// The limit of new tokens.
    Length,
}

/// An answered prompt.
pub struct Finished {
    pub tag: u64,
    /// New tokens, EOS included where it came.
    pub ids: Vec<u32>,
    pub finish: Finish,
    /// Tokens of the prompt, and how many of them were read anew.
    pub prompt_tokens: usize,
    pub read_tokens: usize,
    /// To be given to the next turn's request.
    pub past: Past,
}

/// The rows that are being decoded.
pub struct Generator<'a> {
    owl: &'a Owl,
    rows: Vec<Active>,
}

struct Active {
    tag: u64,
    past: Past,
    prompt_tokens: usize,
    read_tokens: usize,
    generated: Vec<u32>,
    sampler: Sampler,
    until: Option<Until>,
    /// `[1, H]`: the hidden state that the next token is drawn from.
    hidden: Tensor,
}

impl<'a> Generator<'a> {
    pub fn new(owl: &'a Owl) -> Self {
        Self { owl, rows: Vec::new() }
    }

    /// Rows that are being decoded.
    pub fn active(&self) -> usize {
        self.rows.len()
    }

    /// Reads a prompt, from where its past ends; its first token comes with the next [`step`](Self::step).
    pub fn admit(&mut self, request: Request) -> Result<()> {
        let Request { tag, prompt, features, pictures, past, sampling, until } = request;
        if prompt.is_empty() {
            return Err(Error::input("an empty prompt cannot be answered"));
        }
        let language = self.owl.language();
        let (mut cache, shared) = match past {
            Some(mut past) => {
                let shared = past.shared(&prompt, &pictures);
                past.cache.truncate(shared);
                (past.cache, shared)
            }
            None => (language.cache(prompt.len() + sampling.max_new_tokens)?, 0),
        };
        // Pictures are few: embedding the whole prompt and cutting off what is known costs a copy of its rows.
        let embeds = self.owl.assemble(std::slice::from_ref(&prompt), features.as_ref())?;
        let mut hidden = None;
        let mut at = shared;
        while at < prompt.len() {
            let tokens = (prompt.len() - at).min(PREFILL_TOKENS);
            let piece = embeds.narrow(0, at, tokens)?;
            let out = language.forward_cached(&piece, &mut [CachedRow { cache: &mut cache, tokens }])?;
            hidden = Some(out.narrow(0, tokens - 1, 1)?.contiguous()?);
            at += tokens;
        }
        let hidden = hidden.ok_or_else(|| Error::failed("a prompt was already read whole"))?;
        self.rows.push(Active {
            tag,
            prompt_tokens: prompt.len(),
            read_tokens: prompt.len() - shared,
            past: Past { cache, ids: prompt.ids, pictures },
            generated: Vec::new(),
            sampler: Sampler::new(sampling, self.owl.config.text_config.bos_token_id),
            until,
            hidden,
        });
        Ok(())
    }

    /// Draws one token for every row, reads it, and hands out the rows that are finished.
    pub fn step(&mut self) -> Result<Vec<Finished>> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let language = self.owl.language();
        let hidden: Vec<&Tensor> = self.rows.iter().map(|row| &row.hidden).collect();
        let logits = language.logits(&Tensor::cat(&hidden, 0)?)?;
        let logits = logits.to_dtype(candle_core::DType::F32)?.to_vec2::<f32>()?;
        let eos = self.owl.config.text_config.eos_token_id;
        let mut finished = Vec::new();
        let mut going = Vec::new();
        for (mut row, logits) in std::mem::take(&mut self.rows).into_iter().zip(logits) {
            let limit = row.sampler.sampling().max_new_tokens;
            if limit > 0 {
                let token = row.sampler.draw(logits, &row.generated)?;
                row.generated.push(token);
            }
            let stopped =
                row.generated.last() == Some(&eos) || row.until.as_ref().is_some_and(|until| until(&row.generated));
            match stopped {
                true => finished.push(row.finish(Finish::Stop)),
                false if row.generated.len() >= limit => finished.push(row.finish(Finish::Length)),
                false => going.push(row),
            }
        }
        self.rows = going;
        self.read_drawn()?;
        Ok(finished)
    }

    /// Reads the token that each row has drawn.
    fn read_drawn(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let language = self.owl.language();
        let drawn: Vec<u32> = self.rows.iter().filter_map(|row| row.generated.last().copied()).collect();
        let embeds = language.embed(&Tensor::from_vec(drawn, self.rows.len(), language.device())?)?;
        let mut cached: Vec<CachedRow> =
            self.rows.iter_mut().map(|row| CachedRow { cache: &mut row.past.cache, tokens: 1 }).collect();
        let hidden = language.forward_cached(&embeds, &mut cached)?;
        for (index, row) in self.rows.iter_mut().enumerate() {
            row.hidden = hidden.narrow(0, index, 1)?;
            row.past.ids.extend(row.generated.last().map(|&id| id as i64));
        }
        Ok(())
    }

    /// Decodes until every admitted row is finished; in the order in which they finish.
    pub fn run(&mut self) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        while !self.rows.is_empty() {
            finished.extend(self.step()?);
        }
        Ok(finished)
    }
}

impl Active {
    fn finish(self, finish: Finish) -> Finished {
        Finished {
            tag: self.tag,
            ids: self.generated,
            finish,
            prompt_tokens: self.prompt_tokens,
            read_tokens: self.read_tokens,
            past: self.past,
        }
    }
}
