//! `grades.csv`: its columns, written for spreadsheets and read from what spreadsheets make of it.

use std::path::Path;

use super::Grade;
use crate::error::{Error, Result};
use crate::sanitize;

pub(super) const COLUMNS: [&str; 14] = [
    "sheet",
    "rater",
    "model_id",
    "question_id",
    "item",
    "image",
    "subsets",
    "abilities",
    "grade",
    "note",
    "flagged",
    "seconds",
    "graded_at",
    "answer_sha256",
];

/// A row that is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub sheet: String,
    pub rater: String,
    pub model_id: String,
    pub question_id: u64,
    pub item: String,
    /// Several are joined by `;`.
    pub image: String,
    pub subsets: String,
    pub abilities: String,
    /// None for skipped, and for what is only noted or flagged.
    pub grade: Option<Grade>,
    pub note: String,
    pub flagged: bool,
    pub seconds: Option<f64>,
    /// Empty where there is neither a grade nor a skip.
    pub graded_at: String,
    pub answer_sha256: String,
}

/// A row as it was read: what a column is silent about is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// Where it begins in the file, counted from 1.
    pub line: u64,
    pub sheet: String,
    pub rater: String,
    pub model_id: String,
    pub question_id: u64,
    pub item: Option<String>,
    /// Several are joined by `;`, as are subsets and abilities.
    pub image: Option<String>,
    pub subsets: Option<String>,
    pub abilities: Option<String>,
    /// None for skipped.
    pub grade: Option<Grade>,
    /// Neither graded nor skipped: the row is there for its note or its flag.
    pub is_open: bool,
    pub note: Option<String>,
    pub flagged: Option<bool>,
    pub seconds: f64,
    pub graded_at: Option<String>,
    pub answer_sha256: Option<String>,
}

/// A text that a spreadsheet will not run as a formula. Like [`sanitize::csv_cell`], but [`plain`] gives the very text
/// back: a text that already has the apostrophes gets one more.
fn harmless(text: &str) -> String {
    if is_formula(text.trim_start_matches('\'')) { format!("'{text}") } else { text.to_owned() }
}

/// The text that [`harmless`] was given.
fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text.trim_start_matches('\'')) => text,
        _ => cell,
    }
}

fn is_formula(text: &str) -> bool {
    matches!(sanitize::csv_cell(text), std::borrow::Cow::Owned(_))
}

/// The bytes of `grades.csv`.
pub(super) fn write(rows: &[Written]) -> Result<Vec<u8>> {
    let unable = |source: csv::Error| Error::failed("a row cannot be put into CSV").source(source);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(unable)?;
    for row in rows {
        let texts =
            [&row.sheet, &row.rater, &row.model_id, &row.item, &row.image, &row.note].map(|text| harmless(text));
        let [sheet, rater, model_id, item, image, note] = &texts;
        let record = [
            sheet.as_str(),
            rater,
            model_id,
            &row.question_id.to_string(),
            item,
            image,
            &row.subsets,
            &row.abilities,
            &row.grade.map(|grade| grade.to_string()).unwrap_or_default(),
            note,
            if row.flagged { "true" } else { "false" },
            // As many digits as the journal has: to the millisecond, and sums of such.
            &row.seconds.map(|seconds| (seconds * 1000.0).round() / 1000.0).map(|s| s.to_string()).unwrap_or_default(),
            &row.graded_at,
            &row.answer_sha256,
        ];
        writer.write_record(record).map_err(unable)?;
    }
    writer.into_inner().map_err(|source| Error::failed("the table cannot be written").source(source.into_error()))
}

