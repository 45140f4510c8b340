//! Which files of a folder are a checkpoint's weights.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};

pub(super) const LAYOUT: &str = "a model is a folder with config.json and model.safetensors or pytorch_model.bin (or shards of one \
                      of them with their index), or a GGUF file made by owleval model quantize";

/// The weights of a checkpoint.
pub(super) struct Found {
    pub files: Vec<PathBuf>,
    /// The index file, and which shard it promises each tensor in.
    pub index: Option<(PathBuf, BTreeMap<String, String>)>,
}

/// The weight files of a folder: safetensors before PyTorch files before GGUF.
pub(super) fn find_weights(folder: &Path) -> Result<Found> {
    for (single, index) in
        [("model.safetensors", "model.safetensors.index.json"), ("pytorch_model.bin", "pytorch_model.bin.index.json")]
    {
        if folder.join(single).exists() {
            return Ok(Found { files: vec![folder.join(single)], index: None });
        }
        if folder.join(index).exists() {
            return read_index(folder, &folder.join(index));
        }
    }
    let mut others: Vec<PathBuf> = fs::read_dir(folder)
        .or_at("cannot read the folder", folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name.ends_with(".safetensors") || name.ends_with(".gguf"))
                && !name.starts_with("adapter_")
                && !name.starts_with('.')
        })
        .collect();
    others.sort();
    match others.len() {
        1 => Ok(Found { files: others, index: None }),
        0 => Err(Error::input("the folder holds no weights").at(folder).remedy(LAYOUT)),
        count => Err(Error::input(format!("the folder holds {count} weight files and no index"))
            .at(folder)
            .remedy("add the *.index.json that belongs to them, or name one file")),
    }
}

fn read_index(folder: &Path, path: &Path) -> Result<Found> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = fs::read(path).or_at("cannot read the index", path)?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| {
        Error::input("this is no index of weights")
            .at_line(path, error.line())
            .remedy("download the index again")
            .source(error)
    })?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    if shards.is_empty() {
        return Err(Error::input("the index names no tensors").at(path).remedy("download the index again"));
    }
    let mut files = Vec::new();
    for shard in shards {
        if shard.contains(['/', '\\']) || shard.starts_with('.') {
            return Err(Error::input(format!("the index names {shard:?}, which is no plain file name")).at(path));
        }
        let file = folder.join(shard);
        if !file.exists() {
            return Err(Error::input(format!("the shard {shard:?} is missing, which the index names"))
                .at(path)
                .remedy(format!("put {shard} into {}", folder.display())));
        }
        files.push(file);
    }
    Ok(Found { files, index: Some((path.to_owned(), index.weight_map)) })
}
