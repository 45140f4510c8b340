//! Loss, gradients and optimiser: the training of the reference, step by step.

use std::sync::Arc;

use candle_core::{DType, Device};
use owleval::train::data::batch::Batch;
use owleval::train::learner::Learner;
use owleval::train::optimizer::{Gradients, Optimizer, Settings};
use owleval::train::parameters::Parameters;
use owleval::train::recipe::{Group, Lora};
use owleval::train::schedule::{Decay, Schedule};
use owleval::train::slots::Row;
use serde_json::Value;

use super::fixture::{Fixture, relative_error};

const EVERYBODY: [Group; 4] = [Group::Vision, Group::Abstractor, Group::Language, Group::Lora];

/// A `train_loss` case as one of our batches: packed, without padding.
fn batch(fixture: &Fixture, case: &Value) -> Batch {
    let whole = |role: &str| {
        let golden = fixture.golden(case, role).unwrap_or_else(|| panic!("no golden {role}"));
        golden.to_dtype(DType::I64).unwrap().to_vec2::<i64>().unwrap()
    };
    let lengths: Vec<usize> = serde_json::from_value(case["seq_lengths"].clone()).unwrap();
    let slots = fixture.config().slots_per_image();
    let mut rows = Vec::new();
    let (mut bearing, mut targets) = (Vec::new(), Vec::new());
    let mut slot = 0;
    for ((ids, labels), &length) in whole("input_ids").iter().zip(whole("labels")).zip(&lengths) {
        for (position, &id) in ids.iter().enumerate().take(length) {
            // The label of a position is the token itself: it is predicted one position earlier.
            if let Some(&target) = labels.get(position + 1).filter(|target| **target >= 0) {
                bearing.push(rows.len() as u32);
                targets.push(target as u32);
            }
            rows.push(match id {
                id if id < 0 => {
                    slot += 1;
                    Row::Slot(slot)
                }
                id => Row::Tokens(vec![id as u32]),
            });
        }
    }
    let pixels = fixture.golden(case, "pixel_values").unwrap();
    assert_eq!(slot as usize, pixels.dim(0).unwrap() * slots);
    Batch {
        rows: Arc::new(rows),
        lengths,
        bearing,
        targets,
        pictures: pixels.dim(0).unwrap(),
        pixels: pixels.flatten_all().unwrap().to_vec1().unwrap(),
        noise: Vec::new(),
        answers: Vec::new(),
        ids: Vec::new(),
        texts: Vec::new(),
    }
}

fn parameters(fixture: &Fixture, trainable: &[Group]) -> Parameters {
    let mut parameters = Parameters::new(0, trainable, &Device::Cpu);
    let checkpoint = fixture.cases["checkpoint"].as_str().unwrap();
    parameters.load(&fixture.folder.join(checkpoint).join("model.safetensors")).unwrap();
    parameters
}

#[test]
fn parity_of_the_training_loss_and_of_every_gradient() {
    let fixture = Fixture::open();
    for case in fixture.of_kind("train_loss") {
        let batch = batch(&fixture, case);
        assert_eq!(batch.targets.len() as u64, case["num_loss_tokens"].as_u64().unwrap());
        let learner = Learner::new(&fixture.config(), parameters(&fixture, &EVERYBODY), &[], 0.0).unwrap();
        let loss = learner.loss(&batch).unwrap();
        let (found, expected) = (f64::from(loss.to_scalar::<f32>().unwrap()), case["loss"].as_f64().unwrap());
        println!("loss {found} of {expected}");
        assert!((found - expected).abs() <= 2e-5 * expected, "loss {found}, not {expected}");

        let variables = learner.parameters.trainable();
        let mut gradients = Gradients::default();
        gradients.add(&variables, &mut loss.backward().unwrap()).unwrap();
        let norms = case["grad_norms"].as_object().unwrap();
        assert_eq!(norms.keys().collect::<Vec<_>>().len(), variables.len());
        let mut worst = 0f64;
        for (name, expected) in norms {
            let gradient = gradients.get(name).unwrap_or_else(|| panic!("{name} has no gradient"));
            let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let found = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() <= 1e-5 + 1e-3 * expected, "{name}: norm {found}, not {expected}");
            worst = worst.max((found - expected).abs() / expected.max(1e-2));
        }
        println!("{} gradient norms, largest relative error {worst:.1e}", norms.len());
        let total = case["global_grad_norm"].as_f64().unwrap();
        assert!((gradients.norm().unwrap() - total).abs() <= 1e-3 * total);
        for role in case["tensors"].as_object().unwrap().keys().filter_map(|role| role.strip_prefix("grad:")) {
            let expected = fixture.golden(case, &format!("grad:{role}")).unwrap();
            let error = relative_error(gradients.get(role).unwrap(), &expected);
            assert!(error <= 1e-3, "gradient of {role}: relative error {error:e}");
        }
    }
}

