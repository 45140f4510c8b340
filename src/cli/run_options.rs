//! The options of `owleval run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::endpoint::EndpointArgs;
use crate::backend::Decoding;
use crate::backend::local::{DeviceChoice, DtypeChoice};
use crate::error::{Error, Result};
use crate::evalset::{Selected, Selection, Shard, Subset};
use crate::runner::Past;

const EXAMPLES: &str = "\
Examples:
  owleval run
  owleval run --evalset owleval --model hf:MAGAer13/mplug-owl-llama-7b --dtype q8_0
  owleval run --evalset owleval --endpoint http://127.0.0.1:8000/v1 --model my-model
  owleval run --subset multi_turn --ability c,e --limit 10 --dry-run

A run folder that exists already is carried on where its manifest is the same: model, adapter, template, evalset,
decoding, history, selection, device and dtype. What it has answers to is not asked again; what failed is.";

/// Answer an evalset with a model, into a run folder
///
/// Every answer is on disk as soon as it is complete. Killed anywhere, the same command carries on. Ctrl-C finishes what
/// is in flight, a second one drops it.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RunArguments {
    #[command(flatten)]
    pub questions: QuestionOptions,
    #[command(flatten)]
    pub model: ModelOptions,
    /// Answers of a published file, or of a run folder, instead of a model's: they become a run of their own
    #[arg(long, value_name = "FILE", help_heading = "Model", conflicts_with_all = ["model", "endpoint", "lora", "template", "device", "dtype", "batch"])]
    pub answers: Option<PathBuf>,
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    #[command(flatten)]
    pub prices: PriceOptions,
    #[command(flatten)]
    pub decoding: DecodingOptions,

    /// The run folder [default: runs/<model>-<evalset>]
    ///
    /// An existing one of the same manifest is carried on, another is refused.
    #[arg(long, value_name = "DIR", help_heading = "Where to")]
    pub out: Option<PathBuf>,
    /// Print the prompts, the counts and the cost estimate; ask nothing, write nothing
    #[arg(long, help_heading = "Where to")]
    pub dry_run: bool,
}

/// What is asked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Questions")]
pub struct QuestionOptions {
    /// A built-in evalset, a folder with evalset.toml, or a plain OwlEval folder (questions.jsonl and cases/)
    #[arg(long, value_name = "NAME-OR-DIR", default_value = "mini")]
    pub evalset: String,
    /// What earlier turns hold: the model's own answers, those of a published file, or nothing
    ///
    /// With `own`, a failed turn blocks the later ones of its conversation. With `none`, each question is asked alone.
    #[arg(long, num_args = 1..=2, value_names = ["own|published|none", "FILE"], default_value = "own")]
    pub history: Vec<String>,
    /// Only the questions of one subset
    #[arg(long, value_name = "SUBSET", default_value = "all")]
    pub subset: SubsetChoice,
    /// Only questions that need one of these abilities, e.g. `c,e`
    ///
    /// With --history own, the earlier turns of their conversations are asked too: they are the history.
    #[arg(long, value_name = "LETTERS", value_delimiter = ',')]
    pub ability: Vec<String>,
    /// Only the first N of the conversations that are left
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// The I-th of N parts of the conversations (I from 1), to share a run between machines
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<Shard>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SubsetChoice {
    All,
    #[value(name = "single_turn", alias = "single-turn")]
    SingleTurn,
    #[value(name = "multi_turn", alias = "multi-turn")]
    MultiTurn,
}

/// Who answers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelOptions {
    /// owl-mini, a checkpoint folder, hf:ORG/NAME, or a GGUF file [default: owl-mini]
    ///
    /// A checkpoint folder has the Hugging Face layout of mPLUG-Owl: safetensors or pytorch_model*.bin, in one file or
    /// sharded. hf:ORG/NAME is fetched from the Hugging Face hub into its usual cache. A GGUF file is one that
    /// `owleval model quantize` wrote. With --endpoint: the model's name on the server.
    #[arg(long, value_name = "NAME-OR-DIR")]
    pub model: Option<String>,
    /// A PEFT adapter folder (adapter_config.json and its weights) that is applied to the model
    #[arg(long, value_name = "DIR", conflicts_with = "endpoint")]
    pub lora: Option<PathBuf>,
    /// The prompt template: a built-in name or a file
    #[arg(long, value_name = "NAME-OR-FILE", conflicts_with = "endpoint")]
    pub template: Option<String>,
    /// Where to compute: auto, cpu, cuda:N or metal [default: auto]
    #[arg(long, value_name = "DEVICE", conflicts_with = "endpoint")]
    pub device: Option<DeviceChoice>,
    /// Numbers of the weights: auto, f32, bf16, f16, q8_0 or q4_k [default: auto]
    ///
    /// The last two quantise the language model; vision and abstractor stay as they are.
    #[arg(long, value_name = "DTYPE", conflicts_with = "endpoint")]
    pub dtype: Option<DtypeChoice>,
    /// Conversations that are decoded together [default: by the model's size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "endpoint")]
    pub batch: Option<u64>,
}

