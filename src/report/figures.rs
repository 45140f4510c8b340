//! The figures of a report: the stacked bars of the paper, and dots with their intervals.

use super::Report;
use super::distributions::Distribution;
use super::observed::ALL;
use super::svg::{Anchor, Svg};
use super::table::{Kind, number};
use super::tables::{statistic_name, subset_name};
use crate::evalset::Subset;
use crate::sanitize;

/// A figure, its title and its text alternative.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// The file's name without its ending.
    pub name: &'static str,
    pub title: &'static str,
    /// What a reader has to know to read it.
    pub caption: &'static str,
    /// Everything that it shows, in words.
    pub description: String,
    svg: Svg,
    height: f64,
}

impl Figure {
    pub fn inline(&self) -> String {
        self.svg.inline(self.name, self.title, &self.description, self.height)
    }

    pub fn standalone(&self) -> String {
        self.svg.standalone(self.name, self.title, &self.description, self.height)
    }
}

const WIDTH: f64 = 700.0;
/// Where names end and bars begin.
const LEFT: f64 = 190.0;
/// Where bars end and what is said of them begins.
const RIGHT: f64 = 600.0;
const ROW: f64 = 30.0;
const BAR: f64 = 22.0;
/// Longer names are cut; the hint of a bar has them whole.
const LONGEST_NAME: usize = 20;

/// Those that there is something for.
pub(super) fn all(report: &Report) -> Vec<Figure> {
    let categories = categories(report);
    let abilities: Vec<&str> =
        report.subsets.iter().map(|row| row.subset.as_str()).filter(|subset| subset.starts_with("ability:")).collect();
    let mut figures = vec![bars(report, &categories), rates(report, "rates", "Share of A or B", &categories)];
    if !abilities.is_empty() {
        figures.push(rates(report, "abilities", "Share of A or B by ability", &abilities));
    }
    figures.extend(strengths(report));
    figures.extend(agreement(report));
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

fn short(name: &str) -> String {
    let name = sanitize::terminal(name);
    if name.chars().count() <= LONGEST_NAME {
        return name;
    }
    let cut: String = name.chars().take(LONGEST_NAME - 1).collect();
    format!("{cut}\u{2026}")
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
        let title = format!("{} ({} questions)", subset_name(report, subset), questions(report, subset));
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
    Figure {
        name: "distributions",
        title: "Grades by model",
        caption,
        description: sanitize::terminal(&said.join(" ")),
        svg,
        height: y + 8.0,
    }
}

fn questions(report: &Report, subset: &str) -> usize {
    report.subsets.iter().find(|row| row.subset == subset).map_or(0, |row| row.questions)
}

/// A row of a plot of dots: its name, point, low, high.
type Dot = (String, [Option<f64>; 3]);

fn rates(report: &Report, name: &'static str, title: &'static str, subsets: &[&str]) -> Figure {
    let panels: Vec<(String, Vec<Dot>)> = subsets
        .iter()
        .map(|subset| {
            let dot =
                |row: &Distribution| (row.model_id.clone(), [row.rate_ab.point, row.rate_ab.low, row.rate_ab.high]);
            let title = format!("{} ({} questions)", subset_name(report, subset), questions(report, subset));
            (title, of_subset(report, subset).map(dot).collect())
        })
        .collect();
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{} %", (100.0 * at) as u8)));
    let caption = "Lines are Wilson's 95 % intervals.";
    dots([name, title, caption], &panels, [0.0, 1.0], &ticks, Kind::Share)
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
    Some(dots(["strengths", "Strengths", caption], &panels, [-reach, reach], &ticks, Kind::Value))
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
    Some(dots(["agreement", "How far raters agree", caption], &panels, [low, 1.0], &ticks, Kind::Value))
}

/// A number of a scale, without zeros that say nothing.
fn tick(value: f64) -> String {
    number(value, Kind::Value).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Panels below each other on one scale.
fn dots(
    [name, title, caption]: [&'static str; 3],
    panels: &[(String, Vec<Dot>)],
    [low, high]: [f64; 2],
    ticks: &[(f64, String)],
    kind: Kind,
) -> Figure {
    let mut svg = Svg::new(WIDTH);
    let mut said = Vec::new();
    let at = |value: f64| LEFT + (RIGHT - LEFT) * (value.clamp(low, high) - low) / (high - low);
    let mut y = 0.0;
    for (panel, rows) in panels {
        y += 26.0;
        svg.text([10.0, y], Anchor::Start, "heading", &sanitize::terminal(panel));
        y += 10.0;
        let bottom = y + ROW * rows.len() as f64;
        for (tick, text) in ticks.iter().filter(|(tick, _)| (low..=high).contains(tick)) {
            svg.line([at(*tick), y, at(*tick), bottom], if *tick == 0.0 { "zero" } else { "grid" });
            svg.text([at(*tick), bottom + 15.0], Anchor::Middle, "muted", text);
        }
        let mut in_words = Vec::new();
        for (label, values) in rows {
            let middle = y + ROW / 2.0;
            svg.text([LEFT - 10.0, middle + 5.0], Anchor::End, "label", &short(label));
            let shown = super::table::Cell::Interval(*values).shown(kind);
            let words = format!("{} {shown}", sanitize::terminal(label));
            if let [_, Some(low), Some(high)] = values {
                svg.line([at(*low), middle, at(*high), middle], "range");
            }
            match values[0] {
                Some(point) => {
                    svg.dot([at(point), middle], "point", &words);
                    let unit = if kind == Kind::Share { " %" } else { "" };
                    let text = format!("{}{unit}", number(point, kind));
                    svg.text([RIGHT + 14.0, middle + 5.0], Anchor::Start, "label", &text);
                }
                None => svg.text([RIGHT + 14.0, middle + 5.0], Anchor::Start, "muted", "undefined"),
            }
            in_words.push(words);
            y += ROW;
        }
        y = bottom + 22.0;
        said.push(format!("{panel}: {}.", in_words.join("; ")));
    }
    Figure { name, title, caption, description: sanitize::terminal(&said.join(" ")), svg, height: y + 8.0 }
}
