//! A checkpoint: one or several weight files and the files beside them, as the source of a model's tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use super::file::{Encoding, Entry, Format, WeightFile};
use super::layout::{Found, LAYOUT, find_weights};
use super::lora::Adapter;
use super::{DtypePolicy, canonical_name, digest, gguf, is_buffer};
use crate::error::{Error, IoContext, Result};

/// The files beside the weights that belong to a model.
pub(super) const SIDE_FILES: [&str; 9] = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "template.toml",
];

/// Weights smaller than this load before anyone would read a progress bar.
const PROGRESS_BYTES: u64 = 256 << 20;

/// How many names an error lists.
const LISTED: usize = 8;

/// A file beside the weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideFile {
    pub name: String,
    pub content: Vec<u8>,
}

/// Where the files beside the weights are.
enum Beside {
    Folder(PathBuf),
    Embedded(&'static [(&'static str, &'static [u8])]),
    /// In the metadata of the (only) GGUF file.
    Gguf,
}

pub(super) struct Located {
    pub file: usize,
    pub entry: Entry,
}

/// Opened weight files, of which nothing but the headers has been read.
///
/// ```text
/// let checkpoint = Checkpoint::open(folder, &device, DtypePolicy::default())?;
/// let model = Owl::new(&config, &checkpoint)?;
/// checkpoint.finish(|_| false)?;       // an error where the files hold tensors that the model does not know
/// ```
pub struct Checkpoint {
    pub(super) place: PathBuf,
    beside: Beside,
    pub(super) files: Vec<WeightFile>,
    /// By the names of the model; buffers and an adapter's tensors included.
    pub(super) tensors: BTreeMap<String, Located>,
    pub(super) device: Device,
    pub(super) policy: DtypePolicy,
    pub(super) merged: Option<Adapter>,
    pub(super) applied: Option<Adapter>,
    asked: Mutex<BTreeSet<String>>,
    pub(super) left_dense: Mutex<Vec<String>>,
    pub(super) progress: ProgressBar,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checkpoint({}, {} tensors, {:?})", self.place.display(), self.tensors.len(), self.policy)
    }
}

impl Checkpoint {
    /// Opens a folder in the Hugging Face layout (safetensors or `pytorch_model.bin`, one file or shards with an index;
    /// or one GGUF file), or a single weight file.
    ///
    /// # Errors
    /// No weights there; a shard of the index that is missing; a file that is cut short or damaged; a name that occurs
    /// twice.
    pub fn open(path: &Path, device: &Device, policy: DtypePolicy) -> Result<Self> {
        let (folder, found) = if path.is_dir() {
            (path.to_owned(), find_weights(path)?)
        } else if path.exists() {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (parent.to_owned(), Found { files: vec![path.to_owned()], index: None })
        } else {
            return Err(Error::input("there is no such model").at(path).remedy(LAYOUT));
        };
        let files = found.files.par_iter().map(|file| WeightFile::open(file)).collect::<Result<Vec<_>>>()?;
        let beside = match files.as_slice() {
            [only] if only.format == Format::Gguf => Beside::Gguf,
            _ => Beside::Folder(folder),
        };
        let checkpoint = Self::new(path.to_owned(), beside, files, device, policy)?;
        if let Some((index, promised)) = found.index {
            checkpoint.check_index(&index, &promised)?;
        }
        Ok(checkpoint)
    }

    /// Weights that are part of the program, in the safetensors format (or any other); `label` stands for the path in
    /// messages, `beside` holds the files beside the weights by name.
    pub fn from_bytes(
        label: &str,
        weights: &'static [u8],
        beside: &'static [(&'static str, &'static [u8])],
        device: &Device,
        policy: DtypePolicy,
    ) -> Result<Self> {
        let file = WeightFile::embedded(label, weights)?;
        Self::new(PathBuf::from(label), Beside::Embedded(beside), vec![file], device, policy)
    }

