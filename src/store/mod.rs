//! What is on disk, and how it survives: journals that are appended a synced line at a time, files that are written
//! beside themselves and renamed, and the run folder that is made of both.

pub mod atomic;
pub mod journal;
pub mod run_folder;
mod verify;

pub use journal::Journal;
pub use run_folder::RunFolder;
pub use verify::verify_run;

/// A folder for tests that sync often: in memory where the system has such a place, since a sync of a busy disk takes
/// long and proves nothing here.
#[cfg(test)]
pub(crate) fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}
