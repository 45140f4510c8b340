//! The loop as a whole: resuming, freezing, refusing; and gradients against finite differences.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};

use super::data::batch::{Batch, Batches};
use super::data::scenes::{HEADS, Scenes, labelled};
use super::data::{Conversations, Example, Split};
use super::learner::{Learner, Work};
use super::parameters::Parameters;
use super::recipe::{Group, Recipe};
use super::stage::{Options, Trainer};
use crate::error::Result;
use crate::owl::Config;
use crate::owl::processor::{Tokenizer, TokenizerTrainer};
use crate::scenes::{DialogueMix, corpus};

const EVERYBODY: [Group; 4] = [Group::Vision, Group::Abstractor, Group::Language, Group::Lora];

/// A recipe of one stage, small enough for tests.
fn recipe(kind: &str, trainable: &str, data: &str) -> Recipe {
    let text = super::recipe::tests::tiny(kind, trainable) + data;
    let mut recipe = Recipe::parse(&text).unwrap();
    recipe.tokenizer.file = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("does-not-matter"));
    recipe
}

fn tokenizer_json() -> Vec<u8> {
    TokenizerTrainer::new(400).train(corpus(30).iter().map(String::as_str)).unwrap()
}

/// Trains the recipe's only stage in `out`.
fn train(recipe: &Recipe, out: &Path, resume: bool, stop_after: Option<usize>) -> Result<()> {
    std::fs::create_dir_all(out).unwrap();
    std::fs::write(out.join("tokenizer.json"), tokenizer_json()).unwrap();
    let options = Options { out: out.to_owned(), resume, stop_after, ..Options::default() };
    let trainer = Trainer::new(recipe.clone(), Path::new("."), options)?;
    trainer.run_stage(&recipe.stages[0])?;
    Ok(())
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn three_updates_and_three_resumed_ones_equal_six_bit_by_bit() {
    for (kind, trainable, data) in [
        ("language", r#"["language", "vit_eos"]"#, "told_share = 1.0\ntold_noise = 0.1"),
        ("vision", r#"["vision"]"#, ""),
        ("abstractor", r#"["vision", "abstractor"]"#, ""),
        ("instruction", r#"["lora"]"#, "mix = { text_only = 0.5 }"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (straight, resumed) = (folder.path().join("straight"), folder.path().join("resumed"));
        let recipe = recipe(kind, trainable, data);
        train(&recipe, &straight, false, None).unwrap();
        train(&recipe, &resumed, false, Some(3)).unwrap();
        assert_ne!(
            bytes(&straight.join("only/checkpoint.safetensors")),
            bytes(&resumed.join("only/checkpoint.safetensors"))
        );
        train(&recipe, &resumed, true, None).unwrap();
        let tensors = |out: &Path, file: &str| {
            let tensors = candle_core::safetensors::load(out.join("only").join(file), &Device::Cpu).unwrap();
            let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let bits = |tensor: &Tensor| flat(tensor).into_iter().map(f32::to_bits).collect::<Vec<_>>();
            tensors.iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect::<BTreeMap<_, _>>()
        };
        for file in ["checkpoint.safetensors", "optimizer.safetensors"] {
            assert!(tensors(&straight, file) == tensors(&resumed, file), "{kind}: {file} differs");
        }
        let losses = |out: &Path| {
            let rows = super::curve::read(&out.join("only/loss.csv")).unwrap();
            rows.into_iter().map(|row| (row.step, row.loss.to_bits(), row.lr.to_bits())).collect::<Vec<_>>()
        };
        assert_eq!(losses(&straight), losses(&resumed), "{kind}");
    }
}

#[test]
fn a_finished_stage_is_not_trained_over_and_another_recipe_cannot_carry_it_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe("vision", r#"["vision"]"#, "");
    recipe.stages[0].steps = 1;
    train(&recipe, folder.path(), false, None).unwrap();
    let again = train(&recipe, folder.path(), false, None).unwrap_err();
    assert!(again.remedy_text().unwrap().contains("--resume"));
    recipe.stages[0].lr = 0.5;
    let other = train(&recipe, folder.path(), true, None).unwrap_err();
    assert!(other.to_string().contains("another recipe"), "{other}");
}

#[test]
fn a_stage_starts_from_the_mean_of_the_rounds_that_it_averages() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe("vision", r#"["vision"]"#, "");
    let mut last = recipe.stages[0].clone();
    let mut second = last.clone();
    for (stage, name) in [(&mut recipe.stages[0], "first"), (&mut second, "second"), (&mut last, "last")] {
        stage.name = name.to_owned();
    }
    // Nothing of the vision tower learns in it, so that the finished model shows what it started from.
    last.kind = super::recipe::Kind::Abstractor;
    last.trainable = vec![Group::VitEos];
    last.average = vec!["first".to_owned(), "second".to_owned()];
    recipe.stages.extend([second, last]);
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer_json()).unwrap();
    let options = Options { out: folder.path().to_owned(), ..Options::default() };
    Trainer::new(recipe, Path::new("."), options).unwrap().run().unwrap();

    let name = "vision_model.encoder.layers.0.self_attn.dense.weight";
    let values = |file: &str| {
        let tensors = candle_core::safetensors::load(folder.path().join(file), &Device::Cpu).unwrap();
        tensors[name].flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let [first, second] = ["first", "second"].map(|stage| values(&format!("{stage}/checkpoint.safetensors")));
    assert_ne!(first, second);
    let mean: Vec<f32> = first.iter().zip(&second).map(|(first, second)| (first + second) / 2.0).collect();
    assert_eq!(values("model/model.safetensors"), mean);
}

#[test]
fn an_update_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe("language", r#"["language"]"#, "told_share = 1.0");
    recipe.stages[0].checkpoint_every = 1;
    // The second update has this rate: the third sees weights that overflow.
    recipe.stages[0].lr = 1e38;
    let error = train(&recipe, folder.path(), false, None).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("stage \"only\"") && message.contains("dialogue") && message.contains("update"),
        "{message}"
    );
    let state = super::checkpoint::read_state(&folder.path().join("only/state.json")).unwrap().unwrap();
    assert!(state.step >= 1 && !state.finished);
}

/// Conversations without any answer.
struct Silent;

impl Conversations for Silent {
    fn example(&self, _: Split, index: u64, _: bool) -> Result<Example> {
        let text = "Human: is anybody there?".to_owned();
        Ok(Example { id: format!("sample {index}"), text, pictures: vec![], kinds: vec![] })
    }
}

fn batches(recipe: &Recipe, conversations: std::sync::Arc<dyn Conversations>) -> Batches {
    Batches {
        conversations,
        tokenizer: Tokenizer::from_bytes(&tokenizer_json()).unwrap(),
        stage: recipe.stages[0].clone(),
        seed: 1,
        query_tokens: recipe.model.num_query_tokens,
        image_size: recipe.model.vision_config.image_size,
        width: recipe.model.text_config.hidden_size,
    }
}

#[test]
fn a_sample_without_a_loss_bearing_token_is_refused_by_name() {
    let recipe = recipe("language", r#"["language"]"#, "");
    let error = batches(&recipe, std::sync::Arc::new(Silent)).train(2, 0).unwrap_err();
    assert!(error.to_string().contains("sample 4"), "{error}");
}

fn learner(recipe: &Recipe, trainable: &[Group]) -> Learner {
    let config = Config::parse(&recipe.model.config_json().to_string()).unwrap();
    let parameters = Parameters::new(3, trainable, &Device::Cpu).with_adapter(&recipe.lora);
    let learner = Learner::new(&config, parameters, &HEADS, 0.1).unwrap();
    // Larger weights than fresh ones, so that every tensor matters; and B of an adapter is zero at first.
    for (name, var) in learner.parameters.all() {
        let noise = Tensor::from_vec(
            {
                let mut random = super::parameters::generator(5, &[&name]);
                (0..var.elem_count()).map(|_| 0.15 * super::parameters::normal(&mut random) as f32).collect()
            },
            var.shape(),
            &Device::Cpu,
        );
        var.set(&(var.as_detached_tensor() + noise.unwrap()).unwrap()).unwrap();
    }
    learner
}

/// A batch with drawn and told pictures, and a text without one.
fn mixed_batch(recipe: &Recipe) -> Batch {
    let mut recipe = recipe.clone();
    recipe.stages[0].data.told_share = 0.5;
    recipe.stages[0].data.told_noise = 0.1;
    let mix = DialogueMix { turns: [2, 3], text_only: 0.3, ..DialogueMix::default() };
    let batches = batches(&recipe, std::sync::Arc::new(Scenes::new(1, &mix, 96).unwrap()));
    let batch = batches.make(Split::Train, 0, 9).unwrap();
    assert!(batch.pictures > 0 && !batch.noise.is_empty());
    batch
}

/// For every variable the directional derivative along its own gradient, against central differences.
fn check_gradients(variables: &BTreeMap<String, Var>, loss: &dyn Fn() -> Tensor) {
    let mut gradients = loss().backward().unwrap();
    for (name, var) in variables {
        let Some(gradient) = gradients.remove(var) else { panic!("{name}: no gradient") };
        let square = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let norm = square.sqrt();
        // Gradients of key biases are zero: softmax does not see a shift.
        if norm < 1e-5 {
            assert!(name.contains("key"), "{name}: the gradient vanishes");
            continue;
        }
        let direction = (gradient / f64::from(norm)).unwrap();
        let start = var.as_detached_tensor().copy().unwrap();
        let at = |distance: f64| {
            var.set(&(&start + (&direction * distance).unwrap()).unwrap()).unwrap();
            f64::from(loss().to_scalar::<f32>().unwrap())
        };
        // Richardson: the error of the two differences cancels to fourth order.
        let difference = |step: f64| (at(step) - at(-step)) / (2.0 * step);
        let step = 0.02;
        let (wide, narrow) = (difference(2.0 * step), difference(step));
        let found = (4.0 * narrow - wide) / 3.0;
        var.set(&start).unwrap();
        // f32 leaves about 1e-6 in the loss.
        let tolerance = 0.02 * f64::from(norm) + 3e-6 / step;
        assert!((found - f64::from(norm)).abs() < tolerance, "{name}: difference {found}, gradient {norm}");
    }
}

#[test]
fn every_gradient_of_the_language_loss_matches_finite_differences() {
    let recipe = recipe("language", r#"["language"]"#, "");
    let learner = learner(&recipe, &EVERYBODY);
    let batch = mixed_batch(&recipe);
    let variables = learner.parameters.trainable();
    let variables = variables.into_iter().filter(|(name, _)| !name.starts_with("probe.")).collect::<BTreeMap<_, _>>();
    assert!(variables.len() > 60, "{}", variables.len());
    check_gradients(&variables, &|| learner.loss(&batch).unwrap());
}

#[test]
fn every_gradient_of_vision_pretraining_matches_finite_differences() {
    let recipe = recipe("vision", r#"["vision"]"#, "");
    let learner = learner(&recipe, &[Group::Vision]);
    let pictures = (0..3).map(|index| labelled(Split::Train, 1, index, 96, 0.5)).collect::<Vec<_>>();
    check_gradients(&learner.parameters.trainable(), &|| learner.read_labels(&pictures).unwrap().loss);
}

#[test]
fn frozen_tensors_stay_bit_equal_and_learning_ones_move() {
    for trainable in [&[Group::Vision, Group::Abstractor][..], &[Group::Lora], &[Group::Language]] {
        let recipe = recipe("language", r#"["language"]"#, "");
        let learner = learner(&recipe, trainable);
        let work = Work::Conversations(mixed_batch(&recipe));
        let values = || {
            let bits = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let all = learner.parameters.all();
            let all = all.iter().filter(|(name, _)| !name.starts_with("probe."));
            all.map(|(name, var)| (name.clone(), bits(var))).collect::<BTreeMap<_, _>>()
        };
        let before = values();
        let mut stage = recipe.stages[0].clone();
        stage.weight_decay = 0.1;
        let mut optimizer =
            super::optimizer::Optimizer::new(learner.parameters.trainable(), stage.optimizer()).unwrap();
        for _ in 0..2 {
            let mut gradients = super::optimizer::Gradients::default();
            let mut store = work.loss(&learner).unwrap().backward().unwrap();
            gradients.add(optimizer.variables(), &mut store).unwrap();
            optimizer.step(&gradients, 1e-3).unwrap();
        }
        let after = values();
        for (name, before) in &before {
            let same = before.iter().zip(&after[name]).all(|(one, other)| one.to_bits() == other.to_bits());
            assert_eq!(same, !learner.parameters.learns(name), "{name}, {trainable:?}");
        }
    }
}
