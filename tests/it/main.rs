//! The one integration-test binary: candle is linked once.

mod endpoint;
mod published;
