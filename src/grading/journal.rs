//! A rater's journal: events, appended a synced line at a time and tied to each other.
//!
//! Beside it stands `<rater>.head`: how many events are known to be on disk, and the digest of the last of them. It is
//! written when the journal is opened and closed, so it may lag behind; a journal that lags behind *it* was cut off at
//! the end, which the chain alone cannot see.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::clock::now;
use super::event::{EventRow, ImportedFrom, What, follow};
use crate::error::{Error, IoContext as _, Result};
use crate::store::{Journal, atomic, journal};

/// A journal that this process alone appends to.
#[derive(Debug)]
pub(super) struct RaterJournal {
    path: PathBuf,
    journal: Journal<EventRow>,
    /// Digest of the last line; of the sheet where there is none yet.
    last: String,
    events: u64,
    /// How many events the head on disk tells of.
    head: u64,
}

/// An event that is not recorded yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub card: String,
    pub answer_sha256: String,
    pub what: What,
    pub imported: Option<ImportedFrom>,
    pub by: Option<String>,
}

impl Draft {
    /// The event as it stands where nothing is recorded.
    pub fn unrecorded(self) -> EventRow {
        self.row(0, now())
    }

    fn row(self, seq: u64, at: String) -> EventRow {
        let Self { card, answer_sha256, what, imported, by } = self;
        EventRow { seq, at, card, answer_sha256, what, imported, by, prev: String::new(), check: String::new() }
    }
}

/// The contents of `<rater>.head`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    events: u64,
    sha256: String,
}

/// What a journal holds.
#[derive(Debug)]
pub(super) struct Replayable {
    pub events: Vec<EventRow>,
    pub warnings: Vec<String>,
}

impl RaterJournal {
    /// Opens a journal for appending, creating it where there is none, and checks all of it. `genesis` is the digest of
    /// the sheet, by which its first line is tied.
    ///
    /// # Errors
    /// Where another process holds it; by file and line, where it was edited or cut.
    pub fn open(path: &Path, genesis: &str) -> Result<(Self, Replayable)> {
        let opened = Journal::open(path)?;
        let digests = follow(path, &opened.bytes, &opened.rows, genesis)?;
        atomic::sweep(&head_of(path))?;
        let head = check_head(path, &digests)?;
        let mut journal = Self {
            path: path.to_owned(),
            journal: opened.journal,
            last: digests.last().map_or_else(|| genesis.to_owned(), Clone::clone),
            events: digests.len() as u64,
            head,
        };
        journal.write_head()?;
        Ok((journal, Replayable { events: opened.rows, warnings: opened.warning.into_iter().collect() }))
    }

    /// Appends events and returns them once they are on disk; on an error none of them counts.
    pub fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<EventRow>> {
        let at = now();
        let mut last = self.last.clone();
        let mut rows = Vec::with_capacity(drafts.len());
        for (draft, seq) in drafts.into_iter().zip(self.events + 1..) {
            let mut row = draft.row(seq, at.clone());
            last = row.seal(last)?;
            rows.push(row);
        }
        self.journal.append(&rows)?;
        self.last = last;
        self.events += rows.len() as u64;
        Ok(rows)
    }

    fn write_head(&mut self) -> Result<()> {
        if self.head != self.events {
            atomic::write_json(&head_of(&self.path), &Head { events: self.events, sha256: self.last.clone() })?;
            self.head = self.events;
        }
        Ok(())
    }
}

/// The head is brought up to date; where that fails, the next opening does it.
impl Drop for RaterJournal {
    fn drop(&mut self) {
        if let Err(error) = self.write_head() {
            tracing::warn!("{error}");
        }
    }
}

/// Reads a journal without touching it, and checks all of it.
///
/// # Errors
/// By file and line, where it was edited or cut.
pub(super) fn read(path: &Path, genesis: &str) -> Result<Replayable> {
    let contents: journal::Contents<EventRow> = journal::contents(path)?;
    let digests = follow(path, &contents.bytes, &contents.rows, genesis)?;
    check_head(path, &digests)?;
    Ok(Replayable { events: contents.rows, warnings: contents.warning.into_iter().collect() })
}

fn head_of(journal: &Path) -> PathBuf {
    journal.with_extension("head")
}

/// Compares a journal with its head and gives the number of events that the head tells of; 0 where there is none.
fn check_head(path: &Path, digests: &[String]) -> Result<u64> {
    let head_path = head_of(path);
    let bytes = match std::fs::read(&head_path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).or_at("cannot read", &head_path),
    };
    let head: Head = serde_json::from_slice(&bytes).map_err(|source| {
        Error::input(format!("does not say how far the journal came: {source}"))
            .at(&head_path)
            .remedy("remove the file; it is written anew")
            .source(source)
    })?;
    let there = digests.len() as u64;
    if head.events > there {
        return Err(Error::input(format!(
            "ends after {there} events, and {} were on disk: its end was cut off",
            head.events
        ))
        .at_line(path, digests.len())
        .remedy(format!(
            "put a copy of the journal back; to go on without what is lost, remove {}",
            head_path.display()
        )));
    }
    let is_same = usize::try_from(head.events)
        .ok()
        .and_then(|events| events.checked_sub(1))
        .is_none_or(|last| digests.get(last) == Some(&head.sha256));
    if is_same {
        Ok(head.events)
    } else {
        Err(Error::input(format!("event {} is another than the one that was recorded", head.events))
            .at(path)
            .remedy(format!("put the right journal back, or remove {} if this is the right one", head_path.display())))
    }
}
