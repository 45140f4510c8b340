//! The judge without a model: nothing is asked, so that all is judged at once.

use sha2::{Digest as _, Sha256};

use super::folder::JudgementFolder;
use super::plan::Plan;
use super::reference::measure;
use super::row::{JudgementRow, Verdict};
use crate::error::Result;
use crate::runner::now;

/// Judges everything that the folder does not hold yet; the rows of the plan's asks.
///
/// # Errors
/// Where the folder cannot be written.
pub fn judge_offline(plan: &Plan<'_>, folder: &mut JudgementFolder) -> Result<Vec<Option<JudgementRow>>> {
    let at = now();
    let mut rows = Vec::with_capacity(plan.asks.len());
    let mut new = Vec::new();
    for ask in &plan.asks {
        let target = &plan.targets[ask.target];
        let references = &target.asked().reference;
        let asked = serde_json::json!([
            plan.judge.sha256,
            plan.answers[target.answers].model_id,
            target.asked().question_id,
            target.answer,
            references,
            ask.repeat,
        ]);
        let request_sha256 = hex::encode(Sha256::digest(asked.to_string()));
        let row = folder.known().row(&request_sha256).cloned().or_else(|| {
            let measures = measure(target.answer, references)?;
            let mut row = plan.row(ask, None, request_sha256, at.clone());
            row.score = Some(measures.normalised);
            row.measures = Some(measures);
            row.verdict = Verdict::Scored;
            new.push(row.clone());
            Some(row)
        });
        rows.push(row);
    }
    folder.record(new)?;
    Ok(rows)
}
