//! Ids, prompts, decoding and training rows against the reference, over `tokenizer/` and `cases.json` of a parity
//! folder.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use candle_core::{DType, Device};
use owleval::owl::processor::training::IGNORED_LABEL;
use owleval::owl::processor::{Prompt, Template, Tokenizer, Turn, collate, demo, encode_conversation};
use proptest::prelude::*;
use serde_json::Value;

use crate::parity_preprocess::{folder, read_json};

/// Slots of a picture in the goldens of the full-size model.
const SLOTS: usize = 65;

/// Every tokenizer file of the folder: the SentencePiece model and, where it is present, the JSON of the same.
fn tokenizers() -> &'static [(PathBuf, Tokenizer)] {
    static LOADED: LazyLock<Vec<(PathBuf, Tokenizer)>> = LazyLock::new(|| {
        let mut loaded = Vec::new();
        for name in ["tokenizer.model", "tokenizer.json"] {
            let path = folder().join("tokenizer").join(name);
            if path.is_file() {
                let start = Instant::now();
                let tokenizer = Tokenizer::load(&path).unwrap();
                println!("{name}: {} pieces in {:?}", tokenizer.vocab_size(), start.elapsed());
                loaded.push((path, tokenizer));
            } else {
                println!("skipped {name}: it is not in {}", folder().join("tokenizer").display());
            }
        }
        assert!(!loaded.is_empty(), "{} holds no tokenizer", folder().display());
        loaded
    });
    &LOADED
}

fn goldens() -> Value {
    read_json(&folder().join("tokenizer/goldens.json"))
}

fn entries<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let entries = value[key].as_array().unwrap();
    assert!(!entries.is_empty(), "no entries in {key}");
    entries
}

fn ids<T: TryFrom<i64>>(value: &Value) -> Vec<T> {
    let convert = |id: &Value| T::try_from(id.as_i64().unwrap()).ok().unwrap();
    value.as_array().unwrap().iter().map(convert).collect()
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap()
}

#[test]
fn parity_of_plain_text_ids_pieces_and_round_trips() {
    for (path, tokenizer) in tokenizers() {
        assert_eq!((tokenizer.pad(), tokenizer.bos(), tokenizer.eos()), (0, 1, 2));
        assert_eq!(tokenizer.vocab_size(), 32000);
        for entry in entries(&goldens(), "plain") {
            let source = text(entry, "text");
            let ours = tokenizer.encode_chunk(source).unwrap();
            let golden: Vec<u32> = ids(&entry["ids"]);
            assert_eq!(tokenizer.decode(&golden), text(entry, "decoded"), "{}: {source:?}", path.display());
            if entry["optional"] == true {
                // Special pieces that a user typed: plain text here, special ids in the reference.
                assert!(ours.iter().all(|id| *id > 2), "{source:?}: {ours:?}");
                assert_eq!(tokenizer.decode(&ours), source);
                continue;
            }
            assert_eq!(ours, golden, "{}: {source:?}", path.display());
            if let Some(pieces) = entry["pieces"].as_array() {
                for (id, piece) in ours.iter().zip(pieces) {
                    assert_eq!(tokenizer.id_to_piece(*id), piece.as_str());
                    assert_eq!(tokenizer.piece_to_id(piece.as_str().unwrap()), Some(*id));
                }
            }
        }
    }
}

#[test]
fn parity_of_prompts_with_pictures() {
    for (_, tokenizer) in tokenizers() {
        for entry in entries(&goldens(), "prompts") {
            let prompt = Prompt::from_prompt_text(text(entry, "prompt"), tokenizer, SLOTS).unwrap();
            assert_eq!(prompt.ids, ids::<i64>(&entry["ids"]), "{:?}", text(entry, "prompt"));
            assert_eq!(prompt.images, text(entry, "prompt").matches("<image>").count());
            for start in &prompt.image_starts {
                assert!(prompt.ids[*start..start + SLOTS].iter().all(|id| *id == -1));
            }
        }
        // The reference pads the shorter rows of a batch; ours stay as long as they are.
        let batch = &goldens()["batch"];
        for (row, prompt) in entries(batch, "prompts").iter().enumerate() {
            let real = ids::<i64>(&batch["attention_mask"][row]).iter().sum::<i64>() as usize;
            let prompt = Prompt::from_prompt_text(prompt.as_str().unwrap(), tokenizer, SLOTS).unwrap();
            assert_eq!(prompt.ids, ids::<i64>(&batch["input_ids"][row])[..real]);
        }
    }
}

