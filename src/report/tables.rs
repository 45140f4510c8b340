//! The tables of a report.

use super::comparisons::Comparison;
use super::distributions::Distribution;
use super::estimate::Interval;
use super::scores::EXACT_MATCH;
use super::subsets::{ALL, SubsetRow, name_of};
use super::table::{Cell, Column, Kind, Table, column};
use super::{GradedAnswer, InputKind, Report};
use crate::sanitize;

/// All of them, in the order in which a reader meets them; a table without rows is left out.
pub(super) fn all(report: &Report) -> Vec<Table> {
    let mut tables = vec![distributions(report), ranking(report), comparisons(report, false), agreement(report)];
    tables.push(super::matrix::table(&report.raters, &report.agreement));
    tables.extend(super::judged::tables(&report.judges, &report.subsets));
    tables.extend(report.plan.iter().map(super::plan::table));
    let of_scores = report.scores.iter().flat_map(super::Scores::tables);
    let (long, short): (Vec<Table>, Vec<Table>) = of_scores.partition(|table| table.is_long);
    tables.extend(short);
    tables.extend(super::runs::tables(&report.runs));
    tables.extend([missing(report), comparisons(report, true)]);
    tables.extend(long);
    tables.extend([grades(report), inputs(report)]);
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

pub(super) fn cell(interval: &Interval) -> Cell {
    Cell::Interval([interval.point, interval.low, interval.high])
}

fn distributions(report: &Report) -> Table {
    let by_picture = !report.options.counts_only;
    let mut columns = vec![
        column("subset", "Questions", Kind::Text),
        column("model_id", "Model", Kind::Text),
        column("n", "n", Kind::Count),
        column("a", "A", Kind::Count),
        column("b", "B", Kind::Count),
        column("c", "C", Kind::Count),
        column("d", "D", Kind::Count),
        column("rate_a", "A, %", Kind::Share),
        column("rate_ab", "A or B, %", Kind::Share),
    ];
    if by_picture {
        columns.push(column("rate_ab_by_picture", "A or B, %, by picture", Kind::Share));
    }
    let row = |row: &Distribution| {
        let mut cells = vec![
            Cell::named(&row.subset, name_of(&report.subsets, &row.subset)),
            Cell::text(&row.model_id),
            Cell::Count(row.n),
        ];
        cells.extend(row.counts.list().map(Cell::Count));
        cells.extend([cell(&row.rate_a), cell(&row.rate_ab)]);
        cells.extend(row.rate_ab_by_picture.as_ref().map(cell));
        cells
    };
    let mut caption =
        "Grades from A (best) to D, and the shares of A and of A or B with Wilson's 95 % intervals. n is the \
                       number of questions with a grade."
            .to_owned();
    if by_picture {
        caption.push_str(
            " The last column resamples whole pictures, whose questions depend on each other. Questions may be of several \
             abilities, so their rows overlap.",
        );
    }
    let rows = report.distributions.iter().filter(|row| row.n > 0).map(row).collect();
    Table {
        is_long: false,
        name: "distributions".to_owned(),
        title: "Grades by model, in numbers".to_owned(),
        caption,
        columns,
        rows,
    }
}

fn ranking(report: &Report) -> Table {
    let columns = vec![
        column("rank", "Rank", Kind::Count),
        column("model_id", "Model", Kind::Text),
        column("rate_ab", "A or B, %", Kind::Share),
        column("strength", "Strength", Kind::Value),
        column("groups", "Not told apart", Kind::Text),
    ];
    let mut caption = "Models by their share of A or B on all questions. Models that share a letter in the last column \
                       cannot be told apart (paired permutation of pictures, Holm, 5 %). Strengths are Bradley and Terry's, \
                       in logarithms of odds."
        .to_owned();
    let mut rows = Vec::new();
    if let Some(ranking) = &report.ranking {
        if let Some(why) = &ranking.no_strengths {
            caption.push_str(&format!(" Strengths are undefined: {}.", sanitize::terminal(why)));
        }
        for (ranked, place) in ranking.order.iter().zip(1..) {
            let letters =
                ranking.indistinct.iter().zip('a'..='z').filter(|(group, _)| group.contains(&ranked.model_id));
            rows.push(vec![
                Cell::Count(place),
                Cell::text(&ranked.model_id),
                Cell::Interval([ranked.rate_ab, None, None]),
                ranked.strength.as_ref().map_or(Cell::Interval([None; 3]), cell),
                Cell::text(letters.map(|(_, letter)| letter).collect::<String>()),
            ]);
        }
    }
    Table { is_long: false, name: "ranking".to_owned(), title: "Ranking".to_owned(), caption, columns, rows }
}

/// The columns and rows of comparisons; of a single statistic it needs no column.
pub(super) fn comparisons_of<'a>(
    rows: impl Iterator<Item = &'a Comparison>,
    subsets: &[SubsetRow],
) -> (Vec<Column>, Vec<Vec<Cell>>) {
    let rows: Vec<&Comparison> = rows.collect();
    let is_one = rows.iter().all(|row| row.statistic == EXACT_MATCH);
    let mut columns = vec![
        column("subset", "Questions", Kind::Text),
        column("statistic", "Of", Kind::Text),
        column("model_a", "Model", Kind::Text),
        column("model_b", "over", Kind::Text),
        column("n", "n", Kind::Count),
        column("difference", "Difference, points", Kind::Difference),
        column("p_value", "p", Kind::PValue),
        column("p_adjusted", "p, Holm", Kind::PValue),
        column("p_mcnemar", "p, McNemar", Kind::PValue),
    ];
    let cells = |row: &Comparison| {
        let statistic = match row.statistic.as_str() {
            "rate_ab" => "A or B",
            "rate_a" => "A",
            "net_wins" => "better less worse grades",
            other => other,
        };
        vec![
            Cell::named(&row.subset, name_of(subsets, &row.subset)),
            Cell::named(&row.statistic, statistic),
            Cell::text(&row.model_a),
            Cell::text(&row.model_b),
            Cell::Count(row.n),
            Cell::Interval([row.difference, row.low, row.high]),
            Cell::Number(row.p_value),
            Cell::Number(row.p_adjusted),
            Cell::Number(row.p_mcnemar),
        ]
    };
    let mut rows: Vec<Vec<Cell>> = rows.into_iter().map(cells).collect();
    // Columns that say the same of every row, or nothing.
    if is_one {
        columns.remove(1);
        rows.iter_mut().for_each(|row| drop(row.remove(1)));
    }
    if rows.iter().all(|row| row.last() == Some(&Cell::Number(None))) {
        columns.pop();
        rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    (columns, rows)
}

/// Those on all questions, or those of every subset.
fn comparisons(report: &Report, is_long: bool) -> Table {
    let rows = report.comparisons.iter().filter(|row| is_long || row.subset == ALL);
    let (columns, rows) = comparisons_of(rows, &report.subsets);
    let caption = "Differences on the questions that both models have a grade for, with 95 % intervals from resampled pictures. \
                   p: paired permutation of whole pictures; adjusted by Holm over the pairs of models of the same subset \
                   and statistic. The primary test is that of A or B on all questions."
        .to_owned();
    let (name, title) = if is_long {
        ("comparisons_all", "Comparisons by subset")
    } else {
        ("comparisons", "Comparisons on all questions")
    };
    Table { is_long, name: name.to_owned(), title: title.to_owned(), caption, columns, rows }
}

fn agreement(report: &Report) -> Table {
    let columns = vec![
        column("statistic", "Statistic", Kind::Text),
        column("raters", "Raters", Kind::Text),
        column("units", "Answers", Kind::Count),
        column("value", "Value", Kind::Value),
        column("undefined", "Remark", Kind::Text),
    ];
    let rows = report
        .agreement
        .iter()
        .map(|row| {
            vec![
                Cell::named(&row.statistic, statistic_name(&row.statistic)),
                Cell::text(row.raters.join(", ")),
                Cell::Count(row.units),
                Cell::Interval([row.value, row.low, row.high]),
                Cell::text(row.undefined.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let caption = "How far raters agree about the same answers, with 95 % intervals from resampled pictures. Where nearly all \
                   grades are the same, \u{3b1} and \u{3ba} are near 0 however well raters agree: see the grades by model."
        .to_owned();
    Table {
        is_long: false,
        name: "agreement".to_owned(),
        title: "Agreement of raters".to_owned(),
        caption,
        columns,
        rows,
    }
}

pub(super) fn statistic_name(statistic: &str) -> &str {
    match statistic {
        "krippendorff_alpha_ordinal" => "Krippendorff's \u{3b1}, ordinal",
        "krippendorff_alpha_nominal" => "Krippendorff's \u{3b1}, nominal",
        "gwet_ac2_ordinal" => "Gwet's AC2, ordinal",
        "percent" => "share of equal grades",
        "cohen_kappa_linear" => "Cohen's \u{3ba}, linear",
        "cohen_kappa_quadratic" => "Cohen's \u{3ba}, quadratic",
        "repeat_percent" => "repeats: share of equal grades",
        "repeat_kappa_quadratic" => "repeats: Cohen's \u{3ba}, quadratic",
        other => other,
    }
}

fn missing(report: &Report) -> Table {
    let columns = vec![
        column("model_id", "Model", Kind::Text),
        column("question_id", "Question", Kind::Text),
        column("why", "Why", Kind::Text),
    ];
    let rows = report
        .missing
        .iter()
        .map(|row| vec![Cell::text(&row.model_id), Cell::text(row.question_id.to_string()), Cell::text(&row.why)])
        .collect();
    let caption = if report.grades.is_empty() {
        "Questions that a run has no answer to.".to_owned()
    } else {
        "Answers without a grade, and absent answers that count as one.".to_owned()
    };
    Table { is_long: false, name: "missing".to_owned(), title: "Missing".to_owned(), caption, columns, rows }
}

fn grades(report: &Report) -> Table {
    let columns = vec![
        column("question_id", "Question", Kind::Text),
        column("picture", "Picture", Kind::Text),
        column("model_id", "Model", Kind::Text),
        column("grades", "Grades", Kind::Text),
        column("raters", "Raters", Kind::Text),
        column("verdict", "Verdict", Kind::Text),
        column("places", "Table:line", Kind::Text),
    ];
    let row = |answer: &GradedAnswer| {
        let joined = |parts: Vec<String>| Cell::text(parts.join(" "));
        let places = answer.grades.iter().map(|given| format!("{}:{}", given.input + 1, given.line)).collect();
        vec![
            Cell::text(answer.question_id.to_string()),
            Cell::text(&answer.picture),
            Cell::text(&answer.model_id),
            joined(answer.grades.iter().map(|given| given.grade.to_string()).collect()),
            joined(answer.grades.iter().map(|given| given.rater.clone()).collect()),
            Cell::text(answer.verdict.map(String::from).unwrap_or_default()),
            joined(places),
        ]
    };
    let caption =
        "Every grade that a number above comes from, with the input (numbered as under Inputs) and the line in which \
                   it stands."
            .to_owned();
    let rows = report.grades.iter().map(row).collect();
    Table { is_long: true, name: "grades".to_owned(), title: "Every grade".to_owned(), caption, columns, rows }
}

fn inputs(report: &Report) -> Table {
    let columns = vec![
        column("input", "Input", Kind::Text),
        column("kind", "Kind", Kind::Text),
        column("path", "Path, from here", Kind::Text),
        column("sha256", "SHA-256", Kind::Text),
    ];
    let rows = report
        .inputs
        .iter()
        .zip(1..)
        .map(|(input, number)| {
            let kind = match input.kind {
                InputKind::Run => "run",
                InputKind::RunAnswers => "answers of the run",
                InputKind::RunFailures => "failures of the run",
                InputKind::Answers => "answers",
                InputKind::Grades => "grades",
                InputKind::Sheet => "sheet",
                InputKind::Repeats => "repeats",
                InputKind::Verdicts => "verdicts",
                InputKind::Evalset => "evalset",
                InputKind::Judgements => "judgements",
                InputKind::JudgeSummary => "summary of judgements",
            };
            vec![Cell::text(format!("{number}")), Cell::text(kind), Cell::text(&input.path), Cell::text(&input.sha256)]
        })
        .collect();
    let caption = format!(
        "What this report was made of. Seed {}, {} resamples, {} {}. The command owleval verify makes it again and compares.",
        report.seed, report.options.resamples, report.software.name, report.software.version
    );
    Table { is_long: false, name: "inputs".to_owned(), title: "Inputs".to_owned(), caption, columns, rows }
}
