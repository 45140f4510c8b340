//! Numeric proof: the model against the reference implementation, over every case of a parity folder.
//!
//! The folder is `tests/fixtures/parity`, or another of the same schema named by `OWLEVAL_PARITY`. How its numbers came
//! to be is told in its README.

mod fixture;
mod forward;
mod training;
mod variants;
