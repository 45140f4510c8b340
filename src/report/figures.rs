//! The figures of a report: the stacked bars of the paper, and dots with their intervals.

use super::Report;
use super::distributions::Distribution;
use super::figure::{BAR, Dot, Figure, LEFT, Named, RIGHT, ROW, WIDTH, dots, short, tick};
use super::subsets::{ALL, name_of};
use super::svg::{Anchor, Svg};
use super::table::{Kind, number};
use super::tables::statistic_name;
use crate::evalset::Subset;
use crate::sanitize;

/// Those that there is something for.
pub(super) fn all(report: &Report) -> Vec<Figure> {
    let of_scores = report.scores.iter().flat_map(super::Scores::figures);
    if report.grades.is_empty() {
        return super::judged::figure(&report.judges, &[]).into_iter().chain(of_scores).collect();
    }
    let categories = categories(report);
    let abilities: Vec<&str> =
        report.subsets.iter().map(|row| row.subset.as_str()).filter(|subset| subset.starts_with("ability:")).collect();
    let mut figures = vec![bars(report, &categories), rates(report, "rates", "Share of A or B", &categories)];
    if !abilities.is_empty() {
        figures.push(rates(report, "abilities", "Share of A or B by ability", &abilities));
    }
    figures.extend(strengths(report));
    figures.extend(agreement(report));
    figures.extend(super::matrix::figure(&report.raters, &report.agreement));
    figures.extend(super::judged::figure(&report.judges, &report.distributions));
    figures.extend(of_scores);
    figures
}

/// The paper's two parts, and all questions; of counts only, the total depends on which questions were meant, and is left out
/// where there are parts.
fn categories(report: &Report) -> Vec<&str> {
    let parts = [Subset::SingleTurn.name(), Subset::MultiTurn.name()];
    let mut shown: Vec<&str> =
        parts.into_iter().filter(|part| report.subsets.iter().any(|row| row.subset == *part)).collect();
    if shown.is_empty() || !report.options.counts_only {
        shown.push(ALL);
    }
    shown
}

fn of_subset<'a>(report: &'a Report, subset: &'a str) -> impl Iterator<Item = &'a Distribution> {
    report.distributions.iter().filter(move |row| row.subset == subset && row.n > 0)
}

/// A bar a model, as long for each, cut by its grades: the figure of the paper.
fn bars(report: &Report, subsets: &[&str]) -> Figure {
    const GRADES: [(&str, &str, &str); 4] =
        [("A", "grade-a", "on-a"), ("B", "grade-b", "on-b"), ("C", "grade-c", "on-c"), ("D", "grade-d", "on-d")];
    let mut svg = Svg::new(WIDTH);
    let mut said = Vec::new();
    let mut y = 26.0;
    for ((letter, class, _), place) in GRADES.into_iter().zip(0u8..) {
        let x = LEFT + 52.0 * f64::from(place);
        svg.rectangle([x, y - 12.0, 14.0, 14.0], class, letter);
        svg.text([x + 20.0, y], Anchor::Start, "label", letter);
    }
    svg.text([RIGHT + 8.0, y], Anchor::Start, "muted", "A or B");
    y += 16.0;
    for subset in subsets {
        y += 26.0;
        let title = format!("{} ({} questions)", name_of(&report.subsets, subset), questions(report, subset));
        svg.text([10.0, y], Anchor::Start, "heading", &sanitize::terminal(&title));
        y += 12.0;
        let mut in_words = Vec::new();
        for row in of_subset(report, subset) {
            let model = sanitize::terminal(&row.model_id);
            svg.text([LEFT - 10.0, y + 16.0], Anchor::End, "label", &short(&row.model_id));
            let mut x = LEFT;
            for ((letter, class, on), count) in GRADES.into_iter().zip(row.counts.list()) {
                let width = (RIGHT - LEFT) * count as f64 / row.counts.total().max(1) as f64;
                if count > 0 {
                    svg.rectangle([x, y, width, BAR], class, &format!("{model}: {letter} {count}"));
                }
                if width >= 9.0 * count.to_string().len() as f64 + 4.0 {
                    svg.text([x + width / 2.0, y + 16.0], Anchor::Middle, on, &count.to_string());
                }
                x += width;
            }
            if let Some(rate) = row.rate_ab.point {
                svg.text([RIGHT + 8.0, y + 16.0], Anchor::Start, "label", &format!("{} %", number(rate, Kind::Share)));
            }
            let counts = GRADES.iter().zip(row.counts.list()).map(|((letter, ..), count)| format!("{letter} {count}"));
            in_words.push(format!("{model} {}", counts.collect::<Vec<_>>().join(", ")));
            y += ROW;
        }
        said.push(format!("{title}: {}.", in_words.join("; ")));
    }
    let caption = "Each bar is all grades of a model, from A (best) to D; the numbers in it are grades.";
    let named = Named { name: "distributions", title: "Grades by model", caption };
    Figure::new(named, &said.join(" "), svg, y + 8.0)
}

