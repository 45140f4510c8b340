//! What an update does with the gradients: accumulation over micro-batches, clipping by the global norm, and for each
//! variable the rule that moves it ([`super::adamw`], [`super::muon`]).

use std::collections::{BTreeMap, HashMap};

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

use super::adamw::{Moments, Update};
use super::loss::values;
use super::muon;
use super::parameters::is_norm_or_bias;
use crate::error::{Error, Result};

/// The constants of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub betas: (f64, f64),
    pub eps: f64,
    pub weight_decay: f64,
    /// Whether norms and biases decay as well.
    pub decay_all: bool,
    /// The largest global norm of the gradient; none is no clipping.
    pub clip: Option<f64>,
    /// Whether the matrices of the layers move by Muon; everything else always moves by AdamW.
    pub muon: bool,
}

/// The gradients of one update, summed over its micro-batches.
#[derive(Default)]
pub struct Gradients {
    sums: BTreeMap<String, Tensor>,
    batches: usize,
}

impl Gradients {
    /// Adds the gradients of one micro-batch.
    pub fn add(&mut self, variables: &BTreeMap<String, Var>, gradients: &mut GradStore) -> Result<()> {
        for (name, var) in variables {
            if let Some(gradient) = gradients.remove(var) {
                let gradient = gradient.to_dtype(DType::F32)?.contiguous()?;
                let sum = match self.sums.remove(name) {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                };
                self.sums.insert(name.clone(), sum);
            }
        }
        self.batches += 1;
        Ok(())
    }

    /// The gradient of one variable, summed over the micro-batches.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.sums.get(name)
    }

    /// The Euclidean norm of the mean gradient over all tensors.
    pub fn norm(&self) -> Result<f64> {
        let mut sum = 0f64;
        for gradient in self.sums.values() {
            sum += squared_norm(gradient)?;
        }
        Ok(sum.sqrt() / self.batches.max(1) as f64)
    }
}

fn squared_norm(tensor: &Tensor) -> Result<f64> {
    if !tensor.device().is_cpu() {
        return Ok(f64::from(tensor.sqr()?.sum_all()?.to_scalar::<f32>()?));
    }
    let (storage, layout) = tensor.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        return Err(Error::failed("a tensor of the CPU is not stored there"));
    };
    // Eight sums side by side, so that the compiler can keep them in one register.
    let mut sums = [0f64; 8];
    let values = values(storage, layout)?;
    for (index, &value) in values.iter().enumerate() {
        sums[index % 8] += f64::from(value) * f64::from(value);
    }
    Ok(sums.iter().sum())
}

/// The variables that learn, and what is remembered of each.
pub struct Optimizer {
    settings: Settings,
    variables: BTreeMap<String, Var>,
    rules: BTreeMap<String, Rule>,
    updates: usize,
}

/// How a variable is moved, with what that remembers.
enum Rule {
    AdamW(Moments),
    /// The running sum of the gradients, [out, in].
    Muon(Tensor),
}

impl Optimizer {
    pub fn new(variables: BTreeMap<String, Var>, settings: Settings) -> Result<Self> {
        let rule = |name: &str, var: &Var| -> Result<Rule> {
            Ok(if settings.muon && muon::suits(name, var.dims()) {
                Rule::Muon(var.zeros_like()?)
            } else {
                Rule::AdamW(Moments::zeros(var)?)
            })
        };
        let rules = variables.iter().map(|(name, var)| Ok((name.clone(), rule(name, var)?))).collect::<Result<_>>()?;
        Ok(Self { settings, variables, rules, updates: 0 })
    }

    pub fn variables(&self) -> &BTreeMap<String, Var> {
        &self.variables
    }

    /// The number of updates made so far.
    pub fn updates(&self) -> usize {
        self.updates
    }

    /// Updates every variable that has a gradient; returns the gradient's norm before clipping.
    ///
    /// A norm that is not a number or infinite changes nothing and is returned: the caller decides.
    pub fn step(&mut self, gradients: &Gradients, rate: f64) -> Result<f64> {
        let norm = gradients.norm()?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        self.updates += 1;
        let (beta1, beta2) = self.settings.betas;
        let corrections = (1.0 - beta1.powi(self.updates as i32), 1.0 - beta2.powi(self.updates as i32));
        let mut scale = 1.0 / gradients.batches.max(1) as f64;
        if let Some(clip) = self.settings.clip {
            // torch.nn.utils.clip_grad_norm_ adds the same 1e-6.
            scale *= (clip / (norm + 1e-6)).min(1.0);
        }
        for (name, var) in &self.variables {
            let Some(gradient) = gradients.get(name) else { continue };
            let decays = self.settings.decay_all || !is_norm_or_bias(name);
            let keep = if decays { 1.0 - rate * self.settings.weight_decay } else { 1.0 };
            match self.rules.get_mut(name) {
                Some(Rule::AdamW(moments)) => {
                    let update = Update {
                        scale: scale as f32,
                        betas: (beta1 as f32, beta2 as f32),
                        eps: self.settings.eps as f32,
                        rate: (rate * corrections.1.sqrt() / corrections.0) as f32,
                        keep: keep as f32,
                    };
                    update.apply(var, gradient, moments)?;
                }
                Some(Rule::Muon(momentum)) => muon::update(var, &(gradient * scale)?, momentum, rate, keep)?,
                None => return Err(Error::failed(format!("no optimiser state for {name}"))),
            }
        }
        Ok(norm)
    }

