//! The model in training: from a batch to the loss, and from the loss to gradients.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::data::Labelled;
use super::data::batch::{Batch, push_pixels};
use super::loss::cross_entropy;
use super::parameters::Parameters;
use super::probe::{Head, Probe, Reading};
use super::slots::assemble;
use crate::error::{Error, Result};
use crate::owl::config::Config;
use crate::owl::model::Owl;

/// The name of the embedding table.
pub const EMBEDDINGS: &str = "language_model.model.embed_tokens.weight";

/// A model whose tensors live in a [`Parameters`] store.
pub struct Learner {
    pub parameters: Parameters,
    pub owl: Owl,
    probe: Option<Probe>,
    device: Device,
    /// The strength of the noise on told slots, as a share of the embeddings' root mean square.
    told_noise: f64,
}

/// Right and all answers by kind of question.
pub type Tally = BTreeMap<String, (usize, usize)>;

impl Learner {
    /// Builds the model, and heads for vision pre-training where there are any.
    pub fn new(config: &Config, parameters: Parameters, heads: &[Head], told_noise: f64) -> Result<Self> {
        let owl = Owl::new(config, &parameters)?;
        let probe = match heads {
            [] => None,
            heads => Some(Probe::new(heads, config.vision_config.hidden_size, &parameters)?),
        };
        let device = owl.language().device().clone();
        Ok(Self { parameters, owl, probe, device, told_noise })
    }

    /// Logits [n, W] of the n positions of a batch that bear loss.
    fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let text = &self.owl.config.text_config;
        let width = text.hidden_size;
        let table = self.parameters.tensor(EMBEDDINGS, &[text.vocab_size, width])?;
        let end = self.parameters.tensor("abstractor.vit_eos", &[1, 1, width])?.reshape((1, width))?;
        let slots = if batch.pictures == 0 {
            end
        } else {
            let side = self.owl.config.vision_config.image_size;
            let pixels = Tensor::from_slice(&batch.pixels, (batch.pictures, 3, side, side), &self.device)?;
            let features = self.owl.image_features(&pixels)?;
            let (pictures, per_picture, _) = features.dims3()?;
            Tensor::cat(&[&end, &features.reshape((pictures * per_picture, width))?], 0)?
        };
        let mut embeds = assemble(&table, &slots, &batch.rows)?;
        if !batch.noise.is_empty() {
            embeds = (embeds + self.noise(batch, &table)?)?;
        }
        let hidden = self.owl.language().forward(&embeds, &batch.lengths)?;
        let bearing = Tensor::from_slice(&batch.bearing, batch.bearing.len(), &self.device)?;
        self.owl.language().logits(&hidden.index_select(&bearing, 0)?)
    }

    /// The batch's noise [T, H], scaled to the embeddings.
    fn noise(&self, batch: &Batch, table: &Tensor) -> Result<Tensor> {
        let width = table.dim(1)?;
        let mean_square = table.detach().sqr()?.mean_all()?.to_scalar::<f32>()?;
        let scale = mean_square.sqrt() * self.told_noise as f32;
        let mut values = vec![0f32; batch.rows.len() * width];
        for (position, noise) in &batch.noise {
            let row = &mut values[*position as usize * width..][..width];
            for (value, noise) in row.iter_mut().zip(noise) {
                *value = noise * scale;
            }
        }
        Ok(Tensor::from_vec(values, (batch.rows.len(), width), &self.device)?)
    }

    /// The mean cross-entropy over the batch's loss-bearing tokens, a scalar.
    pub fn loss(&self, batch: &Batch) -> Result<Tensor> {
        cross_entropy(&self.logits(batch)?, &batch.targets)
    }

    /// What the model would say at each loss-bearing position, given what stands before it.
    pub fn predictions(&self, batch: &Batch) -> Result<Vec<u32>> {
        Ok(self.logits(batch)?.argmax(1)?.to_vec1()?)
    }

    /// How many answers greedy decoding would give exactly, by kind.
    ///
    /// An answer is exact if and only if every token of it, the end included, is the likeliest after those before it;
    /// so one pass over the true answer says what decoding would.
    pub fn exact_answers(&self, batch: &Batch, tally: &mut Tally) -> Result<Vec<u32>> {
        let predictions = self.predictions(batch)?;
        for answer in &batch.answers {
            let right = predictions[answer.targets.clone()] == batch.targets[answer.targets.clone()];
            let entry = tally.entry(answer.kind.clone()).or_default();
            entry.0 += usize::from(right);
            entry.1 += 1;
        }
        Ok(predictions)
    }

    /// The loss of vision pre-training.
    pub fn read_labels(&self, pictures: &[Labelled]) -> Result<Reading> {
        let Some(probe) = &self.probe else {
            return Err(Error::failed("this model has no heads for vision pre-training"));
        };
        let side = self.owl.config.vision_config.image_size;
        let mut pixels = Vec::with_capacity(pictures.len() * 3 * side * side);
        for picture in pictures {
            push_pixels(&mut pixels, &picture.image, side)?;
        }
        let pixels = Tensor::from_vec(pixels, (pictures.len(), 3, side, side), &self.device)?;
        let labels = pictures.iter().map(|picture| picture.labels.clone()).collect::<Vec<_>>();
        probe.read(&self.owl.vision().forward(&pixels)?, &labels)
    }
}

/// One micro-batch of any stage.
pub enum Work {
    Conversations(Batch),
    Pictures(Vec<Labelled>),
}

impl Work {
    /// Loss of the micro-batch, a scalar.
    pub fn loss(&self, learner: &Learner) -> Result<Tensor> {
        match self {
            Work::Conversations(batch) => learner.loss(batch),
            Work::Pictures(pictures) => Ok(learner.read_labels(pictures)?.loss),
        }
    }

    /// Positions that the model computes: text and slots, or pictures.
    pub fn tokens(&self) -> usize {
        match self {
            Work::Conversations(batch) => batch.rows.len(),
            Work::Pictures(pictures) => pictures.len(),
        }
    }

    /// What an error names: the first and last sample.
    pub fn samples(&self) -> String {
        match self {
            Work::Conversations(batch) => batch.ids.join(", "),
            Work::Pictures(pictures) => {
                pictures.iter().map(|picture| picture.id.as_str()).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Makes the work of a stage; shared with the thread that makes it ahead.
pub type MakeWork = Arc<dyn Fn(usize, usize) -> Result<Work> + Send + Sync>;
