//! What was judged, as tables for people.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::progress::money;
use crate::judge::{Agreement, Check, Group, Interval, JudgeKind, Summary, Trial};
use crate::sanitize;

/// So many missing judgements are named; `summary.json` names all.
const MISSING: usize = 20;

/// Everything that a summary says.
pub fn summary(summary: &Summary) -> String {
    let mut parts = vec![heading(summary)];
    if summary.coverage.is_enough {
        parts.push(groups(summary));
    } else {
        let coverage = &summary.coverage;
        parts.push(format!(
            "no table: {} of {} answers were judged ({}), and this judge declares at least {}",
            coverage.judged,
            coverage.answers,
            percent(coverage.share),
            percent(coverage.declared)
        ));
    }
    if !summary.missing.is_empty() {
        parts.push(missing(summary));
    }
    if summary.unselected > 0 {
        parts.push(format!("left out: {} questions outside the selection of the run", summary.unselected));
    }
    if !summary.probes.is_empty() {
        parts.push(format!("May this judge be believed?\n{}", probes(&summary.probes)));
    }
    if let Some(check) = &summary.check {
        parts.push(checked(check));
    }
    parts.push(counts(summary));
    parts.join("\n\n")
}

fn heading(summary: &Summary) -> String {
    let judge = &summary.judge;
    let model = judge.model.as_ref().map_or(String::new(), |model| format!(", asked of {}", sanitize::terminal(model)));
    let pictures = &summary.pictures;
    let blind = if pictures.withheld > 0 {
        format!(", without the pictures of {} answers", pictures.withheld)
    } else {
        String::new()
    };
    let licence = match judge.kind {
        JudgeKind::Reference => String::new(),
        _ => format!(", {}", summary.licence.in_words()),
    };
    format!("judge {}{model}{blind}{licence}", sanitize::terminal(&judge.name))
}

fn groups(summary: &Summary) -> String {
    let against = summary.against.as_ref().map_or("against", |answers| answers.model_id.as_str());
    let has_spread = summary.judge.repeats > 1;
    let mut header = vec![String::new(), "questions".to_owned(), "judged".to_owned()];
    let columns: Vec<&str> = match summary.judge.kind {
        JudgeKind::Single => vec!["score", "total"],
        JudgeKind::Grade => vec!["A", "B", "C", "D", "A rate", "A or B"],
        JudgeKind::Pair => vec!["total", against, "ratio", "win", "tie", "loss", "flipped"],
        JudgeKind::Reference => vec!["exact", "normalised", "number", "contained", "overlap"],
    };
    header.extend(columns.into_iter().map(sanitize::terminal));
    if has_spread {
        header.push(if summary.judge.kind == JudgeKind::Grade { "divided" } else { "spread" }.to_owned());
    }
    let width = header.len();
    let mut table = empty_table(header);
    let many = summary.answers.len() > 1;
    for group in &summary.groups {
        let mut cells = vec![label(group, many), group.questions.to_string(), group.judged.to_string()];
        let spread = line(group, &mut cells);
        cells.extend(spread.filter(|_| has_spread));
        // Nothing was judged of it.
        cells.resize(width, "–".to_owned());
        table.add_row(cells);
    }
    finished(table)
}

/// Adds the cells of whatever the judge gives; the spread for itself.
fn line(group: &Group, cells: &mut Vec<String>) -> Option<String> {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    if let Some(scores) = &group.scores {
        cells.extend([number(Some(scores.mean)), format!("{:.1}", scores.total)]);
        return Some(number(scores.spread));
    }
    if let Some(grades) = &group.grades {
        cells.extend([grades.a, grades.b, grades.c, grades.d].map(|count| count.to_string()));
        cells.extend([percent(grades.rate_a), percent(grades.rate_ab)]);
        return Some(grades.divided.to_string());
    }
    if let Some(pairs) = &group.pairs {
        cells.extend([format!("{:.1}", pairs.total), format!("{:.1}", pairs.total_against), number(pairs.ratio)]);
        cells.extend([pairs.wins, pairs.ties, pairs.losses].map(|count| count.to_string()));
        cells.push(format!("{}/{}", pairs.flips, pairs.compared));
        return Some(number(pairs.spread));
    }
    if let Some(measures) = &group.measures {
        let numbers = measures
            .number
            .map_or_else(|| "–".to_owned(), |share| format!("{} ({})", percent(share), measures.numbers));
        cells.extend([percent(measures.exact), percent(measures.normalised), numbers]);
        cells.extend([percent(measures.contains), percent(measures.overlap)]);
    }
    None
}

fn label(group: &Group, many: bool) -> String {
    let subset = match (&group.name, group.subset.strip_prefix("ability:")) {
        (Some(name), Some(letter)) => format!("{letter}  {name}"),
        (None, Some(letter)) => letter.to_owned(),
        _ => group.subset.replace('_', " "),
    };
    sanitize::terminal(&if many { format!("{}: {subset}", group.model_id) } else { subset })
}

