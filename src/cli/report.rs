//! `owleval report`: tables, figures and statistics of grades, runs and judgements, into a report folder.

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::Console;
use super::run::folder_name;
use crate::error::{Error, Result};
use crate::judge;
use crate::report::{self, Options, Report, Request, Scores};
use crate::sanitize;

/// Tables, figures and statistics of grades, runs and judgements
///
/// Grades are tables that `owleval grade --export` prints (or any like them), and sheets, which are unsealed for it; a sheet
/// logs that. Answers are scored where the evalset has references, and shown in a gallery. The folder holds index.html (one file, no script,
/// no network), report.md, report.json, tables and figures. The same inputs, options and seed give the same bytes;
/// `owleval verify DIR` checks that.
///
/// Exit code: 0 done; 1 done, but some answers are missing or have no grade; 2 unusable input, nothing written.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Sheets, runs, judgements (folders of `owleval grade`, `run` and `judge`), files of answers (.jsonl) and tables of grades
    /// (.csv), in any mix
    #[arg(value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// A table of grades, as `owleval grade --export` prints it; several may be given
    #[arg(long, value_name = "FILE.csv", num_args = 1..)]
    grades: Vec<PathBuf>,
    /// The evalset that was answered: what belongs to which subset, ability and picture, what is right, and what is missing
    /// [default: that of the runs, else as the tables say]
    #[arg(long, value_name = "NAME-OR-DIR")]
    evalset: Option<PathBuf>,
    /// The report's folder [default: reports/<name of the first input>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What the report is called [default: Grades, or Answers or Judgements where there are none]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A paragraph that the report begins with; may be given several times
    #[arg(long, value_name = "TEXT")]
    note: Vec<String>,
    /// The table holds counts that somebody tied to questions: report the distributions alone
    #[arg(long)]
    counts_only: bool,
    /// Simulate how many more grades it would take to tell the models apart
    #[arg(long)]
    plan: bool,
    /// No pictures in the gallery of index.html, which is there where the evalset and the answers are given
    #[arg(long)]
    no_pictures: bool,
    /// Of the resamples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many resamples of pictures
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    resamples: u32,
}

/// Runs the command and gives its exit code.
pub fn run(arguments: ReportArguments, console: &Console) -> Result<u8> {
    let Some(first) = arguments.inputs.first().or(arguments.grades.first()) else {
        return Err(Error::input("there is nothing to report").remedy(
            "owleval report --grades FILE.csv, or owleval report SHEET-OR-RUN…; `owleval grade` makes sheets, `owleval run` runs",
        ));
    };
    let out = arguments.out.unwrap_or_else(|| default_folder(first));
    let Inputs { mut grades, sheets, runs, answers, judgements } = Inputs::of(arguments.inputs);
    grades.splice(0..0, arguments.grades);
    let has_grades = !(grades.is_empty() && sheets.is_empty());
    let other = if runs.is_empty() && answers.is_empty() { "Judgements" } else { "Answers" };
    let title = arguments.title.unwrap_or_else(|| if has_grades { "Grades" } else { other }.to_owned());
    let request = Request {
        grades,
        sheets,
        runs,
        answers,
        judgements,
        evalset: arguments.evalset,
        out,
        options: Options {
            title,
            notes: arguments.note,
            counts_only: arguments.counts_only,
            resamples: arguments.resamples as usize,
            no_pictures: arguments.no_pictures,
            plan: arguments.plan,
        },
        seed: arguments.seed,
    };
    let report = report::write(&request)?;
    if console.is_json() {
        console.print_json(&report);
    } else {
        if !report.grades.is_empty() {
            console.print(&table(&report));
        }
        if let Some(scores) = &report.scores {
            console.print(&score_table(scores));
        }
        for line in closing(&report, &request.out) {
            console.print(&line);
        }
    }
    Ok(u8::from(!report.missing.is_empty()))
}

/// The inputs by what they are.
#[derive(Default)]
struct Inputs {
    grades: Vec<PathBuf>,
    sheets: Vec<PathBuf>,
    runs: Vec<PathBuf>,
    answers: Vec<PathBuf>,
    judgements: Vec<PathBuf>,
}

impl Inputs {
    /// What is none of the others is taken for a sheet, which says what is wrong with it.
    fn of(paths: Vec<PathBuf>) -> Self {
        let mut inputs = Self::default();
        for path in paths {
            let is_file_of = |ending: &str| path.extension().is_some_and(|found| found == ending) && !path.is_dir();
            if path.join("run.json").exists() {
                inputs.runs.push(path);
            } else if path.join(judge::SUMMARY).exists() && path.join(judge::JUDGEMENTS).exists() {
                inputs.judgements.push(path);
            } else if is_file_of("jsonl") {
                inputs.answers.push(path);
            } else if is_file_of("csv") {
                inputs.grades.push(path);
            } else {
                inputs.sheets.push(path);
            }
        }
        inputs
    }
}

fn default_folder(input: &Path) -> PathBuf {
    let name = input.file_stem().map_or_else(|| "report".to_owned(), |stem| stem.to_string_lossy().into_owned());
    Path::new("reports").join(folder_name(&name))
}

/// The grades of all questions and of the two categories.
fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["questions", "model", "n", "A", "B", "C", "D", "A or B"]);
    for row in report.distributions.iter().filter(|row| row.n > 0 && !row.subset.starts_with("ability:")) {
        let mut cells = vec![row.subset.replace('_', " "), sanitize::terminal(&row.model_id), row.n.to_string()];
        cells.extend(row.counts.list().map(|count| count.to_string()));
        cells.push(row.rate_ab.point.map_or("undefined".to_owned(), |share| format!("{:.1} %", 100.0 * share)));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// Right answers to all questions, each category and each ability.
fn score_table(scores: &Scores) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["questions", "model", "n", "right", "right, %"]);
    for row in scores.rates.iter().filter(|row| row.n > 0) {
        let shown = |share: Option<f64>| share.map_or("undefined".to_owned(), |share| format!("{:.1}", 100.0 * share));
        let rate = format!("{} [{}, {}]", shown(row.rate.point), shown(row.rate.low), shown(row.rate.high));
        let name =
            scores.subsets.iter().find(|subset| subset.subset == row.subset).map_or(&row.subset, |row| &row.name);
        let cells =
            [sanitize::terminal(name), sanitize::terminal(&row.model_id), row.n.to_string(), row.right.to_string()];
        table.add_row(cells.into_iter().chain([rate]));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// What else the user wants to know at once.
fn closing(report: &Report, out: &Path) -> Vec<String> {
    let mut lines = vec![String::new()];
    for row in report.agreement.iter().filter(|row| row.statistic == "krippendorff_alpha_ordinal") {
        let value = row.value.map_or("undefined".to_owned(), |value| format!("{value:.3}"));
        lines.push(format!("Krippendorff's α (ordinal) of {} raters: {value}", row.raters.len()));
    }
    if let Some(ranking) = &report.ranking {
        let groups: Vec<String> = ranking.indistinct.iter().map(|group| group.join(", ")).collect();
        lines.push(format!("not told apart by A or B at 5 %: {}", groups.join(" | ")));
    }
    if !report.missing.is_empty() {
        let what = if report.grades.is_empty() {
            "answers are missing"
        } else {
            "answers have no grade, or count as D because they are missing"
        };
        lines.push(format!("{} {what}", report.missing.len()));
    }
    lines.push(format!("report: {}", out.join("index.html").display()));
    lines
}
