//! The options of `owleval grade`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::grading::{MissingPolicy, Repeats, Split};

const EXAMPLES: &str = "\
Examples:
  owleval grade --practice
  owleval grade runs/a-owleval runs/b-owleval --evalset owleval --rater anna --sheet sheets/study
  owleval grade --sheet sheets/study --rater ben
  owleval grade --sheet sheets/study --export > grades.csv
  owleval grade --sheet sheets/study --import grades.csv
  owleval grade first=runs/a second=other/a --sheet sheets/two-runs-of-one-model

A sheet is a folder that can be copied to another machine; it holds the texts, and --evalset says where the pictures are
there. Each rater has a journal of their own, NAME.jsonl: copy the journals into one folder to bring them together.";

/// Grade answers A to D, blind, in the terminal
///
/// Answers become a sheet: in a seeded, counterbalanced order, without a word of whose they are. Every grade is on disk
/// before the next answer is shown. Without --rater, the sheet is made and nothing is opened.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct GradeArguments {
    /// Run folders or answers files in OwlEval's format; NAME=PATH names a model otherwise than its file does
    #[arg(value_name = "ANSWERS", conflicts_with_all = ["export", "import", "practice", "notes"])]
    pub answers: Vec<String>,
    /// The folder of the sheet [default for a new one: sheets/<evalset>]
    #[arg(long, value_name = "DIR")]
    pub sheet: Option<PathBuf>,
    /// Who grades: letters, digits, `-`, `_` and `.`
    #[arg(long, value_name = "NAME")]
    pub rater: Option<String>,
    /// The evalset that was answered [default for a new sheet: mini]; for a sheet that is there: where its pictures are
    #[arg(long, value_name = "NAME-OR-DIR")]
    pub evalset: Option<String>,

    /// Decides the order of the sheet
    #[arg(long, value_name = "SEED", default_value_t = 0, requires = "answers", help_heading = "A new sheet")]
    pub seed: u64,
    /// Questions with this share of the answers come again later, hidden, e.g. 5%: how far graders agree with themselves
    #[arg(long, value_name = "SHARE", value_parser = repeats, requires = "answers", help_heading = "A new sheet")]
    pub repeats: Option<Repeats>,
    /// The wording of the grades, a TOML file [default: the program's own]
    #[arg(long, value_name = "FILE", help_heading = "A new sheet")]
    pub rubric: Option<PathBuf>,
    /// Make N sheets of it, below DIR
    #[arg(long, value_name = "N", requires = "answers", help_heading = "A new sheet")]
    pub split: Option<usize>,
    /// Conversations that all parts of a split sheet have
    #[arg(long, value_name = "M", requires = "split", default_value_t = 0, help_heading = "A new sheet")]
    pub overlap: usize,

    /// All answers to a question side by side
    #[arg(long, help_heading = "The screen")]
    pub side_by_side: bool,
    /// Show no pictures, and do not look for them
    #[arg(long, help_heading = "The screen")]
    pub no_pictures: bool,
    /// Draw pictures with half blocks, also where the terminal says that it can do better
    #[arg(long, help_heading = "The screen", conflicts_with = "no_pictures")]
    pub half_blocks: bool,
    /// A short round with answers written for practice; nothing is recorded
    #[arg(long, help_heading = "The screen", conflicts_with_all = ["sheet", "rater", "export", "import", "adjudicate", "notes"])]
    pub practice: bool,
    /// Decide where raters disagree, on a sheet or all parts of one; the verdicts go to adjudicated.jsonl, beside the grades
    #[arg(long, help_heading = "The screen", conflicts_with_all = ["export", "import", "notes"])]
    pub adjudicate: bool,

    /// Print grades.csv; this unseals which model gave which answer, and is logged in unblinded.jsonl
    #[arg(long, requires = "sheet", help_heading = "Grades out and in", conflicts_with_all = ["import", "notes"])]
    pub export: bool,
    /// Export the grades of the hidden repeats instead
    #[arg(long, requires = "export", help_heading = "Grades out and in")]
    pub only_repeats: bool,
    /// Export the verdicts of the adjudication instead
    #[arg(long, requires = "export", conflicts_with = "only_repeats", help_heading = "Grades out and in")]
    pub verdicts: bool,
    /// How missing answers count in an export: not at all, or as D [default: as the sheet was made; else excluded]
    #[arg(long, value_name = "HOW", help_heading = "Grades out and in")]
    pub missing: Option<Missing>,
    /// Record grades made elsewhere, from a table like grades.csv; this is logged too
    #[arg(
        long,
        value_name = "FILE.csv",
        requires = "sheet",
        help_heading = "Grades out and in",
        conflicts_with = "notes"
    )]
    pub import: Option<PathBuf>,
    /// Print what is missing, was repaired or tells its model: for whoever made the sheet, since it names models
    #[arg(long, requires = "sheet", help_heading = "Grades out and in")]
    pub notes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Missing {
    Excluded,
    D,
}

impl GradeArguments {
    pub fn missing_policy(&self) -> Option<MissingPolicy> {
        self.missing.map(|missing| match missing {
            Missing::Excluded => MissingPolicy::Excluded,
            Missing::D => MissingPolicy::D,
        })
    }

    pub fn split(&self) -> Option<Split> {
        self.split.map(|parts| Split { parts, overlap: self.overlap })
    }
}

fn repeats(text: &str) -> Result<Repeats, String> {
    text.parse::<Repeats>().map_err(|error| match error.remedy_text() {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_string(),
    })
}
