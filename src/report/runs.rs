//! The runs behind the answers: which model, how it was asked, how far it came, how fast it was.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answered::{Answered, Run};
use super::table::{Cell, Kind, Table, column};
use crate::backend::published::PublishedAnswer;
use crate::record::{Decoding, EvalSetId, FailureRowKind, History, TemplateId};
use crate::stats::quantile;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRow {
    pub model_id: String,
    /// The folder, as the inputs name it.
    pub run: String,
    /// `owl`, `endpoint` or `published`.
    pub kind: String,
    /// Of the weights, where they are known.
    pub sha256: Option<String>,
    pub adapter: Option<serde_json::Value>,
    pub evalset: EvalSetId,
    pub template: Option<TemplateId>,
    pub decoding: Decoding,
    pub history: History,
    pub device: String,
    pub dtype: String,
    pub answered: usize,
    pub failed: usize,
    pub blocked: usize,
    /// Null where some answer does not say it.
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// Tokens of the answers by the seconds that each took: how fast one answer comes, however many are made at once.
    pub tokens_per_second: Option<f64>,
    /// Of an answer; null where nothing was measured.
    pub seconds_median: Option<f64>,
    pub seconds_p90: Option<f64>,
    /// `stop`, `length` -> answers.
    pub finish_reasons: BTreeMap<&'static str, usize>,
}

/// A row a run, in the order of the inputs.
pub(super) fn all(answered: &[Answered]) -> Vec<RunRow> {
    answered.iter().filter_map(|one| Some(row(one, one.run.as_ref()?))).collect()
}

fn row(answered: &Answered, run: &Run) -> RunRow {
    let answers: Vec<&PublishedAnswer> = answered.published.answers().collect();
    let blocked = run.failures.values().filter(|row| row.kind == FailureRowKind::Blocked).count();
    let sum = |of: fn(&PublishedAnswer) -> Option<u64>| answers.iter().map(|row| of(row)).sum::<Option<u64>>();
    let mut seconds: Vec<f64> = answers.iter().map(|row| row.elapsed.as_secs_f64()).collect();
    // Answers that were read from a file took no time, and that says nothing.
    seconds.retain(|seconds| *seconds > 0.0);
    let at = |seconds: &mut [f64], share: f64| (!seconds.is_empty()).then(|| quantile(seconds, share));
    let (mut tokens, mut milliseconds) = (0, 0);
    for row in &answers {
        if let Some(count) = row.completion_tokens {
            tokens += count;
            milliseconds += u64::try_from(row.elapsed.as_millis()).unwrap_or(u64::MAX);
        }
    }
    let mut finish_reasons = BTreeMap::new();
    for row in &answers {
        *finish_reasons.entry(row.finish.name()).or_default() += 1;
    }
    let manifest = run.manifest.clone();
    RunRow {
        model_id: answered.model_id.clone(),
        run: run.folder.clone(),
        kind: manifest.model.kind,
        sha256: manifest.model.sha256,
        adapter: manifest.model.adapter,
        evalset: manifest.evalset,
        template: manifest.template,
        decoding: manifest.decoding,
        history: manifest.history,
        device: manifest.device,
        dtype: manifest.dtype,
        answered: answers.len(),
        failed: run.failures.len() - blocked,
        blocked,
        prompt_tokens: sum(|row| row.prompt_tokens),
        completion_tokens: sum(|row| row.completion_tokens),
        tokens_per_second: (tokens > 0 && milliseconds > 0).then(|| tokens as f64 * 1000.0 / milliseconds as f64),
        seconds_median: at(&mut seconds, 0.5),
        seconds_p90: at(&mut seconds, 0.9),
        finish_reasons,
    }
}

