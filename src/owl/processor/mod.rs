//! What stands between a user's files and the model: pictures become pixels, text becomes ids, messages become a
//! prompt, and conversations become training rows.
//!
//! | file | job |
//! |---|---|
//! | [`image`] | bytes -> picture of the model's size, by Pillow's rules |
//! | [`decode`] | PNG, JPEG, GIF, WebP, BMP -> the picture in its own mode |
//! | [`modes`] | Pillow's modes and their conversion to RGB |
//! | [`resize`] | Pillow's antialiased bicubic and nearest resampling |
//! | [`pixels`] | RGB -> normalised tensors; `preprocessor_config.json` |
//! | [`augment`] | the picture transforms of training |
//! | [`tokenizer`] | text <-> ids, for `tokenizer.json` and SentencePiece models |
//! | [`sentencepiece`] | reads a SentencePiece `tokenizer.model` |
//! | [`decode_stream`] | ids -> text as they come |
//! | [`tokenizer_trainer`] | trains a small tokenizer of the same kind |
//! | [`template`] | messages -> prompt -> ids |
//! | [`demo`] | the reference demo's own prompt construction and its clean-up of answers |
//! | [`training`] | conversation text -> ids and loss mask |

pub mod augment;
pub mod decode;
pub mod decode_stream;
pub mod demo;
pub mod image;
pub mod modes;
pub mod pixels;
pub mod resize;
pub mod sentencepiece;
pub mod template;
pub mod tokenizer;
pub mod tokenizer_trainer;
pub mod training;

pub use self::image::{RgbImage, decode_and_resize, decode_and_resize_within};
pub use decode::DEFAULT_PIXEL_LIMIT;
pub use decode_stream::DecodeStream;
pub use pixels::PreprocessorConfig;
pub use template::{Prompt, Role, Template, Turn};
pub use tokenizer::Tokenizer;
pub use tokenizer_trainer::TokenizerTrainer;
pub use training::{TrainingBatch, TrainingSequence, collate, encode_conversation, encode_training};

/// The literal that stands for a picture in prompts and in training text.
pub const IMAGE_PLACEHOLDER: &str = "<image>";

/// The id that marks one slot of a picture in a row of ids (section 6 of the reference's input assembly).
pub const IMAGE_SLOT: i64 = -1;
