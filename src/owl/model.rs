//! The whole model: pictures and token ids to hidden states.

use candle_core::Tensor;

use super::abstractor::Abstractor;
use super::config::Config;
use super::llama::Llama;
use super::source::TensorSource;
use super::vision::VisionTower;
use crate::error::{Error, Result};

/// mPLUG-Owl: a vision tower, an abstractor, a language model.
#[derive(Debug, Clone)]
pub struct Owl {
    pub config: Config,
    vision: VisionTower,
    abstractor: Abstractor,
    language: Llama,
}

/// One row of a batch: a prompt whose image slots are still empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Token ids; -1 in the slots of pictures.
    pub ids: Vec<i64>,
    /// Where the slots of each picture begin.
    pub image_starts: Vec<usize>,
}

impl Row {
    /// Finds the pictures of a row by their runs of -1.
    ///
    /// A run of k times `slots` ids is k pictures. (The reference takes any run for one picture, and so loses the
    /// second of two placeholders with nothing between them; section 6 of the specification.)
    pub fn from_ids(ids: Vec<i64>, slots: usize) -> Result<Self> {
        let mut image_starts = Vec::new();
        let mut at = 0;
        while at < ids.len() {
            if ids[at] >= 0 {
                at += 1;
                continue;
            }
            let run = ids[at..].iter().take_while(|id| **id < 0).count();
            if run % slots != 0 {
                return Err(Error::input(format!("{run} image slots are no multiple of the model's {slots}")));
            }
            image_starts.extend((at..at + run).step_by(slots));
            at += run;
        }
        Ok(Self { ids, image_starts })
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Owl {
    /// Builds the three towers of the tensors of a source.
    pub fn new(config: &Config, source: &dyn TensorSource) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            vision: VisionTower::load(&config.vision_config, source)?,
            abstractor: Abstractor::load(config, source)?,
            language: Llama::load(&config.text_config, source)?,
        })
    }

    pub fn vision(&self) -> &VisionTower {
        &self.vision
    }

    pub fn abstractor(&self) -> &Abstractor {
        &self.abstractor
    }

    pub fn language(&self) -> &Llama {
        &self.language
    }

    /// Pixels `[n, 3, S, S]` to visual tokens `[n, Q + 1, H]`, in the language model's dtype.
    pub fn image_features(&self, pixel_values: &Tensor) -> Result<Tensor> {
        let tokens = self.vision.forward(pixel_values)?;
        let features = self.abstractor.forward(&tokens, pixel_values.dim(0)?)?;
        Ok(features.to_dtype(self.language.dtype())?)
    }

    /// Embeds the tokens of all rows, one after the other, and puts the pictures' features `[n, Q + 1, H]` into their
    /// slots in order: `[T, H]`, T being the sum of the rows' lengths.
    pub fn assemble(&self, rows: &[Row], features: Option<&Tensor>) -> Result<Tensor> {
        let device = self.language.device();
        let ids: Vec<u32> = rows.iter().flat_map(|row| &row.ids).map(|&id| id.max(0) as u32).collect();
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.config.text_config.vocab_size) {
            return Err(Error::input(format!("token id {id} lies outside of the vocabulary"))
                .remedy("use the tokenizer that belongs to the checkpoint"));
        }
        let tokens = ids.len();
        let text = self.language.embed(&Tensor::from_vec(ids, tokens, device)?)?;
        let pictures: usize = rows.iter().map(|row| row.image_starts.len()).sum();
        let given = features.map_or(Ok(0), |features| features.dim(0))?;
        if pictures != given {
            return Err(Error::input(format!("the prompt has places for {pictures} pictures and {given} were given")));
        }
        let Some(features) = features.filter(|_| pictures > 0) else {
            return Ok(text);
        };
        let (_, slots, width) = features.dims3()?;
        let mut order: Vec<u32> = (0..tokens as u32).collect();
        let (mut row_start, mut next) = (0, tokens as u32);
        for row in rows {
            for start in &row.image_starts {
                for slot in &mut order[row_start + start..row_start + start + slots] {
                    *slot = next;
                    next += 1;
                }
            }
            row_start += row.len();
        }
        let all = Tensor::cat(&[&text, &features.reshape((pictures * slots, width))?], 0)?;
        Ok(all.index_select(&Tensor::from_vec(order, tokens, device)?, 0)?)
    }

    /// Hidden states `[T, H]` of packed rows, as in training; logits of chosen positions by [`Llama::logits`].
    pub fn forward(&self, rows: &[Row], features: Option<&Tensor>) -> Result<Tensor> {
        let lengths: Vec<usize> = rows.iter().map(Row::len).collect();
        self.language.forward(&self.assemble(rows, features)?, &lengths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_pictures_are_two() {
        let row = Row::from_ids(vec![1, -1, -1, -1, -1, 7, -1, -1, 8], 2).unwrap();
        assert_eq!(row.image_starts, [1, 3, 6]);
        assert!(Row::from_ids(vec![1, -1, -1, -1], 2).is_err());
    }
}