    fn new(
        place: PathBuf,
        beside: Beside,
        files: Vec<WeightFile>,
        device: &Device,
        policy: DtypePolicy,
    ) -> Result<Self> {
        let mut tensors: BTreeMap<String, Located> = BTreeMap::new();
        for (file, opened) in files.iter().enumerate() {
            for (raw, entry) in &opened.contents.entries {
                let name = canonical_name(raw);
                if let Some(first) = tensors.insert(name.clone(), Located { file, entry: entry.clone() }) {
                    return Err(Error::input(format!(
                        "tensor {name:?} occurs twice: in {} and in {}",
                        files[first.file].path.display(),
                        opened.path.display()
                    ))
                    .remedy("keep the weights of one checkpoint only in the folder"));
                }
            }
        }
        let bytes = tensors.values().map(|located| located.entry.length as u64).sum();
        let progress = if bytes >= PROGRESS_BYTES && std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("weights {bar:30} {bytes}/{total_bytes} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(bytes).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        Ok(Self {
            place,
            beside,
            files,
            tensors,
            device: device.clone(),
            policy,
            merged: None,
            applied: None,
            asked: Mutex::default(),
            left_dense: Mutex::default(),
            progress,
        })
    }

    /// Every tensor that the index promises has to be in the shard that it names.
    fn check_index(&self, index: &Path, promised: &BTreeMap<String, String>) -> Result<()> {
        for (raw, shard) in promised {
            let path = match self.tensors.get(&canonical_name(raw)) {
                Some(located) => &self.files[located.file].path,
                None => {
                    return Err(Error::input(format!(
                        "tensor {raw:?} is missing from {shard:?}, where the index puts it"
                    ))
                    .at(index)
                    .remedy("index and shards are of different downloads: download both again"));
                }
            };
            if path.file_name().is_none_or(|name| name.to_string_lossy() != shard.as_str()) {
                return Err(Error::input(format!("tensor {raw:?} is not in {shard:?}, where the index puts it"))
                    .at(index)
                    .remedy("index and shards are of different downloads: download both again"));
            }
        }
        Ok(())
    }

    /// Adds an adapter to the weights while they are loaded: `W + scaling · B A`.
    ///
    /// # Errors
    /// An adapter that does not fit the checkpoint; weights that are quantised in the file.
    pub fn merge_on_load(mut self, adapter: Adapter) -> Result<Self> {
        adapter.check(&self)?;
        for (name, _) in adapter.pairs() {
            let name = format!("{name}.weight");
            if let Some(Encoding::Blocks(_)) = self.tensors.get(&name).map(|located| &located.entry.encoding) {
                return Err(Error::input(format!(
                    "the adapter cannot be merged into tensor {name:?}: it is quantised"
                ))
                .at(&self.place)
                .remedy("apply the adapter unmerged, or merge it into the original checkpoint first"));
            }
        }
        self.merged = Some(adapter);
        Ok(self)
    }

    /// Gives an adapter to the model beside the weights, which stay as they are (so that they may be quantised).
    ///
    /// # Errors
    /// An adapter that does not fit the checkpoint.
    pub fn with_adapter(mut self, adapter: Adapter) -> Result<Self> {
        adapter.check(&self)?;
        self.applied = Some(adapter);
        Ok(self)
    }

    /// What the user named: a folder, a file, or the label of embedded weights.
    pub fn place(&self) -> &Path {
        &self.place
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn policy(&self) -> DtypePolicy {
        self.policy
    }

    /// The shape of a tensor, where there is one of that name.
    pub fn shape_of(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|located| located.entry.shape.as_slice())
    }

    /// Names and shapes of all weights, in the order of their names, without buffers and adapters.
    pub fn names(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.weights().map(|(name, entry)| (name, entry.shape.as_slice()))
    }

    /// Matrices of the language model that stayed dense although quantisation was asked for, because their shape is not
    /// one that can be quantised (see [`super::Quantization::fits`]).
    pub fn left_dense(&self) -> Vec<String> {
        self.left_dense.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The content of a file beside the weights, such as `config.json`; none where there is no such file.
    pub fn side_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match &self.beside {
            Beside::Folder(folder) => {
                let path = folder.join(name);
                match fs::read(&path) {
                    Ok(content) => Ok(Some(content)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error).or_at("cannot read", path),
                }
            }
            Beside::Embedded(files) => {
                Ok(files.iter().find(|(known, _)| *known == name).map(|(_, content)| content.to_vec()))
            }
            Beside::Gguf => match self.files.first() {
                Some(file) => gguf::side_file(&file.contents, name).map_err(|error| error.at(&self.place)),
                None => Ok(None),
            },
        }
    }

    /// All files beside the weights that belong to a model.
    pub fn side_files(&self) -> Result<Vec<SideFile>> {
        let mut found = Vec::new();
        for name in SIDE_FILES {
            if let Some(content) = self.side_file(name)? {
                found.push(SideFile { name: name.to_owned(), content });
            }
        }
        Ok(found)
    }

    /// Lower-case sha256 of the weights: that of the one file, or of the list `<sha256>  <file name>` of all shards in
    /// the order of their names. Reads every byte: some ten seconds for 14 GB.
    pub fn weights_sha256(&self) -> Result<String> {
        let files = self
            .files
            .par_iter()
            .map(|file| {
                let name = file.path.file_name().unwrap_or(file.path.as_os_str()).to_string_lossy().into_owned();
                let digest = match self.beside {
                    Beside::Embedded(_) => digest::of_bytes(file.bytes()),
                    _ => digest::of_file(&file.path)?,
                };
                Ok((name, digest))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(digest::combine(files))
    }

    /// To be called when the model is built: an error where the files hold tensors that nobody asked for (buffers that
    /// models compute themselves are ignored, and names that `ignore` accepts).
    pub fn finish(&self, ignore: impl Fn(&str) -> bool) -> Result<()> {
        self.end_progress();
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let adapted = self.merged.is_some() || self.applied.is_some();
        let extra: Vec<(&String, &Located)> = self
            .tensors
            .iter()
            .filter(|(name, _)| !asked.contains(*name) && !is_buffer(name) && !ignore(name))
            .filter(|(name, _)| !(adapted && is_adapter(name)))
            .collect();
        let Some((_, first)) = extra.first() else { return Ok(()) };
        let listed: Vec<String> =
            extra.iter().take(LISTED).map(|(name, located)| format!("{name:?} {:?}", located.entry.shape)).collect();
        let more = extra.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let remedy = if extra.iter().any(|(name, _)| is_adapter(name)) {
            "the file holds an adapter beside the weights: give its folder, with an adapter_config.json, as the adapter too"
        } else {
            "config.json does not belong to these weights, or the file is of another model"
        };
        Err(Error::input(format!(
            "{} tensors are not part of the model that config.json describes: {}{more}",
            extra.len(),
            listed.join(", ")
        ))
        .at(&self.files[first.file].path)
        .remedy(remedy))
    }

    /// The weights in the order of their names.
    pub(super) fn weights(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.tensors
            .iter()
            .filter(|(name, _)| !is_buffer(name) && !is_adapter(name))
            .map(|(name, located)| (name.as_str(), &located.entry))
    }

    /// All tensors, buffers and adapters included.
    pub(super) fn everything(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.tensors.iter().map(|(name, located)| (name.as_str(), &located.entry))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.files.iter().map(|file| (file.path.as_path(), file.bytes().len() as u64))
    }

    /// An error where the files hold an adapter's tensors that would be lost by writing the weights alone.
    pub(super) fn refuse_loose_adapter(&self) -> Result<()> {
        match self.tensors.iter().find(|(name, _)| is_adapter(name)) {
            Some((name, located)) if self.merged.is_none() => {
                Err(Error::input(format!("the file holds an adapter beside the weights (such as {name:?})"))
                    .at(&self.files[located.file].path)
                    .remedy("merge the adapter first: owleval model merge"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn locate(&self, name: &str) -> Result<&Located> {
        self.tensors.get(name).ok_or_else(|| {
            Error::input(format!("there is no tensor {name:?}"))
                .at(&self.place)
                .remedy("the checkpoint is incomplete or of another model: download it again")
        })
    }

    /// A tensor that is asked for, of the shape that is expected.
    pub(super) fn expect(&self, name: &str, shape: &[usize]) -> Result<&Located> {
        let Some(located) = self.tensors.get(name) else {
            let place = match self.files.as_slice() {
                [only] => &only.path,
                _ => &self.place,
            };
            return Err(Error::input(format!("tensor {name:?} of shape {shape:?} is missing; nothing was found"))
                .at(place)
                .remedy("the checkpoint is incomplete, or config.json describes another model: download both again"));
        };
        if located.entry.shape != shape {
            let found = &located.entry.shape;
            return Err(Error::input(format!("tensor {name:?} has the shape {found:?}, but {shape:?} is expected"))
                .at(&self.files[located.file].path)
                .remedy("config.json does not belong to these weights: take both from the same checkpoint"));
        }
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(located)
    }

    /// Takes the progress bar away.
    pub(super) fn end_progress(&self) {
        self.progress.finish_and_clear();
    }
}

/// Whether a name is that of a low-rank factor.
pub(super) fn is_adapter(name: &str) -> bool {
    name.contains(".lora_")
}
