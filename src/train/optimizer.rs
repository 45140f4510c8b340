//! AdamW as transformers 4.28 has it, gradient accumulation and clipping by the global norm.
//!
//! On the CPU each update is one tight loop over the values of a tensor; other devices take the same steps by
//! tensor operations. Values and moments are f32 whatever the model computes in.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Tensor, Var};

use super::loss::values;
use super::parameters::is_norm_or_bias;
use crate::error::{Error, Result};

/// The constants of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub betas: (f64, f64),
    pub eps: f64,
    pub weight_decay: f64,
    /// Whether norms and biases decay as well.
    pub decay_all: bool,
    /// The largest global norm of the gradient; none is no clipping.
    pub clip: Option<f64>,
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

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) in the variant of section 9.1 of the specification.
pub struct AdamW {
    settings: Settings,
    variables: BTreeMap<String, Var>,
    first: BTreeMap<String, Moments>,
    updates: usize,
}

/// The running means of a variable's gradient and of its square.
enum Moments {
    Values(Mutex<(Vec<f32>, Vec<f32>)>),
    Tensors(Tensor, Tensor),
}

impl AdamW {
    pub fn new(variables: BTreeMap<String, Var>, settings: Settings) -> Result<Self> {
        let moments = |var: &Var| -> Result<Moments> {
            Ok(if var.device().is_cpu() {
                Moments::Values(Mutex::new((vec![0.0; var.elem_count()], vec![0.0; var.elem_count()])))
            } else {
                Moments::Tensors(var.zeros_like()?, var.zeros_like()?)
            })
        };
        let first = variables
            .iter()
            .map(|(name, var)| Ok((name.clone(), moments(var)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Self { settings, variables, first, updates: 0 })
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
            let decay = if decays { rate * self.settings.weight_decay } else { 0.0 };
            let update = Update {
                scale: scale as f32,
                betas: (beta1 as f32, beta2 as f32),
                eps: self.settings.eps as f32,
                rate: (rate * corrections.1.sqrt() / corrections.0) as f32,
                keep: (1.0 - decay) as f32,
            };
            match self.first.get_mut(name) {
                Some(Moments::Values(moments)) => var.inplace_op2(gradient, &InPlace { update, moments })?,
                Some(Moments::Tensors(first, second)) => update.by_tensor_operations(var, gradient, first, second)?,
                None => return Err(Error::failed(format!("no moments for {name}"))),
            }
        }
        Ok(norm)
    }

    /// The running means as tensors named `first.NAME` and `second.NAME`.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (name, moments) in &self.first {
            let var = &self.variables[name];
            let (first, second) = match moments {
                Moments::Tensors(first, second) => (first.clone(), second.clone()),
                Moments::Values(moments) => {
                    let moments = moments.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    let tensor = |values: &[f32]| Tensor::from_slice(values, var.shape(), var.device());
                    (tensor(&moments.0)?, tensor(&moments.1)?)
                }
            };
            state.insert(format!("first.{name}"), first);
            state.insert(format!("second.{name}"), second);
        }
        Ok(state)
    }

    /// Takes back what [`AdamW::state`] gave, at the given number of updates.
    pub fn restore(&mut self, state: &std::collections::HashMap<String, Tensor>, updates: usize) -> Result<()> {
        for (name, moments) in &mut self.first {
            let tensor = |kind: &str| -> Result<&Tensor> {
                let missing = || Error::input(format!("the optimizer's state lacks {kind}.{name}"));
                let tensor = state.get(&format!("{kind}.{name}")).ok_or_else(missing)?;
                let shape = self.variables[name].shape();
                if tensor.shape() != shape {
                    let found = tensor.shape();
                    return Err(Error::input(format!("{kind}.{name}: expected shape {shape:?}, found {found:?}")));
                }
                Ok(tensor)
            };
            let (first, second) = (tensor("first")?, tensor("second")?);
            *moments = match moments {
                Moments::Tensors(..) => {
                    let device = self.variables[name].device();
                    Moments::Tensors(first.to_device(device)?, second.to_device(device)?)
                }
                Moments::Values(_) => Moments::Values(Mutex::new((
                    first.flatten_all()?.to_vec1::<f32>()?,
                    second.flatten_all()?.to_vec1::<f32>()?,
                ))),
            };
        }
        self.updates = updates;
        Ok(())
    }
}

/// The numbers of one update.
#[derive(Clone, Copy)]
struct Update {
    /// What the gradient is multiplied by first (mean over micro-batches, clipping).
    scale: f32,
    betas: (f32, f32),
    eps: f32,
    /// The learning rate with both bias corrections.
    rate: f32,
    /// What the value is multiplied by last: 1 - rate * weight decay.
    keep: f32,
}

