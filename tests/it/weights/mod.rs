//! Weight files of every format, and what happens when they are damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use owleval::error::Error;
use owleval::owl::source::TensorSource;
use owleval::owl::weights::{Checkpoint, DtypePolicy};

mod adapters;
mod damage;
mod gguf;
mod layouts;

pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

pub fn open(path: &Path) -> Result<Checkpoint, Error> {
    Checkpoint::open(path, &Device::Cpu, DtypePolicy::dense(DType::F32))
}

/// Row-major values of a tensor as f32.
pub fn values(source: &dyn TensorSource, name: &str, shape: &[usize]) -> Vec<f32> {
    let tensor = source.get(name, shape).unwrap();
    assert_eq!(tensor.dims(), shape);
    flat(&tensor)
}

pub fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// What `tests/fixtures/pytorch/make.py` writes into a storage.
pub fn pattern(elements: usize, shift: f32) -> Vec<f32> {
    (0..elements).map(|i| ((i % 17) as f32 - 8.0) / 4.0 + shift).collect()
}

/// The error with its remedy, as the user sees it.
pub fn told(error: &Error) -> String {
    format!("{error}; {}", error.remedy_text().unwrap_or_default())
}

/// A model folder with one matrix of every kind, two layers wide enough to be quantised and one that is not.
pub fn write_model(folder: &Path, dtype: DType) -> BTreeMap<String, Vec<usize>> {
    let shapes: BTreeMap<String, Vec<usize>> = [
        ("vision_model.embeddings.patch_embed.weight", vec![8, 3, 2, 2]),
        ("vision_model.post_layernorm.bias", vec![8]),
        ("query_tokens", vec![1, 4, 8]),
        ("abstractor.visual_fc.weight", vec![256, 8]),
        ("language_model.model.embed_tokens.weight", vec![32, 256]),
        ("language_model.model.layers.0.self_attn.q_proj.weight", vec![256, 256]),
        ("language_model.model.layers.0.mlp.down_proj.weight", vec![256, 512]),
        ("language_model.model.layers.0.mlp.up_proj.weight", vec![40, 256]),
        ("language_model.model.norm.weight", vec![256]),
        ("language_model.lm_head.weight", vec![32, 256]),
    ]
    .into_iter()
    .map(|(name, shape)| (name.to_owned(), shape))
    .collect();
    let tensors: BTreeMap<String, Tensor> = shapes
        .iter()
        .enumerate()
        .map(|(seed, (name, shape))| {
            let elements: usize = shape.iter().product();
            let values: Vec<f32> = (0..elements).map(|i| ((i + seed * 31) as f32 * 0.7).sin() * 0.1).collect();
            let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).unwrap();
            (name.clone(), tensor.to_dtype(dtype).unwrap())
        })
        .collect();
    let bytes = safetensors::serialize(&tensors, None).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
    std::fs::write(folder.join("config.json"), "{\"model_type\": \"mplug-owl\", \"text_config\": {}}\n").unwrap();
    std::fs::write(folder.join("tokenizer.model"), [0u8, 159, 146, 150, 0]).unwrap();
    shapes
}
