//! What a stage keeps on disk, so that it can be killed at any time and carried on bit-exactly.
//!
//! `optimizer.safetensors` is the whole state of the training: values, moments and the number of updates, in one file
//! that is written beside itself and renamed. `checkpoint.safetensors` holds what the stage trained, for the stages
//! that follow; `state.json` says in words where it stands.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::optimizer::Optimizer;
use crate::error::{Error, IoContext, Result};

/// The names of a stage's files.
pub struct Files {
    pub folder: PathBuf,
}

impl Files {
    pub fn new(out: &Path, stage: &str) -> Self {
        Self { folder: out.join(stage) }
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    pub fn optimizer(&self) -> PathBuf {
        self.folder.join("optimizer.safetensors")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    pub fn table(&self) -> PathBuf {
        self.folder.join("loss.csv")
    }

    pub fn curve(&self) -> PathBuf {
        self.folder.join("loss.svg")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("log.txt")
    }
}

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub schema: u32,
    pub stage: String,
    /// Updates made.
    pub step: usize,
    pub steps: usize,
    pub finished: bool,
    /// The sha256 of the recipe's model, tokenizer and stage, without how often it logs and saves: a stage is only
    /// carried on by the recipe that began it.
    pub recipe_sha256: String,
    pub seconds: f64,
}

/// Reads a stage's `state.json`, if it has one.
pub fn read_state(path: &Path) -> Result<Option<State>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).or_at("cannot read the state of the stage", path)?;
    let state = serde_json::from_str(&text)
        .map_err(|error| Error::input(format!("not the state of a stage: {error}")).at(path))?;
    Ok(Some(state))
}

/// The mean of every tensor over those of the files that hold it.
pub fn mean(files: &[PathBuf]) -> Result<BTreeMap<String, Tensor>> {
    let mut sums: BTreeMap<String, (Tensor, usize)> = BTreeMap::new();
    for path in files {
        let unusable = |source| Error::input("cannot take the mean of the checkpoints").at(path).source(source);
        for (name, tensor) in candle_core::safetensors::load(path, &Device::Cpu).map_err(unusable)? {
            let sum = match sums.remove(&name) {
                Some((sum, count)) => ((sum + tensor).map_err(unusable)?, count + 1),
                None => (tensor, 1),
            };
            sums.insert(name, sum);
        }
    }
    sums.into_iter().map(|(name, (sum, count))| Ok((name, (sum / count as f64)?))).collect()
}

/// Writes a file whole: beside itself, synced, renamed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).or_at("cannot write", path)?;
    file.write_all(bytes).or_at("cannot write", path)?;
    file.as_file().sync_all().or_at("cannot write", path)?;
    file.persist(path).map_err(|error| error.error).or_at("cannot write", path)?;
    Ok(())
}

/// Writes tensors and a few words about them as one safetensors file.
pub fn write_tensors(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
    metadata: &[(&str, String)],
) -> Result<()> {
    let tensors = tensors.into_iter().collect::<Vec<_>>();
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let bytes = safetensors::serialize(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)), Some(metadata))
        .map_err(|error| Error::failed(format!("cannot write tensors: {error}")).at(path))?;
    write_whole(path, &bytes)
}

/// Saves the training's state (see the head of this file).
pub fn save(files: &Files, optimizer: &Optimizer, state: &State) -> Result<()> {
    let values = optimizer.variables().iter().map(|(name, var)| (name.clone(), var.as_detached_tensor()));
    let values = values.collect::<Vec<_>>();
    let moments = optimizer.state()?;
    let masters = values.iter().map(|(name, tensor)| (format!("value.{name}"), tensor.clone()));
    let about = [
        ("updates", optimizer.updates().to_string()),
        ("recipe_sha256", state.recipe_sha256.clone()),
        ("seconds", state.seconds.to_string()),
    ];
    write_tensors(&files.optimizer(), moments.into_iter().chain(masters), &about)?;
    let trained = values.into_iter().filter(|(name, _)| !name.starts_with("probe."));
    write_tensors(&files.checkpoint(), trained, &[("format", "pt".to_owned())])?;
    let mut json = serde_json::to_vec_pretty(state)
        .map_err(|error| Error::failed(format!("cannot write the state: {error}")).at(files.state()))?;
    json.push(b'\n');
    write_whole(&files.state(), &json)
}

/// What [`save`] kept.
pub struct Saved {
    pub updates: usize,
    pub seconds: f64,
    tensors: HashMap<String, Tensor>,
}

/// Reads the state of a stage that is to be carried on; none if it has not been begun. Refused if another recipe began
/// it.
pub fn read(files: &Files, recipe_sha256: &str) -> Result<Option<Saved>> {
    let path = files.optimizer();
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).or_at("cannot read the optimiser's state", &path)?;
    let damaged = |error: safetensors::SafeTensorError| {
        Error::input(format!("the optimiser's state is damaged: {error}"))
            .at(&path)
            .remedy("remove the folder of the stage and train it anew")
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let word = |key: &str| metadata.metadata().as_ref().and_then(|words| words.get(key)).cloned();
    if word("recipe_sha256").as_deref() != Some(recipe_sha256) {
        return Err(Error::input("this stage was begun with another recipe")
            .at(&files.folder)
            .remedy("give another --out, or remove the folder of the stage"));
    }
    let number = |key: &str| word(key).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
    Ok(Some(Saved { updates: number("updates") as usize, seconds: number("seconds"), tensors }))
}

impl Saved {
    /// The trained values, by name.
    pub fn values(&self) -> impl Iterator<Item = (String, Tensor)> + '_ {
        self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("value.")?.to_owned(), tensor.clone())))
    }

    /// Gives the moments back to the optimiser.
    pub fn restore(&self, optimizer: &mut Optimizer) -> Result<()> {
        optimizer.restore(&self.tensors, self.updates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_over_the_files_that_hold_the_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let file = |index: usize, tensors: &[(&str, [f32; 2])]| {
            let path = folder.path().join(index.to_string());
            let tensors =
                tensors.iter().map(|(name, values)| ((*name).to_owned(), Tensor::new(values, &Device::Cpu).unwrap()));
            write_tensors(&path, tensors, &[]).unwrap();
            path
        };
        let files = [
            file(0, &[("both", [1.0, 2.0]), ("one", [5.0, 7.0])]),
            file(1, &[("both", [3.0, 6.0])]),
            file(2, &[("both", [2.0, 4.0])]),
        ];
        let mean = mean(&files).unwrap();
        let values = |name: &str| mean[name].to_vec1::<f32>().unwrap();
        assert_eq!((values("both"), values("one")), (vec![2.0, 4.0], vec![5.0, 7.0]));
    }

    #[test]
    fn tensors_of_two_shapes_have_no_mean() {
        let folder = tempfile::tempdir().unwrap();
        let files = [[2usize, 1], [3, 1]].map(|shape| {
            let path = folder.path().join(shape[0].to_string());
            let tensor = Tensor::zeros(&shape, candle_core::DType::F32, &Device::Cpu).unwrap();
            write_tensors(&path, [("twin".to_owned(), tensor)], &[]).unwrap();
            path
        });
        let error = mean(&files).unwrap_err();
        assert!(error.to_string().contains("mean"), "{error}");
    }
}
