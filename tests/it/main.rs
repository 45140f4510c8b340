//! The one integration-test binary: candle is linked once.

mod ablate;
mod architecture;
mod chat;
mod endpoint;
mod evalset_pull;
mod grade;
#[cfg(unix)]
mod grade_pass;
#[cfg(unix)]
mod grade_screen;
#[cfg(unix)]
mod grade_start;
mod hub;
mod judge;
mod local;
mod owl_mini;
mod owleval_data;
mod parity;
mod parity_preprocess;
mod parity_tokenizer;
#[cfg(unix)]
mod pseudo_terminal;
mod published;
mod report;
mod run_process;
mod serve;
mod weights;
