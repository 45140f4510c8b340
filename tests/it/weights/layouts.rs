//! One file or shards, safetensors or PyTorch, mapped or embedded.

use candle_core::{DType, Device};
use owleval::owl::source::TensorSource;
use owleval::owl::weights::{Checkpoint, DtypePolicy, export};

use super::{fixture, flat, open, pattern, told, values, write_model};

#[test]
fn a_pytorch_file_gives_its_tensors_in_every_type_and_layout() {
    for file in ["mixed.bin", "protocol4.bin", "nested.bin"] {
        let checkpoint = open(&fixture("pytorch").join(file)).unwrap();
        assert_eq!(values(&checkpoint, "half.weight", &[5, 7]), pattern(35, 0.0), "{file}");
        assert_eq!(values(&checkpoint, "brain.weight", &[5, 7]), pattern(35, 0.0));
        assert_eq!(values(&checkpoint, "single.weight", &[3, 2, 2]), pattern(12, 0.0));
        assert_eq!(values(&checkpoint, "double.bias", &[9]), pattern(9, 0.0));
        assert_eq!(values(&checkpoint, "scalar", &[]), pattern(1, 0.0));
        assert_eq!(values(&checkpoint, "embed.weight", &[12, 4]), pattern(48, 0.0));
        assert_eq!(values(&checkpoint, "head.weight", &[12, 4]), pattern(48, 0.0), "tied to the embeddings");
        assert_eq!(values(&checkpoint, "second_half.weight", &[3, 4]), pattern(24, 0.0)[12..]);
        assert_eq!(values(&checkpoint, "parameter", &[2, 3]), pattern(6, 0.0));
        let stored = pattern(24, 0.0);
        let transposed: Vec<f32> = (0..24).map(|i| stored[(i % 6) * 4 + i / 6]).collect();
        assert_eq!(values(&checkpoint, "transposed.weight", &[4, 6]), transposed);
        // `position_ids` is left over, and ignored as a buffer.
        checkpoint.finish(|_| false).unwrap();
    }
}

#[test]
fn shards_with_an_index_are_one_checkpoint() {
    let checkpoint = open(&fixture("pytorch/sharded")).unwrap();
    assert_eq!(values(&checkpoint, "a.weight", &[4, 3]), pattern(12, 0.0));
    assert_eq!(values(&checkpoint, "b.weight", &[2, 3]), pattern(6, 0.5));
    let error = checkpoint.finish(|_| false).unwrap_err();
    assert!(told(&error).contains("pytorch_model-00002-of-00002.bin"), "{}", told(&error));
    assert!(error.message().contains("\"b.bias\" [2]"), "{error}");
    checkpoint.finish(|name| name == "b.bias").unwrap();
}

#[test]
fn a_raw_training_state_dict_is_read_under_the_names_of_the_model() {
    let checkpoint = open(&fixture("pytorch/raw")).unwrap();
    let name = "language_model.model.layers.0.self_attn.q_proj.weight";
    assert_eq!(values(&checkpoint, name, &[6, 4]), pattern(24, 0.0));
    let error = checkpoint.finish(|_| false).unwrap_err();
    assert!(error.message().contains("q_proj.lora_A.weight"), "{error}");
    assert!(error.remedy_text().unwrap().contains("adapter"), "{error:?}");
}

#[test]
fn the_parity_checkpoint_is_the_same_mapped_and_embedded_and_its_buffers_are_ignored() {
    let folder = fixture("parity/checkpoint");
    let mapped = open(&folder).unwrap();
    let bytes: &'static [u8] = std::fs::read(folder.join("model.safetensors")).unwrap().leak();
    let beside: &'static [(&str, &[u8])] = &[("config.json", b"{}")];
    let embedded =
        Checkpoint::from_bytes("built in", bytes, beside, &Device::Cpu, DtypePolicy::dense(DType::F32)).unwrap();
    let names: Vec<_> = mapped.names().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect();
    assert_eq!(names.len(), 109);
    for (name, shape) in &names {
        assert_eq!(values(&mapped, name, shape), values(&embedded, name, shape));
    }
    mapped.finish(|_| false).unwrap();
    assert_eq!(mapped.weights_sha256().unwrap(), embedded.weights_sha256().unwrap());
    assert_eq!(embedded.side_file("config.json").unwrap().unwrap(), b"{}");
    assert_eq!(mapped.side_file("no_such_file.json").unwrap(), None);
}

