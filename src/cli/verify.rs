//! `owleval verify`: whether a run, a sheet or a report is what was recorded.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Console;
use crate::ablation;
use crate::error::{Error, Result};
use crate::grading::{self, Finding, parts_of};
use crate::report;
use crate::store;

/// Check a run, a sheet or a report: digests, chains, counts, and whether derived files are what they would be made now
///
/// Nothing is changed. Exit code: 0 where all is as it was recorded, 1 where something is not, 2 where the folder is
/// none of these.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// A run folder, a sheet, the folder of a split sheet, or a report
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Printed {
    is_good: bool,
    findings: Vec<Finding>,
}

/// Runs the command and gives its exit code.
pub fn run(arguments: &VerifyArgs, console: &Console) -> Result<u8> {
    let findings = findings(&arguments.folder)?;
    let is_good = findings.iter().all(|finding| finding.is_good);
    if console.is_json() {
        console.print_json(&Printed { is_good, findings });
    } else {
        let width = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
        let line = |finding: &Finding| {
            let verdict = if finding.is_good { "good" } else { "BAD " };
            format!("{verdict}  {:width$}  {}", finding.what, finding.says)
        };
        console.print(&findings.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    Ok(u8::from(!is_good))
}

fn findings(folder: &Path) -> Result<Vec<Finding>> {
    if folder.join("sheet.json").exists() {
        return grading::verify(folder);
    }
    if ablation::report::is_one(folder) {
        return ablation::report::verify(folder);
    }
    if folder.join(report::REPORT).exists() {
        return report::verify(folder);
    }
    if folder.join("run.json").exists() {
        let checked = store::verify_run(folder)?;
        return Ok(checked.into_iter().map(|(what, result)| Finding::of(what, result)).collect());
    }
    let mut findings = Vec::new();
    for part in parts_of(folder) {
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of_part = grading::verify(&part)?;
        findings.extend(of_part.into_iter().map(|one| Finding { what: format!("{name}/{}", one.what), ..one }));
    }
    if findings.is_empty() {
        return Err(Error::input("no run, sheet or report: it holds no run.json, sheet.json or report.json")
            .at(folder)
            .remedy("give a folder that `owleval run`, `owleval grade` or `owleval report` made"));
    }
    Ok(findings)
}
