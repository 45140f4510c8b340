//! mPLUG-Owl (arXiv 2304.14178), as a reader of the paper expects it.

pub mod processor;
