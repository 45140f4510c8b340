//! Missing, misshapen, truncated and altered files: an error that names the thing, never a panic.

use std::path::Path;
use std::sync::LazyLock;

use candle_core::DType;
use owleval::owl::source::TensorSource;
use owleval::owl::weights::{Quantization, QuantizeOptions, quantize};
use proptest::prelude::*;

use super::{fixture, open, told, write_model};

#[test]
fn a_missing_tensor_is_named_with_shape_file_and_remedy() {
    let checkpoint = open(&fixture("parity/checkpoint")).unwrap();
    let text = told(&checkpoint.get("abstractor.no_such.weight", &[3, 4]).unwrap_err());
    for part in ["model.safetensors", "\"abstractor.no_such.weight\"", "[3, 4]", "missing", "download"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let checkpoint = open(&fixture("parity/checkpoint")).unwrap();
    let text = told(&checkpoint.get("query_tokens", &[1, 64, 1024]).unwrap_err());
    for part in ["model.safetensors", "\"query_tokens\"", "[1, 8, 32]", "[1, 64, 1024]", "config.json"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn integers_are_refused_as_weights() {
    let checkpoint = open(&fixture("pytorch/mixed.bin")).unwrap();
    let text = told(&checkpoint.get("embeddings.position_ids", &[1, 5]).unwrap_err());
    assert!(text.contains("i64") && text.contains("mixed.bin"), "{text}");
}

#[test]
fn a_folder_without_weights_and_a_missing_shard_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let text = told(&open(folder.path()).unwrap_err());
    assert!(text.contains("holds no weights") && text.contains("model.safetensors"), "{text}");
    let text = told(&open(&folder.path().join("nowhere")).unwrap_err());
    assert!(text.contains("no such model"), "{text}");

    let sharded = fixture("pytorch/sharded");
    let index = "pytorch_model.bin.index.json";
    let first = "pytorch_model-00001-of-00002.bin";
    for name in [index, first] {
        std::fs::copy(sharded.join(name), folder.path().join(name)).unwrap();
    }
    let text = told(&open(folder.path()).unwrap_err());
    assert!(text.contains("\"pytorch_model-00002-of-00002.bin\" is missing"), "{text}");

    // The second shard holds what the first should: the index does not agree with them.
    std::fs::copy(sharded.join(first), folder.path().join("pytorch_model-00002-of-00002.bin")).unwrap();
    let text = told(&open(folder.path()).unwrap_err());
    assert!(text.contains("occurs twice"), "{text}");

    let escape = r#"{"weight_map": {"a.weight": "../../etc/passwd"}}"#;
    std::fs::write(folder.path().join(index), escape).unwrap();
    let text = told(&open(folder.path()).unwrap_err());
    assert!(text.contains("no plain file name"), "{text}");
}

#[test]
fn a_truncated_file_says_that_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, name) in originals() {
        let path = folder.path().join(name);
        for kept in [0, 3, 8, 100, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..kept]).unwrap();
            // A GGUF file ends in padding that nobody needs.
            if let Err(error) = open(&path) {
                let text = told(&error);
                assert!(text.contains(name) && text.contains("cut"), "{kept}: {text}");
            } else {
                assert!(name.ends_with(".gguf") && kept == bytes.len() - 1, "{name} of {kept} bytes was accepted");
            }
        }
    }
}

/// A small file of each format.
fn originals() -> &'static [(Vec<u8>, &'static str)] {
    static ORIGINALS: LazyLock<Vec<(Vec<u8>, &str)>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), DType::F16);
        let gguf = folder.path().join("model.gguf");
        let options = QuantizeOptions { language: Quantization::Q8_0, half: true };
        quantize(&open(folder.path()).unwrap(), &gguf, options).unwrap();
        let lora = fixture("parity/lora/adapter_model.safetensors");
        vec![
            (std::fs::read(lora).unwrap(), "model.safetensors"),
            (std::fs::read(fixture("pytorch/mixed.bin")).unwrap(), "pytorch_model.bin"),
            (std::fs::read(gguf).unwrap(), "model.gguf"),
        ]
    });
    &ORIGINALS
}

/// Opens a damaged file and loads all that it claims to hold: errors are right, panics are not.
fn load_everything(path: &Path) {
    let Ok(checkpoint) = open(path) else { return };
    let names: Vec<_> = checkpoint.names().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect();
    for (name, shape) in names {
        let _ = checkpoint.get(&name, &shape);
        if let [rows, columns] = shape.as_slice() {
            let _ = checkpoint.linear(&name, *rows, *columns);
        }
    }
    let _ = checkpoint.finish(|_| false);
    let _ = checkpoint.summary();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_damage_makes_loading_panic(
        which in 0usize..3,
        // Most of the structure is at the beginning, and at the end of a zip archive.
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 0..6),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let (original, name) = &originals()[which];
        let mut bytes = original.clone();
        for (index, part, value) in flips {
            let at = match part {
                0 => index.index(bytes.len().min(1200)),
                1 => bytes.len() - 1 - index.index(bytes.len().min(1500)),
                _ => index.index(bytes.len()),
            };
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        load_everything(&path);
    }
}