/// Reads a table whose columns may come in any order; `model_id`, `question_id` and `grade` must be there, and `rater`
/// where none is given. A row that makes no sense comes back as its line and the reason.
///
/// # Errors
/// Where the file is no such table.
pub fn read(bytes: &[u8], path: &Path, rater: Option<&str>) -> Result<Vec<Result<Read, (u64, String)>>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).delimiter(delimiter(bytes)).has_headers(true).from_reader(bytes);
    let headers = reader.headers().map_err(|source| {
        Error::input(format!("is no table of grades: {source}")).at_line(path, 1).remedy("save it as CSV, in UTF-8")
    })?;
    let names: Vec<String> = headers.iter().map(|name| name.trim().to_lowercase()).collect();
    let column = |name: &str| names.iter().position(|other| other == name);
    let mut needed = vec!["model_id", "question_id", "grade"];
    if rater.is_none() {
        needed.push("rater");
    }
    let lacking: Vec<&str> = needed.into_iter().filter(|name| column(name).is_none()).collect();
    if !lacking.is_empty() {
        let remedy = match lacking.as_slice() {
            ["rater"] => "add the column that says who graded (an import may say it with --rater NAME instead)",
            _ => "the first line names the columns, as in what `owleval grade --export` writes",
        };
        return Err(Error::input(format!("the table has no column {}", lacking.join(", ")))
            .at_line(path, 1)
            .remedy(remedy));
    }
    let breaks: Vec<usize> = (0..bytes.len()).filter(|index| bytes[*index] == b'\n').collect();
    // The line in which a record begins. What the reader counts is one less after a line break of two characters, whose
    // second one it takes for the beginning of the next record.
    let line_of = |position: Option<&csv::Position>| {
        let begin = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        let blank = bytes.iter().skip(begin).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        breaks.partition_point(|index| *index < begin + blank) as u64 + 1
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(match record {
            Ok(record) => {
                let line = line_of(record.position());
                let cell = |name: &str| column(name).and_then(|index| record.get(index)).map(plain);
                row(cell, rater).map(|row| Read { line, ..row }).map_err(|why| (line, why))
            }
            Err(error) => Err((line_of(error.position()), format!("it cannot be read: {error}"))),
        });
    }
    Ok(rows)
}

/// Spreadsheets of some countries write semicolons, or tabs, where others write commas.
fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|delimiter| (count(*delimiter), *delimiter == b',')).unwrap_or(b',')
}

fn row<'a>(cell: impl Fn(&str) -> Option<&'a str>, rater: Option<&str>) -> Result<Read, String> {
    let trimmed = |name: &str| cell(name).unwrap_or_default().trim();
    let some = |name: &str| Some(trimmed(name)).filter(|text| !text.is_empty());
    let id = trimmed("question_id");
    let question_id =
        id.strip_suffix(".0").unwrap_or(id).parse().map_err(|_| format!("question_id {id:?} is no number"))?;
    let grade = match some("grade") {
        None => None,
        Some(text) => Some(text.parse::<Grade>().map_err(|error| error.message().to_owned())?),
    };
    let flagged = match some("flagged").map(str::to_lowercase).as_deref() {
        None => column_or_none(cell("flagged")),
        Some("true" | "yes" | "1") => Some(true),
        Some("false" | "no" | "0") => Some(false),
        Some(other) => return Err(format!("flagged is {other:?}, neither true nor false")),
    };
    let seconds = match some("seconds") {
        None => 0.0,
        Some(text) => match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => seconds,
            _ => return Err(format!("seconds is {text:?}, no number of seconds")),
        },
    };
    let graded_at = match some("graded_at") {
        None => None,
        Some(text) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => Some(time.to_string()),
            Err(_) => return Err(format!("graded_at is {text:?}, no time like 2026-01-31T12:00:00Z")),
        },
    };
    let note = cell("note").map(str::to_owned);
    // A skip has a time where there is a column for it; without the column, no grade is a skip.
    let is_untimed = cell("graded_at").is_some() && graded_at.is_none();
    let is_remark = flagged == Some(true) || note.as_ref().is_some_and(|note| !note.is_empty());
    Ok(Read {
        line: 0,
        sheet: trimmed("sheet").to_owned(),
        rater: some("rater").or(rater).unwrap_or_default().to_owned(),
        model_id: trimmed("model_id").to_owned(),
        question_id,
        item: some("item").map(str::to_owned),
        image: some("image").map(str::to_owned),
        subsets: some("subsets").map(str::to_owned),
        abilities: some("abilities").map(str::to_owned),
        grade,
        is_open: grade.is_none() && is_untimed && is_remark,
        note,
        flagged,
        seconds,
        graded_at,
        answer_sha256: some("answer_sha256").map(str::to_lowercase),
    })
}

