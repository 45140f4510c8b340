//! The two-stage training recipe of mPLUG-Owl.
