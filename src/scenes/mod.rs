//! Synthetic scenes: what is in them, how they are drawn, what can be asked about them.