    /// What is remembered, as tensors named `first.NAME` and, for AdamW, `second.NAME`.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (name, rule) in &self.rules {
            let first = match rule {
                Rule::Muon(momentum) => momentum.clone(),
                Rule::AdamW(moments) => {
                    let (first, second) = moments.tensors(&self.variables[name])?;
                    state.insert(format!("second.{name}"), second);
                    first
                }
            };
            state.insert(format!("first.{name}"), first);
        }
        Ok(state)
    }

    /// Takes back what [`Optimizer::state`] gave, at the given number of updates.
    pub fn restore(&mut self, state: &HashMap<String, Tensor>, updates: usize) -> Result<()> {
        for (name, rule) in &mut self.rules {
            let var = &self.variables[name];
            let tensor = |kind: &str| -> Result<&Tensor> {
                let missing = || Error::input(format!("the optimizer's state lacks {kind}.{name}"));
                let tensor = state.get(&format!("{kind}.{name}")).ok_or_else(missing)?;
                let shape = var.shape();
                if tensor.shape() != shape {
                    let found = tensor.shape();
                    return Err(Error::input(format!("{kind}.{name}: expected shape {shape:?}, found {found:?}")));
                }
                Ok(tensor)
            };
            match rule {
                Rule::Muon(momentum) => *momentum = tensor("first")?.to_device(var.device())?,
                Rule::AdamW(moments) => moments.set(tensor("first")?, tensor("second")?)?,
            }
        }
        self.updates = updates;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const SETTINGS: Settings =
        Settings { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, decay_all: true, clip: Some(1.0), muon: false };

    fn variables() -> BTreeMap<String, Var> {
        let values = (0..6).map(|value| value as f32 - 2.5).collect::<Vec<_>>();
        [("weight".to_owned(), Var::from_vec(values, (2, 3), &Device::Cpu).unwrap())].into()
    }

    fn step(optimizer: &mut Optimizer, rate: f64) -> f64 {
        let mut loss = optimizer.variables()["weight"].sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let mut gradients = Gradients::default();
        gradients.add(&optimizer.variables().clone(), &mut loss).unwrap();
        optimizer.step(&gradients, rate).unwrap()
    }

    /// The update written out in f64, from the text of the specification.
    fn expected(values: &mut [f64], first: &mut [f64], second: &mut [f64], time: i32, rate: f64) {
        let norm = values.iter().map(|value| (2.0 * value).powi(2)).sum::<f64>().sqrt();
        let scale = (1.0 / (norm + 1e-6)).min(1.0);
        for ((value, first), second) in values.iter_mut().zip(first).zip(second) {
            let gradient = 2.0 * *value * scale;
            *first = 0.9 * *first + 0.1 * gradient;
            *second = 0.999 * *second + 0.001 * gradient * gradient;
            let corrected = rate * (1.0 - 0.999f64.powi(time)).sqrt() / (1.0 - 0.9f64.powi(time));
            *value -= corrected * *first / (second.sqrt() + 1e-8);
            *value -= rate * 0.01 * *value;
        }
    }

    #[test]
    fn updates_follow_the_formula_of_the_reference() {
        let mut optimizer = Optimizer::new(variables(), SETTINGS).unwrap();
        let mut values = (0..6).map(|value| f64::from(value) - 2.5).collect::<Vec<_>>();
        let (mut first, mut second) = (vec![0.0; 6], vec![0.0; 6]);
        for time in 1..=5 {
            step(&mut optimizer, 0.1);
            expected(&mut values, &mut first, &mut second, time, 0.1);
        }
        let found = optimizer.variables()["weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (found, expected) in found.into_iter().zip(values) {
            assert!((f64::from(found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn micro_batches_are_averaged() {
        let (mut once, mut twice) =
            (Optimizer::new(variables(), SETTINGS).unwrap(), Optimizer::new(variables(), SETTINGS).unwrap());
        step(&mut once, 0.1);
        let mut gradients = Gradients::default();
        for _ in 0..2 {
            let mut store = twice.variables()["weight"].sqr().unwrap().sum_all().unwrap().backward().unwrap();
            gradients.add(&twice.variables().clone(), &mut store).unwrap();
        }
        twice.step(&gradients, 0.1).unwrap();
        let flat =
            |optimizer: &Optimizer| optimizer.variables()["weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (once, twice) in flat(&once).into_iter().zip(flat(&twice)) {
            assert!((once - twice).abs() < 1e-6);
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let mut optimizer = Optimizer::new(variables(), SETTINGS).unwrap();
        let before = optimizer.variables()["weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let nan = Tensor::full(f32::NAN, (2, 3), &Device::Cpu).unwrap();
        let gradients = Gradients { sums: [("weight".to_owned(), nan)].into(), batches: 1 };
        assert!(!optimizer.step(&gradients, 0.1).unwrap().is_finite());
        assert_eq!(before, optimizer.variables()["weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(optimizer.updates(), 0);
    }
}
