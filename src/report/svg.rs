//! A picture in SVG: rectangles, lines, dots and text, with the colours in a style sheet.

use std::fmt::Write as _;

/// The colours of all figures, by class, for light and dark.
pub(super) const STYLE: &str = include_str!("../../templates/report/figure.css");

/// A picture that grows downwards.
#[derive(Debug, Clone)]
pub(super) struct Svg {
    width: f64,
    body: String,
}

/// On which side of its point a text stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn new(width: f64) -> Self {
        Self { width, body: String::new() }
    }

    pub fn rectangle(&mut self, [x, y, width, height]: [f64; 4], class: &str, hint: &str) {
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
            digits(x),
            digits(y),
            digits(width),
            digits(height),
            escaped(hint)
        );
    }

    pub fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], class: &str) {
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            digits(x1),
            digits(y1),
            digits(x2),
            digits(y2)
        );
    }

    pub fn dot(&mut self, [x, y]: [f64; 2], class: &str, hint: &str) {
        let _ = writeln!(
            self.body,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"5\"><title>{}</title></circle>",
            digits(x),
            digits(y),
            escaped(hint)
        );
    }

    /// A line through points.
    pub fn path(&mut self, points: &[[f64; 2]], class: &str, hint: &str) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", digits(*x), digits(*y))).collect();
        let _ = writeln!(
            self.body,
            "<polyline class=\"{class}\" points=\"{}\"><title>{}</title></polyline>",
            points.join(" "),
            escaped(hint)
        );
    }

    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            digits(x),
            digits(y),
            escaped(text)
        );
    }

    /// The element, for a page that has [`STYLE`]; `name` makes its ids unique.
    pub fn inline(&self, name: &str, title: &str, description: &str, height: f64) -> String {
        self.element(name, title, description, height, "")
    }

    /// A file of its own, with [`STYLE`] and what else its figure needs.
    pub fn standalone(&self, name: &str, title: &str, description: &str, height: f64, more: &str) -> String {
        let style = format!("<style>\n{STYLE}{more}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n");
        let element = self.element(name, title, description, height, &style);
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{element}\n")
    }

    fn element(&self, name: &str, title: &str, description: &str, height: f64, style: &str) -> String {
        let (width, height) = (digits(self.width), digits(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} \
             {height}\" role=\"img\" aria-labelledby=\"{name}-title {name}-description\">\n<title \
             id=\"{name}-title\">{}</title>\n<desc id=\"{name}-description\">{}</desc>\n{style}{}</svg>",
            escaped(title),
            escaped(description),
            self.body
        )
    }
}

/// At most two digits after the point: the same text on every machine, and no finer than an eye.
fn digits(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text of XML and HTML, outside and inside of attributes. XML has no way to write most controls: they become spaces.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ if character.is_control() => out.push(' '),
            _ => out.push(character),
        }
    }
    out
}
