//! Adapters: reading, refusing, merging, writing.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use owleval::owl::source::{LinearWeight, TensorSource};
use owleval::owl::weights::lora::{AdapterConfig, TargetModules, merge};
use owleval::owl::weights::{Adapter, Checkpoint, DtypePolicy, Quantization, merge_adapter};
use owleval::owl::{Config, Owl, Row};

use super::{fixture, flat, open, pattern, told, values, write_model};

const QUERY: &str = "language_model.model.layers.0.self_attn.q_proj";

#[test]
fn a_peft_folder_gives_its_factors_by_the_names_of_the_layers() {
    let adapter = Adapter::open(&fixture("parity/lora")).unwrap();
    let names: Vec<&str> = adapter.pairs().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 6);
    assert_eq!(names[0], QUERY);
    let (a, b) = adapter.get(QUERY).unwrap();
    assert_eq!((a.dims(), b.dims()), (&[8, 48][..], &[48, 8][..]));
    assert_eq!(adapter.scaling(), 4.0);
    adapter.check(&open(&fixture("parity/checkpoint")).unwrap()).unwrap();
}

#[test]
fn the_adapter_of_a_raw_training_state_dict_is_found_beside_its_base_weights() {
    let folder = fixture("pytorch/raw");
    let adapter = Adapter::open(&folder).unwrap();
    let (a, b) = adapter.get(QUERY).unwrap();
    assert_eq!((flat(a), flat(b)), (pattern(8, 1.0), pattern(12, -1.0)));
    let weight = open(&folder).unwrap().get(&format!("{QUERY}.weight"), &[6, 4]).unwrap();
    let expected = flat(&merge(&weight, a, b, 4.0).unwrap());
    let checkpoint = open(&folder).unwrap().merge_on_load(adapter).unwrap();
    assert_eq!(values(&checkpoint, &format!("{QUERY}.weight"), &[6, 4]), expected);
    checkpoint.finish(|_| false).unwrap();
}

#[test]
fn merging_adds_the_scaled_product_to_adapted_layers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let base = open(&fixture("parity/checkpoint")).unwrap();
    let adapter = Adapter::open(&fixture("parity/lora")).unwrap();
    let out = folder.path().join("merged");
    merge_adapter(open(&fixture("parity/checkpoint")).unwrap(), adapter.clone(), &out).unwrap();
    let merged = open(&out).unwrap();
    let mut changed = 0;
    for (name, shape) in base.names() {
        let (before, after) = (values(&base, name, shape), values(&merged, name, shape));
        let Some((a, b)) = adapter.get(name.strip_suffix(".weight").unwrap_or(name)) else {
            assert_eq!(before, after, "{name}");
            continue;
        };
        changed += 1;
        // The definition, element by element.
        let (a, b): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (a.to_vec2().unwrap(), b.to_vec2().unwrap());
        for row in 0..shape[0] {
            for column in 0..shape[1] {
                let product: f32 = (0..8).map(|r| b[row][r] * a[r][column]).sum();
                let expected = before[row * shape[1] + column] + 4.0 * product;
                assert!((after[row * shape[1] + column] - expected).abs() < 1e-6, "{name}");
            }
        }
    }
    assert_eq!(changed, 6);
    assert_eq!(merged.names().count(), base.names().count(), "buffers are not written");
    assert_eq!(merged.side_files().unwrap(), base.side_files().unwrap());
}

#[test]
fn an_unmerged_adapter_is_given_to_the_model_beside_quantised_weights() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), DType::F32);
    let checkpoint = Checkpoint::open(folder.path(), &Device::Cpu, DtypePolicy::quantized(Quantization::Q8_0)).unwrap();
    let checkpoint = checkpoint.with_adapter(small(QUERY, 256)).unwrap();
    assert!(matches!(checkpoint.linear(&format!("{QUERY}.weight"), 256, 256).unwrap(), LinearWeight::Quantized(_)));
    let pair = checkpoint.adapter(QUERY, 256, 256).unwrap().unwrap();
    assert_eq!((pair.a.dims(), pair.b.dims(), pair.scaling), (&[2, 256][..], &[256, 2][..], 4.0));
    assert!(checkpoint.adapter("language_model.lm_head", 32, 256).unwrap().is_none());
}

