//! One update of AdamW (Loshchilov and Hutter, arXiv 1711.05101), in the variant of transformers 4.28: the step with
//! both bias corrections in its rate, then the decay.
//!
//! On the CPU it is one tight loop over the values of a tensor; other devices take the same steps by tensor
//! operations. Values and moments are f32 whatever the model computes in.

use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};

use super::loss::values;
use crate::error::{Error, Result};

/// The numbers of one update.
#[derive(Clone, Copy)]
pub(super) struct Update {
    /// What the gradient is multiplied by first (mean over micro-batches, clipping).
    pub scale: f32,
    pub betas: (f32, f32),
    pub eps: f32,
    /// The learning rate with both bias corrections.
    pub rate: f32,
    /// What the value is multiplied by last: 1 - rate * weight decay.
    pub keep: f32,
}

/// The running means of a variable's gradient and of its square, f32.
pub(super) enum Moments {
    /// On the CPU, in the shape of the variable.
    Values(Mutex<(Vec<f32>, Vec<f32>)>),
    Tensors(Tensor, Tensor),
}

impl Moments {
    pub fn zeros(var: &Var) -> Result<Self> {
        Ok(if var.device().is_cpu() {
            Self::Values(Mutex::new((vec![0.0; var.elem_count()], vec![0.0; var.elem_count()])))
        } else {
            Self::Tensors(var.zeros_like()?, var.zeros_like()?)
        })
    }

    /// Takes over both means, of the variable's shape.
    pub fn set(&mut self, first: &Tensor, second: &Tensor) -> Result<()> {
        *self = match self {
            Self::Tensors(old, _) => {
                let device = old.device().clone();
                Self::Tensors(first.to_device(&device)?, second.to_device(&device)?)
            }
            Self::Values(_) => {
                let values = |tensor: &Tensor| Ok::<_, Error>(tensor.flatten_all()?.to_vec1::<f32>()?);
                Self::Values(Mutex::new((values(first)?, values(second)?)))
            }
        };
        Ok(())
    }

    /// Both means as tensors of the variable's shape.
    pub fn tensors(&self, var: &Var) -> Result<(Tensor, Tensor)> {
        Ok(match self {
            Self::Tensors(first, second) => (first.clone(), second.clone()),
            Self::Values(moments) => {
                let moments = moments.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let tensor = |values: &[f32]| Tensor::from_slice(values, var.shape(), var.device());
                (tensor(&moments.0)?, tensor(&moments.1)?)
            }
        })
    }
}

impl Update {
    /// Moves the variable by its gradient.
    pub fn apply(&self, var: &Var, gradient: &Tensor, moments: &mut Moments) -> Result<()> {
        match moments {
            Moments::Values(moments) => Ok(var.inplace_op2(gradient, &InPlace { update: *self, moments })?),
            Moments::Tensors(first, second) => self.by_tensor_operations(var, gradient, first, second),
        }
    }

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

    #[test]
    fn tensor_operations_make_the_same_update_as_the_loop() {
        let values = (0..6).map(|value| value as f32 - 2.5).collect::<Vec<_>>();
        let var = Var::from_vec(values, (2, 3), &Device::Cpu).unwrap();
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
}
