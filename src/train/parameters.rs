//! The weights while they are trained: one store that the model is built from, and that knows who learns.
//!
//! A trainable tensor is handed out tracked, so that gradients reach it; a frozen one detached, so that none is
//! computed. Both share their memory with the store: an update in place is seen by the model at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use candle_core::{DType, Device, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::recipe::{Group, Lora};
use crate::error::{Error, Result};
use crate::owl::source::{LowRank, TensorSource};

/// How fresh weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Initializer {
    /// Their standard deviation, `initializer_range` of the reference. 0.02 suits widths of a thousand; a narrow model
    /// that is trained from nothing starts faster with more.
    pub range: f64,
    /// Whether the vision tower's positions start as sines and cosines of row and column, as large as the patches,
    /// instead of noise: a tower trained from nothing otherwise takes long to learn where a patch lies.
    pub sine_positions: bool,
    /// Whether the language model starts out looking for like and copying it: keys begin as the queries, the output
    /// projection as the transpose of the values, the logits as the embeddings (after Trockman and Kolter, arXiv
    /// 2305.09828). A model trained from nothing otherwise takes thousands of updates to learn to look anything up.
    pub mimetic_attention: bool,
}

impl Default for Initializer {
    fn default() -> Self {
        Self { range: 0.02, sine_positions: false, mimetic_attention: false }
    }
}

/// All tensors of a model in training, by their checkpoint names.
pub struct Parameters {
    device: Device,
    seed: u64,
    trainable: Vec<Group>,
    lora: Option<Lora>,
    initializer: Initializer,
    /// What was given, until it is asked for.
    given: BTreeMap<String, Tensor>,
    variables: Mutex<BTreeMap<String, Var>>,
}

impl Parameters {
    /// An empty store: tensors are initialised when they are first asked for, from `seed` and their name alone, so
    /// that the order does not matter.
    pub fn new(seed: u64, trainable: &[Group], device: &Device) -> Self {
        Self {
            device: device.clone(),
            seed,
            trainable: trainable.to_vec(),
            lora: None,
            initializer: Initializer::default(),
            given: BTreeMap::new(),
            variables: Mutex::default(),
        }
    }

    /// Draws fresh weights in another way than the reference.
    pub fn with_initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Gives the language model a low-rank adapter.
    pub fn with_adapter(mut self, lora: &Lora) -> Self {
        self.lora = Some(lora.clone());
        self
    }

    /// Takes over tensors, for example from a checkpoint; later ones replace earlier ones of the same name.
    ///
    /// Must happen before the model is built: the model holds on to what it was given. Tensors that no part of the
    /// model asks for (buffers of a checkpoint) are left out of everything.
    pub fn insert(&mut self, tensors: impl IntoIterator<Item = (String, Tensor)>) {
        self.given.extend(tensors);
    }

