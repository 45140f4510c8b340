//! Tables as data; how a format writes them is the format's matter.

use crate::sanitize;

/// A table of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The file's name without its ending, unique among the tables of a report.
    pub name: String,
    pub title: String,
    /// What a reader has to know to read it.
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// For looking things up: only in CSV, and folded in HTML.
    pub is_long: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// In CSV.
    pub key: String,
    /// For people.
    pub title: String,
    pub kind: Kind,
}

/// A column by its key in CSV and its title for people.
pub fn column(key: &str, title: &str, kind: Kind) -> Column {
    Column { key: key.to_owned(), title: title.to_owned(), kind }
}

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Count,
    /// A share between 0 and 1; people read it in per cent.
    Share,
    /// A difference of shares; people read it in points, with a sign.
    Difference,
    /// A coefficient.
    Value,
    PValue,
    /// Seconds, a rate of them; people read about three digits, and a dash where it is not known.
    Amount,
}

impl Kind {
    pub fn is_number(self) -> bool {
        self != Self::Text
    }

    /// Whether a cell has an interval: three columns in CSV.
    pub fn has_interval(self) -> bool {
        matches!(self, Self::Share | Self::Difference | Self::Value)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(String),
    /// What programs call it, and what people do.
    Named {
        key: String,
        name: String,
    },
    Count(usize),
    /// Point, low, high; without a point it is undefined.
    Interval([Option<f64>; 3]),
    Number(Option<f64>),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn named(key: &str, name: &str) -> Self {
        Self::Named { key: key.to_owned(), name: name.to_owned() }
    }

    /// The cell as people read it; text is one line without anything hidden, not yet escaped for a format.
    pub fn shown(&self, kind: Kind) -> String {
        match self {
            Self::Text(text) | Self::Named { name: text, .. } => sanitize::terminal(text),
            Self::Count(count) => count.to_string(),
            Self::Interval([Some(point), Some(low), Some(high)]) => {
                format!("{} [{}, {}]", number(*point, kind), number(*low, kind), number(*high, kind))
            }
            Self::Interval([Some(point), ..]) | Self::Number(Some(point)) => number(*point, kind),
            Self::Number(None) if matches!(kind, Kind::Amount | Kind::Count) => "\u{2013}".to_owned(),
            Self::Interval(_) | Self::Number(None) => "undefined".to_owned(),
        }
    }
}

/// A number with as many digits as people need.
pub(super) fn number(value: f64, kind: Kind) -> String {
    let text = match kind {
        Kind::Share => format!("{:.1}", 100.0 * value),
        Kind::Difference => format!("{:+.1}", 100.0 * value),
        Kind::PValue if value < 0.001 => return "< 0.001".to_owned(),
        Kind::PValue | Kind::Value => format!("{value:.3}"),
        Kind::Amount if value.abs() >= 100.0 => format!("{value:.0}"),
        Kind::Amount if value.abs() >= 10.0 => format!("{value:.1}"),
        Kind::Amount => format!("{value:.2}"),
        Kind::Text | Kind::Count => value.to_string(),
    };
    // A rounded −0 is 0, and a minus is a minus.
    let is_zero = !text.contains(|digit: char| ('1'..='9').contains(&digit));
    if is_zero { text.trim_start_matches(['-', '+']).to_owned() } else { text.replace('-', "\u{2212}") }
}

impl Table {
    /// The bytes of the CSV file: every digit, shares as shares, an interval as three columns.
    pub fn csv(&self) -> String {
        let mut lines = Vec::new();
        let mut header = Vec::new();
        for column in &self.columns {
            header.push(column.key.clone());
            if column.kind.has_interval() {
                header.extend([format!("{}_low", column.key), format!("{}_high", column.key)]);
            }
        }
        lines.push(header.join(","));
        for row in &self.rows {
            let mut cells = Vec::new();
            for cell in row {
                match cell {
                    Cell::Text(text) | Cell::Named { key: text, .. } => cells.push(quoted(&sanitize::csv_cell(text))),
                    Cell::Count(count) => cells.push(count.to_string()),
                    Cell::Interval(values) => cells.extend(values.iter().copied().map(digits)),
                    Cell::Number(value) => cells.push(digits(*value)),
                }
            }
            lines.push(cells.join(","));
        }
        lines.join("\n") + "\n"
    }
}

/// Every digit of a number; what is next to nothing as 1e-7, not as a row of zeros; an empty cell for none.
fn digits(value: Option<f64>) -> String {
    match value {
        Some(value) if value != 0.0 && value.abs() < 1e-4 => format!("{value:e}"),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}
