//! Journals, atomic files, run folders.
