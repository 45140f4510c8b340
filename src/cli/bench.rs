//! `owleval bench`: how fast the model is on this machine, beside the machine's own ceilings.

use std::path::PathBuf;

use candle_core::{DType, Device};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use super::Console;
use crate::backend::local::{DeviceChoice, DtypeChoice, LocalOptions};
use crate::bench::{Options, Report, measure};
use crate::error::{Error, Result};
use crate::owl::random::RandomWeights;
use crate::owl::weights::Quantization;
use crate::owl::{Config, Owl};

/// The shape that is measured where no configuration is given: a ViT-L/14 and abstractor as in the 7B, and a language
/// model of half a billion weights.
const MID: &str = include_str!("../../benches/mid-config.json");

/// Measure the speed of a model beside this machine's own ceilings
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// owl-mini or a checkpoint; without it: random weights in the shape of --config
    #[arg(long, value_name = "NAME-OR-DIR", conflicts_with = "config")]
    model: Option<String>,
    /// The config.json whose shape the random weights have [default: a built-in one of 918 million weights]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// auto, cpu, cuda:N or metal
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// auto, f32, bf16, f16, q8_0 or q4_k
    #[arg(long, default_value = "auto")]
    dtype: DtypeChoice,
    /// Tokens of the prompt in the prefill
    #[arg(long, default_value_t = 125)]
    prompt: usize,
    /// Steps of each decoding measurement
    #[arg(long, default_value_t = 16)]
    steps: usize,
    /// Repeats of which the median counts
    #[arg(long, default_value_t = 5)]
    repeats: usize,
}

pub fn run(arguments: &BenchArgs, console: &Console) -> Result<()> {
    let (owl, name, quantization, dtype) = load(arguments)?;
    let options = Options {
        name,
        dtype_name: quantization.map_or(dtype.as_str(), Quantization::name).to_owned(),
        prompt: arguments.prompt.max(2),
        steps: arguments.steps.max(1),
        repeats: arguments.repeats.max(1),
    };
    let report = measure(&owl, &options, &mut |what| console.note(&format!("measuring {what}")))?;
    if console.is_json() {
        console.print_json(&report);
    } else {
        console.print(&table(&report));
    }
    Ok(())
}

fn load(arguments: &BenchArgs) -> Result<(Owl, String, Option<Quantization>, DType)> {
    if let Some(model) = &arguments.model {
        let options =
            LocalOptions { device: arguments.device, dtype: arguments.dtype, ..LocalOptions::new(model.as_str()) };
        let (owl, policy) = options.load()?;
        return Ok((owl, model.clone(), policy.quantize, policy.language));
    }
    let (config, name) = match &arguments.config {
        Some(path) => (Config::read(path)?, path.display().to_string()),
        None => (Config::parse(MID)?, "random weights, mid shape".to_owned()),
    };
    let device = arguments.device.open()?;
    let (dtype, quantization) = match arguments.dtype {
        DtypeChoice::Auto if device.is_cpu() => (DType::F32, None),
        DtypeChoice::Auto => (DType::BF16, None),
        DtypeChoice::Dense(dtype) if matches!(device, Device::Cpu) && dtype != DType::F32 => {
            return Err(Error::input("half precision is not for the CPU").remedy("use --dtype f32 or q8_0"));
        }
        DtypeChoice::Dense(dtype) => (dtype, None),
        DtypeChoice::Quantized(quantization) => (DType::F32, Some(quantization)),
    };
    let owl = Owl::new(&config, &RandomWeights { device, dtype, quantization })?;
    Ok((owl, name, quantization, dtype))
}

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["what", "measured", "share of the ceiling"]);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let ceilings = &report.ceilings;
    table.add_row([
        "memory read".to_owned(),
        format!("{:.1} GB/s", ceilings.read_bytes_per_second / 1e9),
        String::new(),
    ]);
    table.add_row(["f32 product".to_owned(), format!("{:.0} GFLOP/s", ceilings.product_flops / 1e9), String::new()]);
    table.add_row([
        "vision and abstractor".to_owned(),
        format!("{:.3} s a picture", report.vision.seconds),
        percent(report.vision.share()),
    ]);
    table.add_row([
        format!("prefill of {} tokens", report.prefill.count),
        format!("{:.1} tokens/s", report.prefill.per_second()),
        percent(report.prefill.share()),
    ]);
    for decode in &report.decode {
        table.add_row([
            format!("decode, batch {}, {} positions", decode.batch, decode.positions),
            format!("{:.1} tokens/s", decode.tokens_per_second),
            percent(decode.bandwidth_share),
        ]);
    }
    let first = report.first_token;
    table.add_row(["first token, first question".to_owned(), format!("{:.3} s", first.first_question), String::new()]);
    table.add_row([
        "first token, second question".to_owned(),
        format!("{:.3} s", first.second_question),
        format!("{:.2} of the first", first.second_question / first.first_question),
    ]);
    let memory = report.memory;
    for (what, peak) in [
        ("peak memory, one conversation", memory.peak_bytes),
        ("peak memory, eight conversations", memory.peak_bytes_of_eight),
    ] {
        let Some(peak) = peak else { continue };
        table.add_row([
            what.to_owned(),
            format!("{:.2} GB", peak as f64 / 1e9),
            format!("{:.2} of the weights in f32", peak as f64 / memory.weights_f32_bytes as f64),
        ]);
    }
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let weights = report.parameters;
    let total = (weights.vision + weights.abstractor + weights.language) as f64 / 1e6;
    format!("{}: {total:.1} million weights, {}, {} threads\n{table}", report.model, report.dtype, report.threads)
}
