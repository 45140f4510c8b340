//! `owleval` answers, grades, judges and reports OwlEval, with mPLUG-Owl built in.
//!
//! ```text
//! evalset -> item -> conversation -> answer -> rating (human or judge) -> statistics -> report
//! ```
//!
//! Each arrow is one function, and each stage writes a file that the next one reads, so that any stage can be run,
//! killed, resumed or replaced alone. `ARCHITECTURE.md` shows the rooms and which of them may use which.

pub mod ablation;
pub mod backend;
pub mod bench;
pub mod cli;
pub mod error;
pub mod evalset;
pub mod grading;
pub mod judge;
pub mod owl;
pub mod record;
pub mod report;
pub mod runner;
pub mod sanitize;
pub mod scenes;
pub mod score;
pub mod serve;
pub mod stats;
pub mod store;
pub mod tls;
pub mod train;
pub mod tui;
