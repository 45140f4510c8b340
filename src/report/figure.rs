//! A drawn figure, and the one kind that most of them are: dots with their intervals.

use super::svg::{Anchor, Svg};
use super::table::{Cell, Kind, number};
use crate::sanitize;

/// A figure, its title and its text alternative.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The file's name without its ending, unique among the figures of a report.
    pub name: String,
    pub title: String,
    /// What a reader has to know to read it.
    pub caption: String,
    /// Everything that it shows, in words.
    pub description: String,
    /// Style sheet of what only such a figure has, beside that of all figures.
    pub(super) style: &'static str,
    svg: Svg,
    height: f64,
}

/// What a figure is called, and what a reader has to know to read it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The file's name without its ending.
    pub name: &'a str,
    pub title: &'a str,
    pub caption: &'a str,
}

impl Figure {
    pub(super) fn new(named: Named<'_>, description: &str, svg: Svg, height: f64) -> Self {
        Self {
            name: named.name.to_owned(),
            title: named.title.to_owned(),
            caption: named.caption.to_owned(),
            description: sanitize::terminal(description),
            style: "",
            svg,
            height,
        }
    }

    pub(super) fn inline(&self) -> String {
        self.svg.inline(&self.name, &self.title, &self.description, self.height)
    }

    /// The bytes of an SVG file of its own.
    pub fn standalone(&self) -> String {
        self.svg.standalone(&self.name, &self.title, &self.description, self.height, self.style)
    }
}

pub(super) const WIDTH: f64 = 700.0;
/// Where names end and bars begin.
pub(super) const LEFT: f64 = 190.0;
/// Where bars end and what is said of them begins.
pub(super) const RIGHT: f64 = 600.0;
pub(super) const ROW: f64 = 30.0;
pub(super) const BAR: f64 = 22.0;
/// Longer names are cut; the hint of a bar has them whole.
const LONGEST_NAME: usize = 20;

pub(super) fn short(name: &str) -> String {
    let name = sanitize::terminal(name);
    if name.chars().count() <= LONGEST_NAME {
        return name;
    }
    let cut: String = name.chars().take(LONGEST_NAME - 1).collect();
    format!("{cut}\u{2026}")
}

/// A row of a plot of dots: its name, point, low, high.
pub type Dot = (String, [Option<f64>; 3]);

/// A number of a scale, without zeros that say nothing.
pub(super) fn tick(value: f64) -> String {
    number(value, Kind::Value).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Panels (a title, its rows) below each other on one scale from `low` to `high`, each row a point with its interval.
///
/// Values outside the scale are drawn at its end. `ticks` are values of the scale and what is written below them.
pub fn dots(
    named: Named<'_>,
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
            let shown = Cell::Interval(*values).shown(kind);
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
    Figure::new(named, &said.join(" "), svg, y + 8.0)
}
