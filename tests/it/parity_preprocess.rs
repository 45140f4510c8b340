//! Pictures against Pillow 9.5.0 and the reference's processor, over `preprocess/` of a parity folder.
//!
//! PNG and GIF must agree in every level, and their pixel values bit for bit (sha256). JPEG decoders differ: ours rounds
//! the inverse transform with constants of 12 bits where libjpeg's have 13, so a sample of a plane may come out a level
//! off; the conversion from chroma and the bicubic's negative lobes make up to four of it. The tolerance is 0.4 levels in
//! the mean, and more than 3 in no more than one sample of ten thousand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use owleval::owl::processor::decode::{DEFAULT_PIXEL_LIMIT, decode};
use owleval::owl::processor::{PreprocessorConfig, decode_and_resize};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The parity folder: `OWLEVAL_PARITY`, or the fixtures that come with the sources.
pub fn folder() -> PathBuf {
    std::env::var_os("OWLEVAL_PARITY")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity"), PathBuf::from)
}

pub fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Where a picture of the list lies: beside the list, or among OwlEval's own pictures.
fn find_picture(file: &str) -> Option<PathBuf> {
    let mut places = vec![folder().join("preprocess").join(file)];
    if let Some(name) = file.strip_prefix("owleval/") {
        let data = std::env::var_os("OWLEVAL_DATA")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/owleval"), PathBuf::from);
        places.push(data.join(name));
        places.push(folder().join("../owleval").join(name));
    }
    places.into_iter().find(|place| place.is_file())
}

/// How far two pictures differ, in levels.
struct Difference {
    largest: f64,
    mean: f64,
    /// Share of the samples that differ by more than 3.
    far: f64,
}

fn difference(ours: &[f64], reference: &[f64]) -> Difference {
    assert_eq!(ours.len(), reference.len());
    let gaps: Vec<f64> = ours.iter().zip(reference).map(|(a, b)| (a - b).abs()).collect();
    let count = gaps.len() as f64;
    Difference {
        largest: gaps.iter().copied().fold(0.0, f64::max),
        mean: gaps.iter().sum::<f64>() / count,
        far: gaps.iter().filter(|gap| **gap > 3.0).count() as f64 / count,
    }
}

#[test]
fn parity_of_every_picture_with_pillow() {
    let list = read_json(&folder().join("preprocess/preprocess.json"));
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(folder().join("preprocess/preprocess.safetensors"), &Device::Cpu).unwrap();
    let config = PreprocessorConfig::default();
    let mut compared = 0;
    for entry in list["images"].as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap();
        let (name, is_jpeg) = (text("name"), text("pil_format") == "JPEG");
        let Some(path) = find_picture(text("file")) else {
            println!("skipped {name}: {} is not here (see OWLEVAL_DATA)", text("file"));
            continue;
        };
        let bytes = std::fs::read(&path).unwrap();
        let raw = decode(&bytes, name, DEFAULT_PIXEL_LIMIT).unwrap();
        assert_eq!(raw.mode.pillow_name(), text("pil_mode"), "{name}: mode");
        assert_eq!(vec![raw.width as u64, raw.height as u64], numbers(&entry["size_wh"]), "{name}: size");

        let rgb = decode_and_resize(&bytes, name, 224).unwrap();
        let pixels = config.pixels(&bytes, name).unwrap();
        assert_eq!(pixels.dims(), [3, 224, 224]);
        let values = pixels.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let digest =
            hex::encode(Sha256::digest(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
        let is_exact = digest == text("pixel_values_sha256_f32le");

        let (kind, Difference { largest, mean, far }) = if let Some(golden) = tensors.get(&format!("{name}.rgb_u8")) {
            let golden = golden.flatten_all().unwrap().to_vec1::<u8>().unwrap();
            let levels = |bytes: &[u8]| bytes.iter().map(|&level| f64::from(level)).collect::<Vec<f64>>();
            ("all pixels", difference(&levels(&rgb.pixels), &levels(&golden)))
        } else if let Some(golden) = tensors.get(&format!("{name}.pixel_values_s7")) {
            let golden = golden.to_vec3::<f32>().unwrap();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for (channel, rows) in golden.iter().enumerate() {
                for (y, row) in rows.iter().enumerate() {
                    for (x, value) in row.iter().enumerate() {
                        let level = f64::from(*value * config.std[channel] + config.mean[channel]) * 255.0;
                        assert!((level - level.round()).abs() < 1e-3);
                        theirs.push(level.round());
                        ours.push(f64::from(rgb.pixels[(y * 7 * 224 + x * 7) * 3 + channel]));
                    }
                }
            }
            ("each 7th pixel", difference(&ours, &theirs))
        } else if is_jpeg {
            println!("skipped {name}: the folder holds no golden tensor of it");
            continue;
        } else {
            let all = if is_exact { 0.0 } else { f64::INFINITY };
            ("digest only", Difference { largest: all, mean: all, far: all })
        };
        println!(
            "{name:18} {kind:15} largest {largest} levels, mean {mean:.4}, above 3 {far:.1e}, pixel values exact: {is_exact}"
        );
        if is_jpeg {
            assert!(largest <= 4.0 && mean <= 0.4 && far <= 1e-4, "{name}: largest {largest}, mean {mean}, far {far}");
        } else {
            assert!(largest == 0.0 && is_exact, "{name}: largest {largest}, mean {mean}, exact {is_exact}");
        }
        compared += 1;
    }
    assert!(compared > 0, "no picture of {} could be compared", folder().display());
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

/// Every picture file of the folder, with its name.
fn picture_files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder().join("preprocess/images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn every_truncated_fixture_is_refused_and_the_error_names_it() {
    for (name, bytes) in picture_files() {
        for part in [1, 3, 8, 12, 16, 18] {
            // Up to nine tenths of the file: the last bytes of some formats carry no pixels.
            let error = decode(&bytes[..bytes.len() * part / 20], &name, DEFAULT_PIXEL_LIMIT).unwrap_err();
            assert!(error.message().contains(&name), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damaged_fixtures_give_a_picture_or_an_error_and_never_panic(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
    ) {
        static FILES: std::sync::LazyLock<Vec<(String, Vec<u8>)>> = std::sync::LazyLock::new(picture_files);
        let (name, bytes) = which.get(&FILES);
        let mut bytes = bytes.clone();
        for (position, value) in damage {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        bytes.truncate(end.index(bytes.len() * 2).max(1));
        if let Ok(image) = decode(&bytes, name, 1 << 20) {
            prop_assert!(image.width * image.height <= 1 << 20);
        }
    }
}