#[test]
fn each_tower_has_its_own_dtype() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), DType::F32);
    let policy = DtypePolicy { vision: DType::F32, language: DType::BF16, quantize: None };
    let checkpoint = Checkpoint::open(folder.path(), &Device::Cpu, policy).unwrap();
    assert_eq!(checkpoint.get("query_tokens", &[1, 4, 8]).unwrap().dtype(), DType::F32);
    assert_eq!(checkpoint.get("language_model.model.norm.weight", &[256]).unwrap().dtype(), DType::BF16);
}

#[test]
fn a_model_written_in_shards_is_the_model_that_was_read() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let model = folder.path().join(format!("{dtype:?}"));
        let shapes = write_model(&model, dtype);
        let out = folder.path().join(format!("out-{dtype:?}"));
        let original = open(&model).unwrap();
        export(&original, &out, 200_000).unwrap();
        assert!(out.join("model.safetensors.index.json").exists());
        assert!(std::fs::read_dir(&out).unwrap().count() > 4, "more than one shard");
        let written = open(&out).unwrap();
        for (name, shape) in &shapes {
            assert_eq!(values(&original, name, shape), values(&written, name, shape), "{name}");
        }
        let policy = DtypePolicy::dense(dtype);
        let kept = Checkpoint::open(&out, &Device::Cpu, policy).unwrap();
        assert_eq!(kept.summary().unwrap().towers[0].encodings.len(), 1);
        assert_eq!(original.side_files().unwrap(), written.side_files().unwrap());
        assert_ne!(original.weights_sha256().unwrap(), written.weights_sha256().unwrap());
        let error = export(&original, &out, 200_000).unwrap_err();
        assert!(error.message().contains("not empty"), "{error}");
    }
    let leftovers = std::fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("partial"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn the_summary_counts_parameters_by_tower_from_the_headers() {
    let summary = open(&fixture("parity/checkpoint")).unwrap().summary().unwrap();
    let towers: Vec<_> = summary.towers.iter().map(|tower| (tower.name, tower.tensors, tower.parameters)).collect();
    assert_eq!(
        towers,
        [
            ("vision tower", 31, 44_928),
            ("query tokens", 1, 256),
            ("abstractor", 47, 28_128),
            ("language model", 30, 114_000),
            ("buffers (ignored)", 3, 18),
        ]
    );
    assert_eq!(summary.files[0].bytes, 762_488);
    assert_eq!(summary.config.unwrap()["num_query_tokens"], 8);
    assert!(summary.beside.contains(&"tokenizer.model".to_owned()));
}

#[test]
fn quantising_at_load_keeps_embeddings_and_unfit_shapes_dense_and_says_so() {
    use owleval::owl::source::LinearWeight;
    use owleval::owl::weights::Quantization;

    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), DType::BF16);
    let dense = open(folder.path()).unwrap();
    for quantization in [Quantization::Q8_0, Quantization::Q4K] {
        let policy = DtypePolicy::quantized(quantization);
        let checkpoint = Checkpoint::open(folder.path(), &Device::Cpu, policy).unwrap();
        let down = "language_model.model.layers.0.mlp.down_proj.weight";
        let LinearWeight::Quantized(tensor) = checkpoint.linear(down, 256, 512).unwrap() else { panic!("{down}") };
        assert_eq!(tensor.dtype(), quantization.ggml());
        let exact = values(&dense, down, &[256, 512]);
        let error = exact
            .iter()
            .zip(flat(&tensor.dequantize(&Device::Cpu).unwrap()))
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        assert!(error > 0.0 && error < if quantization == Quantization::Q8_0 { 5e-4 } else { 1e-2 }, "{error}");
        let up = "language_model.model.layers.0.mlp.up_proj.weight";
        assert!(matches!(checkpoint.linear(up, 40, 256).unwrap(), LinearWeight::Dense(_)));
        assert_eq!(checkpoint.left_dense(), [up]);
        let fc = checkpoint.linear("abstractor.visual_fc.weight", 256, 8).unwrap();
        assert!(matches!(fc, LinearWeight::Dense(_)));
    }
}
