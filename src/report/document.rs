//! What a report shows, in order. Exporters print it and know nothing of where it comes from, so that whoever has tables
//! and figures of something else can have a page of them too.

use std::collections::BTreeMap;

use super::figure::Figure;
use super::gallery::Gallery;
use super::table::Table;
use super::{html, latex, markdown};
use crate::error::Result;

/// A report as a reader meets it.
#[derive(Debug, Clone)]
pub struct Document {
    pub title: String,
    /// Paragraphs that it begins with.
    pub notes: Vec<String>,
    /// What it is about, in one line.
    pub summary: String,
    pub sections: Vec<Section>,
}

/// A part of a report. Names are unique among the parts of a kind.
#[derive(Debug, Clone)]
pub enum Section {
    Text(Text),
    Figure(Figure),
    Table(Table),
    /// In the page alone.
    Gallery(Gallery),
}

/// Paragraphs under a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub name: String,
    pub title: String,
    pub paragraphs: Vec<String>,
}

impl Document {
    /// Its files by their paths from the folder, with slashes: `index.html`, `report.md`, `tables/*.csv`, of tables that are
    /// not long also `tables/*.tex`, `figures/*.svg`. A function of the document alone.
    ///
    /// # Errors
    /// Where the page cannot be made.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::from([
            ("report.md".to_owned(), markdown::report(self).into_bytes()),
            ("index.html".to_owned(), html::page(self)?.into_bytes()),
        ]);
        for table in self.tables() {
            files.insert(format!("tables/{}.csv", table.name), table.csv().into_bytes());
            if !table.is_long {
                files.insert(format!("tables/{}.tex", table.name), latex::table(table).into_bytes());
            }
        }
        for figure in self.figures() {
            files.insert(format!("figures/{}.svg", figure.name), figure.standalone().into_bytes());
        }
        Ok(files)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.sections.iter().filter_map(|section| match section {
            Section::Table(table) => Some(table),
            _ => None,
        })
    }

    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().filter_map(|section| match section {
            Section::Figure(figure) => Some(figure),
            _ => None,
        })
    }
}