impl Update {
    fn by_tensor_operations(
        &self,
        var: &Var,
        gradient: &Tensor,
        first: &mut Tensor,
        second: &mut Tensor,
    ) -> Result<()> {
        let gradient = (gradient * f64::from(self.scale))?;
        let (beta1, beta2) = (f64::from(self.betas.0), f64::from(self.betas.1));
        *first = ((&*first * beta1)? + (&gradient * (1.0 - beta1))?)?;
        *second = ((&*second * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
        let step = (&*first / (second.sqrt()? + f64::from(self.eps))?)?;
        var.set(&((var.as_detached_tensor() - (step * f64::from(self.rate))?)? * f64::from(self.keep))?)?;
        Ok(())
    }
}

struct InPlace<'a> {
    update: Update,
    moments: &'a Mutex<(Vec<f32>, Vec<f32>)>,
}

impl InplaceOp2 for InPlace<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        variable: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let CpuStorage::F32(variable) = variable else { candle_core::bail!("AdamW keeps its variables in f32") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("AdamW needs contiguous variables")
        };
        let gradient = values(gradient, gradient_layout)?;
        let mut moments = self.moments.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (first, second) = &mut *moments;
        let Update { scale, betas: (beta1, beta2), eps, rate, keep } = self.update;
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((value, &gradient), (first, second)) in variable[start..end].iter_mut().zip(gradient).zip(moments) {
            let gradient = gradient * scale;
            *first = beta1 * *first + (1.0 - beta1) * gradient;
            *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
            *value = (*value - rate * *first / (second.sqrt() + eps)) * keep;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const SETTINGS: Settings =
        Settings { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, decay_all: true, clip: Some(1.0) };

    fn variables() -> BTreeMap<String, Var> {
        let values = (0..6).map(|value| value as f32 - 2.5).collect::<Vec<_>>();
        [("weight".to_owned(), Var::from_vec(values, (2, 3), &Device::Cpu).unwrap())].into()
    }

    fn step(optimizer: &mut AdamW, rate: f64) -> f64 {
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
        let mut optimizer = AdamW::new(variables(), SETTINGS).unwrap();
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
    fn tensor_operations_make_the_same_update_as_the_loop() {
        let var = variables().remove("weight").unwrap();
        let other = Var::from_tensor(&var.copy().unwrap()).unwrap();
        let gradient = Tensor::randn(0f32, 1f32, (2, 3), &Device::Cpu).unwrap();
        let update = Update { scale: 0.5, betas: (0.9, 0.99), eps: 1e-6, rate: 0.1, keep: 0.999 };
        let moments = Mutex::new((vec![0.0; 6], vec![0.0; 6]));
        let (mut first, mut second) = (var.zeros_like().unwrap(), var.zeros_like().unwrap());
        for _ in 0..3 {
            var.inplace_op2(&gradient, &InPlace { update, moments: &moments }).unwrap();
            update.by_tensor_operations(&other, &gradient, &mut first, &mut second).unwrap();
        }
        let flat = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (mine, other) in flat(&var).into_iter().zip(flat(&other)) {
            assert!((mine - other).abs() < 1e-5);
        }
    }

    #[test]
    fn micro_batches_are_averaged() {
        let (mut once, mut twice) =
            (AdamW::new(variables(), SETTINGS).unwrap(), AdamW::new(variables(), SETTINGS).unwrap());
        step(&mut once, 0.1);
        let mut gradients = Gradients::default();
        for _ in 0..2 {
            let mut store = twice.variables()["weight"].sqr().unwrap().sum_all().unwrap().backward().unwrap();
            gradients.add(&twice.variables().clone(), &mut store).unwrap();
        }
        twice.step(&gradients, 0.1).unwrap();
        let flat = |optimizer: &AdamW| optimizer.variables()["weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (once, twice) in flat(&once).into_iter().zip(flat(&twice)) {
            assert!((once - twice).abs() < 1e-6);
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let mut optimizer = AdamW::new(variables(), SETTINGS).unwrap();
        let before = optimizer.variables()["weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let nan = Tensor::full(f32::NAN, (2, 3), &Device::Cpu).unwrap();
        let gradients = Gradients { sums: [("weight".to_owned(), nan)].into(), batches: 1 };
        assert!(!optimizer.step(&gradients, 0.1).unwrap().is_finite());
        assert_eq!(before, optimizer.variables()["weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(optimizer.updates(), 0);
    }
}