#[test]
fn merged_and_unmerged_adapters_give_the_same_logits() {
    let folder = fixture("parity/checkpoint");
    let adapter = || Adapter::open(&fixture("parity/lora")).unwrap();
    let config = Config::read(&folder.join("config.json")).unwrap();
    let row = Row { ids: vec![1, 17, 44, 9, 203, 61, 5], image_starts: Vec::new() };
    let logits = |checkpoint: Checkpoint| {
        let owl = Owl::new(&config, &checkpoint).unwrap();
        checkpoint.finish(|_| false).unwrap();
        let embeds = owl.assemble(std::slice::from_ref(&row), None).unwrap();
        let hidden = owl.language().forward_observed(&embeds, &[row.len()], &mut |_, _| ()).unwrap();
        flat(&owl.language().logits(&hidden).unwrap())
    };
    let plain = logits(open(&folder).unwrap());
    let unmerged = logits(open(&folder).unwrap().with_adapter(adapter()).unwrap());
    let merged = logits(open(&folder).unwrap().merge_on_load(adapter()).unwrap());
    assert!(distance(&unmerged, &merged) < 1e-5, "{}", distance(&unmerged, &merged));
    assert!(distance(&unmerged, &plain) > 1e-3, "the adapter changes nothing");
}

/// ‖x − reference‖ / ‖reference‖.
fn distance(x: &[f32], reference: &[f32]) -> f32 {
    let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    squares(&mut x.iter().zip(reference).map(|(a, b)| a - b)) / squares(&mut reference.iter().copied())
}

#[test]
fn an_adapter_of_another_model_is_refused_by_the_names_of_its_layers() {
    let model = || open(&fixture("parity/checkpoint")).unwrap();
    let stranger = small("language_model.model.layers.9.self_attn.q_proj", 48);
    let text = told(&model().merge_on_load(stranger.clone()).unwrap_err());
    assert!(text.contains("\"language_model.model.layers.9.self_attn.q_proj\""), "{text}");
    assert!(text.contains("another model"), "{text}");
    assert!(model().with_adapter(stranger).is_err());
    let text = told(&model().with_adapter(small(QUERY, 64)).unwrap_err());
    assert!(text.contains("[64, 64]") && text.contains("[48, 48]"), "{text}");
}

#[test]
fn a_saved_adapter_is_the_adapter_that_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let adapter = small(QUERY, 48);
    adapter.save(folder.path()).unwrap();
    let read = Adapter::open(folder.path()).unwrap();
    assert_eq!(read.config, adapter.config);
    let ((a, b), (c, d)) = (adapter.get(QUERY).unwrap(), read.get(QUERY).unwrap());
    assert_eq!((flat(a), flat(b)), (flat(c), flat(d)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    assert_eq!(read.weights_sha256().unwrap().len(), 64);
}

#[test]
fn whatever_is_not_supported_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    small(QUERY, 48).save(folder.path()).unwrap();
    let path = folder.path().join("adapter_config.json");
    let plain: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value) in [
        ("peft_type", "IA3".into()),
        ("bias", "all".into()),
        ("fan_in_fan_out", true.into()),
        ("modules_to_save", vec!["lm_head"].into()),
        ("use_dora", true.into()),
        ("use_rslora", true.into()),
        ("rank_pattern", serde_json::json!({"q_proj": 4})),
        ("init_lora_weights", "pissa".into()),
        ("r", 0.into()),
        ("r", 3.into()),
        ("lora_alpha", "much".into()),
        ("target_modules", 7.into()),
    ] {
        let mut changed = plain.clone();
        changed[key] = value;
        std::fs::write(&path, changed.to_string()).unwrap();
        let text = told(&Adapter::open(folder.path()).unwrap_err());
        let named = text.contains(&format!("{key:?}")) || text.contains("[3, in]");
        assert!(named && text.contains("adapter_"), "{key}: {text}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(told(&Adapter::open(folder.path()).unwrap_err()).contains("adapter_config.json"));
}

/// An adapter of rank 2 on one square layer.
fn small(layer: &str, width: usize) -> Adapter {
    let factor = |rows: usize, columns: usize| {
        Tensor::from_vec(pattern(rows * columns, 0.25), (rows, columns), &Device::Cpu).unwrap()
    };
    let config = AdapterConfig {
        rank: 2,
        alpha: 8.0,
        dropout: 0.05,
        target_modules: TargetModules::Names(vec!["q_proj".into()]),
        base_model: None,
    };
    Adapter::new(config, BTreeMap::from([(layer.to_owned(), (factor(2, width), factor(width, 2)))])).unwrap()
}
