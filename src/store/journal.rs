//! An append-only file of JSON objects, one a line, that survives being killed anywhere.
//!
//! A row is written with one call and synced before [`Journal::append`] returns. A process killed in between leaves
//! at most one torn line, the last one; [`Journal::open`] drops it. A broken line before the last cannot come from a
//! kill, so it is an error that names the line: nothing is ever dropped silently from the middle.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::atomic;
use crate::error::{Error, IoContext as _, Result};

/// A journal that this process alone may write to, for as long as the value lives.
#[derive(Debug)]
pub struct Journal<Row> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Set when a failed append could not be undone: writing on would glue two rows together.
    broken: bool,
    row: PhantomData<fn(&Row) -> Row>,
}

/// What [`Journal::open`] found.
#[derive(Debug)]
pub struct Opened<Row> {
    pub journal: Journal<Row>,
    pub rows: Vec<Row>,
    /// The bytes of the whole lines that the rows were read from.
    pub bytes: Vec<u8>,
    /// Says what was repaired, in words for the user.
    pub warning: Option<String>,
}

/// What stands in a journal that is only read.
#[derive(Debug)]
pub struct Contents<Row> {
    pub rows: Vec<Row>,
    /// The bytes of the whole lines that the rows were read from.
    pub bytes: Vec<u8>,
    /// Tells of a torn last line, which is left out.
    pub warning: Option<String>,
}

