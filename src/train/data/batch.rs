//! Batches: packed rows of the language model's input, the pictures, and the targets.

use std::ops::Range;
use std::sync::Arc;

use rand::RngExt;

use super::{Conversations, Example, Picture, Split};
use crate::error::{Error, Result};
use crate::owl::processor::{Tokenizer, TrainingSequence, encode_training};
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

    /// `count` examples of a split, from number `first` on.
    pub fn make(&self, split: Split, first: u64, count: usize) -> Result<Batch> {
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
        let Batches { tokenizer, stage, query_tokens, .. } = self.batches;
        let sequence = encode_training(tokenizer, &example.text, stage.max_length, query_tokens + 1)
            .map_err(|error| Error::input(format!("{}: {error}", example.id)).source(error))?;
        let pictures = self.push_pictures(&example, random)?;
        self.push_rows(&sequence, &pictures, &example)?;
        self.batch.lengths.push(sequence.ids.len());
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
                tokens.extend(self.batches.tokenizer.encode_chunk(word)?);
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

    /// The sequence's positions, and its answers: each run of targets that bear loss is one.
    fn push_rows(&mut self, sequence: &TrainingSequence, pictures: &[Vec<Row>], example: &Example) -> Result<()> {
        let mut random = generator(self.batches.seed, &["noise", &example.id]);
        let noisy = self.batches.stage.data.told_noise > 0.0;
        let mut slots = pictures.iter().flatten();
        let mut within_answer = false;
        let mut answers = 0;
        for (index, &id) in sequence.ids.iter().enumerate() {
            let bears = sequence.loss.get(index + 1) == Some(&true);
            if bears {
                self.push_target(sequence.ids[index + 1] as u32);
                if !within_answer {
                    self.begin_answer(example.kinds.get(answers));
                    answers += 1;
                }
                self.extend_answer();
            }
            within_answer = bears;
            let row = match u32::try_from(id) {
                Ok(token) => Row::Tokens(vec![token]),
                Err(_) => {
                    let missing = || {
                        let found = example.pictures.len();
                        Error::input(format!("{}: more `<image>` than pictures ({found})", example.id))
                    };
                    let row = slots.next().ok_or_else(missing)?.clone();
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

    /// The position that is pushed next bears loss.
    fn push_target(&mut self, target: u32) {
        self.batch.bearing.push(self.rows.len() as u32);
        self.batch.targets.push(target);
    }

    fn begin_answer(&mut self, kind: Option<&String>) {
        let first = self.batch.targets.len() - 1;
        let kind = kind.map_or_else(|| "answer".to_owned(), String::clone);
        self.batch.answers.push(Answer { example: self.batch.lengths.len(), kind, targets: first..first });
    }

    fn extend_answer(&mut self) {
        if let Some(answer) = self.batch.answers.last_mut() {
            answer.targets.end = self.batch.targets.len();
        }
    }

    fn finish(mut self) -> Result<Batch> {
        self.batch.rows = Arc::new(self.rows);
        Ok(self.batch)
    }
}