fn questions(report: &Report, subset: &str) -> usize {
    report.subsets.iter().find(|row| row.subset == subset).map_or(0, |row| row.questions)
}

fn rates(report: &Report, name: &str, title: &str, subsets: &[&str]) -> Figure {
    let panels: Vec<(String, Vec<Dot>)> = subsets
        .iter()
        .map(|subset| {
            let dot =
                |row: &Distribution| (row.model_id.clone(), [row.rate_ab.point, row.rate_ab.low, row.rate_ab.high]);
            let title = format!("{} ({} questions)", name_of(&report.subsets, subset), questions(report, subset));
            (title, of_subset(report, subset).map(dot).collect())
        })
        .collect();
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{} %", (100.0 * at) as u8)));
    let caption = "Lines are Wilson's 95 % intervals.";
    dots(Named { name, title, caption }, &panels, [0.0, 1.0], &ticks, Kind::Share)
}

fn strengths(report: &Report) -> Option<Figure> {
    let ranking = report.ranking.as_ref()?;
    let rows: Option<Vec<Dot>> = ranking
        .order
        .iter()
        .map(|ranked| {
            let strength = ranked.strength.as_ref()?;
            Some((ranked.model_id.clone(), [strength.point, strength.low, strength.high]))
        })
        .collect();
    let rows = rows?;
    let furthest =
        rows.iter().flat_map(|(_, values)| values).flatten().fold(0.5, |most: f64, value| most.max(value.abs()));
    // Whole and half units, so that few ticks are enough.
    let reach = (furthest * 2.0).ceil() / 2.0;
    let ticks = [-reach, -reach / 2.0, 0.0, reach / 2.0, reach].map(|at| (at, tick(at)));
    let caption = "Bradley and Terry's, from which model has the better grade, question by question, in logarithms of odds. \
                   Lines are 95 % intervals from resampled pictures.";
    let panels = [("all questions".to_owned(), rows)];
    let named = Named { name: "strengths", title: "Strengths", caption };
    Some(dots(named, &panels, [-reach, reach], &ticks, Kind::Value))
}

fn agreement(report: &Report) -> Option<Figure> {
    if report.agreement.is_empty() {
        return None;
    }
    let mut panels: Vec<(String, Vec<Dot>)> = Vec::new();
    for row in &report.agreement {
        let title = statistic_name(&row.statistic);
        let dot = (row.raters.join(", "), [row.value, row.low, row.high]);
        match panels.iter_mut().find(|(name, _)| name == title) {
            Some((_, rows)) => rows.push(dot),
            None => panels.push((title.to_owned(), vec![dot])),
        }
    }
    let lowest = report.agreement.iter().filter_map(|row| row.low.or(row.value)).fold(0.0, f64::min);
    let low = if lowest < -0.5 {
        -1.0
    } else if lowest < 0.0 {
        -0.5
    } else {
        0.0
    };
    let ticks = [-1.0, -0.5, 0.0, 0.5, 1.0].map(|at| (at, tick(at)));
    let caption =
        "1 is perfect agreement, 0 that of chance (but for shares). Lines are 95 % intervals from resampled pictures.";
    let named = Named { name: "agreement", title: "How far raters agree", caption };
    Some(dots(named, &panels, [low, 1.0], &ticks, Kind::Value))
}