/// An empty cell of a column that is there means false.
fn column_or_none(cell: Option<&str>) -> Option<bool> {
    cell.map(|_| false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_harmless_in_a_cell_and_comes_back(text in prop_oneof![
            any::<String>(), "['=+@\\- \t\u{200b}a]{0,8}",
        ]) {
            let cell = harmless(&text);
            prop_assert!(!is_formula(&cell), "{:?}", cell);
            prop_assert_eq!(plain(&cell), text.as_str());
        }
    }

    fn rows(text: &str, rater: Option<&str>) -> Vec<Result<Read, (u64, String)>> {
        read(text.as_bytes(), Path::new("g.csv"), rater).unwrap()
    }

    #[test]
    fn columns_may_come_in_any_order_and_with_other_separators() {
        let expected = Read {
            line: 2,
            rater: "anna".to_owned(),
            model_id: "m".to_owned(),
            question_id: 7,
            grade: Some(Grade::B),
            ..Read::default()
        };
        for text in [
            "rater,model_id,question_id,grade\nanna,m,7,B\n",
            "Grade;question_id;MODEL_ID;rater\r\nb;7;m;anna\r\n",
            "\u{feff}grade\tquestion_id\tmodel_id\trater\nB\t7.0\tm\tanna",
        ] {
            assert_eq!(rows(text, None), [Ok(expected.clone())]);
        }
        assert_eq!(rows("model_id,question_id,grade\nm,7,B\n", Some("anna")), [Ok(expected)]);
    }

    #[test]
    fn a_row_that_makes_no_sense_says_why_and_the_others_are_read() {
        let text = "rater,model_id,question_id,grade,seconds,graded_at,flagged\n\
                    a,m,one,A,,,\na,m,1,E,,,\na,m,1,A,-1,,\na,m,1,A,,yesterday,\na,m,1,A,,,perhaps\na,m,1,,2.5,,TRUE\n";
        let rows = rows(text, None);
        for (row, why) in rows.iter().zip(["no number", "no grade", "no number of seconds", "no time", "neither"]) {
            assert!(row.as_ref().is_err_and(|(_, message)| message.contains(why)), "{row:?}");
        }
        let last = rows[5].as_ref().unwrap();
        assert_eq!((last.line, last.grade, last.seconds, last.flagged), (7, None, 2.5, Some(true)));
    }

    #[test]
    fn no_grade_is_a_skip_unless_the_time_of_one_is_missing_and_something_is_noted() {
        let is_open = |columns: &str, cells: &str| {
            let table = format!("rater,model_id,question_id,grade{columns}\na,m,1,{cells}\n");
            rows(&table, None)[0].as_ref().unwrap().is_open
        };
        assert!(is_open(",note,graded_at", ",dark,"));
        assert!(is_open(",flagged,graded_at", ",true,"));
        for (columns, cells) in [
            ("", ""),
            (",graded_at", ","),
            (",note", ",dark"),
            (",note,graded_at", ",,"),
            (",note,graded_at", ",dark,2026-01-01T00:00:00Z"),
            (",note,graded_at", "A,dark,"),
        ] {
            assert!(!is_open(columns, cells), "{columns} {cells}");
        }
    }

    #[test]
    fn a_table_without_its_columns_is_refused_with_their_names() {
        let error = read(b"model_id,question_id\nm,1\n", Path::new("g.csv"), None).unwrap_err();
        assert!(error.to_string().contains("g.csv:1: the table has no column grade, rater"), "{error}");
        let error = read(b"model_id,question_id,grade\nm,1,A\n", Path::new("g.csv"), None).unwrap_err();
        assert!(error.remedy_text().unwrap().contains("--rater"), "{error}");
    }
}