#[test]
fn parity_of_eight_steps_of_adapter_training() {
    let fixture = Fixture::open();
    for case in fixture.of_kind("lora_train") {
        let of = fixture.case(case["of"].as_str().unwrap());
        let batch = batch(&fixture, of);
        let folder = fixture.folder.join(case["adapter_dir"].as_str().unwrap());
        let text = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
        let adapter: Value = serde_json::from_str(&text).unwrap();
        let lora = Lora {
            rank: adapter["r"].as_u64().unwrap() as usize,
            alpha: adapter["lora_alpha"].as_f64().unwrap(),
            ..Lora::default()
        };
        let mut parameters = parameters(&fixture, &[Group::Lora]).with_adapter(&lora);
        parameters.load(&folder.join("adapter_model.safetensors")).unwrap();
        let learner = Learner::new(&fixture.config(), parameters, &[], 0.0).unwrap();

        let optimizer = &case["optimizer"];
        let number = |key: &str| optimizer[key].as_f64().unwrap();
        let settings = Settings {
            betas: (optimizer["betas"][0].as_f64().unwrap(), optimizer["betas"][1].as_f64().unwrap()),
            eps: number("eps"),
            weight_decay: number("weight_decay"),
            decay_all: true,
            clip: Some(number("max_grad_norm")),
            muon: false,
        };
        let steps = case["steps"].as_u64().unwrap() as usize;
        let warmup = case["schedule"]["warmup_steps"].as_u64().unwrap() as usize;
        let schedule = Schedule { decay: Decay::Linear, peak: number("lr"), floor: 0.0, warmup, steps };
        let mut adamw = Optimizer::new(learner.parameters.trainable(), settings).unwrap();
        let losses = case["losses"].as_array().unwrap();
        for step in 0..=steps {
            let loss = learner.loss(&batch).unwrap();
            let (found, expected) = (f64::from(loss.to_scalar::<f32>().unwrap()), losses[step].as_f64().unwrap());
            println!("step {step}: loss {found} of {expected}");
            assert!((found - expected).abs() <= 1e-4 * expected, "step {step}: loss {found}, not {expected}");
            if step == steps {
                break;
            }
            let mut gradients = Gradients::default();
            gradients.add(adamw.variables(), &mut loss.backward().unwrap()).unwrap();
            let norm = adamw.step(&gradients, schedule.rate(step)).unwrap();
            let expected = case["grad_norms_before_clip"][step].as_f64().unwrap();
            assert!((norm - expected).abs() <= 1e-3 * expected, "step {step}: norm {norm}, not {expected}");
        }
        let mut compared = 0;
        for name in case["tensors"].as_object().unwrap().keys().filter_map(|role| role.strip_prefix("final:")) {
            let expected = fixture.golden(case, &format!("final:{name}")).unwrap();
            let error = relative_error(&adamw.variables()[name], &expected);
            assert!(error <= 1e-3, "{name} after {steps} steps: relative error {error:e}");
            compared += 1;
        }
        assert_eq!(compared, adamw.variables().len());
    }
}