impl<Row: Serialize + DeserializeOwned> Journal<Row> {
    /// Opens a journal for appending, creating it where there is none, locks it and repairs its end.
    ///
    /// # Errors
    /// Where another process holds the journal, the file cannot be read or written, or a line other than the last
    /// is no such row.
    pub fn open(path: &Path) -> Result<Opened<Row>> {
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).or_at("cannot open", path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::input("another owleval is writing here")
                    .at(path)
                    .remedy("wait for it to end, or choose another folder"));
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::failed(format!("cannot lock the file: {source}"))
                    .at(path)
                    .remedy("choose a folder on a file system that knows locks, with --out"));
            }
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).or_at("cannot read", path)?;
        let Parsed { rows, whole, end } = parse(&bytes, path)?;
        let mut journal = Self { path: path.to_owned(), file, length: whole as u64, broken: false, row: PhantomData };
        let warning = end.warning(path, bytes.len() - whole);
        match end {
            End::Clean => {}
            End::Unterminated => journal.write(b"\n")?,
            End::Torn { .. } => {
                journal.file.set_len(journal.length).or_at("cannot drop the torn last line", path)?;
                journal.file.sync_data().or_at("cannot drop the torn last line", path)?;
            }
        }
        if is_new {
            atomic::sync_folder(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        }
        bytes.truncate(whole);
        Ok(Opened { journal, rows, bytes, warning })
    }

    /// Appends rows, each a whole line, and returns once they are on disk. One write and one sync for all of them.
    ///
    /// # Errors
    /// Where the disk is full or fails. What had been written of the rows is taken back, so that the journal ends
    /// with a whole line and can be appended to again.
    pub fn append(&mut self, rows: &[Row]) -> Result<()> {
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)
                .map_err(|source| Error::failed("a row cannot be put into JSON").at(&self.path).source(source))?;
            lines.push(b'\n');
        }
        if lines.is_empty() { Ok(()) } else { self.write(&lines) }
    }

    fn write(&mut self, lines: &[u8]) -> Result<()> {
        if self.broken {
            return Err(Error::failed("an earlier write failed half-way, so nothing more is written")
                .at(&self.path)
                .remedy("make room on the disk and run the same command again: it carries on"));
        }
        // `write_all` calls write(2) once, except where the system takes less than it was given.
        if let Err(source) = self.file.write_all(lines) {
            self.broken = self.file.set_len(self.length).is_err();
            return Err(self.cannot_append(source));
        }
        if let Err(source) = self.file.sync_data() {
            // What a failed sync left on the disk is unknown, and a second sync may claim success.
            self.broken = true;
            return Err(self.cannot_append(source));
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    fn cannot_append(&self, source: std::io::Error) -> Error {
        Error::failed(format!("cannot append: {source}"))
            .at(&self.path)
            .remedy("make room on the disk and run the same command again: it carries on")
            .source(source)
    }
}

/// The rows of a journal that is only read: without a lock, and without repairing the file.
///
/// # Errors
/// Where the file cannot be read, or a line other than the last is no such row. A torn last line is left out and
/// told of in the second value.
pub fn read<Row: DeserializeOwned>(path: &Path) -> Result<(Vec<Row>, Option<String>)> {
    let Contents { rows, warning, .. } = contents(path)?;
    Ok((rows, warning))
}

/// Like [`read`], with the bytes of the lines, for whoever checks digests of them.
pub fn contents<Row: DeserializeOwned>(path: &Path) -> Result<Contents<Row>> {
    let mut bytes = std::fs::read(path).or_at("cannot read", path)?;
    let Parsed { rows, whole, end } = parse(&bytes, path)?;
    let warning = end.warning(path, bytes.len() - whole);
    bytes.truncate(whole);
    Ok(Contents { rows, bytes, warning })
}

struct Parsed<Row> {
    rows: Vec<Row>,
    /// Bytes up to the end of the last whole row.
    whole: usize,
    end: End,
}

/// How a journal ends.
enum End {
    Clean,
    /// The last row is whole, only its newline is missing.
    Unterminated,
    /// The last line (counted from 1) is no whole JSON value.
    Torn {
        line: usize,
    },
}

impl End {
    fn warning(&self, path: &Path, bytes: usize) -> Option<String> {
        match self {
            Self::Torn { line } => Some(format!(
                "{}:{line}: the last line is torn ({bytes} bytes of a row that was being written); it is dropped",
                path.display()
            )),
            Self::Clean | Self::Unterminated => None,
        }
    }
}

fn parse<Row: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<Parsed<Row>> {
    let mut rows = Vec::new();
    let mut start = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let end = start + line.len();
        if line.iter().all(u8::is_ascii_whitespace) && line.ends_with(b"\n") {
            start = end;
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(row) => rows.push(row),
            Err(source) => {
                // No proper prefix of a JSON object is JSON, so that a torn line always fails here, and a whole row
                // of another kind never does.
                let is_torn = serde_json::from_slice::<IgnoredAny>(line).is_err();
                let is_last = bytes[end..].iter().all(u8::is_ascii_whitespace);
                if is_torn && is_last {
                    return Ok(Parsed { rows, whole: start, end: End::Torn { line: index + 1 } });
                }
                return Err(Error::input(format!("not a row of this file: {source}"))
                    .at_line(path, index + 1)
                    .remedy("mend or remove the line by hand; nothing was changed")
                    .source(source));
            }
        }
        start = end;
    }
    let end = if bytes.is_empty() || bytes.ends_with(b"\n") { End::Clean } else { End::Unterminated };
    Ok(Parsed { rows, whole: start, end })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::store::quick_folder;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Row {
        id: u64,
        text: String,
    }

    fn row(id: u64, text: &str) -> Row {
        Row { id, text: text.to_owned() }
    }

    fn open(path: &Path) -> Opened<Row> {
        Journal::open(path).unwrap()
    }

    #[test]
    fn rows_come_back_in_the_order_they_were_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let mut journal = open(&path).journal;
        journal.append(&[row(1, "a\nb"), row(2, "é")]).unwrap();
        journal.append(&[row(3, "")]).unwrap();
        drop(journal);
        let opened = open(&path);
        assert_eq!(opened.rows, [row(1, "a\nb"), row(2, "é"), row(3, "")]);
        assert_eq!(opened.warning, None);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn a_journal_cut_at_any_byte_reopens_as_a_prefix_and_can_be_appended_to(
            texts in prop::collection::vec(any::<String>(), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let folder = quick_folder();
            let path = folder.path().join("rows.jsonl");
            let rows: Vec<Row> = texts.iter().enumerate().map(|(id, text)| row(id as u64, text)).collect();
            open(&path).journal.append(&rows).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let cut = cut.index(bytes.len() + 1);
            std::fs::write(&path, &bytes[..cut]).unwrap();
            // A row whose newline alone is missing is whole.
            let whole = rows.iter().scan(0, |end, row| {
                *end += serde_json::to_vec(row).unwrap().len() + 1;
                Some(*end)
            }).filter(|end| end - 1 <= cut).count();

            let mut opened = open(&path);
            prop_assert_eq!(&opened.rows, &rows[..whole]);
            opened.journal.append(&[row(99, "after")]).unwrap();
            drop(opened);

            let (read_back, warning) = read::<Row>(&path).unwrap();
            prop_assert_eq!(&read_back[..whole], &rows[..whole]);
            prop_assert_eq!(&read_back[whole..], &[row(99, "after")]);
            prop_assert_eq!(warning, None);
        }
    }

    #[test]
    fn a_torn_last_line_is_dropped_with_a_warning_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, "{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"te").unwrap();
        let opened = open(&path);
        assert_eq!(opened.rows, [row(1, "a")]);
        let warning = opened.warning.unwrap();
        assert!(warning.contains("rows.jsonl:2") && warning.contains("torn"), "{warning}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"id\":1,\"text\":\"a\"}\n");
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_by_line_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        for middle in ["{\"id\":2,\"te", "{\"id\":\"two\",\"text\":\"b\"}", "\u{0}\u{0}"] {
            let before = format!("{{\"id\":1,\"text\":\"a\"}}\n{middle}\n{{\"id\":3,\"text\":\"c\"}}\n");
            std::fs::write(&path, &before).unwrap();
            let error = Journal::<Row>::open(&path).unwrap_err();
            assert!(error.to_string().contains("rows.jsonl:2"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        }
    }

    #[test]
    fn a_whole_row_of_another_kind_is_never_taken_for_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, "{\"id\":1,\"text\":\"a\"}\n{\"something\":\"else\"}\n").unwrap();
        let error = Journal::<Row>::open(&path).unwrap_err();
        assert!(error.to_string().contains("rows.jsonl:2"), "{error}");
    }

    #[test]
    fn a_second_writer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let first = open(&path);
        let error = Journal::<Row>::open(&path).unwrap_err();
        assert!(error.to_string().contains("another owleval is writing here"), "{error}");
        drop(first);
        open(&path);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_nothing_is_written_after_a_half_written_row() {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut journal: Journal<Row> =
            Journal { path: "/dev/full".into(), file, length: 0, broken: false, row: PhantomData };
        let error = journal.append(&[row(1, "a")]).unwrap_err();
        assert!(error.to_string().contains("/dev/full: cannot append: No space left"), "{error}");
        // The device cannot be truncated, so what stands there is unknown.
        let error = journal.append(&[row(2, "b")]).unwrap_err();
        assert!(error.to_string().contains("an earlier write failed half-way"), "{error}");
    }
}
