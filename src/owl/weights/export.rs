//! Writes a checkpoint in the Hugging Face layout: safetensors in shards with an index, and the files beside them. The
//! whole folder is written beside its place and renamed at the end, so that there is never half a model.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ::safetensors::tensor::View;
use ::safetensors::{Dtype, serialize_to_file};

use super::checkpoint::Checkpoint;
use super::file::Encoding;
use super::lora::Adapter;
use super::safetensors;
use crate::error::{Error, IoContext, Result};

/// The largest shard that is written, as Hugging Face's libraries do: 5 GB.
pub const SHARD_BYTES: usize = 5_000_000_000;

/// Writes the model with an adapter added to its weights, `W + scaling · B A`, into the folder `out`; every tensor keeps
/// the type it has in the checkpoint.
///
/// # Errors
/// An adapter that does not fit the model; a quantised model; a folder `out` that exists and is not empty.
pub fn merge_adapter(checkpoint: Checkpoint, adapter: Adapter, out: &Path) -> Result<()> {
    export(&checkpoint.merge_on_load(adapter)?, out, SHARD_BYTES)
}

/// Writes a checkpoint into the folder `out`, in shards of at most `shard_bytes` (a larger tensor has one of its own).
pub fn export(checkpoint: &Checkpoint, out: &Path, shard_bytes: usize) -> Result<()> {
    if out.exists() && fs::read_dir(out).or_at("cannot read the folder", out)?.next().is_some() {
        return Err(Error::input("the folder exists and is not empty").at(out).remedy("name another folder"));
    }
    checkpoint.refuse_loose_adapter()?;
    let shards = plan(checkpoint, shard_bytes)?;
    let partial = beside(out)?;
    fs::create_dir_all(&partial).or_at("cannot create the folder", &partial)?;
    let written = write_folder(checkpoint, &shards, &partial).and_then(|()| {
        if out.exists() {
            fs::remove_dir(out).or_at("cannot replace the empty folder", out)?;
        }
        fs::rename(&partial, out).or_at("cannot rename the finished folder", out)
    });
    checkpoint.end_progress();
    if written.is_err() {
        // The error to report is the first one; what is left over is only a hidden folder.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

struct Shard {
    name: String,
    tensors: Vec<(String, Vec<usize>, Dtype)>,
    bytes: usize,
}

fn plan(checkpoint: &Checkpoint, shard_bytes: usize) -> Result<Vec<Shard>> {
    let mut shards: Vec<Shard> = Vec::new();
    for (name, entry) in checkpoint.weights() {
        let dtype = safetensors::dtype_of(&entry.encoding).ok_or_else(|| {
            Error::input(format!("tensor {name:?} is of type {}, which cannot be merged or rewritten", entry.encoding))
                .at(checkpoint.place())
                .remedy("start from the checkpoint in float32, float16 or bfloat16")
        })?;
        let bytes = entry.elements() * entry.encoding.block().1;
        match shards.last_mut() {
            Some(shard) if shard.bytes + bytes <= shard_bytes => {
                shard.bytes += bytes;
                shard.tensors.push((name.to_owned(), entry.shape.clone(), dtype));
            }
            _ => shards.push(Shard {
                name: String::new(),
                tensors: vec![(name.to_owned(), entry.shape.clone(), dtype)],
                bytes,
            }),
        }
    }
    let count = shards.len();
    for (index, shard) in shards.iter_mut().enumerate() {
        shard.name = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
    }
    Ok(shards)
}

fn write_folder(checkpoint: &Checkpoint, shards: &[Shard], folder: &Path) -> Result<()> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    for shard in shards {
        let path = folder.join(&shard.name);
        let problem = Mutex::new(None);
        let tensors = shard.tensors.iter().map(|(name, shape, dtype)| {
            let view = LazyTensor { checkpoint, name, shape, dtype: *dtype, problem: &problem };
            (name.as_str(), view)
        });
        serialize_to_file(tensors, Some(metadata.clone()), &path)
            .map_err(|error| Error::failed("cannot write the weights").at(&path).source(error))?;
        if let Some(problem) = problem.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            return Err(problem);
        }
        // The library writes through a private temporary file, readable for its owner alone.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).or_at("cannot set permissions", &path)?;
        }
        File::open(&path).and_then(|file| file.sync_all()).or_at("cannot sync", &path)?;
    }
    if shards.len() > 1 {
        let map: serde_json::Map<String, serde_json::Value> = shards
            .iter()
            .flat_map(|shard| shard.tensors.iter().map(|(name, ..)| (name.clone(), shard.name.clone().into())))
            .collect();
        let total: usize = shards.iter().map(|shard| shard.bytes).sum();
        let index = serde_json::json!({ "metadata": { "total_size": total }, "weight_map": map });
        write_file(&folder.join("model.safetensors.index.json"), format!("{index:#}\n").as_bytes())?;
    }
    for file in checkpoint.side_files()? {
        write_file(&folder.join(&file.name), &file.content)?;
    }
    Ok(())
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = File::create(path).or_at("cannot write", path)?;
    file.write_all(content).or_at("cannot write", path)?;
    file.sync_all().or_at("cannot sync", path)
}

/// A tensor whose values are made at the moment when they are written, so that one at a time is in memory.
struct LazyTensor<'a> {
    checkpoint: &'a Checkpoint,
    name: &'a str,
    shape: &'a [usize],
    dtype: Dtype,
    /// The library's interface has no place for an error.
    problem: &'a Mutex<Option<Error>>,
}

impl LazyTensor<'_> {
    fn encoding(&self) -> Encoding {
        match self.dtype {
            Dtype::F16 => Encoding::F16,
            Dtype::BF16 => Encoding::BF16,
            Dtype::F64 => Encoding::F64,
            _ => Encoding::F32,
        }
    }
}

impl View for LazyTensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.checkpoint.stored_values(self.name, &self.encoding()).unwrap_or_else(|error| {
            self.problem.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
            Vec::new()
        }))
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.encoding().block().1
    }
}

/// Writes a file beside its place, syncs it and renames it.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let partial = beside(path)?;
    let attempt = || -> Result<()> {
        let mut to = BufWriter::with_capacity(1 << 20, File::create(&partial).or_at("cannot write", &partial)?);
        write(&mut to)?;
        to.flush().or_at("cannot write", &partial)?;
        to.get_ref().sync_all().or_at("cannot sync", &partial)?;
        fs::rename(&partial, path).or_at("cannot rename the finished file", path)
    };
    let written = attempt();
    if written.is_err() {
        // The error to report is the first one; what is left over is only a hidden file.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// A hidden name in the same folder, for what is being written.
fn beside(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::input("this is no name for a file or folder").at(path))?
        .to_string_lossy()
        .into_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).or_at("cannot create the folder", parent)?;
    Ok(parent.join(format!(".{name}.partial-{}", std::process::id())))
}
