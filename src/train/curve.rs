//! What a run leaves to look at: a row a logged step (CSV) and the loss curve (SVG).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext, Result};

/// One logged step: means over the steps since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Updates made so far.
    pub step: usize,
    pub loss: f64,
    pub lr: f64,
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
    pub tokens_per_second: f64,
}

/// The file `loss.csv` of a stage.
pub struct Curve {
    path: PathBuf,
    file: File,
}

impl Curve {
    /// Begins the file anew, or carries it on: rows after update `step` are dropped.
    pub fn open(path: &Path, step: usize) -> Result<Self> {
        let kept = if step == 0 { Vec::new() } else { read(path)? };
        let mut writer = csv::Writer::from_path(path).map_err(|error| failed(path, &error))?;
        let mut any = false;
        for row in kept.iter().filter(|row| row.step <= step) {
            writer.serialize(row).map_err(|error| failed(path, &error))?;
            any = true;
        }
        if !any {
            writer
                .write_record(["step", "loss", "lr", "grad_norm", "tokens_per_second"])
                .map_err(|error| failed(path, &error))?;
        }
        writer.flush().or_at("cannot write", path)?;
        drop(writer);
        let file = OpenOptions::new().append(true).open(path).or_at("cannot write", path)?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub fn push(&mut self, row: &Row) -> Result<()> {
        let Row { step, loss, lr, grad_norm, tokens_per_second } = row;
        writeln!(self.file, "{step},{loss:.6},{lr:.4e},{grad_norm:.4},{tokens_per_second:.0}")
            .or_at("cannot write", &self.path)
    }
}

fn failed(path: &Path, error: &csv::Error) -> Error {
    Error::failed(format!("cannot use the loss table: {error}")).at(path)
}

/// The rows of a `loss.csv`.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| failed(path, &error))?;
    reader.deserialize().collect::<Result<_, _>>().map_err(|error| failed(path, &error))
}

/// Draws `loss.csv` as a curve: every logged step in a light colour, a running mean in a dark one.
pub fn draw(table: &Path, path: &Path, title: &str) -> Result<()> {
    let rows = read(table)?;
    let finite = rows.iter().filter(|row| row.loss.is_finite()).collect::<Vec<_>>();
    let Some(last) = finite.last() else { return Ok(()) };
    let highest = finite.iter().map(|row| row.loss).fold(0.0, f64::max);
    let mut mean = finite[0].loss;
    let smooth = finite.iter().map(|row| {
        mean = 0.9 * mean + 0.1 * row.loss;
        (row.step as f64, mean)
    });
    let smooth = smooth.collect::<Vec<_>>();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::new(path, (800, 400)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..last.step.max(1) as f64, 0.0..highest * 1.05 + 1e-9)?;
        chart.configure_mesh().x_desc("update").y_desc("loss (nats a token)").draw()?;
        let points = finite.iter().map(|row| (row.step as f64, row.loss));
        chart.draw_series(LineSeries::new(points, &BLUE.mix(0.25)))?;
        chart.draw_series(LineSeries::new(smooth, &BLUE))?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| Error::failed(format!("cannot draw the loss curve: {error}")).at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: usize) -> Row {
        Row { step, loss: 5.0 / step as f64, lr: 1e-3, grad_norm: 1.0, tokens_per_second: 100.0 }
    }

    #[test]
    fn a_resumed_table_drops_what_lies_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loss.csv");
        let mut curve = Curve::open(&path, 0).unwrap();
        (1..=5).for_each(|step| curve.push(&row(step)).unwrap());
        drop(curve);
        let mut curve = Curve::open(&path, 3).unwrap();
        curve.push(&row(4)).unwrap();
        let steps = read(&path).unwrap().iter().map(|row| row.step).collect::<Vec<_>>();
        assert_eq!(steps, [1, 2, 3, 4]);
        let svg = folder.path().join("loss.svg");
        draw(&path, &svg, "test").unwrap();
        assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
    }
}