/// How the models were asked, and how fast they answered.
pub(super) fn tables(runs: &[RunRow]) -> [Table; 2] {
    let asked = |row: &RunRow| {
        let digest = row.sha256.as_deref().unwrap_or_default();
        vec![
            Cell::text(&row.model_id),
            Cell::text(&row.run),
            Cell::named(digest, if digest.is_empty() { "\u{2013}" } else { digest.get(..12).unwrap_or(digest) }),
            Cell::text(row.template.as_ref().map_or("the server's own", |template| template.name.as_str())),
            Cell::text(decoding(&row.decoding)),
            Cell::text(history(&row.history)),
            Cell::text(&row.device),
            Cell::text(&row.dtype),
            Cell::text(&row.evalset.name),
        ]
    };
    let amount = |value: Option<f64>| Cell::Number(value);
    let tokens = |value: Option<u64>| Cell::Number(value.map(|value| value as f64));
    let speed = |row: &RunRow| {
        vec![
            Cell::text(&row.model_id),
            Cell::Count(row.answered),
            Cell::Count(row.failed),
            Cell::Count(row.blocked),
            Cell::Count(row.finish_reasons.get("stop").copied().unwrap_or_default()),
            Cell::Count(row.finish_reasons.get("length").copied().unwrap_or_default()),
            tokens(row.prompt_tokens),
            tokens(row.completion_tokens),
            amount(row.tokens_per_second),
            amount(row.seconds_median),
            amount(row.seconds_p90),
        ]
    };
    [
        Table {
            name: "run_speed".to_owned(),
            title: "Answers, tokens and time".to_owned(),
            caption: "How far each run came, why its answers ended (the model's own end, or the limit of tokens), and how \
                      long an answer took. Tokens per second are those of an answer by the time that it took, however many were made at \
                      once."
                .to_owned(),
            columns: vec![
                column("model_id", "Model", Kind::Text),
                column("answered", "Answered", Kind::Count),
                column("failed", "Failed", Kind::Count),
                column("blocked", "Blocked", Kind::Count),
                column("stop", "Ended", Kind::Count),
                column("length", "Cut", Kind::Count),
                column("prompt_tokens", "Prompt tokens", Kind::Count),
                column("completion_tokens", "Answer tokens", Kind::Count),
                column("tokens_per_second", "Tokens/s", Kind::Amount),
                column("seconds_median", "s, median", Kind::Amount),
                column("seconds_p90", "s, 90 % below", Kind::Amount),
            ],
            rows: runs.iter().map(speed).collect(),
            is_long: false,
        },
        Table {
            name: "runs".to_owned(),
            title: "Runs".to_owned(),
            caption: "What was asked of whom, and how. The digest is that of the weights.".to_owned(),
            columns: vec![
                column("model_id", "Model", Kind::Text),
                column("run", "Folder, from here", Kind::Text),
                column("sha256", "Weights", Kind::Text),
                column("template", "Template", Kind::Text),
                column("decoding", "Decoding", Kind::Text),
                column("history", "History", Kind::Text),
                column("device", "Device", Kind::Text),
                column("dtype", "Type", Kind::Text),
                column("evalset", "Evalset", Kind::Text),
            ],
            rows: runs.iter().map(asked).collect(),
            is_long: false,
        },
    ]
}

/// Only what is not the default of greedy decoding.
fn decoding(decoding: &Decoding) -> String {
    let mut words = Vec::new();
    if decoding.temperature > 0.0 {
        words.push(format!("temperature {}", decoding.temperature));
        words.extend(decoding.top_k.map(|k| format!("top-k {k}")));
        words.extend(decoding.top_p.map(|p| format!("top-p {p}")));
        words.push(format!("seed {}", decoding.seed));
    } else {
        words.push("greedy".to_owned());
    }
    words.push(format!("at most {} tokens", decoding.max_new_tokens));
    if decoding.repetition_penalty != 1.0 {
        words.push(format!("repetition penalty {}", decoding.repetition_penalty));
    }
    if decoding.no_repeat_ngram_size > 0 {
        words.push(format!("no repeated {}-grams", decoding.no_repeat_ngram_size));
    }
    if !decoding.stop.is_empty() {
        words.push(format!("{} stop texts", decoding.stop.len()));
    }
    words.join(", ")
}

fn history(history: &History) -> String {
    match history {
        History::Own => "own answers".to_owned(),
        History::Published { file, .. } => format!("those of {file}"),
        History::None => "none".to_owned(),
    }
}
