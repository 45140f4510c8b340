//! The wording of the grades: a TOML file that a study can replace.

use std::path::Path;

use serde::Deserialize;

use super::{Grade, Rubric};
use crate::error::{Error, IoContext as _, Result};

/// The rubric that comes with the program.
pub(super) const DEFAULT: &str = include_str!("rubric.toml");

#[derive(Deserialize)]
struct Written {
    title: String,
    #[serde(default)]
    text: String,
    #[serde(rename = "A")]
    a: Wording,
    #[serde(rename = "B")]
    b: Wording,
    #[serde(rename = "C")]
    c: Wording,
    #[serde(rename = "D")]
    d: Wording,
}

#[derive(Deserialize)]
struct Wording {
    short: String,
    full: String,
}

impl Rubric {
    /// Reads a rubric: `title`, `text` and a table `[A]` to `[D]` with `short` and `full` each.
    ///
    /// # Errors
    /// Where the file cannot be read or lacks one of these; names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).or_at("cannot read the rubric", path)?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let written: Written = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
            Error::input(format!("is no rubric: {}", error.message()))
                .at_line(path, line)
                .remedy("a rubric has title, text, and tables [A], [B], [C], [D] with short and full")
        })?;
        let Written { title, text, a, b, c, d } = written;
        let row = |grade, wording: Wording| (grade, wording.short.trim().to_owned(), wording.full.trim().to_owned());
        let grades = [row(Grade::A, a), row(Grade::B, b), row(Grade::C, c), row(Grade::D, d)];
        Ok(Self { title: title.trim().to_owned(), grades, text: text.trim().to_owned() })
    }
}

/// The rubric that comes with the program: the scale of OwlEval's authors, in our own words.
impl Default for Rubric {
    fn default() -> Self {
        // A test reads the file that is embedded here; without a rubric there is nothing to grade by.
        Self::parse(DEFAULT, Path::new("rubric.toml")).unwrap_or_else(|_| Self {
            title: String::new(),
            grades: Grade::ALL.map(|grade| (grade, String::new(), String::new())),
            text: String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_rubric_words_all_four_grades() {
        let rubric = Rubric::default();
        assert_eq!(rubric.grades.each_ref().map(|(grade, _, _)| *grade), Grade::ALL);
        assert!(rubric.grades.iter().all(|(_, short, full)| !short.is_empty() && full.len() > 40));
        // The short forms stand in one line of a terminal of 80 columns.
        assert!(rubric.grades.iter().all(|(_, short, _)| short.len() <= 40));
        assert!(rubric.text.contains("\n\n") && !rubric.title.is_empty());
    }

    #[test]
    fn a_rubric_without_a_grade_is_refused_by_file_and_line() {
        let error = Rubric::parse("title = \"t\"\n[A]\nshort = \"s\"\nfull = 1\n", Path::new("mine.toml")).unwrap_err();
        assert!(error.to_string().starts_with("mine.toml:4: is no rubric"), "{error}");
        let error = Rubric::parse("title = \"t\"\n[A]\nshort=\"s\"\nfull=\"f\"\n", Path::new("mine.toml")).unwrap_err();
        assert!(error.to_string().contains("`B`") && error.remedy_text().is_some(), "{error}");
    }
}
