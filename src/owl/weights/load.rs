//! Tensors out of a checkpoint: converted, quantised or with an adapter merged, one at a time.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::checkpoint::{Checkpoint, Located};
use super::file::{Encoding, Entry, GgmlName, WeightFile};
use super::{LANGUAGE_MODEL, Quantization, convert, is_language_linear};
use crate::error::{Error, Result};
use crate::owl::source::{LinearWeight, LowRank, TensorSource};

impl Checkpoint {
    /// A, B and scaling of the adapter that is merged into a tensor.
    fn merged_pair(&self, name: &str) -> Option<(&Tensor, &Tensor, f64)> {
        let adapter = self.merged.as_ref()?;
        let (a, b) = adapter.get(name.strip_suffix(".weight")?)?;
        Some((a, b, adapter.scaling()))
    }

    /// What the merged adapter adds to a tensor, row-major.
    fn delta(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let Some((a, b, scaling)) = self.merged_pair(name) else { return Ok(None) };
        let delta = (b.matmul(a)? * scaling)?;
        Ok(Some(delta.flatten_all()?.to_vec1()?))
    }

    /// All values of a tensor as f32, with the merged adapter.
    pub(super) fn values(&self, name: &str) -> Result<Vec<f32>> {
        let Located { file, entry } = self.locate(name)?;
        let file = &self.files[*file];
        let mut values = convert::to_f32(&entry.encoding, &entry.shape, &file.values(entry))
            .map_err(|error| in_tensor(error, name, &file.path))?;
        if let Some(delta) = self.delta(name)? {
            values.par_iter_mut().zip(delta.par_iter()).for_each(|(value, change)| *value += change);
        }
        self.done_with(file, entry);
        Ok(values)
    }

    /// The bytes of a tensor in its own encoding: those of the file where no adapter changes them.
    pub(super) fn stored_values(&self, name: &str, encoding: &Encoding) -> Result<Vec<u8>> {
        let Located { file, entry } = self.locate(name)?;
        if self.merged_pair(name).is_some() || *encoding != entry.encoding {
            return convert::encode(&self.values(name)?, encoding);
        }
        let file = &self.files[*file];
        let values = file.values(entry).into_owned();
        self.done_with(file, entry);
        Ok(values)
    }

    fn load(&self, name: &str, located: &Located) -> Result<Tensor> {
        let Located { file, entry } = located;
        let dtype = self.policy.of(name);
        if self.merged_pair(name).is_some() {
            let values = self.values(name)?;
            return Ok(Tensor::from_vec(values, entry.shape.as_slice(), &self.device)?.to_dtype(dtype)?);
        }
        let file = &self.files[*file];
        let tensor = convert::to_tensor(&entry.encoding, &entry.shape, &file.values(entry), dtype, &self.device)
            .map_err(|error| in_tensor(error, name, &file.path))?;
        self.done_with(file, entry);
        Ok(tensor)
    }

    /// A tensor has been taken over: its pages are given back, and the progress bar moves on.
    fn done_with(&self, file: &WeightFile, entry: &Entry) {
        file.release(entry);
        self.progress.inc(entry.length as u64);
    }
}

impl TensorSource for Checkpoint {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let located = self.expect(name, shape)?;
        self.load(name, located)
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Quantised where the file holds the matrix so, or where the policy asks for it and the shape allows it.
    fn linear(&self, name: &str, out_features: usize, in_features: usize) -> Result<LinearWeight> {
        let shape = [out_features, in_features];
        let located = self.expect(name, &shape)?;
        let wanted = self.policy.quantize.filter(|_| is_language_linear(name));
        if let Encoding::Blocks(stored) = &located.entry.encoding {
            let file = &self.files[located.file];
            if let Some(wanted) = wanted
                && wanted.ggml() != stored.0
            {
                let found = &located.entry.encoding;
                return Err(Error::input(format!(
                    "the file is quantised as {found}, but {} is asked for",
                    wanted.name()
                ))
                .at(&file.path)
                .remedy("leave the dtype to the file, or quantise the original checkpoint anew"));
            }
            let values = file.values(&located.entry);
            let tensor = convert::quantized(&located.entry.encoding, &shape, &values, &self.device)
                .map_err(|error| in_tensor(error, name, &file.path))?;
            self.done_with(file, &located.entry);
            return Ok(LinearWeight::Quantized(Arc::new(tensor)));
        }
        match wanted {
            Some(quantization) if Quantization::fits(&shape) => {
                let blocks = convert::quantize(&self.values(name)?, quantization)?;
                let encoding = Encoding::Blocks(GgmlName(quantization.ggml()));
                let tensor = convert::quantized(&encoding, &shape, &blocks, &self.device)?;
                Ok(LinearWeight::Quantized(Arc::new(tensor)))
            }
            Some(_) => {
                self.left_dense.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
                Ok(LinearWeight::Dense(self.load(name, located)?))
            }
            None => Ok(LinearWeight::Dense(self.load(name, located)?)),
        }
    }

    fn adapter(&self, name: &str, _out_features: usize, _in_features: usize) -> Result<Option<LowRank>> {
        let Some(adapter) = &self.applied else { return Ok(None) };
        let Some((a, b)) = adapter.get(name) else { return Ok(None) };
        let dtype = self.policy.of(name);
        let place = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.to_device(&self.device)?.to_dtype(dtype)?) };
        Ok(Some(LowRank { a: place(a)?, b: place(b)?, scaling: adapter.config.scaling(), dropout: 0.0 }))
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn dtype(&self) -> DType {
        self.policy.of(LANGUAGE_MODEL)
    }
}

fn in_tensor(error: Error, name: &str, file: &Path) -> Error {
    let remedy = error.remedy_text().map(str::to_owned);
    let wrapped = Error::input(format!("tensor {name:?} cannot be loaded: {}", error.message())).at(file).source(error);
    match remedy {
        Some(remedy) => wrapped.remedy(remedy),
        None => wrapped,
    }
}
