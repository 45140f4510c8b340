//! `owl-mini`, which is part of the binary.

use candle_core::Device;

use crate::error::Result;
use crate::owl::weights::{Checkpoint, DtypePolicy};

pub(super) const NAME: &str = "owl-mini";

/// The files of `models/owl-mini/` beside the weights.
static BESIDE: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../../../models/owl-mini/config.json")),
    ("generation_config.json", include_bytes!("../../../models/owl-mini/generation_config.json")),
    ("preprocessor_config.json", include_bytes!("../../../models/owl-mini/preprocessor_config.json")),
    ("tokenizer.json", include_bytes!("../../../models/owl-mini/tokenizer.json")),
    ("template.toml", include_bytes!("../../../models/owl-mini/template.toml")),
];

static WEIGHTS: &[u8] = include_bytes!("../../../models/owl-mini/model.safetensors");

pub(super) fn open(device: &Device, policy: DtypePolicy) -> Result<Checkpoint> {
    Checkpoint::from_bytes(NAME, WEIGHTS, &BESIDE, device, policy)
}
