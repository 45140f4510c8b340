//! `owleval model`: look at a model's files, fetch them, quantise them, merge an adapter into them.

use std::path::PathBuf;

use candle_core::{DType, Device};
use comfy_table::{CellAlignment, Table, presets};

use super::Console;
use crate::error::{Error, Result};
use crate::owl::weights::{
    Adapter, Checkpoint, DtypePolicy, Quantization, QuantizeOptions, Summary, merge_adapter, quantize,
};
use crate::owl::{Config, hub};

/// Look at, fetch, quantise or merge the weights of a model
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What a model consists of: towers, parameters, types and files (reads the headers alone)
    Info {
        /// A folder in the Hugging Face layout, a weight file, or hf:ORG/NAME
        model: String,
        /// Compute the sha256 of the weights too (reads every byte)
        #[arg(long)]
        sha256: bool,
    },
    /// Fetch a model from the Hugging Face hub into its usual cache
    Pull {
        /// hf:ORG/NAME or hf:ORG/NAME@REVISION
        model: String,
    },
    /// Write a model into one GGUF file, its language model quantised, that loads mapped
    Quantize {
        /// A folder in the Hugging Face layout, or hf:ORG/NAME
        #[arg(long)]
        model: String,
        /// q8_0 (8.5 bits a weight) or q4_k (4.5 bits)
        #[arg(long, default_value = "q8_0", value_parser = ["q8_0", "q4_k"])]
        dtype: String,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
        /// Keep the other matrices (vision tower, abstractor, embeddings) in 16 bits instead of 32
        #[arg(long)]
        half: bool,
    },
    /// Add a LoRA adapter to the weights and write the merged model
    Merge {
        /// A folder in the Hugging Face layout, or hf:ORG/NAME
        #[arg(long)]
        model: String,
        /// The adapter's folder (adapter_config.json, adapter_model.safetensors or .bin)
        #[arg(long)]
        lora: PathBuf,
        /// The folder to write
        #[arg(long)]
        out: PathBuf,
    },
}

pub fn run(args: ModelArgs, console: &Console) -> Result<()> {
    match args.command {
        Command::Info { model, sha256 } => info(&model, sha256, console),
        Command::Pull { model } => {
            let model: hub::Repository = model.parse()?;
            let folder = hub::Hub::from_env()?.pull(&model)?;
            console.print(&folder.display().to_string());
            console.note(&format!("next: owleval run --model {model}"));
            Ok(())
        }
        Command::Quantize { model, dtype, out, half } => {
            if out.is_dir() {
                return Err(Error::input("this is a folder")
                    .at(&out)
                    .remedy("name the file to write, such as owl.gguf"));
            }
            let language: Quantization = dtype.parse()?;
            let left = quantize(&open(&model)?, &out, QuantizeOptions { language, half })?;
            if !left.is_empty() {
                console.warn(&format!(
                    "{} matrices were not quantised: their shape is no multiple of 16 x 256 (such as {})",
                    left.len(),
                    left[0]
                ));
            }
            console.print(&out.display().to_string());
            console.note(&format!("next: owleval run --model {}", out.display()));
            Ok(())
        }
        Command::Merge { model, lora, out } => {
            merge_adapter(open(&model)?, Adapter::open(&lora)?, &out)?;
            console.print(&out.display().to_string());
            console.note(&format!("next: owleval run --model {}", out.display()));
            Ok(())
        }
    }
}

/// Opens the weights on the CPU; a model of the hub is fetched first where it is missing.
fn open(model: &str) -> Result<Checkpoint> {
    Checkpoint::open(&hub::resolve(model)?, &Device::Cpu, DtypePolicy::dense(DType::F32))
}

fn info(model: &str, sha256: bool, console: &Console) -> Result<()> {
    let checkpoint = open(model)?;
    let summary = checkpoint.summary()?;
    let digest = sha256.then(|| checkpoint.weights_sha256()).transpose()?;
    if console.is_json() {
        let mut object = serde_json::json!(summary);
        if let Some(digest) = digest {
            object["weights_sha256"] = digest.into();
        }
        console.print_json(&object);
        return Ok(());
    }
    console.print(&towers(&summary).to_string());
    console.print(&files(&summary).to_string());
    if let Some(digest) = digest {
        console.print(&format!("sha256 of the weights: {digest}"));
    }
    match &summary.config {
        Some(config) => match serde_json::from_value::<Config>(config.clone()) {
            Ok(config) => console.print(&describe(&config)),
            Err(error) => console.print(&format!("config.json describes no mPLUG-Owl: {error}")),
        },
        None => console.print("no config.json: the weights cannot be run"),
    }
    Ok(())
}

fn towers(summary: &Summary) -> Table {
    let mut table = table(["part", "tensors", "parameters", "types", "size"]);
    let mut total = (0, 0, 0);
    for tower in &summary.towers {
        let encodings: Vec<&str> = tower.encodings.keys().map(String::as_str).collect();
        table.add_row([
            tower.name.to_owned(),
            tower.tensors.to_string(),
            grouped(tower.parameters),
            encodings.join(", "),
            size(tower.bytes),
        ]);
        total = (total.0 + tower.tensors, total.1 + tower.parameters, total.2 + tower.bytes);
    }
    table.add_row(["all".to_owned(), total.0.to_string(), grouped(total.1), String::new(), size(total.2)]);
    align(&mut table, &[1, 2, 4]);
    table
}

fn files(summary: &Summary) -> Table {
    let mut table = table(["file", "size"]);
    for file in &summary.files {
        table.add_row([file.name.clone(), size(file.bytes)]);
    }
    for name in &summary.beside {
        table.add_row([name.clone(), String::new()]);
    }
    align(&mut table, &[1]);
    table
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

fn align(table: &mut Table, right: &[usize]) {
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// The shape of the model in three lines.
fn describe(config: &Config) -> String {
    let (vision, abstractor, text) = (&config.vision_config, &config.visual_abstractor_config, &config.text_config);
    format!(
        "vision tower    {} layers of width {}, {} heads, pictures of {} pixels in patches of {}\n\
         abstractor      {} layers of width {}, {} heads, {} queries\n\
         language model  {} layers of width {}, {} heads, {} tokens, {} positions",
        vision.num_hidden_layers,
        vision.hidden_size,
        vision.num_attention_heads,
        vision.image_size,
        vision.patch_size,
        abstractor.num_hidden_layers,
        abstractor.hidden_size,
        abstractor.num_attention_heads,
        config.num_query_tokens,
        text.num_hidden_layers,
        text.hidden_size,
        text.num_attention_heads,
        text.vocab_size,
        text.max_position_embeddings,
    )
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

/// Bytes in decimal units, as disks and hubs count them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_readable() {
        assert_eq!(grouped(7_123_068_928), "7,123,068,928");
        assert_eq!(grouped(12), "12");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(762_488), "762.5 kB");
        assert_eq!(size(14_246_000_000), "14.25 GB");
    }

    #[test]
    fn the_table_of_the_parity_checkpoint_names_every_tower() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/parity/checkpoint");
        let summary = open(folder).unwrap().summary().unwrap();
        let text = towers(&summary).to_string();
        for part in ["vision tower", "44,928", "language model", "114,000", "f32"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(files(&summary).to_string().contains("762.5 kB"));
        let config: Config = serde_json::from_value(summary.config.unwrap()).unwrap();
        assert!(describe(&config).contains("8 queries"));
    }
}
