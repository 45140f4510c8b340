//! What a model consists of, told from the headers of its files alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::checkpoint::{Checkpoint, is_adapter};
use super::is_buffer;
use crate::error::{Error, Result};

/// A checkpoint at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub towers: Vec<TowerSummary>,
    pub files: Vec<FileSummary>,
    /// `config.json`, where there is one.
    pub config: Option<serde_json::Value>,
    /// Names of the files beside the weights.
    pub beside: Vec<String>,
}

/// One part of the model.
#[derive(Debug, Clone, Serialize)]
pub struct TowerSummary {
    pub name: &'static str,
    pub tensors: usize,
    pub parameters: u64,
    pub bytes: u64,
    /// Parameters by type of value (`f32`, `bf16`, `q8_0`, …).
    pub encodings: BTreeMap<String, u64>,
}

/// One weight file.
#[derive(Debug, Clone, Serialize)]
pub struct FileSummary {
    pub name: String,
    pub bytes: u64,
}

/// The parts in the order in which a picture passes through them, and how their tensors' names begin.
const TOWERS: [(&str, &str); 4] = [
    ("vision tower", "vision_model."),
    ("query tokens", "query_tokens"),
    ("abstractor", "abstractor."),
    ("language model", "language_model."),
];

impl Checkpoint {
    /// Counts tensors, parameters and bytes by tower, without reading any values.
    pub fn summary(&self) -> Result<Summary> {
        let mut towers: Vec<TowerSummary> = ["vision tower", "query tokens", "abstractor", "language model"]
            .into_iter()
            .chain(["adapter", "buffers (ignored)", "other"])
            .map(|name| TowerSummary { name, tensors: 0, parameters: 0, bytes: 0, encodings: BTreeMap::new() })
            .collect();
        for (name, entry) in self.everything() {
            let tower = if is_buffer(name) {
                "buffers (ignored)"
            } else if is_adapter(name) {
                "adapter"
            } else {
                TOWERS.iter().find(|(_, prefix)| name.starts_with(prefix)).map_or("other", |(tower, _)| tower)
            };
            let Some(tower) = towers.iter_mut().find(|known| known.name == tower) else { continue };
            let parameters = entry.elements() as u64;
            tower.tensors += 1;
            tower.parameters += parameters;
            tower.bytes += entry.length as u64;
            *tower.encodings.entry(entry.encoding.to_string()).or_default() += parameters;
        }
        towers.retain(|tower| tower.tensors > 0);
        let config = match self.side_file("config.json")? {
            Some(text) => Some(serde_json::from_slice(&text).map_err(|error| {
                Error::input(format!("config.json is no JSON (line {})", error.line())).at(self.place()).source(error)
            })?),
            None => None,
        };
        Ok(Summary {
            towers,
            files: self
                .paths()
                .map(|(path, bytes)| FileSummary {
                    name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
                    bytes,
                })
                .collect(),
            config,
            beside: self.side_files()?.into_iter().map(|file| file.name).collect(),
        })
    }
}
