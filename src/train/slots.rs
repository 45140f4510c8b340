//! Puts the input of the language model together: embeddings of text, of pictures and of scenes told in words.
//!
//! A row of the result is a *bag*: the sum of some rows of the embedding table, or one row of the picture slots, or
//! nothing. Text is a bag of one token. A slot of a told scene is the sum of the embeddings of its words, so that
//! the language model learns to read slots before it has seen a picture, and gradients reach the embeddings.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};

use super::loss::values;
use crate::error::Result;

/// Where one row of the language model's input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// The sum of the embeddings of these tokens; zero where there are none.
    Tokens(Vec<u32>),
    /// This row of the slots that do not come from the embedding table.
    Slot(u32),
}

/// Rows [rows.len(), H] from the embedding `table` [W, H] and the picture `slots` [M, H].
///
/// Both inputs receive a gradient if they are tracked.
pub fn assemble(table: &Tensor, slots: &Tensor, rows: &Arc<Vec<Row>>) -> Result<Tensor> {
    let (table, slots) = (table.contiguous()?, slots.contiguous()?);
    if table.device().is_cpu() {
        return Ok(table.apply_op2(&slots, Assemble { rows: rows.clone() })?);
    }
    by_tensor_operations(&table, &slots, rows)
}

/// The same by ready-made operations, for devices without the custom operation.
fn by_tensor_operations(table: &Tensor, slots: &Tensor, rows: &[Row]) -> Result<Tensor> {
    let mut sources = Vec::new();
    let mut destinations = Vec::new();
    let vocabulary = table.dim(0)? as u32;
    for (position, row) in rows.iter().enumerate() {
        match row {
            Row::Tokens(tokens) => sources.extend(tokens.iter().copied()),
            Row::Slot(slot) => sources.push(vocabulary + slot),
        }
        destinations.resize(sources.len(), position as u32);
    }
    let count = sources.len();
    let sources = Tensor::from_vec(sources, count, table.device())?;
    let destinations = Tensor::from_vec(destinations, count, table.device())?;
    let parts = Tensor::cat(&[table, slots], 0)?.index_select(&sources, 0)?;
    let zeros = Tensor::zeros((rows.len(), table.dim(1)?), table.dtype(), table.device())?;
    Ok(zeros.index_add(&destinations, &parts, 0)?)
}

struct Assemble {
    rows: Arc<Vec<Row>>,
}

impl Assemble {
    fn check(&self, vocabulary: usize, slots: usize) -> candle_core::Result<()> {
        for row in self.rows.iter() {
            let fits = match row {
                Row::Tokens(tokens) => tokens.iter().all(|&token| (token as usize) < vocabulary),
                Row::Slot(slot) => (*slot as usize) < slots,
            };
            if !fits {
                candle_core::bail!("row {row:?} lies outside {vocabulary} tokens or {slots} slots");
            }
        }
        Ok(())
    }
}

impl CustomOp2 for Assemble {
    fn name(&self) -> &'static str {
        "assemble"
    }

    fn cpu_fwd(
        &self,
        table: &CpuStorage,
        table_layout: &Layout,
        slots: &CpuStorage,
        slots_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (vocabulary, width) = table_layout.shape().dims2()?;
        let (count, slot_width) = slots_layout.shape().dims2()?;
        if width != slot_width {
            candle_core::bail!("embeddings of width {width}, slots of width {slot_width}");
        }
        self.check(vocabulary, count)?;
        let (table, slots) = (values(table, table_layout)?, values(slots, slots_layout)?);
        let mut result = vec![0f32; self.rows.len() * width];
        for (out, row) in result.chunks_exact_mut(width).zip(self.rows.iter()) {
            match row {
                Row::Tokens(tokens) => {
                    for &token in tokens {
                        add(out, &table[token as usize * width..][..width]);
                    }
                }
                Row::Slot(slot) => out.copy_from_slice(&slots[*slot as usize * width..][..width]),
            }
        }
        Ok((CpuStorage::F32(result), Shape::from((self.rows.len(), width))))
    }

    fn bwd(
        &self,
        table: &Tensor,
        slots: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let of = |source: &Tensor, side: Side| {
            let scatter = Scatter { rows: self.rows.clone(), count: source.dim(0)?, side };
            source.track_op().then(|| gradient.apply_op1_no_bwd(&scatter)).transpose()
        };
        Ok((of(table, Side::Table)?, of(slots, Side::Slots)?))
    }
}

fn add(out: &mut [f32], row: &[f32]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += value;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Table,
    Slots,
}

/// The gradient of one of the two inputs of [`Assemble`]: each row of the result's gradient goes where it came from.
struct Scatter {
    rows: Arc<Vec<Row>>,
    count: usize,
    side: Side,
}

impl CustomOp1 for Scatter {
    fn name(&self) -> &'static str {
        "assemble-backward"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let gradient = values(gradient, layout)?;
        let mut result = vec![0f32; self.count * width];
        for (row, gradient) in self.rows.iter().zip(gradient.chunks_exact(width)) {
            match row {
                Row::Tokens(tokens) if self.side == Side::Table => {
                    for &token in tokens {
                        add(&mut result[token as usize * width..][..width], gradient);
                    }
                }
                Row::Slot(slot) if self.side == Side::Slots => {
                    add(&mut result[*slot as usize * width..][..width], gradient);
                }
                _ => {}
            }
        }
        Ok((CpuStorage::F32(result), Shape::from((self.count, width))))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn rows_and_gradients_match_ready_made_operations() {
        let table = Var::randn(0f32, 1f32, (5, 3), &Device::Cpu).unwrap();
        let slots = Var::randn(0f32, 1f32, (2, 3), &Device::Cpu).unwrap();
        let rows = Arc::new(vec![
            Row::Tokens(vec![4]),
            Row::Tokens(vec![]),
            Row::Slot(1),
            Row::Tokens(vec![0, 2, 2]),
            Row::Slot(0),
            Row::Slot(1),
        ]);
        let mine = assemble(&table, &slots, &rows).unwrap();
        let other = by_tensor_operations(&table, &slots, &rows).unwrap();
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(flat(&mine), flat(&other));
        let weights = Tensor::randn(0f32, 1f32, (6, 3), &Device::Cpu).unwrap();
        let gradients = |result: &Tensor| (result * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        let (mine, other) = (gradients(&mine), gradients(&other));
        for var in [&table, &slots] {
            let pairs = flat(mine.get(var).unwrap()).into_iter().zip(flat(other.get(var).unwrap()));
            for (mine, other) in pairs {
                assert!((mine - other).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_an_error() {
        let table = Tensor::zeros((5, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let rows = Arc::new(vec![Row::Tokens(vec![5])]);
        assert!(assemble(&table, &table, &rows).is_err());
    }
}
