//! The two-stage training recipe of mPLUG-Owl (section 3.3 of the paper), at any scale.
//!
//! ```text
//! recipe.rs      a TOML file: model, stages, who learns in each, data, numbers
//!   stage.rs     one stage in its place: weights in, data, folder of results, the finished model
//!     data/      conversations -> tokens, image slots, targets -> packed batches
//!     learner.rs batch -> slots.rs -> model -> loss.rs
//!     run.rs     the loop: gradients -> optimizer.rs (adamw.rs, muon.rs) at schedule.rs's rate; log, samples, checkpoint.rs, curve.rs
//! ```
//!
//! Stage 1 of the paper trains vision tower and abstractor under a frozen language model, stage 2 an adapter on the
//! language model. Two optional stages before them stand in for what mPLUG-Owl takes ready-made: language
//! pre-training (for LLaMA's), in which scenes are *told* in words where pictures will be, and vision pre-training
//! (for CLIP's), supervised on generated scenes.

pub mod adamw;
pub mod checkpoint;
pub mod curve;
pub mod data;
pub mod lanes;
pub mod learner;
pub mod loss;
pub mod muon;
pub mod optimizer;
pub mod parameters;
pub mod probe;
pub mod recipe;
pub mod run;
pub mod schedule;
pub mod slots;
pub mod stage;

#[cfg(test)]
mod tests;
