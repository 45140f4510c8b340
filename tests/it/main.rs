//! The one integration-test binary: candle is linked once.

mod hub;
mod parity;
mod parity_preprocess;
mod parity_tokenizer;
mod weights;
