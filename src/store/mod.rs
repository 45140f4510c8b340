//! What is on disk, and how it survives: journals that are appended a synced line at a time, files that are written
//! beside themselves and renamed, and the run folder that is made of both.

pub mod atomic;
pub mod journal;
pub mod run_folder;

pub use journal::Journal;
pub use run_folder::RunFolder;
