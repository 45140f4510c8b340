//! Batches: packed rows of the language model's input, the pictures, and the targets.

use std::ops::Range;
use std::sync::Arc;

use rand::RngExt;
use tokenizers::Tokenizer;

use super::encoding::{self, Encoded, Form, History, Position};
use super::{Conversations, Example, Picture, Split};
use crate::error::{Error, Result};
use crate::train::parameters::{generator, normal};
use crate::train::recipe::Stage;
use crate::train::slots::Row;

/// The slot row that holds `vit_eos` for told scenes; slot s of drawn picture p is at `1 + p * (Q + 1) + s`.
const END_OF_PICTURE: u32 = 0;

/// One answer of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The number of the example within the batch.
    pub example: usize,
    /// What the question is about.
    pub kind: String,
    /// The answer's rows of `targets`.
    pub targets: Range<usize>,
}

/// A micro-batch: T packed positions of several conversations, one after the other, without padding.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Where each position's input comes from, T of them.
    pub rows: Arc<Vec<Row>>,
    /// The length of each conversation; their sum is T.
    pub lengths: Vec<usize>,
    /// The positions that bear loss.
    pub bearing: Vec<u32>,
    /// What each of them must predict.
    pub targets: Vec<u32>,
    /// Pixels [n, 3, S, S], row-major, of the drawn pictures.
    pub pixels: Vec<f32>,
    pub pictures: usize,
    /// Standard normal noise for the told slots: position and H values each.
    pub noise: Vec<(u32, Vec<f32>)>,
    pub answers: Vec<Answer>,
    /// The examples' names, for errors.
    pub ids: Vec<String>,
    /// The examples' texts, for samples.
    pub texts: Vec<String>,
}

/// Mean and standard deviation of CLIP's pixels (section 8.1 of the specification).
pub const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
pub const DEVIATION: [f32; 3] = [0.268_629_55, 0.261_302_6, 0.275_777_1];

/// Appends a picture as normalised pixels [3, S, S]; the picture must be `size` pixels wide and high.
pub fn push_pixels(pixels: &mut Vec<f32>, image: &image::RgbImage, size: usize) -> Result<()> {
    if image.dimensions() != (size as u32, size as u32) {
        let (width, height) = image.dimensions();
        return Err(Error::failed(format!(
            "a training picture of {width} x {height} pixels, expected {size} x {size}"
        )));
    }
    for channel in 0..3 {
        let (mean, deviation) = (MEAN[channel], DEVIATION[channel]);
        let values = image.as_raw().iter().skip(channel).step_by(3);
        pixels.extend(values.map(|&value| ((f64::from(value) * (1.0 / 255.0)) as f32 - mean) / deviation));
    }
    Ok(())
}

/// Makes the batches of one stage.
pub struct Batches {
    pub conversations: Arc<dyn Conversations>,
    pub tokenizer: Tokenizer,
    pub stage: Stage,
    pub form: Form,
    pub seed: u64,
    /// Q.
    pub query_tokens: usize,
    pub image_size: usize,
    /// H.
    pub width: usize,
}

impl Batches {
    /// The micro-batch `part` of update `step`. A function of its arguments and the recipe alone.
    pub fn train(&self, step: usize, part: usize) -> Result<Batch> {
        let number = (step * self.stage.accumulate + part) * self.stage.batch;
        self.make(Split::Train, number as u64, self.stage.batch)
    }

    /// `count` examples that are never trained on, from number `first` on.
    pub fn held_out(&self, first: u64, count: usize) -> Result<Batch> {
        self.make(Split::HeldOut, first, count)
    }

    pub(crate) fn make(&self, split: Split, first: u64, count: usize) -> Result<Batch> {
        let mut builder = Builder::new(self);
        for index in first..first + count as u64 {
            let mut random = generator(self.seed, &["example", &format!("{split:?}"), &index.to_string()]);
            let told = random.random::<f64>() < self.stage.data.told_share;
            let example = self.conversations.example(split, index, told)?;
            builder.push(example, &mut random)?;
        }
        builder.finish()
    }
}

struct Builder<'a> {
    batches: &'a Batches,
    rows: Vec<Row>,
    batch: Batch,
}

impl<'a> Builder<'a> {
    fn new(batches: &'a Batches) -> Self {
        let batch = Batch {
            rows: Arc::default(),
            lengths: Vec::new(),
            bearing: Vec::new(),
            targets: Vec::new(),
            pixels: Vec::new(),
            pictures: 0,
            noise: Vec::new(),
            answers: Vec::new(),
            ids: Vec::new(),
            texts: Vec::new(),
        };
        Self { batches, rows: Vec::new(), batch }
    }