#[test]
fn parity_of_the_readme_template_with_its_goldens() {
    let question = "Explain why this meme is funny.";
    let both = "Do the shirts worn by the individuals in the first and second pictures vary in color? If so, what is \
                the specific color of each shirt?";
    let readme = Template::load("readme").unwrap();
    let goldens = goldens();
    for (turn, golden) in [Turn::human(question, 1), Turn::human(both, 2), Turn::human("What is 2+2?", 0)]
        .iter()
        .zip(entries(&goldens, "prompts"))
    {
        let turns = std::slice::from_ref(turn);
        assert_eq!(readme.render(turns).unwrap(), text(golden, "prompt"));
        let prompt = readme.prompt_ids(&tokenizers()[0].1, turns, SLOTS).unwrap();
        assert_eq!(prompt.ids, ids::<i64>(&golden["ids"]));
    }
}

#[test]
fn parity_of_decoding() {
    for (_, tokenizer) in tokenizers() {
        for entry in entries(&goldens(), "decode") {
            let ids: Vec<u32> = ids(&entry["ids"]);
            let ours = if entry["skip_special_tokens"] == true {
                tokenizer.decode(&ids)
            } else {
                tokenizer.decode_with_special(&ids)
            };
            assert_eq!(ours, text(entry, "text"), "{ids:?}");
        }
    }
}

#[test]
fn parity_of_training_rows() {
    for (_, tokenizer) in tokenizers() {
        for entry in entries(&goldens(), "train") {
            let name = text(entry, "name");
            let max_length = entry["max_length"].as_u64().unwrap() as usize;
            let sequence = encode_conversation(tokenizer, text(entry, "text"), max_length, SLOTS).unwrap();
            assert_eq!(sequence.ids, ids::<i64>(&entry["input_ids_unpadded"]), "{name}");
            assert_eq!(sequence.ids.len() as u64, entry["seq_length"].as_u64().unwrap(), "{name}");
            let bearing: Vec<usize> = (0..sequence.ids.len()).filter(|target| sequence.loss[*target]).collect();
            assert_eq!(bearing, ids::<usize>(&entry["loss_target_positions"]), "{name}");
            let total = entry["total_length"].as_u64().unwrap() as usize;
            assert_eq!(total, max_length + 1);
            let batch = collate(std::slice::from_ref(&sequence), total, tokenizer.pad()).unwrap();
            assert_eq!(batch.loss_tokens, bearing.len(), "{name}");
        }
    }
}

#[test]
fn parity_of_the_demo() {
    let goldens = goldens();
    let template = Template::load("demo").unwrap();
    for entry in entries(&goldens, "serve_prompts") {
        let case = text(entry, "case");
        let turns: Vec<Turn> = entries(entry, "turns")
            .iter()
            .filter(|turn| turn["text"].is_string())
            .map(|turn| {
                let images = match &turn["image"] {
                    Value::String(kind) if kind == "video" => 4,
                    image => usize::from(image == &Value::Bool(true)),
                };
                match text(turn, "role") {
                    "Human" => Turn::human(text(turn, "text"), images),
                    _ => Turn::assistant(text(turn, "text")),
                }
            })
            .collect();
        let system = text(entry, "raw").split('\n').next().unwrap();
        assert_eq!(demo::raw_prompt(system, &turns), text(entry, "raw"), "{case}");
        assert_eq!(demo::prompt(system, &turns), text(entry, "prompt"), "{case}");
        // Our template differs on purpose where a user typed the placeholder, and keeps all frames of a video.
        let differs = turns.iter().any(|turn| turn.text.contains("<image>") || turn.images > 1);
        if !differs {
            assert_eq!(template.render(&turns).unwrap(), text(entry, "prompt"), "{case}");
        }
    }
    for entry in entries(&goldens, "post_process_output") {
        assert_eq!(demo::post_process_output(text(entry, "in")), text(entry, "out"));
    }
    for entry in entries(&goldens, "post_process_code") {
        assert_eq!(demo::post_process_code(text(entry, "in")), text(entry, "out"));
    }
}

/// `cases.json` and the small tokenizer of its checkpoint.
fn cases() -> (Value, Tokenizer) {
    let cases = read_json(&folder().join("cases.json"));
    let tokenizer = Tokenizer::load(folder().join(text(&cases, "checkpoint"))).unwrap();
    (cases, tokenizer)
}

