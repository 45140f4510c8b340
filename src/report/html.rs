//! `index.html`: one file that needs no network and runs no script.

use base64::Engine as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::document::{Document, Section};
use super::figure::Figure;
use super::gallery::{Gallery, TEMPLATE as GALLERY};
use super::svg::STYLE as FIGURE_STYLE;
use super::table::Table;
use crate::error::{Error, Result};
use crate::sanitize;

const PAGE: &str = include_str!("../../templates/report/index.html");
const STYLE: &str = include_str!("../../templates/report/page.css");

/// What the template is given; it escapes all of it but for what is drawn and the style.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    notes: Vec<String>,
    summary: String,
    style: String,
    style_digest: String,
    has_pictures: bool,
    sections: Vec<Part<'a>>,
    version: &'static str,
}

/// A section of the page.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Part<'a> {
    Text { id: String, title: String, paragraphs: Vec<String> },
    Figure { id: String, title: &'a str, caption: &'a str, svg: String },
    Table { id: String, title: &'a str, caption: &'a str, table: Shown<'a> },
    Gallery { id: &'static str, title: &'static str, gallery: &'a Gallery },
}

/// A table as the page shows it; the template escapes all of it.
#[derive(Serialize)]
struct Shown<'a> {
    title: &'a str,
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

/// The page. Its policy forbids everything but its own style, which it names by digest, and pictures that it holds itself.
pub(super) fn page(document: &Document) -> Result<String> {
    let unable = |source: minijinja::Error| Error::failed("the page cannot be made").source(source);
    let style = style(document);
    let style_digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style.as_bytes()));
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unable)?);
    environment.add_template("index.html", PAGE).map_err(unable)?;
    environment.add_template("gallery.html", GALLERY).map_err(unable)?;
    let template = environment.get_template("index.html").map_err(unable)?;
    let page = Page {
        title: sanitize::terminal(&document.title),
        notes: document.notes.iter().map(|note| sanitize::terminal(note)).collect(),
        summary: sanitize::terminal(&document.summary),
        style,
        style_digest,
        has_pictures: document
            .sections
            .iter()
            .any(|section| matches!(section, Section::Gallery(one) if one.has_pictures())),
        sections: document.sections.iter().map(part).collect(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let mut html = template.render(Serde(page)).map_err(unable)?;
    if !html.ends_with('\n') {
        html.push('\n');
    }
    Ok(html)
}

/// The page's own, that of all figures, and what single figures and a gallery need beside it.
fn style(document: &Document) -> String {
    let mut style = format!("{STYLE}{FIGURE_STYLE}");
    let mut more: Vec<&str> = document.figures().map(|figure| figure.style).filter(|style| !style.is_empty()).collect();
    more.sort_unstable();
    more.dedup();
    more.into_iter().for_each(|one| style.push_str(one));
    for section in &document.sections {
        if let Section::Gallery(gallery) = section {
            style.push_str(&gallery.style());
        }
    }
    style
}

fn part(section: &Section) -> Part<'_> {
    match section {
        Section::Text(text) => Part::Text {
            id: format!("text-{}", text.name),
            title: sanitize::terminal(&text.title),
            paragraphs: text.paragraphs.iter().map(|paragraph| sanitize::terminal(paragraph)).collect(),
        },
        Section::Figure(figure) => {
            let Figure { name, title, caption, .. } = figure;
            Part::Figure { id: format!("figure-{name}"), title, caption, svg: figure.inline() }
        }
        Section::Table(table) => {
            let Table { name, title, caption, .. } = table;
            Part::Table { id: format!("table-{name}"), title, caption, table: shown(table) }
        }
        Section::Gallery(gallery) => Part::Gallery { id: "gallery", title: "Gallery", gallery },
    }
}

fn shown(table: &Table) -> Shown<'_> {
    let is_grouped = table.columns.first().is_some_and(|column| column.key == "subset");
    let mut before: Option<String> = None;
    let rows = table.rows.iter().map(|row| {
        let cells: Vec<String> = row.iter().zip(&table.columns).map(|(cell, column)| cell.shown(column.kind)).collect();
        let begins = is_grouped && before.is_some() && before.as_ref() != cells.first();
        before = cells.first().cloned();
        Row { begins, cells }
    });
    let rows = rows.collect();
    let columns = table.columns.iter();
    let columns = columns.map(|column| Heading { title: &column.title, is_number: column.kind.is_number() }).collect();
    Shown { title: &table.title, is_long: table.is_long, columns, rows }
}