    fn push(&mut self, example: Example, random: &mut impl RngExt) -> Result<()> {
        let Batches { tokenizer, stage, form, query_tokens, .. } = self.batches;
        let (slots, limit) = (query_tokens + 1, stage.max_length);
        let encoded = match form {
            Form::Reference => encoding::reference(tokenizer, &example.text, slots, limit)?,
            Form::Inference => encoding::inference(tokenizer, &example.text, slots, limit, || {
                if random.random::<f64>() < 0.5 { History::Generated } else { History::Retold }
            })?,
        };
        if encoded.bearing() == 0 {
            return Err(Error::input(format!("{}: no token of this sample bears loss", example.id))
                .remedy("give it an answer (`AI: …`), or raise max_length if the answer was cut off"));
        }
        let pictures = self.push_pictures(&example, random)?;
        self.push_rows(&encoded, &pictures, &example)?;
        self.push_answers(&encoded, &example);
        self.batch.lengths.push(encoded.positions.len());
        self.batch.ids.push(example.id);
        self.batch.texts.push(example.text);
        Ok(())
    }

    /// For each picture the rows of its Q + 1 slots.
    fn push_pictures(&mut self, example: &Example, random: &mut impl RngExt) -> Result<Vec<Vec<Row>>> {
        let slots = self.batches.query_tokens + 1;
        let mut all = Vec::new();
        for picture in &example.pictures {
            all.push(match picture {
                Picture::Drawn(image) => {
                    push_pixels(&mut self.batch.pixels, image, self.batches.image_size)?;
                    let first = 1 + (self.batch.pictures * slots) as u32;
                    self.batch.pictures += 1;
                    (first..first + slots as u32).map(Row::Slot).collect()
                }
                Picture::Told(told) => self.told_rows(told, &example.id, random)?,
            });
        }
        Ok(all)
    }

    /// The Q + 1 slots of a scene told in words, in random order; what is left over says nothing, which is `vit_eos`.
    fn told_rows(&self, told: &[Vec<String>], id: &str, random: &mut impl RngExt) -> Result<Vec<Row>> {
        let queries = self.batches.query_tokens;
        if told.len() > queries {
            let told = told.len();
            return Err(Error::input(format!("{id}: the scene is told in {told} slots, the model has {queries}")));
        }
        let mut rows = Vec::with_capacity(queries);
        for words in told {
            let mut tokens = Vec::new();
            for word in words {
                tokens.extend(encoding::word(&self.batches.tokenizer, word)?);
            }
            rows.push(if tokens.is_empty() { Row::Slot(END_OF_PICTURE) } else { Row::Tokens(tokens) });
        }
        rows.resize(queries, Row::Slot(END_OF_PICTURE));
        for last in (1..rows.len()).rev() {
            rows.swap(last, random.random_range(0..=last));
        }
        rows.push(Row::Slot(END_OF_PICTURE));
        Ok(rows)
    }

    fn push_rows(&mut self, encoded: &Encoded, pictures: &[Vec<Row>], example: &Example) -> Result<()> {
        let seed = self.batches.seed;
        let mut random = generator(seed, &["noise", &example.id]);
        let noisy = self.batches.stage.data.told_noise > 0.0;
        for (position, target) in encoded.positions.iter().zip(&encoded.targets) {
            if let Some(target) = target {
                self.batch.bearing.push(self.rows.len() as u32);
                self.batch.targets.push(*target);
            }
            let row = match position {
                Position::Token(token) => Row::Tokens(vec![*token]),
                Position::Slot { picture, slot } => {
                    let missing = || {
                        let found = example.pictures.len();
                        Error::input(format!("{}: more `<image>` than pictures ({found})", example.id))
                    };
                    let row = pictures.get(*picture as usize).ok_or_else(missing)?[*slot as usize].clone();
                    if noisy && matches!(row, Row::Tokens(_)) {
                        let noise = (0..self.batches.width).map(|_| normal(&mut random) as f32).collect();
                        self.batch.noise.push((self.rows.len() as u32, noise));
                    }
                    row
                }
            };
            self.rows.push(row);
        }
        Ok(())
    }

    fn push_answers(&mut self, encoded: &Encoded, example: &Example) {
        let first = self.batch.targets.len() - encoded.bearing();
        let turns = encoded.turns.iter().flatten().copied().enumerate();
        let mut current = None;
        for (index, turn) in turns {
            let target = first + index;
            if current == Some(turn) {
                if let Some(answer) = self.batch.answers.last_mut() {
                    answer.targets.end = target + 1;
                }
                continue;
            }
            current = Some(turn);
            let kind = example.kinds.get(turn as usize).cloned().unwrap_or_else(|| "answer".to_owned());
            self.batch.answers.push(Answer { example: self.batch.lengths.len(), kind, targets: target..target + 1 });
        }
    }

    fn finish(mut self) -> Result<Batch> {
        self.batch.rows = Arc::new(self.rows);
        Ok(self.batch)
    }
}
