//! `report.md`.

use super::document::{Document, Section};
use super::table::{Cell, Table};
use crate::sanitize;

/// The whole report but for its long tables and its gallery.
pub(super) fn report(document: &Document) -> String {
    let mut blocks = vec![format!("# {}", line(&document.title))];
    blocks.extend(document.notes.iter().map(|note| line(note)));
    for section in &document.sections {
        match section {
            Section::Text(text) => {
                blocks.push(format!("## {}", line(&text.title)));
                blocks.extend(text.paragraphs.iter().map(|paragraph| line(paragraph)));
            }
            Section::Figure(figure) => {
                blocks.push(format!("![{}](figures/{}.svg)", escaped(&figure.title), figure.name));
            }
            Section::Table(table) if !table.is_long => {
                blocks.push(format!("## {}", escaped(&table.title)));
                blocks.push(escaped(&table.caption));
                blocks.push(rows(table));
            }
            Section::Table(_) | Section::Gallery(_) => {}
        }
    }
    for table in document.tables().filter(|table| table.is_long) {
        blocks.push(format!("{}: [tables/{name}.csv](tables/{name}.csv)", escaped(&table.title), name = table.name));
    }
    blocks.join("\n\n") + "\n"
}

fn line(text: &str) -> String {
    escaped(&sanitize::terminal(text))
}

fn rows(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let titles = table.columns.iter().map(|column| escaped(&column.title)).collect();
    let rule = table.columns.iter().map(|column| if column.kind.is_number() { "---:" } else { "---" }.to_owned());
    let mut lines = vec![line(titles), line(rule.collect())];
    for row in &table.rows {
        let cells = row.iter().zip(&table.columns).map(|(cell, column)| match cell {
            Cell::Text(_) | Cell::Named { .. } => escaped(&cell.shown(column.kind)),
            _ => cell.shown(column.kind),
        });
        lines.push(line(cells.collect()));
    }
    lines.join("\n")
}

/// One line of text that Markdown, and the HTML within it, take for nothing but text.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' | '\r' => out.push(' '),
            // What begins a link, an emphasis, code, a cell, a footnote or a formula.
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(character);
            }
            // An address is a link without any mark.
            ':' if out.ends_with("http") || out.ends_with("https") => out.push_str("&#58;"),
            '@' => out.push_str("&#64;"),
            _ => out.push(character),
        }
    }
    out
}
