//! Raters beside each other, each two of them: a table of statistics and a matrix of one.

use super::Agreement;
use super::figure::{Figure, Named, short};
use super::svg::{Anchor, Svg};
use super::table::{Cell, Kind, Table, column, number};
use crate::sanitize;

const STYLE: &str = include_str!("../../templates/report/matrix.css");
const WIDTH: f64 = 700.0;
const LEFT: f64 = 190.0;
const TOP: f64 = 40.0;
const HEIGHT: f64 = 40.0;
const WIDEST: f64 = 110.0;
/// Steps of a shade in `matrix.css`.
const SHADES: f64 = 6.0;

/// The statistics of pairs, in the order of the columns.
const STATISTICS: [&str; 3] = ["percent", "cohen_kappa_linear", "cohen_kappa_quadratic"];

fn of_pair<'a>(agreement: &'a [Agreement], pair: [&str; 2], statistic: &str) -> Option<&'a Agreement> {
    agreement.iter().find(|row| {
        row.statistic == statistic && row.raters.len() == 2 && {
            let raters = [row.raters[0].as_str(), row.raters[1].as_str()];
            raters == pair || raters == [pair[1], pair[0]]
        }
    })
}

/// Each two of the raters; of two raters the table of agreement says it already.
fn pairs(raters: &[String]) -> Vec<[&str; 2]> {
    let mut pairs = Vec::new();
    if raters.len() > 2 {
        for (index, first) in raters.iter().enumerate() {
            pairs.extend(raters[index + 1..].iter().map(|second| [first.as_str(), second.as_str()]));
        }
    }
    pairs
}

/// A row a pair of raters, a column a statistic.
pub(super) fn table(raters: &[String], agreement: &[Agreement]) -> Table {
    let row = |pair: [&str; 2]| {
        let of = |statistic: &str| of_pair(agreement, pair, statistic);
        let units = of(STATISTICS[0]).map_or(0, |row| row.units);
        let values = STATISTICS
            .map(|statistic| Cell::Interval(of(statistic).map_or([None; 3], |row| [row.value, row.low, row.high])));
        [Cell::text(pair[0]), Cell::text(pair[1]), Cell::Count(units)].into_iter().chain(values).collect()
    };
    Table {
        name: "agreement_pairs".to_owned(),
        title: "Agreement of each two raters".to_owned(),
        caption: "On the answers that both graded, with 95 % intervals from resampled pictures.".to_owned(),
        columns: vec![
            column("rater_a", "Rater", Kind::Text),
            column("rater_b", "and", Kind::Text),
            column("units", "Answers", Kind::Count),
            column("percent", "Equal grades, %", Kind::Share),
            column("cohen_kappa_linear", "\u{3ba}, linear", Kind::Value),
            column("cohen_kappa_quadratic", "\u{3ba}, quadratic", Kind::Value),
        ],
        rows: pairs(raters).into_iter().map(row).collect(),
        is_long: false,
    }
}

/// Above the diagonal κ with quadratic weights, below it the share of equal grades; the darker, the closer.
pub(super) fn figure(raters: &[String], agreement: &[Agreement]) -> Option<Figure> {
    let pairs = pairs(raters);
    if pairs.is_empty() {
        return None;
    }
    let width = ((WIDTH - LEFT - 10.0) / raters.len() as f64).min(WIDEST);
    let mut svg = Svg::new(WIDTH);
    let place = |index: usize| index as f64;
    for (index, rater) in raters.iter().enumerate() {
        let row = TOP + HEIGHT * place(index);
        svg.text([LEFT - 10.0, row + 25.0], Anchor::End, "label", &short(rater));
        // Names above columns have as much room as a column is wide.
        let room = (width / 8.5) as usize;
        let name: String = sanitize::terminal(rater).chars().take(room).collect();
        svg.text([LEFT + width * (place(index) + 0.5), TOP - 12.0], Anchor::Middle, "label", &name);
        svg.rectangle([LEFT + width * place(index), row, width - 2.0, HEIGHT - 2.0], "cell-none", rater);
    }
    let mut said = Vec::new();
    for (a, first) in raters.iter().enumerate() {
        for (b, second) in raters.iter().enumerate().skip(a + 1) {
            for (statistic, name, row, column) in
                [(STATISTICS[2], "\u{3ba}, quadratic", a, b), (STATISTICS[0], "equal grades", b, a)]
            {
                let value = of_pair(agreement, [first, second], statistic).and_then(|row| row.value);
                let (shown, class) = match value {
                    Some(value) if statistic == STATISTICS[0] => {
                        (format!("{} %", number(value, Kind::Share)), format!("cell-{}", shade(value)))
                    }
                    Some(value) => (number(value, Kind::Value), format!("cell-{}", shade(value))),
                    None => ("undefined".to_owned(), "cell-none".to_owned()),
                };
                let words = format!("{} and {}: {name} {shown}", sanitize::terminal(first), sanitize::terminal(second));
                let corner = [LEFT + width * place(column), TOP + HEIGHT * place(row)];
                svg.rectangle([corner[0], corner[1], width - 2.0, HEIGHT - 2.0], &class, &words);
                let on = if class.ends_with(['4', '5']) { "on-a" } else { "on-cell" };
                svg.text([corner[0] + width / 2.0 - 1.0, corner[1] + 24.0], Anchor::Middle, on, &shown);
                said.push(words);
            }
        }
    }
    let caption = "Above the diagonal Cohen's \u{3ba} with quadratic weights, below it the share of equal grades; the darker, the \
                   closer.";
    let named = Named { name: "agreement_pairs", title: "Each two raters", caption };
    let mut figure =
        Figure::new(named, &format!("{}.", said.join("; ")), svg, TOP + HEIGHT * place(raters.len()) + 8.0);
    figure.style = STYLE;
    Some(figure)
}

/// 0 for no agreement beyond chance and less, 5 for nearly all there can be.
fn shade(value: f64) -> u8 {
    (value.clamp(0.0, 0.999) * SHADES) as u8
}
