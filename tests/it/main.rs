//! The one integration-test binary: candle is linked once.

mod evalset_pull;
mod owleval_data;
