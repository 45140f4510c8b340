//! Curves of a loss over steps of training.

use super::figure::{Figure, Named, short};
use super::svg::{Anchor, Svg};
use super::table::{Kind, number};
use crate::sanitize;

const STYLE: &str = include_str!("../../templates/report/curves.css");

const WIDTH: f64 = 700.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 685.0;
const TOP: f64 = 16.0;
/// A curve has no more points than these; each is the mean of the steps that fall on it.
const POINTS: usize = 200;
/// Colours and dashes in `curves.css`; further curves begin again.
const KINDS: usize = 10;
const LEGEND_COLUMNS: usize = 3;

/// The loss of several trainings by step, on a logarithmic scale, with a legend below. Points without a finite loss above 0
/// are left out; of long curves neighbouring steps are averaged.
pub fn loss_curves(named: Named<'_>, curves: &[(String, Vec<(u64, f64)>)]) -> Figure {
    let curves: Vec<(&str, Vec<(u64, f64)>)> = curves
        .iter()
        .map(|(label, points)| {
            let usable = points.iter().copied().filter(|(_, loss)| loss.is_finite() && *loss > 0.0).collect();
            (label.as_str(), averaged(usable))
        })
        .collect();
    let losses = || curves.iter().flat_map(|(_, points)| points).map(|(_, loss)| *loss);
    let steps = curves.iter().flat_map(|(_, points)| points).map(|(step, _)| *step).max().unwrap_or(1).max(1);
    let (low, high) = (losses().fold(f64::INFINITY, f64::min), losses().fold(0.0, f64::max));
    let (low, high) = if high > 0.0 { range(low, high) } else { (0.1, 10.0) };
    let bottom = TOP + HEIGHT;
    let x = |step: u64| LEFT + (RIGHT - LEFT) * step as f64 / steps as f64;
    let y = |loss: f64| bottom - HEIGHT * (libm::log10(loss / low) / libm::log10(high / low));

    let mut svg = Svg::new(WIDTH);
    for tick in ticks(low, high) {
        svg.line([LEFT, y(tick), RIGHT, y(tick)], "grid");
        svg.text([LEFT - 8.0, y(tick) + 4.0], Anchor::End, "muted", &tick.to_string());
    }
    for part in 0..=4 {
        let step = steps * part / 4;
        let anchor = if part == 4 { Anchor::End } else { Anchor::Middle };
        svg.line([x(step), TOP, x(step), bottom], "grid");
        svg.text([x(step), bottom + 18.0], anchor, "muted", &step.to_string());
    }
    svg.text([(LEFT + RIGHT) / 2.0, bottom + 36.0], Anchor::Middle, "muted", "step");
    let mut said = Vec::new();
    for (index, (label, points)) in curves.iter().enumerate() {
        let class = format!("curve curve-{}", index % KINDS);
        let words = in_words(label, points);
        let drawn: Vec<[f64; 2]> = points.iter().map(|(step, loss)| [x(*step), y(*loss)]).collect();
        svg.path(&drawn, &class, &words);
        let (column, row) = (index % LEGEND_COLUMNS, index / LEGEND_COLUMNS);
        let left = LEFT + (RIGHT - LEFT) / LEGEND_COLUMNS as f64 * column as f64;
        let middle = bottom + 60.0 + 22.0 * row as f64;
        svg.path(&[[left, middle], [left + 32.0, middle]], &class, &words);
        svg.text([left + 40.0, middle + 5.0], Anchor::Start, "label", &short(label));
        said.push(words);
    }
    let rows = curves.len().div_ceil(LEGEND_COLUMNS);
    let mut figure =
        Figure::new(named, &format!("Loss by step. {}", said.join(" ")), svg, bottom + 54.0 + 22.0 * rows as f64);
    figure.style = STYLE;
    figure
}

fn in_words(label: &str, points: &[(u64, f64)]) -> String {
    let label = sanitize::terminal(label);
    match (points.first(), points.last()) {
        (Some((first, from)), Some((last, to))) => format!(
            "{label}: {} at step {first}, {} at step {last}.",
            number(*from, Kind::Value),
            number(*to, Kind::Value)
        ),
        _ => format!("{label}: no loss."),
    }
}

/// Neighbouring points brought together, so that there are at most [`POINTS`].
fn averaged(points: Vec<(u64, f64)>) -> Vec<(u64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |points: &[(u64, f64)]| {
        let sum: f64 = points.iter().map(|(_, loss)| loss).sum();
        (points[points.len() / 2].0, sum / points.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

/// The ends of the scale: the next of 1, 2 and 5 times a power of ten beyond the losses.
fn range(low: f64, high: f64) -> (f64, f64) {
    let nice: Vec<f64> = candidates().collect();
    let below = nice.iter().copied().filter(|value| *value <= low).fold(nice[0], f64::max);
    let above = nice.iter().copied().find(|value| *value > high && *value > below);
    (below, above.unwrap_or(high * 10.0))
}

fn ticks(low: f64, high: f64) -> impl Iterator<Item = f64> {
    candidates().filter(move |value| (low..=high).contains(value))
}

/// 1, 2 and 5 times powers of ten, each the number that its decimal digits name.
fn candidates() -> impl Iterator<Item = f64> {
    (-6..=6).flat_map(|power: i32| {
        let size = f64::from(10_u32.pow(power.unsigned_abs()));
        [1.0, 2.0, 5.0].map(|lead| if power < 0 { lead / size } else { lead * size })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(curves: &[(String, Vec<(u64, f64)>)]) -> Figure {
        loss_curves(Named { name: "loss", title: "Loss", caption: "" }, curves)
    }

    #[test]
    fn a_scale_reaches_to_the_next_round_numbers_and_names_those_between() {
        assert_eq!(range(0.13, 4.2), (0.1, 5.0));
        assert_eq!(ticks(0.1, 5.0).collect::<Vec<_>>(), [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]);
        // Equal losses still have a scale.
        assert_eq!(range(1.0, 1.0), (1.0, 2.0));
    }

    #[test]
    fn long_curves_are_averaged_and_their_ends_told_in_words() {
        let long = (0..1000).map(|step| (step, 8.0 - step as f64 / 200.0)).collect();
        let figure = drawn(&[("owl".to_owned(), long), ("<b>".to_owned(), vec![(0, 2.0), (9, f64::NAN), (10, 0.5)])]);
        // Blocks of five steps: the mean of the first is that of 8.000 to 7.980.
        assert_eq!(
            figure.description,
            "Loss by step. owl: 7.990 at step 2, 3.015 at step 997. <b>: 2.000 at step 0, 0.500 at step 10."
        );
        let text = figure.standalone();
        let first = text.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert_eq!(first.split(' ').count(), POINTS);
        assert!(text.contains(".curve-1 {") && text.contains("&lt;b&gt;") && !text.contains("<b>"), "{text}");
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn nothing_to_draw_is_drawn_as_nothing() {
        for curves in [Vec::new(), vec![("owl".to_owned(), Vec::new())], vec![("owl".to_owned(), vec![(0, 0.0)])]] {
            let text = drawn(&curves).standalone();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