    /// Takes over all tensors of a safetensors file. Returns the number of tensors.
    pub fn load(&mut self, path: &Path) -> Result<usize> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|source| Error::input(format!("cannot read the checkpoint: {source}")).at(path).source(source))?;
        let count = tensors.len();
        self.insert(tensors);
        Ok(count)
    }

    /// The tensor `name`: what was inserted, or fresh values of the given shape. Tracked if it learns.
    ///
    /// An error if there is one of another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let mut variables = self.lock();
        let var = match (variables.get(name), self.given.get(name)) {
            (Some(var), _) => var.clone(),
            (None, Some(tensor)) => {
                let tensor = tensor.to_dtype(DType::F32)?.to_device(&self.device)?.contiguous()?;
                Var::from_tensor(&tensor)?
            }
            (None, None) => Var::from_vec(self.initializer.values(self.seed, name, shape), shape, &self.device)?,
        };
        if var.dims() != shape {
            let found = var.dims();
            return Err(Error::input(format!("tensor {name}: expected shape {shape:?}, found {found:?}")));
        }
        variables.insert(name.to_owned(), var.clone());
        Ok(if self.learns(name) { var.as_tensor().clone() } else { var.as_detached_tensor() })
    }

    /// Whether the tensor of that name is trained.
    pub fn learns(&self, name: &str) -> bool {
        self.trainable.iter().any(|group| group.holds(name))
    }

    /// The variables that are trained, of those that were asked for, by name.
    pub fn trainable(&self) -> BTreeMap<String, Var> {
        self.lock()
            .iter()
            .filter(|(name, _)| self.learns(name))
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect()
    }

    /// All variables that were asked for, by name.
    pub fn all(&self) -> BTreeMap<String, Var> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        self.variables.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl TensorSource for Parameters {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.tensor(name, shape)
    }

    /// Always: what is not there yet will be initialised.
    fn contains(&self, _name: &str) -> bool {
        true
    }

    fn adapter(&self, name: &str, out_features: usize, in_features: usize) -> Result<Option<LowRank>> {
        let Some(lora) = &self.lora else { return Ok(None) };
        let projection = name.rsplit('.').next().unwrap_or(name);
        if !name.starts_with("language_model.") || !lora.targets.iter().any(|target| target == projection) {
            return Ok(None);
        }
        let tensor =
            |part: &str, shape: &[usize]| self.tensor(&format!("base_model.model.{name}.lora_{part}.weight"), shape);
        Ok(Some(LowRank {
            a: tensor("A", &[lora.rank, in_features])?,
            b: tensor("B", &[out_features, lora.rank])?,
            scaling: lora.alpha / lora.rank as f64,
            dropout: 0.0,
        }))
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn dtype(&self) -> DType {
        DType::F32
    }
}

/// A generator that depends on the seed and on nothing but the words given.
pub(super) fn generator(seed: u64, words: &[&str]) -> ChaCha8Rng {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    for word in words {
        digest.update((word.len() as u64).to_le_bytes());
        digest.update(word.as_bytes());
    }
    ChaCha8Rng::from_seed(digest.finalize().into())
}

/// A standard normal value (Box and Muller).
pub(super) fn normal(random: &mut impl RngExt) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

impl Initializer {
    /// Fresh values: norms 1, biases 0, LoRA's A Kaiming-uniform and B 0, all else normal.
    fn values(&self, seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        if self.mimetic_attention && name.starts_with("language_model.") {
            if let Some(layer) = name.strip_suffix("self_attn.o_proj.weight")
                && let &[outputs, inputs] = shape
            {
                let values = self.values(seed, &format!("{layer}self_attn.v_proj.weight"), &[inputs, outputs]);
                let transposed = (0..outputs).flat_map(|row| values[row..].iter().step_by(outputs).copied());
                return transposed.collect();
            }
            for (twin, original) in
                [("k_proj.weight", "q_proj.weight"), ("lm_head.weight", "model.embed_tokens.weight")]
            {
                if let Some(stem) = name.strip_suffix(twin) {
                    return self.values(seed, &format!("{stem}{original}"), shape);
                }
            }
        }
        let mut random = generator(seed, &[name]);
        if name.ends_with(".bias") || name.contains(".lora_B.") {
            vec![0.0; count]
        } else if is_norm(name) {
            vec![1.0; count]
        } else if name.contains(".lora_A.") {
            // Kaiming-uniform with a = sqrt(5), as PEFT does it: the bound is 1 / sqrt(fan in).
            let bound = 1.0 / (shape.last().copied().unwrap_or(1) as f64).sqrt();
            (0..count).map(|_| ((random.random::<f64>() * 2.0 - 1.0) * bound) as f32).collect()
        } else if self.sine_positions && name == "vision_model.embeddings.position_embedding" {
            sines_of_the_grid(shape[1], shape[2])
        } else if name == "probe.queries" {
            (0..count).map(|_| normal(&mut random) as f32).collect()
        } else {
            (0..count).map(|_| (normal(&mut random) * self.range) as f32).collect()
        }
    }
}

