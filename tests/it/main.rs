//! The one integration-test binary: candle is linked once.

mod hub;
mod parity;
mod weights;
