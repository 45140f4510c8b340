//! Decoding options, sampling filters, adjacent pictures and the adapter.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;
use owleval::owl::Row;
use owleval::owl::generate::{Finish, Generator, Request, Sampling, probabilities};

use super::fixture::{Fixture, compare, generate};

#[test]
fn parity_of_stops_limits_and_forbidden_ngrams() {
    let fixture = Fixture::open();
    for case in fixture.of_kind("generate") {
        let of = fixture.case(case["of"].as_str().unwrap());
        let mut owl = fixture.owl();
        if let Some(eos) = case["eos_token_id"].as_u64() {
            owl.config.text_config.eos_token_id = eos as u32;
        }
        // The reference's max_length counts an artificial BOS and the new tokens.
        let limit = case["max_new_tokens"].as_u64().or_else(|| case["max_length"].as_u64().map(|length| length - 1));
        let sampling = Sampling {
            no_repeat_ngram_size: case["no_repeat_ngram_size"].as_u64().unwrap_or(0) as usize,
            ..Sampling::greedy(limit.unwrap() as usize)
        };
        let features = fixture.features(&owl, of);
        let finished = generate(&owl, &fixture.rows(of), features.as_ref(), &sampling);
        let expected: Vec<u32> = serde_json::from_value(case["expect_ids"].clone()).unwrap();
        assert_eq!(finished[0].ids, expected, "{}", case["name"]);
        let stopped = case["eos_token_id"].as_u64().is_some();
        assert_eq!(finished[0].finish, if stopped { Finish::Stop } else { Finish::Length }, "{}", case["name"]);
    }
}

#[test]
fn parity_of_the_sampling_filters() {
    let fixture = Fixture::open();
    for case in fixture.of_kind("sampling_filter") {
        let source = case["logits_tensor"].as_str().unwrap().split_once('.').unwrap();
        let logits = fixture.golden(fixture.case(source.0), source.1).unwrap();
        let index: Vec<usize> = serde_json::from_value(case["logits_index"].clone()).unwrap();
        let logits = logits.get(index[0]).unwrap().get(index[1]).unwrap().to_vec1::<f32>().unwrap();
        let sampling = Sampling {
            temperature: case["temperature"].as_f64().unwrap(),
            top_k: case["top_k"].as_u64().map(|k| k as usize),
            top_p: case["top_p"].as_f64(),
            ..Sampling::greedy(1)
        };
        let found: BTreeMap<u32, f64> = probabilities(&logits, &sampling).into_iter().collect();
        let kept: Vec<u32> = serde_json::from_value(case["kept_ids"].clone()).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), kept, "{}", case["name"]);
        let expected = fixture.golden(case, "probs").unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap();
        for (token, expected) in expected.to_vec1::<f64>().unwrap().into_iter().enumerate() {
            let found = found.get(&(token as u32)).copied().unwrap_or(0.0);
            assert!((found - expected).abs() <= 1e-6 + 1e-4 * expected, "{}: {token}", case["name"]);
        }
    }
}

/// The reference loses the second of two pictures with nothing between them; we follow what was meant.
#[test]
fn parity_of_adjacent_pictures_as_they_were_meant() {
    let fixture = Fixture::open();
    let owl = fixture.owl();
    for case in fixture.of_kind("quirk") {
        let rows = fixture.rows(case);
        let features = fixture.features(&owl, case);
        let hidden = owl.forward(&rows, features.as_ref()).unwrap();
        let logits = owl.language().logits(&hidden).unwrap();
        compare(case, "intended_logits", &logits, &fixture.golden(case, "intended_logits").unwrap());
    }
}

#[test]
fn parity_of_the_adapter() {
    let fixture = Fixture::open();
    for case in fixture.of_kind("lora") {
        let of = fixture.case(case["of"].as_str().unwrap());
        let owl = fixture.owl_with_adapter(case);
        let (rows, features) = (fixture.rows(of), fixture.features(&owl, of));
        let hidden = owl.forward(&rows, features.as_ref()).unwrap();
        let logits = owl.language().logits(&hidden).unwrap();
        compare(case, "logits", &logits, &fixture.golden(case, "logits").unwrap());
        let expected: Vec<Vec<u32>> = serde_json::from_value(case["greedy_ids_list"].clone()).unwrap();
        let finished = generate(&owl, &rows, features.as_ref(), &Sampling::greedy(expected[0].len()));
        assert_eq!(finished[0].ids, expected[0]);
    }
}

/// The next turn of a dialogue reads only what is new, and says what it says when all is read again.
#[test]
fn a_past_taken_up_again_changes_no_token() {
    let fixture = Fixture::open();
    let owl = fixture.owl();
    let case = fixture.case("two_images");
    let prompt = fixture.rows(case).remove(0);
    let features = fixture.features(&owl, case);
    let request = |prompt: &Row, past| Request {
        tag: 0,
        prompt: prompt.clone(),
        features: features.clone(),
        pictures: vec!["a".into(), "b".into()],
        past,
        sampling: Sampling::greedy(12),
        until: Some(Arc::new(|ids: &[u32]| ids.len() == 10)),
    };
    let run = |request| {
        let mut generator = Generator::new(&owl);
        generator.admit(request).unwrap();
        generator.run().unwrap().remove(0)
    };
    let first = run(request(&prompt, None));
    assert_eq!((first.ids.len(), first.finish), (10, Finish::Stop));
    let mut longer = prompt.clone();
    longer.ids.extend(first.ids.iter().map(|&id| id as i64));
    longer.ids.extend([13, 40, 41]);
    let anew = run(request(&longer, None));
    let taken_up = run(request(&longer, Some(first.past)));
    assert_eq!(anew.ids, taken_up.ids);
    assert_eq!(anew.read_tokens, longer.len());
    // The last token drawn was never read; it and the three new ones are.
    assert_eq!(taken_up.read_tokens, 4);

    // Other pictures in the same places: the past is good only up to the first of them.
    let mut other = request(&longer, Some(taken_up.past));
    other.pictures[0] = "c".into();
    assert_eq!(run(other).read_tokens, longer.len() - longer.image_starts[0]);
}
