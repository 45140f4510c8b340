//! The hub's cache on disk: where its parts are, and whether a model in it is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Hub, Repository};
use crate::error::{Error, IoContext, Result};

/// Files that a model needs or can use, beside its weights.
const BESIDE: [&str; 3] = ["config.json", "generation_config.json", "preprocessor_config.json"];

/// The folder of a model in the cache.
pub(super) fn folder(hub: &Hub, repository: &Repository) -> PathBuf {
    hub.cache.join(format!("models--{}--{}", repository.owner, repository.name))
}

/// The file that says at which commit a revision stood.
pub(super) fn reference(hub: &Hub, repository: &Repository) -> PathBuf {
    folder(hub, repository).join("refs").join(&repository.revision)
}

/// The files of a commit.
pub(super) fn snapshot(hub: &Hub, repository: &Repository, commit: &str) -> PathBuf {
    folder(hub, repository).join("snapshots").join(commit)
}

/// Whether a text can be used as a file's name: etags and commits come from the network.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Of all files of a repository the ones that a model needs, small ones first, so that a snapshot that has its weights
/// has everything. Safetensors are preferred to PyTorch files.
pub(super) fn needed<'a>(files: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    // A name with a slash lies in a folder (another format, a training state); no file of ours does.
    let files: BTreeSet<&str> = files.into_iter().filter(|name| is_plain(name)).collect();
    let of_weights = |name: &&str| {
        let safetensors = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
        safetensors && !name.starts_with("adapter_")
    };
    let mut weights: Vec<&str> = files.iter().copied().filter(of_weights).collect();
    if weights.is_empty() {
        weights = files
            .iter()
            .copied()
            .filter(|name| {
                name.starts_with("pytorch_model") && (name.ends_with(".bin") || name.ends_with(".bin.index.json"))
            })
            .collect();
    }
    // Index files before shards.
    weights.sort_by_key(|name| (!name.ends_with(".json"), *name));
    let beside = files.iter().copied().filter(|name| BESIDE.contains(name) || name.starts_with("tokenizer"));
    beside.chain(weights.iter().copied()).collect()
}

/// The snapshot of a model if it is complete; else an error that says what to put where. `why` is the reason why nothing
/// can be downloaded.
pub(super) fn complete(hub: &Hub, repository: &Repository, why: &str) -> Result<PathBuf> {
    let reference = reference(hub, repository);
    let commit = match fs::read_to_string(&reference) {
        Ok(commit) if is_plain(commit.trim()) => commit.trim().to_owned(),
        Ok(_) => return Err(Error::input("this is no commit").at(reference).remedy("delete the file and pull again")),
        // A commit itself, or a folder filled by hand.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => repository.revision.clone(),
        Err(error) => return Err(error).or_at("cannot read", reference),
    };
    let snapshot = snapshot(hub, repository, &commit);
    let missing = missing(&snapshot)?;
    if missing.is_empty() {
        return Ok(snapshot);
    }
    let state = if snapshot.exists() { "is not complete in the cache" } else { "is not in the cache" };
    Err(Error::input(format!("{repository} {state}, and {why}; missing: {}", missing.join(", "))).remedy(format!(
        "connect and run `owleval model pull {repository}`, or put these files from {}/{}/tree/{} into {} (or into a \
         folder of your choice, to be named as the model)",
        hub.endpoint,
        repository.id(),
        repository.revision,
        snapshot.display()
    )))
}

/// What a folder lacks of a model, in words that can follow "missing:".
fn missing(folder: &Path) -> Result<Vec<String>> {
    let has = |name: &str| folder.join(name).exists();
    let mut missing = Vec::new();
    if !has("config.json") {
        missing.push("config.json".to_owned());
        if !has("preprocessor_config.json") {
            missing.push("preprocessor_config.json".to_owned());
        }
    }
    if !has("tokenizer.model") && !has("tokenizer.json") {
        missing.push("tokenizer.model (or tokenizer.json)".to_owned());
    }
    if has("model.safetensors") || has("pytorch_model.bin") {
        return Ok(missing);
    }
    for index in ["model.safetensors.index.json", "pytorch_model.bin.index.json"] {
        if has(index) {
            missing.extend(shards(&folder.join(index))?.into_iter().filter(|shard| !has(shard)));
            return Ok(missing);
        }
    }
    missing.push(
        "model.safetensors (or pytorch_model.bin, or all shards of one of them with their .index.json)".to_owned(),
    );
    Ok(missing)
}

/// The shards that an index names.
fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = fs::read(index).or_at("cannot read the index", index)?;
    let parsed: Index = serde_json::from_slice(&text)
        .map_err(|error| Error::input("this is no index of weights").at_line(index, error.line()).source(error))?;
    Ok(parsed.weight_map.into_values().collect())
}

/// Puts a blob into a snapshot, as a relative link where the system has such.
pub(super) fn link(etag: &str, blob: &Path, at: &Path) -> Result<()> {
    if fs::symlink_metadata(at).is_ok() {
        fs::remove_file(at).or_at("cannot replace", at)?;
    }
    #[cfg(unix)]
    {
        let _ = blob;
        std::os::unix::fs::symlink(Path::new("../../blobs").join(etag), at).or_at("cannot link", at)
    }
    #[cfg(not(unix))]
    {
        let _ = etag;
        fs::hard_link(blob, at).or_else(|_| fs::copy(blob, at).map(drop)).or_at("cannot link", at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_model_needs_is_chosen_and_weights_come_last() {
        let files = [
            ".gitattributes",
            "README.md",
            "pytorch_model-00002-of-00002.bin",
            "pytorch_model-00001-of-00002.bin",
            "pytorch_model.bin.index.json",
            "config.json",
            "generation_config.json",
            "preprocessor_config.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "training_args.bin",
            "optimizer/pytorch_model.bin",
            "../config.json",
        ];
        assert_eq!(
            needed(files),
            [
                "config.json",
                "generation_config.json",
                "preprocessor_config.json",
                "tokenizer.model",
                "tokenizer_config.json",
                "pytorch_model.bin.index.json",
                "pytorch_model-00001-of-00002.bin",
                "pytorch_model-00002-of-00002.bin",
            ]
        );
        let with_safetensors = files.into_iter().chain(["model.safetensors", "adapter_model.safetensors"]);
        assert_eq!(needed(with_safetensors).last(), Some(&"model.safetensors"));
        assert!(!needed(files.into_iter().chain(["model.safetensors"])).contains(&"pytorch_model.bin.index.json"));
    }
}
