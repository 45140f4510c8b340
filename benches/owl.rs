//! The model's parts at the shape of `mid-config.json`, with random weights: `cargo bench`.
//!
//! `owleval bench` says how fast a model is beside the machine's ceilings; this says which part a change made faster.

use candle_core::{DType, Device, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use owleval::owl::cache::Cache;
use owleval::owl::llama::CachedRow;
use owleval::owl::nn::product;
use owleval::owl::random::RandomWeights;
use owleval::owl::{Config, Owl};

fn main() {
    divan::main();
}

/// The widths of the mid shape, two layers of each tower.
fn owl() -> Owl {
    let mut config = Config::parse(include_str!("mid-config.json")).unwrap();
    config.vision_config.num_hidden_layers = 2;
    config.visual_abstractor_config.num_hidden_layers = 2;
    config.text_config.num_hidden_layers = 2;
    Owl::new(&config, &RandomWeights { device: Device::Cpu, dtype: DType::F32, quantization: None }).unwrap()
}

fn tokens(owl: &Owl, count: usize) -> Tensor {
    let ids = Tensor::from_vec((0..count as u32).map(|id| id % 100 + 3).collect(), count, &Device::Cpu).unwrap();
    owl.language().embed(&ids).unwrap()
}

/// One picture through vision tower and abstractor.
#[divan::bench]
fn picture(bencher: Bencher) {
    let owl = owl();
    let side = owl.config.vision_config.image_size;
    let pixels = Tensor::zeros((1, 3, side, side), DType::F32, &Device::Cpu).unwrap();
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| owl.image_features(&pixels).unwrap());
}

/// A prompt of so many tokens into an empty cache.
#[divan::bench(args = [32, 128, 512])]
fn prefill(bencher: Bencher, count: usize) {
    let owl = owl();
    let prompt = tokens(&owl, count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut cache = owl.language().cache(count).unwrap();
        read(&owl, &prompt, std::slice::from_mut(&mut cache), count)
    });
}

/// One token for each of so many rows that have read so many.
#[divan::bench(args = [(1, 64), (1, 1024), (8, 64), (8, 1024)])]
fn decode(bencher: Bencher, (rows, positions): (usize, usize)) {
    let owl = owl();
    let past = tokens(&owl, positions);
    let mut caches: Vec<Cache> = (0..rows).map(|_| owl.language().cache(positions + 1).unwrap()).collect();
    for cache in &mut caches {
        read(&owl, &past, std::slice::from_mut(cache), positions);
    }
    let next = tokens(&owl, rows);
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        let hidden = read(&owl, &next, &mut caches, 1);
        caches.iter_mut().for_each(|cache| cache.truncate(positions));
        hidden
    });
}

fn read(owl: &Owl, embeds: &Tensor, caches: &mut [Cache], tokens: usize) -> Tensor {
    let mut rows: Vec<CachedRow> = caches.iter_mut().map(|cache| CachedRow { cache, tokens }).collect();
    owl.language().forward_cached(embeds, &mut rows).unwrap()
}

/// The product with a frozen weight [2816, 1024] of so many rows: below and above where the kernels change.
#[divan::bench(args = [1, 2, 8, 24, 25, 64])]
fn frozen_product(bencher: Bencher, rows: usize) {
    let weight = Tensor::randn(0f32, 1.0, (2816, 1024), &Device::Cpu).unwrap();
    let x = Tensor::randn(0f32, 1.0, (rows, 1024), &Device::Cpu).unwrap();
    bencher.counter(ItemsCount::new(rows)).bench_local(|| product(&x, &weight).unwrap());
}
