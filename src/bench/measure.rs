//! The measurements: each is repeated, and the median counts.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};

use super::ceilings::{Ceilings, picture_products, prefill_products, read_bytes_per_second, time_products};
use super::{Decode, FirstToken, Measured, Memory, Parameters, Report};
use crate::error::{Error, Result};
use crate::owl::cache::Cache;
use crate::owl::generate::{Generator, Past, Request, Sampling};
use crate::owl::llama::CachedRow;
use crate::owl::{Config, Owl, Row};

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// Shown in the report.
    pub name: String,
    pub dtype_name: String,
    /// Tokens of the prompt in the prefill.
    pub prompt: usize,
    /// Steps of each decoding measurement.
    pub steps: usize,
    pub repeats: usize,
}

/// Measures a model; `tell` hears what is being done.
pub fn measure(owl: &Owl, options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Report> {
    let device = owl.language().device().clone();
    tell("the machine's ceilings");
    let (picture_ceiling, picture_flops) = time_products(&picture_products(&owl.config), &device, DType::F32)?;
    let prefill = prefill_products(&owl.config, options.prompt);
    let (prefill_ceiling, prefill_flops) = time_products(&prefill, &device, DType::F32)?;
    let ceilings =
        Ceilings { read_bytes_per_second: read_bytes_per_second(), product_flops: picture_flops.max(prefill_flops) };
    let parameters = parameters(&owl.config);
    forget_peak();

    tell("vision and abstractor");
    let pixels = pixels(owl, &device)?;
    let vision = Measured {
        count: 1,
        seconds: median(options.repeats, || {
            owl.image_features(&pixels)?;
            Ok(device.synchronize()?)
        })?,
        ceiling_seconds: picture_ceiling,
    };

    tell("prefill");
    let prompt = owl.language().embed(&ids(owl, options.prompt, &device)?)?;
    let seconds = median(options.repeats, || {
        let mut cache = owl.language().cache(options.prompt)?;
        read(owl, &prompt, std::slice::from_mut(&mut cache), options.prompt)?;
        Ok(device.synchronize()?)
    })?;
    let prefill = Measured { count: options.prompt, seconds, ceiling_seconds: prefill_ceiling };

    tell("time to the first token");
    let first_token = first_token(owl, options, &pixels)?;

    let mut decode = Vec::new();
    let mut peaks = Vec::new();
    for batch in [1, 8] {
        for positions in [64, 1024] {
            tell(&format!("decoding, batch {batch}, {positions} positions"));
            decode.push(decoding(owl, options, &ceilings, batch, positions)?);
        }
        peaks.push(peak_bytes());
    }
    let total = parameters.vision + parameters.abstractor + parameters.language;
    Ok(Report {
        model: options.name.clone(),
        dtype: options.dtype_name.clone(),
        threads: rayon::current_num_threads(),
        parameters,
        ceilings,
        vision,
        prefill,
        decode,
        first_token,
        memory: Memory {
            weights_f32_bytes: total * size_of::<f32>(),
            peak_bytes: peaks[0],
            peak_bytes_of_eight: peaks[1],
        },
    })
}

fn decoding(owl: &Owl, options: &Options, ceilings: &Ceilings, batch: usize, positions: usize) -> Result<Decode> {
    let device = owl.language().device().clone();
    let language = owl.language();
    let past = language.embed(&ids(owl, positions, &device)?)?;
    let mut caches = Vec::new();
    for _ in 0..batch {
        let mut cache = language.cache(positions + options.steps)?;
        read(owl, &past, std::slice::from_mut(&mut cache), positions)?;
        caches.push(cache);
    }
    let token = language.embed(&ids(owl, batch, &device)?)?;
    let seconds = median(options.repeats, || {
        for _ in 0..options.steps {
            read(owl, &token, &mut caches, 1)?;
        }
        device.synchronize()?;
        for cache in &mut caches {
            cache.truncate(positions);
        }
        Ok(())
    })? / options.steps as f64;
    let text = &owl.config.text_config;
    let cache = batch * positions * text.num_hidden_layers * text.hidden_size * 2 * size_of::<f32>();
    let bytes = (language.matrix_bytes() + cache) as f64;
    Ok(Decode {
        batch,
        positions,
        tokens_per_second: batch as f64 / seconds,
        bandwidth_share: bytes / seconds / ceilings.read_bytes_per_second,
    })
}

/// Reads `tokens` tokens into each cache and computes the logits of the last of each.
fn read(owl: &Owl, embeds: &Tensor, caches: &mut [Cache], tokens: usize) -> Result<()> {
    let count = caches.len();
    let mut rows: Vec<CachedRow> = caches.iter_mut().map(|cache| CachedRow { cache, tokens }).collect();
    let hidden = owl.language().forward_cached(embeds, &mut rows)?;
    let last = if count == 1 { hidden.narrow(0, tokens - 1, 1)? } else { hidden };
    owl.language().logits(&last.contiguous()?)?;
    Ok(())
}

/// A dialogue of two questions of 20 tokens on one picture, after a system line of 40.
fn first_token(owl: &Owl, options: &Options, pixels: &Tensor) -> Result<FirstToken> {
    let slots = owl.config.slots_per_image();
    let prompt = |questions: usize| -> Row {
        let mut ids: Vec<i64> = (0..40).map(|id| id % 100 + 3).collect();
        let start = ids.len();
        ids.extend(std::iter::repeat_n(-1, slots));
        for question in 0..questions as i64 {
            ids.extend((0..20).map(|id| (id * 7 + question) % 100 + 3));
        }
        Row { ids, image_starts: vec![start] }
    };
    let ask = |row: Row, features: &Tensor, past: Option<Past>| -> Result<Past> {
        let mut generator = Generator::new(owl);
        generator.admit(Request {
            tag: 0,
            prompt: row,
            features: Some(features.clone()),
            pictures: vec!["picture".into()],
            past,
            sampling: Sampling::greedy(1),
            until: None,
        })?;
        let finished = generator.run()?.pop();
        finished.map(|finished| finished.past).ok_or_else(|| Error::failed("a row never finished"))
    };
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..options.repeats {
        let started = Instant::now();
        let features = owl.image_features(pixels)?;
        let past = ask(prompt(1), &features, None)?;
        times.0.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        ask(prompt(2), &features, Some(past))?;
        times.1.push(started.elapsed().as_secs_f64());
    }
    Ok(FirstToken { first_question: middle(times.0), second_question: middle(times.1) })
}

/// The median time of several calls, after one that is not counted.
fn median(repeats: usize, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    call()?;
    let mut times = Vec::with_capacity(repeats);
    for _ in 0..repeats.max(1) {
        let started = Instant::now();
        call()?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(middle(times))
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Token ids `[count]` that are all in the vocabulary.
fn ids(owl: &Owl, count: usize, device: &Device) -> Result<Tensor> {
    let vocabulary = owl.config.text_config.vocab_size;
    let ids: Vec<u32> = (0..count).map(|index| (index * 31 % vocabulary) as u32).collect();
    Ok(Tensor::from_vec(ids, count, device)?)
}

/// A grey ramp, `[1, 3, S, S]`.
fn pixels(owl: &Owl, device: &Device) -> Result<Tensor> {
    let side = owl.config.vision_config.image_size;
    let values: Vec<f32> = (0..3 * side * side).map(|index| (index % side) as f32 / side as f32 - 0.5).collect();
    Ok(Tensor::from_vec(values, (1, 3, side, side), device)?)
}

/// Weights of vision tower, abstractor (with queries, `visual_fc` and `vit_eos`) and language model.
fn parameters(config: &Config) -> Parameters {
    let (vision, abstractor, text) = (&config.vision_config, &config.visual_abstractor_config, &config.text_config);
    let norm = |width: usize| 2 * width;
    let linear = |out: usize, input: usize| out * input + out;

    let (v, vi) = (vision.hidden_size, vision.intermediate_size);
    let layer = 2 * norm(v) + linear(3 * v, v) + linear(v, v) + linear(vi, v) + linear(v, vi);
    let embeddings = v + (vision.num_patches() + 1) * v + 3 * vision.patch_size.pow(2) * v + norm(v);
    let vision = vision.num_hidden_layers * layer + embeddings + norm(v);

    let (a, ai, h) = (abstractor.hidden_size, abstractor.intermediate_size, text.hidden_size);
    let layer = 3 * norm(a) + 4 * linear(a, a) + 2 * linear(ai, a) + norm(ai) + linear(a, ai);
    let abstractor = abstractor.num_hidden_layers * layer + config.num_query_tokens * a + linear(h, a) + h;

    let layer = 4 * h * h + 3 * h * text.intermediate_size + 2 * h;
    let language = text.num_hidden_layers * layer + 2 * text.vocab_size * h + h;
    Parameters { vision, abstractor, language }
}

/// Lets the largest resident size begin anew, where the system can: what the ceilings took is not the model's.
fn forget_peak() {
    // Without it the peak is too large, never too small.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The largest resident size of this process since [`forget_peak`] (`VmHWM`), where the system has it.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: usize = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owl::random::RandomWeights;

    #[test]
    fn a_small_model_is_measured_and_its_weights_are_counted_as_the_paper_counts_them() {
        let config = Config::parse(
            r#"{"num_query_tokens": 4,
                "vision_config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
                                  "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
                "visual_abstractor_config": {"hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 24,
                                             "num_hidden_layers": 1, "num_attention_heads": 2},
                "text_config": {"vocab_size": 128, "hidden_size": 16, "intermediate_size": 32,
                                "num_hidden_layers": 1, "num_attention_heads": 2}}"#,
        )
        .unwrap();
        let random = RandomWeights { device: Device::Cpu, dtype: DType::F32, quantization: None };
        let owl = Owl::new(&config, &random).unwrap();
        let options = Options { name: "tiny".into(), dtype_name: "f32".into(), prompt: 20, steps: 2, repeats: 1 };
        let report = measure(&owl, &options, &mut |_| ()).unwrap();
        assert_eq!(report.decode.len(), 4);
        let weights = 4 * 16 * 16 + 3 * 16 * 32 + 128 * 16;
        assert_eq!(owl.language().matrix_bytes(), weights * size_of::<f32>());
        assert!(report.vision.seconds > 0.0 && report.first_token.second_question > 0.0);
    }

    /// Section 1 of the specification gives the counts of the 7B.
    #[test]
    fn the_weights_of_the_7b_are_counted_right() {
        let config = Config::parse(r#"{"visual_abstractor_config": {"intermediate_size": 2816}, "text_config": {}}"#);
        let Parameters { vision, abstractor, language } = parameters(&config.unwrap());
        assert_eq!((vision, abstractor, language), (303_179_776, 81_408_000 + 65_536, 6_738_415_616));
    }
}
