//! The options of `owleval judge`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::endpoint::EndpointArgs;
use crate::cli::run_options::PriceOptions;
use crate::judge::Price;

const EXAMPLES: &str = "\
Examples:
  owleval judge runs/owl-mini-mini                                       no model: compare with the references
  owleval judge runs/a-text --endpoint http://127.0.0.1:8000/v1 --model big
  owleval judge runs/a-text --against runs/b-text --endpoint http://127.0.0.1:8000/v1 --model big
  owleval judge a.jsonl b.jsonl --evalset owleval --judge grade --endpoint … --model … --check grades.csv

judgements.jsonl holds a row an ask, with the judge's own words; summary.json what they amount to. The same command carries
on: nothing that was answered is asked again.";

/// Scores or grades from an LLM judge, or from a comparison with references
///
/// A reply that cannot be read is asked for once more and then missing, never a number; a table is refused where too much is
/// missing. Probes in every run say whether the judge can be fooled, and --check whether it agrees with people.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct JudgeArguments {
    /// Run folders or answer files in OwlEval's format
    #[arg(required = true, value_name = "ANSWERS")]
    pub answers: Vec<PathBuf>,
    /// The evalset that was answered [default: that of the run folder]
    #[arg(long, value_name = "NAME-OR-DIR")]
    pub evalset: Option<String>,
    /// pair, single, grade, short (for a small model), reference, or a folder with judge.toml
    ///
    /// [default: pair with --against, single with --endpoint, else reference]
    #[arg(long, value_name = "NAME-OR-DIR", verbatim_doc_comment)]
    pub judge: Option<String>,
    /// The answers to compare with, for a judge of pairs
    #[arg(long, value_name = "ANSWERS")]
    pub against: Option<PathBuf>,
    /// Judge each answer K times and report the spread [default: as the judge says]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeat: Option<u32>,
    /// Do not put the judge to the proof
    #[arg(long)]
    pub no_probes: bool,
    /// Human grades of the same answers (grades.csv): says whether the judge may be believed
    #[arg(long, value_name = "GRADES")]
    pub check: Vec<PathBuf>,
    /// For the resamples behind the intervals of --check
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// The judge's name on the server
    #[arg(long, value_name = "NAME", help_heading = "Endpoint")]
    pub model: Option<String>,
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    #[command(flatten)]
    pub prices: PriceOptions,
    /// Ask nothing that might make the folder's whole cost higher than this
    #[arg(long, value_name = "COST", help_heading = "Endpoint", value_parser = crate::cli::run_options::not_negative)]
    pub max_cost: Option<f64>,
    /// The folder of judgements [default: judgements/<judge>-<models>-<evalset>]
    #[arg(long, value_name = "DIR", help_heading = "Where to")]
    pub out: Option<PathBuf>,
    /// Print prompts, counts and the cost estimate; ask nothing, write nothing
    #[arg(long, help_heading = "Where to")]
    pub dry_run: bool,
}

impl JudgeArguments {
    pub fn judge_name(&self) -> &str {
        match (&self.judge, &self.against, &self.endpoint.endpoint) {
            (Some(name), _, _) => name,
            (None, Some(_), _) => "pair",
            (None, None, Some(_)) => "single",
            (None, None, None) => "reference",
        }
    }

    /// The price that was given; one of the two alone makes the other nought.
    pub fn price(&self) -> Option<Price> {
        let PriceOptions { price_prompt, price_completion } = self.prices;
        price_prompt
            .or(price_completion)
            .map(|_| Price { prompt: price_prompt.unwrap_or(0.0), completion: price_completion.unwrap_or(0.0) })
    }
}