/// Positions [tokens, width] of a CLS token (zeros) and a square grid, row by row: a quarter of the width each for
/// sines and cosines of the row and of the column (He et al., arXiv 2111.06377, appendix A.1).
fn sines_of_the_grid(tokens: usize, width: usize) -> Vec<f32> {
    let side = ((tokens - 1) as f64).sqrt().round().max(1.0) as usize;
    let quarter = (width / 4).max(1);
    let mut values = vec![0f32; width];
    for patch in 0..tokens - 1 {
        let (row, column) = (patch / side, patch % side);
        for index in 0..width {
            let frequency = 10_000f64.powf(-((index % quarter) as f64) / quarter as f64);
            let at = if index < 2 * quarter { row } else { column };
            let angle = at as f64 * frequency;
            values.push(if (index / quarter).is_multiple_of(2) { angle.sin() } else { angle.cos() } as f32);
        }
    }
    values
}

/// Whether a name is that of a norm's weight.
fn is_norm(name: &str) -> bool {
    let Some(module) = name.strip_suffix(".weight") else { return false };
    let module = module.rsplit('.').next().unwrap_or(module);
    module.contains("norm") || module == "ffn_ln"
}

/// Whether weight decay is left off for a tensor of that name where a recipe asks for it: norms and biases.
pub(super) fn is_norm_or_bias(name: &str) -> bool {
    name.ends_with(".bias") || is_norm(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn initial_values_depend_on_seed_and_name_alone() {
        let one = Parameters::new(1, &[], &Device::Cpu);
        let two = Parameters::new(1, &[], &Device::Cpu);
        let first = one.tensor("query_tokens", &[1, 4, 8]).unwrap();
        two.tensor("abstractor.vit_eos", &[1, 1, 8]).unwrap();
        assert_eq!(flat(&first), flat(&two.tensor("query_tokens", &[1, 4, 8]).unwrap()));
        let other = Parameters::new(2, &[], &Device::Cpu).tensor("query_tokens", &[1, 4, 8]).unwrap();
        assert_ne!(flat(&first), flat(&other));
    }

    #[test]
    fn norms_start_at_one_and_biases_at_zero() {
        let parameters = Parameters::new(1, &[], &Device::Cpu);
        for name in ["a.norm1.weight", "a.normk.weight", "a.ffn_ln.weight", "a.post_attention_layernorm.weight"] {
            assert_eq!(flat(&parameters.tensor(name, &[2]).unwrap()), [1.0, 1.0], "{name}");
        }
        assert_eq!(flat(&parameters.tensor("a.norm1.bias", &[2]).unwrap()), [0.0, 0.0]);
        assert_eq!(flat(&parameters.tensor("x.lora_B.weight", &[2, 1]).unwrap()), [0.0, 0.0]);
    }

    #[test]
    fn fresh_weights_have_the_reference_deviation() {
        let values = Initializer::default().values(3, "language_model.lm_head.weight", &[100, 100]);
        let mean = values.iter().sum::<f32>() / 1e4;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 1e4).sqrt();
        assert!(mean.abs() < 1e-3 && (deviation - 0.02).abs() < 1e-3, "{mean} {deviation}");
    }

    #[test]
    fn frozen_tensors_are_not_tracked_and_trainable_ones_are() {
        let parameters = Parameters::new(1, &[Group::Vision], &Device::Cpu);
        assert!(parameters.tensor("vision_model.embeddings.cls_token", &[1, 1, 8]).unwrap().track_op());
        assert!(!parameters.tensor("language_model.lm_head.weight", &[4, 8]).unwrap().track_op());
    }

    #[test]
    fn a_tensor_of_another_shape_is_refused_by_name() {
        let parameters = Parameters::new(1, &[], &Device::Cpu);
        parameters.tensor("query_tokens", &[1, 4, 8]).unwrap();
        let error = parameters.tensor("query_tokens", &[1, 5, 8]).unwrap_err();
        assert!(error.to_string().contains("query_tokens") && error.to_string().contains("[1, 4, 8]"));
    }
}
