//! `index.html`: one file that needs no network and runs no script.

use base64::Engine as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Report;
use super::figures::Figure;
use super::svg::STYLE as FIGURE_STYLE;
use super::table::Table;
use crate::error::{Error, Result};
use crate::sanitize;

const PAGE: &str = include_str!("../../templates/report/index.html");
const STYLE: &str = include_str!("../../templates/report/page.css");

/// What the template is given.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    notes: Vec<String>,
    summary: String,
    style: String,
    style_digest: String,
    figures: Vec<Drawn<'a>>,
    tables: Vec<Shown<'a>>,
    version: &'a str,
}

/// A table as the page shows it; the template escapes all of it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    title: &'a str,
    caption: &'a str,
    is_long: bool,
    columns: Vec<Heading<'a>>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Heading<'a> {
    title: &'a str,
    is_number: bool,
}

#[derive(Serialize)]
struct Row {
    /// Whether a group of rows begins.
    begins: bool,
    cells: Vec<String>,
}

#[derive(Serialize)]
struct Drawn<'a> {
    name: &'a str,
    title: &'a str,
    caption: &'a str,
    svg: String,
}

/// The page. Its policy forbids everything but its own style, which it names by digest.
pub(super) fn page<'a>(report: &'a Report, tables: &'a [Table], figures: &'a [Figure]) -> Result<String> {
    let unable = |source: minijinja::Error| Error::failed("the page cannot be made").source(source);
    let style = format!("{STYLE}{FIGURE_STYLE}");
    let style_digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style.as_bytes()));
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unable)?);
    environment.add_template("index.html", PAGE).map_err(unable)?;
    let template = environment.get_template("index.html").map_err(unable)?;
    let drawn = |figure: &'a Figure| Drawn {
        name: figure.name,
        title: figure.title,
        caption: figure.caption,
        svg: figure.inline(),
    };
    let page = Page {
        title: sanitize::terminal(&report.title),
        notes: report.options.notes.iter().map(|note| sanitize::terminal(note)).collect(),
        summary: summary(report),
        style,
        style_digest,
        figures: figures.iter().map(drawn).collect(),
        tables: tables.iter().map(shown).collect(),
        version: &report.software.version,
    };
    let mut html = template.render(Serde(page)).map_err(unable)?;
    if !html.ends_with('\n') {
        html.push('\n');
    }
    Ok(html)
}

/// What the report is about, in one line.
fn summary(report: &Report) -> String {
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let questions = report.subsets.first().map_or(0, |row| row.questions);
    let grades = report.grades.iter().map(|answer| answer.grades.len()).sum();
    format!(
        "{}, {}, {}, {}",
        count(report.models.len(), "model", "models"),
        count(questions, "question", "questions"),
        count(report.raters.len(), "rater", "raters"),
        count(grades, "grade", "grades"),
    )
}

fn shown<'a>(table: &'a Table) -> Shown<'a> {
    let is_grouped = table.columns.first().is_some_and(|column| column.key == "subset");
    let mut before: Option<String> = None;
    let rows = table.rows.iter().map(|row| {
        let cells: Vec<String> = row.iter().zip(&table.columns).map(|(cell, column)| cell.shown(column.kind)).collect();
        let begins = is_grouped && before.is_some() && before.as_ref() != cells.first();
        before = cells.first().cloned();
        Row { begins, cells }
    });
    let rows = rows.collect();
    let heading =
        |column: &'a super::table::Column| Heading { title: column.title, is_number: column.kind.is_number() };
    Shown {
        name: table.name,
        title: &table.title,
        caption: &table.caption,
        is_long: table.is_long,
        columns: table.columns.iter().map(heading).collect(),
        rows,
    }
}