/// What a server's tokens cost.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Endpoint")]
pub struct PriceOptions {
    /// Price of a million prompt tokens, for the estimate of --dry-run
    #[arg(long, value_name = "PRICE", value_parser = not_negative)]
    pub price_prompt: Option<f64>,
    /// Price of a million answer tokens, for the estimate of --dry-run
    #[arg(long, value_name = "PRICE", value_parser = not_negative)]
    pub price_completion: Option<f64>,
}

/// How answers are drawn.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decoding")]
pub struct DecodingOptions {
    /// The longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_new_tokens: u64,
    /// 0 is greedy: always the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = not_negative)]
    pub temperature: f64,
    /// Draw from the K likeliest tokens only
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub top_k: Option<u64>,
    /// Draw from the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", value_parser = probability)]
    pub top_p: Option<f64>,
    /// Above 1, tokens that were said already become less likely
    #[arg(long, value_name = "R", default_value_t = 1.0, value_parser = positive)]
    pub repetition_penalty: f64,
    /// Never say the same N tokens in a row twice; 0 allows it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub no_repeat_ngram: u64,
    /// Ends the answer where the model says this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// For temperatures above 0: each question has its own random numbers, from this and its id
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
}

impl DecodingOptions {
    pub fn decoding(&self) -> Decoding {
        Decoding {
            max_new_tokens: count(self.max_new_tokens),
            temperature: self.temperature,
            top_k: self.top_k.map(count),
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty as f32,
            no_repeat_ngram_size: count(self.no_repeat_ngram),
            stop: self.stop.clone(),
            seed: self.seed,
        }
    }
}

impl QuestionOptions {
    pub fn selection(&self) -> Selection {
        let mut abilities: Vec<String> =
            self.ability.iter().map(|letter| letter.trim().to_lowercase()).filter(|l| !l.is_empty()).collect();
        abilities.sort();
        abilities.dedup();
        let subset = match self.subset {
            SubsetChoice::All => None,
            SubsetChoice::SingleTurn => Some(Subset::SingleTurn),
            SubsetChoice::MultiTurn => Some(Subset::MultiTurn),
        };
        Selection { subset, abilities, limit: self.limit.map(count), shard: self.shard }
    }

    /// The history that was asked for, its file read.
    pub fn past(&self, selected: &[Selected]) -> Result<Past> {
        let words: Vec<&str> = self.history.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["own"] => Ok(Past::Own),
            ["none"] => Ok(Past::None),
            ["published", file] => Past::published(file.as_ref(), selected),
            ["published"] => Err(Error::input("--history published names no file")
                .remedy("give the file of published answers: --history published FILE")),
            _ => Err(Error::input(format!("--history knows no `{}`", words.join(" ")))
                .remedy("use --history own, --history published FILE or --history none")),
        }
    }
}

fn count(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn shard(text: &str) -> Result<Shard, String> {
    text.parse::<Shard>().map_err(|error| match error.remedy_text() {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_string(),
    })
}

fn number(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if value.is_finite() { Ok(value) } else { Err("expected a finite number".to_owned()) }
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| if value >= 0.0 { Ok(value) } else { Err("must not be negative".to_owned()) })
}

fn positive(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| if value > 0.0 { Ok(value) } else { Err("must be above 0".to_owned()) })
}

fn probability(text: &str) -> Result<f64, String> {
    positive(text)
        .and_then(|value| if value <= 1.0 { Ok(value) } else { Err("must be above 0 and at most 1".to_owned()) })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArguments,
    }

    fn parse(words: &[&str]) -> Result<RunArguments, String> {
        let words = std::iter::once("run").chain(words.iter().copied());
        Line::try_parse_from(words).map(|line| line.run).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_is_greedy_on_mini() {
        let arguments = parse(&[]).unwrap();
        assert_eq!(arguments.questions.evalset, "mini");
        assert_eq!(arguments.model.model, None);
        assert_eq!(arguments.decoding.decoding(), Decoding::default());
        assert_eq!(arguments.questions.selection(), Selection::default());
    }

    #[test]
    fn abilities_are_one_set_however_they_are_written() {
        let selection = |words: &[&str]| parse(words).unwrap().questions.selection();
        assert_eq!(selection(&["--ability", "e,c"]), selection(&["--ability", "c", "--ability", "E, c"]));
        assert_eq!(selection(&["--shard", "2/3"]).shard, Shard::new(2, 3).ok());
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_the_option() {
        for (words, expected) in [
            (["--temperature=-1"].as_slice(), "must not be negative"),
            (&["--temperature", "nan"], "finite"),
            (&["--top-p", "0"], "must be above 0"),
            (&["--top-p", "1.5"], "at most 1"),
            (&["--repetition-penalty", "0"], "must be above 0"),
            (&["--limit", "0"], "0 is not in"),
            (&["--shard", "0/4"], "there is no shard 0 of 4"),
            (&["--shard", "1"], "write I/N"),
            (&["--endpoint", "http://127.0.0.1:1/v1", "--model", "m", "--lora", "x"], "cannot be used with"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
