//! mPLUG-Owl (arXiv 2304.14178), as a reader of the paper expects it: figure 2 in the order in which a picture passes
//! through it. This room knows nothing of evaluation and could be published alone.
//!
//! ```text
//! pixels [n, 3, S, S]
//!   -> vision::VisionTower       ViT-L/14                         [n, N+1, V]   N = (S/P)^2, all tokens kept
//!   -> abstractor::Abstractor    learned queries read the tokens  [n, Q+1, H]   Q visual tokens and `vit_eos`
//!   -> assemble                  into the image slots of the embedded prompt  [T, H]
//!   -> llama::Llama              decoder                          [T, W] logits
//!   -> generate                  tokens, one at a time
//! ```
//!
//! Rows of a batch are packed one after the other, without padding: every linear layer sees all tokens of all rows at
//! once, and attention ([`nn::attention`]) looks at the spans of each row alone. A row thus gives the same tokens in
//! a batch as it gives by itself.

pub mod abstractor;
pub mod cache;
pub mod config;
pub mod generate;
pub mod hub;
pub mod llama;
pub mod model;
pub mod nn;
pub mod processor;
pub mod random;
pub mod source;
pub mod vision;
pub mod weights;

pub use config::Config;
pub use model::{Owl, Row};
