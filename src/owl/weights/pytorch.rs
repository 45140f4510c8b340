//! The format of `torch.save` since PyTorch 1.6: an uncompressed zip archive that holds a pickle of names, shapes and
//! references (`data.pkl`), and one member a storage (`data/<key>`), whose bytes are used right where they lie.

use std::collections::HashMap;
use std::io::Cursor;

use super::byte_reader::Reading;
use super::file::{Contents, Encoding, Entry};
use super::pickle::{self, Id, Object, Objects};

/// Names under which training scripts nest the weights in what they save.
const NESTED: [&str; 4] = ["state_dict", "model", "module", "model_state_dict"];

/// A member of the archive: where its bytes begin, and how many there are.
type Members = HashMap<String, (usize, usize)>;

pub(super) fn read(bytes: &[u8]) -> Reading<Contents> {
    let members = members(bytes)?;
    let pickle_name = members
        .keys()
        .filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .min_by_key(|name| (name.len(), (*name).clone()))
        .ok_or("the archive holds no data.pkl")?;
    let folder = &pickle_name[..pickle_name.len() - "data.pkl".len()];
    let member = |name: &str| members.get(&format!("{folder}{name}"));
    if let Some((start, length)) = member("byteorder")
        && &bytes[*start..*start + *length] != b"little"
    {
        return Err("its values are not in little-endian order".into());
    }
    let (start, length) = members[pickle_name];
    let objects = pickle::read(&bytes[start..start + length])?;

    let mut contents = Contents::default();
    for (key, value) in state_dict(&objects)? {
        let Some(name) = objects.text(*key) else { continue };
        let Some(tensor) = Tensor::read(&objects, *value).map_err(|problem| format!("tensor {name:?}: {problem}"))?
        else {
            continue;
        };
        let storage = member(&format!("data/{}", tensor.key))
            .ok_or_else(|| format!("tensor {name:?}: the archive lacks its storage data/{}", tensor.key))?;
        let entry = tensor.entry(*storage).map_err(|problem| format!("tensor {name:?}: {problem}"))?;
        contents.entries.insert(name.to_owned(), entry);
    }
    if contents.entries.is_empty() {
        return Err("it holds no tensors by name".into());
    }
    Ok(contents)
}

fn members(bytes: &[u8]) -> Reading<Members> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut members = Members::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(|error| error.to_string())?;
        let name = file.name().map_err(|error| error.to_string())?.into_owned();
        if file.compression() != zip::CompressionMethod::Stored || file.encrypted() {
            return Err(format!("its member {name:?} is compressed or encrypted, which torch.save never does"));
        }
        let place = file.data_start().and_then(|start| {
            let (start, length) = (usize::try_from(start).ok()?, usize::try_from(file.size()).ok()?);
            let end = start.checked_add(length)?;
            (end <= bytes.len() && file.compressed_size() == file.size()).then_some((start, length))
        });
        let place = place.ok_or_else(|| format!("its member {name:?} does not lie within the file"))?;
        members.insert(name, place);
    }
    Ok(members)
}

/// The pairs of the dict that holds tensors: the root, or what a training script nested in it.
fn state_dict(objects: &Objects) -> Reading<&[(Id, Id)]> {
    let Object::Dict(root) = objects.get(objects.root()) else {
        return Err("it holds no dict of tensors".into());
    };
    if root.iter().any(|(_, value)| matches!(Tensor::read(objects, *value), Ok(Some(_)))) {
        return Ok(root);
    }
    for nested in NESTED {
        let found = root.iter().find(|(key, _)| objects.text(*key) == Some(nested));
        if let Some((_, value)) = found
            && let Object::Dict(inner) = objects.get(*value)
        {
            return Ok(inner);
        }
    }
    Ok(root)
}

