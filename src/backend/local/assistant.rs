//! A loaded model with what it needs to read pictures and text and to write text.

use std::sync::Arc;

use candle_core::Tensor;
use sha2::{Digest, Sha256};

use crate::backend::Decoding;
use crate::error::{Error, Result};
use crate::evalset::{Conversation, ImageBytes, Part, Role};
use crate::owl::generate::{Sampling, Until};
use crate::owl::processor::template::Turn;
use crate::owl::processor::{PreprocessorConfig, Template, Tokenizer};
use crate::owl::{Owl, Row};

/// mPLUG-Owl, ready to talk.
pub struct Assistant {
    pub owl: Owl,
    pub tokenizer: Arc<Tokenizer>,
    pub preprocessor: PreprocessorConfig,
    pub template: Template,
    /// Digest of weights and adapter, part of every request's digest.
    pub weights_sha256: String,
}

/// A conversation as the model takes it.
pub struct Prepared {
    pub row: Row,
    /// The pictures in the order of their slots.
    pub images: Vec<ImageBytes>,
    pub text: String,
}

impl Assistant {
    /// The prompt of a conversation: text, ids and pictures.
    pub fn prepare(&self, conversation: &Conversation) -> Result<Prepared> {
        let mut images = Vec::new();
        let mut turns = Vec::with_capacity(conversation.messages.len());
        for message in &conversation.messages {
            let mut text = String::new();
            let before = images.len();
            for part in &message.parts {
                match part {
                    Part::Text(part) => text.push_str(part),
                    Part::Image(image) => images.push(image.clone()),
                }
            }
            turns.push(match message.role {
                Role::Human => Turn::human(text, images.len() - before),
                Role::Assistant => Turn::assistant(text),
            });
        }
        let prompt = self.template.prompt_ids(&self.tokenizer, &turns, self.owl.config.slots_per_image())?;
        let row = Row { ids: prompt.ids, image_starts: prompt.image_starts };
        Ok(Prepared { row, images, text: prompt.text })
    }

    /// Visual tokens `[1, Q + 1, H]` of a picture.
    pub fn features(&self, image: &ImageBytes) -> Result<Tensor> {
        let pixels = self.preprocessor.pixels(&image.bytes, &image.name)?;
        self.owl.image_features(&pixels.unsqueeze(0)?.to_device(self.owl.language().device())?)
    }

    /// How the tokens of this conversation's answer are drawn. The seed belongs to the question, so that batch, order
    /// and resuming change nothing.
    pub fn sampling(&self, conversation: &Conversation, decoding: &Decoding) -> Sampling {
        let mut digest = Sha256::new();
        digest.update(decoding.seed.to_le_bytes());
        digest.update(conversation.question_id.to_le_bytes());
        digest.update(conversation.item.as_bytes());
        let digest = digest.finalize();
        let mut seed = [0u8; 8];
        seed.copy_from_slice(&digest[..8]);
        Sampling {
            max_new_tokens: decoding.max_new_tokens,
            temperature: decoding.temperature,
            top_k: decoding.top_k,
            top_p: decoding.top_p,
            repetition_penalty: decoding.repetition_penalty,
            no_repeat_ngram_size: decoding.no_repeat_ngram_size,
            seed: u64::from_le_bytes(seed),
        }
    }

    /// Ends an answer where it holds one of the stop strings.
    pub fn until(&self, stop: &[String]) -> Option<Until> {
        if stop.is_empty() {
            return None;
        }
        let (tokenizer, stop) = (self.tokenizer.clone(), stop.to_vec());
        Some(Arc::new(move |ids: &[u32]| {
            let text = tokenizer.decode(ids);
            stop.iter().any(|stop| text.contains(stop))
        }))
    }

    /// The text of an answer, cut before the first stop string.
    pub fn text(&self, ids: &[u32], stop: &[String]) -> String {
        let text = self.tokenizer.decode(ids);
        let end = stop.iter().filter_map(|stop| text.find(stop)).min().unwrap_or(text.len());
        text[..end].trim().to_owned()
    }

    /// Digest of all that the model is asked: weights, prompt, pictures, decoding.
    pub fn request_sha256(&self, prepared: &Prepared, decoding: &Decoding) -> Result<String> {
        let request = serde_json::json!({
            "weights": self.weights_sha256,
            "template": self.template.sha256(),
            "prompt": prepared.text,
            "images": prepared.images.iter().map(|image| &image.sha256).collect::<Vec<_>>(),
            "decoding": decoding,
        });
        let text = serde_json::to_string(&request)
            .map_err(|source| Error::failed("a request cannot be written down").source(source))?;
        Ok(hex::encode(Sha256::digest(text.as_bytes())))
    }
}