#[test]
fn parity_of_the_small_model_s_prompts_and_of_the_text_of_its_answers() {
    let (cases, tokenizer) = cases();
    let slots = cases["slots_per_image"].as_u64().unwrap() as usize;
    let mut compared = 0;
    for case in entries(&cases, "cases") {
        let (Some(prompts), Some(rows)) = (case["prompts"].as_array(), case["input_ids_list"].as_array()) else {
            continue;
        };
        for (prompt, row) in prompts.iter().zip(rows) {
            let prompt = Prompt::from_prompt_text(prompt.as_str().unwrap(), &tokenizer, slots).unwrap();
            let row: Vec<i64> = ids(row);
            let (real, padding) = row.split_at(prompt.ids.len());
            assert_eq!(prompt.ids, real, "{}", text(case, "name"));
            assert!(padding.iter().all(|id| *id == 2));
            compared += 1;
        }
        let greedy = &case["greedy"];
        if let (Some(answers), Some(texts)) = (greedy["ids"].as_array(), greedy["text"].as_array()) {
            for (answer, text) in answers.iter().zip(texts) {
                assert_eq!(tokenizer.decode(&ids::<u32>(answer)), text.as_str().unwrap());
            }
        }
    }
    assert!(compared > 0, "no prompt in cases.json");
}

#[test]
fn parity_of_the_small_model_s_training_batch() {
    let (cases, tokenizer) = cases();
    let slots = cases["slots_per_image"].as_u64().unwrap() as usize;
    let goldens = candle_core::safetensors::load(folder().join(text(&cases, "goldens")), &Device::Cpu).unwrap();
    let mut compared = 0;
    for case in entries(&cases, "cases").iter().filter(|case| case["kind"] == "train_loss") {
        let max_length = case["max_length"].as_u64().unwrap() as usize;
        let rows: Vec<_> = entries(case, "records")
            .iter()
            .map(|record| encode_conversation(&tokenizer, text(record, "text"), max_length, slots).unwrap())
            .collect();
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        assert_eq!(lengths, ids::<usize>(&case["seq_lengths"]));
        let batch = collate(&rows, max_length + 1, tokenizer.pad()).unwrap();
        let golden = |role: &str| -> Vec<Vec<i64>> {
            let tensor = &goldens[text(&case["tensors"], role)];
            tensor.to_dtype(DType::I64).unwrap().to_vec2().unwrap()
        };
        let as_numbers = |mask: &[Vec<bool>]| -> Vec<Vec<i64>> {
            mask.iter().map(|row| row.iter().map(|flag| i64::from(*flag)).collect()).collect()
        };
        assert_eq!(batch.ids, golden("input_ids"));
        assert_eq!(batch.labels, golden("labels"));
        assert_eq!(as_numbers(&batch.prompt_mask), golden("prompt_mask"));
        assert_eq!(as_numbers(&batch.non_padding_mask), golden("non_padding_mask"));
        assert_eq!(as_numbers(&batch.non_media_mask), golden("non_media_mask"));
        assert_eq!(batch.images, ids::<usize>(&case["num_images"]));
        assert_eq!(batch.loss_tokens as u64, case["num_loss_tokens"].as_u64().unwrap());
        assert!(batch.labels.iter().all(|row| row[0] == IGNORED_LABEL));
        compared += 1;
    }
    assert!(compared > 0, "no case of kind train_loss");
}

#[test]
fn converting_a_sentencepiece_model_is_quick() {
    let path = folder().join("tokenizer/tokenizer.model");
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: {} is not here", path.display());
        return;
    };
    let start = Instant::now();
    Tokenizer::from_bytes(&bytes).unwrap();
    println!("converted in {:?}", start.elapsed());
    // Well under a second by itself; the bound leaves room for a busy machine and catches a quadratic conversion.
    assert!(start.elapsed().as_secs() < 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn parity_of_both_files_and_round_trips_on_any_text(
        text in prop_oneof![
            "[^\u{2581}]{0,60}",
            "[ \n\ta-zA-Z0-9.,:<>/=_]{0,80}",
            "( {1,20}[a-z]{0,6}){0,6}",
        ],
    ) {
        let all = tokenizers();
        let first = all[0].1.encode_chunk(&text).unwrap();
        for (path, tokenizer) in all {
            prop_assert_eq!(&tokenizer.encode_chunk(&text).unwrap(), &first, "{}", path.display());
            prop_assert_eq!(&tokenizer.decode(&first), &text);
        }
    }
}

#[test]
fn a_truncated_or_damaged_model_file_never_panics() {
    let bytes = std::fs::read(folder().join("checkpoint/tokenizer.model")).unwrap();
    for end in 0..bytes.len() {
        let _ = Tokenizer::from_bytes(&bytes[..end]);
    }
    let mut state = 1u64;
    for _ in 0..3000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut damaged = bytes.clone();
        damaged[(state >> 33) as usize % bytes.len()] = (state >> 20) as u8;
        let _ = Tokenizer::from_bytes(&damaged);
    }
}
