//! One file for a quantised model.

use candle_core::quantized::{QTensor, gguf_file};
use candle_core::{DType, Device};
use owleval::owl::source::{LinearWeight, TensorSource};
use owleval::owl::weights::{Checkpoint, DtypePolicy, Quantization, QuantizeOptions, quantize};

use super::{flat, open, told, values, write_model};

const QUERY: &str = "language_model.model.layers.0.self_attn.q_proj.weight";

#[test]
fn a_quantised_file_gives_back_the_same_tensors_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let shapes = write_model(folder.path(), DType::F16);
    let original = open(folder.path()).unwrap();
    for (language, half) in [(Quantization::Q8_0, false), (Quantization::Q4K, true)] {
        let out = folder.path().join("small.gguf");
        let left = quantize(&original, &out, QuantizeOptions { language, half }).unwrap();
        assert_eq!(left, ["language_model.model.layers.0.mlp.up_proj.weight"]);
        let loaded = Checkpoint::open(&out, &Device::Cpu, DtypePolicy::quantized(language)).unwrap();
        let mut quantised = 0;
        for (name, shape) in &shapes {
            let expected = original.get(name, shape).unwrap();
            if let [rows, columns] = shape.as_slice()
                && let LinearWeight::Quantized(tensor) = loaded.linear(name, *rows, *columns).unwrap()
            {
                quantised += 1;
                let expected = QTensor::quantize(&expected, language.ggml()).unwrap();
                assert_eq!(tensor.data().unwrap(), expected.data().unwrap(), "{name}");
            } else {
                assert_eq!(values(&loaded, name, shape), flat(&expected), "{name}");
            }
        }
        assert_eq!(quantised, 3);
        loaded.finish(|_| false).unwrap();
        assert_eq!(loaded.side_files().unwrap(), original.side_files().unwrap());
        assert_eq!(loaded.summary().unwrap().config, original.summary().unwrap().config);

        // An independent reader finds the same.
        let mut file = std::fs::File::open(&out).unwrap();
        let content = gguf_file::Content::read(&mut file).unwrap();
        assert_eq!(content.tensor_infos.len(), shapes.len());
        let read = content.tensor(&mut file, QUERY, &Device::Cpu).unwrap();
        let LinearWeight::Quantized(ours) = loaded.linear(QUERY, 256, 256).unwrap() else { panic!() };
        assert_eq!(read.data().unwrap(), ours.data().unwrap());
        let embeddings = "language_model.model.embed_tokens.weight";
        let read = content.tensor(&mut file, embeddings, &Device::Cpu).unwrap();
        assert_eq!(flat(&read.dequantize(&Device::Cpu).unwrap()), values(&original, embeddings, &[32, 256]));
    }
}

#[test]
fn another_quantisation_than_that_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), DType::F32);
    let out = folder.path().join("q8.gguf");
    let options = QuantizeOptions { language: Quantization::Q8_0, half: false };
    quantize(&open(folder.path()).unwrap(), &out, options).unwrap();
    let other = Checkpoint::open(&out, &Device::Cpu, DtypePolicy::quantized(Quantization::Q4K)).unwrap();
    let error = other.linear(QUERY, 256, 256).unwrap_err();
    assert!(told(&error).contains("quantised as q8_0, but q4_k is asked for"), "{}", told(&error));
    let again = quantize(&other, &folder.path().join("again.gguf"), options).unwrap_err();
    assert!(told(&again).contains("quantised already"), "{}", told(&again));
    assert!(!folder.path().join("again.gguf").exists());
}

#[test]
fn a_quantised_file_whose_dtype_is_left_open_stays_quantised() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), DType::F32);
    let out = folder.path().join("q8.gguf");
    quantize(&open(folder.path()).unwrap(), &out, QuantizeOptions { language: Quantization::Q8_0, half: false })
        .unwrap();
    let loaded = open(&out).unwrap();
    assert!(matches!(loaded.linear(QUERY, 256, 256).unwrap(), LinearWeight::Quantized(_)));
    let dense = loaded.get(QUERY, &[256, 256]).unwrap();
    assert_eq!(dense.dtype(), DType::F32);
}