fn missing(summary: &Summary) -> String {
    let mut lines = vec![format!("{} missing:", summary.missing.len())];
    let many = summary.answers.len() > 1;
    for one in summary.missing.iter().take(MISSING) {
        let model = if many { format!("{} ", sanitize::terminal(&one.model_id)) } else { String::new() };
        lines.push(format!("  {model}{}: {}", one.question_id, sanitize::terminal(&one.why)));
    }
    if summary.missing.len() > MISSING {
        lines.push(format!("  and {} more, all of them in summary.json", summary.missing.len() - MISSING));
    }
    lines.join("\n")
}

fn probes(trials: &[Trial]) -> String {
    let header = ["probe", "fooled", "share", "allowed", "mean change", "", "a fooled judge"];
    let mut table = empty_table(header.map(str::to_owned).to_vec());
    for trial in trials {
        let outcome = match trial.passed {
            Some(true) => "passed",
            Some(false) => "FAILED",
            None => "nothing to see",
        };
        table.add_row([
            trial.probe.clone(),
            format!("{}/{}", trial.fooled, trial.judged),
            trial.share.map_or_else(|| "–".to_owned(), percent),
            percent(trial.at_most),
            trial.mean_change.map_or_else(|| "–".to_owned(), |change| format!("{change:+.2}")),
            outcome.to_owned(),
            sanitize::terminal(&trial.fault),
        ]);
    }
    if let Some(column) = table.column_mut(6) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn checked(check: &Check) -> String {
    let mut lines = vec![format!(
        "Beside human grades of {} answers by {} {}: {}",
        check.compared,
        check.raters.len(),
        if check.raters.len() == 1 { "rater" } else { "raters" },
        check.licence().in_words()
    )];
    lines.push(match &check.standard {
        Some(standard) => {
            let name = serde_json::to_value(standard.statistic).ok();
            let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().replace('_', " ");
            format!("declared: the lower bound of {name} reaches {}", standard.at_least)
        }
        None => "the judge declares nothing that it would have to reach, so it cannot be licensed".to_owned(),
    });
    if let Some(all) = check.parts.first() {
        lines.push(confusion(check, all));
    }
    let header = ["", "answers", "equal", "κ linear", "κ quadratic", "α ordinal"];
    let mut table = empty_table(header.map(str::to_owned).to_vec());
    for part in &check.parts {
        let subset = part.name.clone().unwrap_or_else(|| part.subset.replace('_', " "));
        table.add_row([
            sanitize::terminal(&subset),
            part.n.to_string(),
            cell(&part.equal),
            cell(&part.kappa_linear),
            cell(&part.kappa_quadratic),
            cell(&part.alpha_ordinal),
        ]);
    }
    lines.push(finished(table));
    for powered in &check.powered {
        let what = match &powered.minus {
            None => format!("A rate of {}", sanitize::terminal(&powered.model_id)),
            Some(other) => {
                format!("A rate of {} less {}", sanitize::terminal(&powered.model_id), sanitize::terminal(other))
            }
        };
        lines.push(format!(
            "{what}: {} from {} human grades and {} judgements; {} from the human grades alone",
            interval(&powered.rate_a),
            powered.human,
            powered.judged,
            interval(&powered.human_only)
        ));
    }
    lines.join("\n")
}

fn confusion(check: &Check, all: &Agreement) -> String {
    let mut header = vec!["people \\ judge".to_owned()];
    header.extend(check.categories.iter().cloned());
    let mut table = empty_table(header);
    for (category, row) in check.categories.iter().zip(&all.confusion) {
        let mut cells = vec![category.clone()];
        cells.extend(row.iter().map(usize::to_string));
        table.add_row(cells);
    }
    finished(table)
}

fn interval(interval: &Interval) -> String {
    match (interval.value, interval.low, interval.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{} [{}, {}]", hundredths(value), hundredths(low), hundredths(high))
        }
        _ => sanitize::terminal(&interval.method),
    }
}

/// To two places; nought has no sign.
fn hundredths(value: f64) -> String {
    let shown = format!("{value:.2}");
    if shown == "-0.00" { "0.00".to_owned() } else { shown }
}

/// An interval in a column; why there is none says `summary.json`.
fn cell(of: &Interval) -> String {
    if of.low.is_some() { interval(of) } else { "undefined".to_owned() }
}

fn counts(summary: &Summary) -> String {
    let asks = &summary.asks;
    let mut parts = vec![format!("{} asks: {} read", asks.planned, asks.read)];
    for (count, word) in [
        (asks.read_again, "at the second attempt"),
        (asks.unparsed, "unreadable"),
        (asks.failed, "failed or not asked"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    if summary.tokens.prompt + summary.tokens.completion > 0 {
        parts.push(format!("{} + {} tokens", summary.tokens.prompt, summary.tokens.completion));
    }
    parts.extend(summary.cost.map(|cost| format!("{} spent", money(cost))));
    parts.join(", ")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn empty_table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

fn finished(mut table: Table) -> String {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_nothing_has_no_sign() {
        assert_eq!([-0.004, 0.0, -0.006, 1.005].map(hundredths), ["0.00", "0.00", "-0.01", "1.00"]);
    }
}
