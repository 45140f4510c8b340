//! The one integration-test binary: candle is linked once.

mod architecture;
mod endpoint;
mod evalset_pull;
mod grade;
mod hub;
mod local;
mod owl_mini;
mod owleval_data;
mod parity;
mod parity_preprocess;
mod parity_tokenizer;
mod published;
mod report;
mod run_process;
mod weights;
