//! A parity folder, opened.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use owleval::error::{Error, Result};
use owleval::owl::generate::{Finished, Generator, Request, Sampling};
use owleval::owl::source::{LowRank, TensorSource};
use owleval::owl::{Config, Owl, Row};
use serde_json::Value;

/// The largest relative error ‖x − ref‖ / ‖ref‖ that is accepted in f32.
pub const RELATIVE: f64 = 1e-4;

pub struct Fixture {
    pub folder: PathBuf,
    pub cases: Value,
    goldens: HashMap<String, Tensor>,
    weights: HashMap<String, Tensor>,
}

impl Fixture {
    pub fn open() -> Self {
        let folder = std::env::var_os("OWLEVAL_PARITY")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity"), PathBuf::from);
        let text = std::fs::read_to_string(folder.join("cases.json"))
            .unwrap_or_else(|error| panic!("{}: no parity folder: {error}", folder.display()));
        let cases: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(cases["schema"], "mplug-owl-parity/1");
        let load =
            |name: &Value| candle_core::safetensors::load(folder.join(name.as_str().unwrap()), &Device::Cpu).unwrap();
        let goldens = load(&cases["goldens"]);
        let weights = load(&Value::from(format!("{}/model.safetensors", cases["checkpoint"].as_str().unwrap())));
        Self { folder, cases, goldens, weights }
    }

    /// The cases of one kind; there must be at least one.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> Vec<&'a Value> {
        let cases: Vec<_> =
            self.cases["cases"].as_array().unwrap().iter().filter(|case| case["kind"] == kind).collect();
        assert!(!cases.is_empty(), "no case of kind {kind}");
        cases
    }

    pub fn case(&self, name: &str) -> &Value {
        self.cases["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap()
    }

    /// The golden tensor of a case's role.
    pub fn golden(&self, case: &Value, role: &str) -> Option<Tensor> {
        case["tensors"][role].as_str().map(|name| self.goldens[name].clone())
    }

    pub fn config(&self) -> Config {
        let checkpoint = self.cases["checkpoint"].as_str().unwrap();
        Config::read(&self.folder.join(checkpoint).join("config.json")).unwrap()
    }

    pub fn owl(&self) -> Owl {
        Owl::new(&self.config(), &Memory { tensors: &self.weights, adapter: None, scaling: 0.0 }).unwrap()
    }

    /// The model with the adapter of a case.
    pub fn owl_with_adapter(&self, case: &Value) -> Owl {
        let folder = self.folder.join(case["adapter_dir"].as_str().unwrap());
        let adapter = candle_core::safetensors::load(folder.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
        let scaling = case["scaling"].as_f64().unwrap();
        let memory = Memory { tensors: &self.weights, adapter: Some(&adapter), scaling };
        Owl::new(&self.config(), &memory).unwrap()
    }

    /// The packed rows of a case: its ids without padding.
    pub fn rows(&self, case: &Value) -> Vec<Row> {
        let ids = self.golden(case, "input_ids").unwrap().to_dtype(DType::I64).unwrap().to_vec2::<i64>().unwrap();
        let lengths: Vec<usize> = match self.golden(case, "attention_mask") {
            Some(mask) => {
                let mask = mask.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
                mask.iter().map(|row| row.iter().filter(|seen| **seen == 1.0).count()).collect()
            }
            None => ids.iter().map(Vec::len).collect(),
        };
        let slots = self.config().slots_per_image();
        ids.into_iter()
            .zip(lengths)
            .map(|(mut ids, length)| {
                ids.truncate(length);
                Row::from_ids(ids, slots).unwrap()
            })
            .collect()
    }

    pub fn features(&self, owl: &Owl, case: &Value) -> Option<Tensor> {
        self.golden(case, "pixel_values").map(|pixels| owl.image_features(&pixels).unwrap())
    }
}

/// Greedy tokens of all rows, decoded together.
pub fn generate(owl: &Owl, rows: &[Row], features: Option<&Tensor>, sampling: &Sampling) -> Vec<Finished> {
    let mut generator = Generator::new(owl);
    let mut next = 0;
    for (tag, prompt) in rows.iter().enumerate() {
        let images = prompt.image_starts.len();
        let own = features.filter(|_| images > 0).map(|features| features.narrow(0, next, images).unwrap());
        next += images;
        generator
            .admit(Request {
                tag: tag as u64,
                prompt: prompt.clone(),
                features: own,
                pictures: (0..images).map(|image| format!("{tag}/{image}")).collect(),
                past: None,
                sampling: sampling.clone(),
                until: None,
            })
            .unwrap();
    }
    let mut finished = generator.run().unwrap();
    finished.sort_by_key(|row| row.tag);
    finished
}

/// ‖x − reference‖ / ‖reference‖, computed in f64.
pub fn relative_error(x: &Tensor, reference: &Tensor) -> f64 {
    let flat = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let (x, reference) = (flat(x), flat(reference));
    assert_eq!(x.len(), reference.len(), "another number of values");
    let difference: f64 = x.iter().zip(&reference).map(|(a, b)| (a - b).powi(2)).sum();
    let norm: f64 = reference.iter().map(|b| b.powi(2)).sum();
    (difference / norm).sqrt()
}

/// Holds `x` against the case's golden of a role: the general bound and the case's own tolerance. Prints the error.
pub fn compare(case: &Value, role: &str, x: &Tensor, reference: &Tensor) {
    let name = case["name"].as_str().unwrap();
    let error = relative_error(x, reference);
    println!("{name:<20} {role:<28} relative error {error:.2e}");
    assert!(error <= RELATIVE, "{name}: {role}: relative error {error:e}");
    let tolerance = &case["tolerances"][role];
    if let (Some(atol), Some(rtol)) = (tolerance["atol"].as_f64(), tolerance["rtol"].as_f64()) {
        let flat =
            |tensor: &Tensor| tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        for (index, (a, b)) in flat(x).iter().zip(flat(reference)).enumerate() {
            assert!((a - b).abs() <= atol + rtol * b.abs(), "{name}: {role}[{index}]: {a} is not {b}");
        }
    }
    if let Some(bound) = tolerance["rel_l2"].as_f64() {
        assert!(error <= bound, "{name}: {role}: relative error {error:e} above {bound:e}");
    }
}

/// Tensors in memory, with or without an adapter.
struct Memory<'a> {
    tensors: &'a HashMap<String, Tensor>,
    adapter: Option<&'a HashMap<String, Tensor>>,
    scaling: f64,
}

impl TensorSource for Memory<'_> {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.tensors.get(name).ok_or_else(|| Error::input(format!("no tensor {name}")))?;
        assert_eq!(tensor.dims(), shape, "{name}");
        Ok(tensor.clone())
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn adapter(&self, name: &str, _: usize, _: usize) -> Result<Option<LowRank>> {
        let part = |part: &str| {
            self.adapter.and_then(|adapter| adapter.get(&format!("base_model.model.{name}.{part}.weight"))).cloned()
        };
        Ok(match (part("lora_A"), part("lora_B")) {
            (Some(a), Some(b)) => Some(LowRank { a, b, scaling: self.scaling, dropout: 0.0 }),
            _ => None,
        })
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn dtype(&self) -> DType {
        DType::F32
    }
}
