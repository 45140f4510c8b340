//! Towers, logits and greedy tokens of the `forward` cases.

use candle_core::{DType, Tensor};
use owleval::owl::Owl;
use owleval::owl::generate::Sampling;
use serde_json::Value;

use super::fixture::{Fixture, compare, generate};

#[test]
fn parity_of_every_tower_in_every_forward_case() {
    let fixture = Fixture::open();
    let owl = fixture.owl();
    for case in fixture.of_kind("forward") {
        towers(&fixture, &owl, case);
        language(&fixture, &owl, case);
    }
}

fn towers(fixture: &Fixture, owl: &Owl, case: &Value) {
    let Some(pixels) = fixture.golden(case, "pixel_values") else { return };
    let images = pixels.dim(0).unwrap();
    let check = |role: &str, x: &Tensor| {
        if let Some(reference) = fixture.golden(case, role) {
            compare(case, role, x, &reference);
        }
    };
    let tokens = owl
        .vision()
        .forward_observed(&pixels, &mut |layer, x| match layer {
            0 => check("vision_embeddings", x),
            layer => check(&format!("vision_layer_{}", layer - 1), x),
        })
        .unwrap();
    check("vision_last_hidden_state", &tokens);
    let visual = owl
        .abstractor()
        .forward_observed(&tokens, images, &mut |layer, x| check(&format!("abstractor_layer_{layer}"), x))
        .unwrap();
    check("abstractor_output", &visual);
}

fn language(fixture: &Fixture, owl: &Owl, case: &Value) {
    let rows = fixture.rows(case);
    let features = fixture.features(owl, case);
    let embeds = owl.assemble(&rows, features.as_ref()).unwrap();
    // The goldens are padded on the right: only what the mask shows is compared.
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    let unpadded = |tensor: Tensor| {
        let parts: Vec<Tensor> = lengths
            .iter()
            .enumerate()
            .map(|(row, &length)| tensor.get(row).unwrap().narrow(0, 0, length).unwrap())
            .collect();
        Tensor::cat(&parts, 0).unwrap()
    };
    let check = |role: &str, x: &Tensor| {
        if let Some(reference) = fixture.golden(case, role) {
            compare(case, role, x, &unpadded(reference));
        }
    };
    check("inputs_embeds", &embeds);
    let language = owl.language();
    let hidden =
        language.forward_observed(&embeds, &lengths, &mut |layer, x| check(&format!("lm_layer_{layer}"), x)).unwrap();
    check("lm_final_norm", &hidden);
    check("logits", &language.logits(&hidden).unwrap());
}

#[test]
fn parity_of_greedy_tokens_alone_and_in_a_batch() {
    let fixture = Fixture::open();
    let owl = fixture.owl();
    for case in fixture.of_kind("forward") {
        let limit = case["greedy"]["max_new_tokens"].as_u64().unwrap() as usize;
        let expected: Vec<Vec<u32>> = serde_json::from_value(case["greedy"]["ids"].clone()).unwrap();
        let rows = fixture.rows(case);
        let features = fixture.features(&owl, case);
        let finished = generate(&owl, &rows, features.as_ref(), &Sampling::greedy(limit));
        for (row, (finished, expected)) in finished.iter().zip(&expected).enumerate() {
            assert_eq!(&finished.ids, expected, "{}: row {row}", case["name"]);
        }
    }
}

#[test]
fn parity_of_the_logits_of_every_decoding_step() {
    let fixture = Fixture::open();
    let owl = fixture.owl();
    for case in fixture.of_kind("forward") {
        let rows = fixture.rows(case);
        let features = fixture.features(&owl, case);
        let embeds = owl.assemble(&rows, features.as_ref()).unwrap();
        let expected: Vec<Vec<u32>> = serde_json::from_value(case["greedy"]["ids"].clone()).unwrap();
        let reference = fixture.golden(case, "greedy_step_logits").unwrap();
        let mut start = 0;
        for (index, row) in rows.iter().enumerate() {
            let mut cache = owl.language().cache(row.len()).unwrap();
            let mut read = |x: &Tensor| {
                let tokens = x.dim(0).unwrap();
                let mut rows = [owleval::owl::llama::CachedRow { cache: &mut cache, tokens }];
                let hidden = owl.language().forward_cached(x, &mut rows).unwrap();
                owl.language().logits(&hidden.narrow(0, tokens - 1, 1).unwrap()).unwrap()
            };
            let mut steps = vec![read(&embeds.narrow(0, start, row.len()).unwrap())];
            for token in &expected[index][..expected[index].len() - 1] {
                let ids = Tensor::new(&[*token], owl.language().device()).unwrap();
                steps.push(read(&owl.language().embed(&ids).unwrap()));
            }
            let steps = Tensor::cat(&steps, 0).unwrap().to_dtype(DType::F32).unwrap();
            compare(case, "greedy_step_logits", &steps, &reference.get(index).unwrap());
            start += row.len();
        }
    }
}
