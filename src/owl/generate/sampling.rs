//! From logits to a token: penalties, temperature, top-k, top-p, in the order of transformers.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::error::Result;

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    pub max_new_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
    pub top_k: Option<usize>,
    pub top_p: Option<f64>,
    /// 1 is none.
    pub repetition_penalty: f32,
    /// 0 is none.
    pub no_repeat_ngram_size: usize,
    /// Of this answer alone, so that batch, order and resuming change nothing.
    pub seed: u64,
}

impl Sampling {
    /// Greedy decoding of up to `max_new_tokens` tokens.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            seed: 0,
        }
    }
}

/// Draws the tokens of one answer.
pub struct Sampler {
    sampling: Sampling,
    bos: u32,
    random: ChaCha8Rng,
}

impl Sampler {
    /// `bos` is the artificial first token that the penalties see before the new ones.
    pub fn new(sampling: Sampling, bos: u32) -> Self {
        let random = ChaCha8Rng::seed_from_u64(sampling.seed);
        Self { sampling, bos, random }
    }

    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The next token after `generated`, of logits `[W]`.
    pub fn draw(&mut self, logits: Vec<f32>, generated: &[u32]) -> Result<u32> {
        let history: Vec<u32> = std::iter::once(self.bos).chain(generated.iter().copied()).collect();
        let mut logits = logits;
        if self.sampling.repetition_penalty != 1.0 {
            let width = logits.len();
            let tensor = Tensor::from_vec(logits, width, &Device::Cpu)?;
            let penalty = self.sampling.repetition_penalty;
            logits = candle_transformers::utils::apply_repeat_penalty(&tensor, penalty, &history)?.to_vec1()?;
        }
        forbid_repeated_ngrams(&mut logits, &history, self.sampling.no_repeat_ngram_size);
        if self.sampling.temperature <= 0.0 {
            return Ok(largest(&logits));
        }
        let choices = probabilities(&logits, &self.sampling);
        // 53 bits of the generator's output, as a number in [0, 1).
        let mut left = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        for (token, probability) in &choices {
            left -= probability;
            if left < 0.0 {
                return Ok(*token);
            }
        }
        Ok(choices.last().map_or_else(|| largest(&logits), |(token, _)| *token))
    }
}

/// The first of the largest logits.
fn largest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best as u32
}

/// Forbids every token that would complete an n-gram which `history` already holds.
fn forbid_repeated_ngrams(logits: &mut [f32], history: &[u32], n: usize) {
    if n == 0 || history.len() + 1 < n {
        return;
    }
    let ending = &history[history.len() + 1 - n..];
    for ngram in history.windows(n) {
        if ngram[..n - 1] == *ending
            && let Some(logit) = logits.get_mut(ngram[n - 1] as usize)
        {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Tokens that may be drawn with their probabilities, likeliest first: temperature, then top-k, then top-p.
///
/// Top-p drops, counted from the least likely, tokens whose cumulative probability is at most 1 - p; one always stays.
pub fn probabilities(logits: &[f32], sampling: &Sampling) -> Vec<(u32, f64)> {
    let mut ranked: Vec<(u32, f64)> = logits
        .iter()
        .enumerate()
        .filter(|(_, logit)| logit.is_finite())
        .map(|(token, logit)| (token as u32, *logit as f64 / sampling.temperature))
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if let Some(k) = sampling.top_k.filter(|k| *k > 0) {
        // A tie with the last kept one stays, as in the reference.
        if let Some(threshold) = ranked.get(k - 1).map(|(_, logit)| *logit) {
            ranked.retain(|(_, logit)| *logit >= threshold);
        }
    }
    normalise(&mut ranked);
    if let Some(p) = sampling.top_p.filter(|p| *p < 1.0) {
        let mut tail = 0.0;
        let mut keep = ranked.len();
        while keep > 1 {
            tail += ranked[keep - 1].1;
            if tail > 1.0 - p {
                break;
            }
            keep -= 1;
        }
        ranked.truncate(keep);
        let total: f64 = ranked.iter().map(|(_, probability)| probability).sum();
        for (_, probability) in &mut ranked {
            *probability /= total;
        }
    }
    ranked
}

/// Softmax of the second fields.
fn normalise(ranked: &mut [(u32, f64)]) {
    let largest = ranked.first().map_or(0.0, |(_, logit)| *logit);
    let mut total = 0.0;
    for (_, value) in ranked.iter_mut() {
        *value = (*value - largest).exp();
        total += *value;
    }
    for (_, value) in ranked.iter_mut() {
        *value /= total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ngram_is_not_completed_twice() {
        let mut logits = vec![0.0; 6];
        forbid_repeated_ngrams(&mut logits, &[1, 2, 3, 2], 2);
        assert_eq!(logits[3], f32::NEG_INFINITY);
        assert_eq!(logits.iter().filter(|logit| logit.is_finite()).count(), 5);
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let sampling = Sampling { temperature: 1.0, seed: 7, ..Sampling::greedy(8) };
        let logits: Vec<f32> = [0.5f32, 0.25, 0.25].iter().map(|p| p.ln()).collect();
        let draws = |seed| {
            let mut sampler = Sampler::new(Sampling { seed, ..sampling.clone() }, 1);
            (0..4000).map(|_| sampler.draw(logits.clone(), &[]).unwrap()).collect::<Vec<_>>()
        };
        let first = draws(7);
        assert_eq!(first, draws(7));
        assert_ne!(first, draws(8));
        let share = first.iter().filter(|token| **token == 0).count() as f64 / 4000.0;
        assert!((share - 0.5).abs() < 0.03, "{share}");
    }

    #[test]
    fn the_repetition_penalty_lowers_what_was_said() {
        let sampling = Sampling { repetition_penalty: 10.0, ..Sampling::greedy(8) };
        let mut sampler = Sampler::new(sampling, 1);
        assert_eq!(sampler.draw(vec![0.0, 0.0, 3.0, 2.0], &[2]).unwrap(), 3);
        assert_eq!(sampler.draw(vec![0.0, 0.0, 3.0, 2.0], &[]).unwrap(), 2);
    }
}
