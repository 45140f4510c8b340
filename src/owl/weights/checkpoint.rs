//! A checkpoint: one or several weight files and the files beside them, as the source of a model's tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use super::file::{Encoding, Entry, Format, WeightFile};
use super::lora::Adapter;
use super::{
    DtypePolicy, LANGUAGE_MODEL, Quantization, canonical_name, convert, digest, gguf, is_buffer, is_language_linear,
};
use crate::error::{Error, IoContext, Result};
use crate::owl::source::{LinearWeight, LowRank, TensorSource};

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

struct Located {
    file: usize,
    entry: Entry,
}

/// Opened weight files, of which nothing but the headers has been read.
///
/// ```text
/// let checkpoint = Checkpoint::open(folder, &device, DtypePolicy::default())?;
/// let model = Owl::new(&config, &checkpoint)?;
/// checkpoint.finish(|_| false)?;       // an error where the files hold tensors that the model does not know
/// ```
pub struct Checkpoint {
    place: PathBuf,
    beside: Beside,
    files: Vec<WeightFile>,
    /// By the names of the model; buffers and an adapter's tensors included.
    tensors: BTreeMap<String, Located>,
    device: Device,
    policy: DtypePolicy,
    merged: Option<Adapter>,
    applied: Option<Adapter>,
    asked: Mutex<BTreeSet<String>>,
    left_dense: Mutex<Vec<String>>,
    progress: ProgressBar,
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
    /// one that can be quantised (see [`Quantization::fits`]).
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

    fn locate(&self, name: &str) -> Result<&Located> {
        self.tensors.get(name).ok_or_else(|| {
            Error::input(format!("there is no tensor {name:?}"))
                .at(&self.place)
                .remedy("the checkpoint is incomplete or of another model: download it again")
        })
    }

    /// A tensor that is asked for, of the shape that is expected.
    fn expect(&self, name: &str, shape: &[usize]) -> Result<&Located> {
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

    /// Takes the progress bar away.
    pub(super) fn end_progress(&self) {
        self.progress.finish_and_clear();
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
                let encoding = Encoding::Blocks(super::file::GgmlName(quantization.ggml()));
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

/// Whether a name is that of a low-rank factor.
pub(super) fn is_adapter(name: &str) -> bool {
    name.contains(".lora_")
}

fn in_tensor(error: Error, name: &str, file: &Path) -> Error {
    let remedy = error.remedy_text().map(str::to_owned);
    let wrapped = Error::input(format!("tensor {name:?} cannot be loaded: {}", error.message())).at(file).source(error);
    match remedy {
        Some(remedy) => wrapped.remedy(remedy),
        None => wrapped,
    }
}

const LAYOUT: &str = "a model is a folder with config.json and model.safetensors or pytorch_model.bin (or shards of one \
                      of them with their index), or a GGUF file made by owleval model quantize";

struct Found {
    files: Vec<PathBuf>,
    /// The index file, and which shard it promises each tensor in.
    index: Option<(PathBuf, BTreeMap<String, String>)>,
}

/// The weight files of a folder: safetensors before PyTorch files before GGUF.
fn find_weights(folder: &Path) -> Result<Found> {
    for (single, index) in
        [("model.safetensors", "model.safetensors.index.json"), ("pytorch_model.bin", "pytorch_model.bin.index.json")]
    {
        if folder.join(single).exists() {
            return Ok(Found { files: vec![folder.join(single)], index: None });
        }
        if folder.join(index).exists() {
            return read_index(folder, &folder.join(index));
        }
    }
    let mut others: Vec<PathBuf> = fs::read_dir(folder)
        .or_at("cannot read the folder", folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name.ends_with(".safetensors") || name.ends_with(".gguf"))
                && !name.starts_with("adapter_")
                && !name.starts_with('.')
        })
        .collect();
    others.sort();
    match others.len() {
        1 => Ok(Found { files: others, index: None }),
        0 => Err(Error::input("the folder holds no weights").at(folder).remedy(LAYOUT)),
        count => Err(Error::input(format!("the folder holds {count} weight files and no index"))
            .at(folder)
            .remedy("add the *.index.json that belongs to them, or name one file")),
    }
}

fn read_index(folder: &Path, path: &Path) -> Result<Found> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = fs::read(path).or_at("cannot read the index", path)?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| {
        Error::input("this is no index of weights")
            .at_line(path, error.line())
            .remedy("download the index again")
            .source(error)
    })?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    if shards.is_empty() {
        return Err(Error::input("the index names no tensors").at(path).remedy("download the index again"));
    }
    let mut files = Vec::new();
    for shard in shards {
        if shard.contains(['/', '\\']) || shard.starts_with('.') {
            return Err(Error::input(format!("the index names {shard:?}, which is no plain file name")).at(path));
        }
        let file = folder.join(shard);
        if !file.exists() {
            return Err(Error::input(format!("the shard {shard:?} is missing, which the index names"))
                .at(path)
                .remedy(format!("put {shard} into {}", folder.display())));
        }
        files.push(file);
    }
    Ok(Found { files, index: Some((path.to_owned(), index.weight_map)) })
}