/// A tensor as the pickle describes it; sizes in elements.
struct Tensor {
    encoding: Encoding,
    width: usize,
    key: String,
    storage_elements: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Tensor {
    /// None where the object is no tensor.
    fn read(objects: &Objects, id: Id) -> Reading<Option<Self>> {
        let mut id = id;
        // A parameter wraps a tensor, and so does a tensor of a subclass. Each wraps at most once.
        for _ in 0..3 {
            let Some((class, arguments)) = objects.call(id) else { return Ok(None) };
            match class {
                ("torch._utils", "_rebuild_tensor_v2") => return Self::rebuild(objects, arguments).map(Some),
                ("torch._utils", "_rebuild_parameter") => {
                    id = *arguments.first().ok_or("a parameter without a tensor")?;
                }
                ("torch._tensor", "_rebuild_from_type_v2") => {
                    // (rebuild function, type, its arguments, state): the call that is wrapped.
                    let [function, _, inner, ..] = arguments else { return Err("a broken subclass".into()) };
                    let known = objects.class(*function) == Some(("torch._utils", "_rebuild_tensor_v2"));
                    let inner = objects.tuple(*inner).filter(|_| known).ok_or("a tensor of an unknown subclass")?;
                    return Self::rebuild(objects, inner).map(Some);
                }
                _ => return Ok(None),
            }
        }
        Err("a tensor is wrapped too deeply".into())
    }

    /// Arguments: storage, offset, shape, strides, and more that does not matter (PyTorch, `torch/_utils.py`).
    fn rebuild(objects: &Objects, arguments: &[Id]) -> Reading<Self> {
        let broken = || "its description is broken".to_owned();
        let [storage, offset, shape, strides, ..] = arguments else { return Err(broken()) };
        let Object::Persistent(storage) = objects.get(*storage) else { return Err(broken()) };
        // ("storage", class, key, device, elements)
        let Some([_, class, key, _, elements, ..]) = objects.tuple(*storage) else { return Err(broken()) };
        let (_, class) = objects.class(*class).ok_or_else(broken)?;
        let (encoding, width) = match class {
            "FloatStorage" => (Encoding::F32, 4),
            "HalfStorage" => (Encoding::F16, 2),
            "BFloat16Storage" => (Encoding::BF16, 2),
            "DoubleStorage" => (Encoding::F64, 8),
            "LongStorage" => (Encoding::Other("i64".into()), 8),
            "IntStorage" => (Encoding::Other("i32".into()), 4),
            "ShortStorage" => (Encoding::Other("i16".into()), 2),
            "CharStorage" => (Encoding::Other("i8".into()), 1),
            "ByteStorage" => (Encoding::Other("u8".into()), 1),
            "BoolStorage" => (Encoding::Other("bool".into()), 1),
            other => return Err(format!("its storage is of the unknown type {other:?}")),
        };
        let tensor = Self {
            encoding,
            width,
            key: objects.text(*key).ok_or_else(broken)?.to_owned(),
            storage_elements: objects.size(*elements).ok_or_else(broken)?,
            offset: objects.size(*offset).ok_or_else(broken)?,
            shape: objects.sizes(*shape).ok_or_else(broken)?,
            strides: objects.sizes(*strides).ok_or_else(broken)?,
        };
        if tensor.shape.len() != tensor.strides.len() { Err(broken()) } else { Ok(tensor) }
    }

    /// Elements from the first to the last one, both included; none if that overflows.
    fn extent(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let last =
            self.shape.iter().zip(&self.strides).try_fold(0usize, |last, (dimension, stride)| {
                last.checked_add((dimension - 1).checked_mul(*stride)?)
            })?;
        last.checked_add(1)
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1usize;
        self.shape.iter().zip(&self.strides).rev().all(|(dimension, stride)| {
            let right = *dimension <= 1 || *stride == expected;
            expected = expected.saturating_mul((*dimension).max(1));
            right
        })
    }

    /// The tensor's place in the file, for a storage at (start, bytes).
    fn entry(self, (start, available): (usize, usize)) -> Reading<Entry> {
        let shape = &self.shape;
        let elements = shape.iter().try_fold(1usize, |product, dimension| product.checked_mul(*dimension));
        let (Some(elements), Some(extent)) = (elements, self.extent()) else {
            return Err(format!("the shape {shape:?} is too large"));
        };
        let needed = self.offset.checked_add(extent).and_then(|elements| elements.checked_mul(self.width));
        let Some(needed) = needed.filter(|needed| *needed <= available) else {
            return Err(format!(
                "its storage data/{} of {available} bytes is too short for the shape {shape:?} (truncated?)",
                self.key
            ));
        };
        if self.storage_elements.checked_mul(self.width) != Some(available) {
            return Err(format!(
                "its storage data/{} holds {available} bytes, but {} elements are expected",
                self.key, self.storage_elements
            ));
        }
        let row_major = self.is_row_major();
        // A view may repeat elements (stride 0): a few bytes could then claim any size.
        if !row_major && elements > self.storage_elements {
            return Err(format!("the shape {shape:?} repeats the elements of its storage"));
        }
        Ok(Entry {
            start: start + self.offset * self.width,
            length: needed - self.offset * self.width,
            strides: (!row_major).then_some(self.strides),
            encoding: self.encoding,
            shape: self.shape,
        })
    }
}
