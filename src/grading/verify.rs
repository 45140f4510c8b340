//! Whether a sheet is what it was when it was made, and its journals what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::answers::text_sha256;
use super::cards::{CARDS, CardRow, RUBRIC};
use super::export::{Opened, Which};
use super::manifest::{self, MANIFEST, Manifest, MissingPolicy};
use super::rater::{ADJUDICATED, raters};
use super::sealed::{self, SEALED, Sealed, UNBLINDED, UnblindedRow};
use super::session::replay;
use super::{Rubric, cards, journal};
use crate::error::{Error, Result};
use crate::store;

/// What `grades.csv` would be called if an export was kept in the folder.
const GRADES: &str = "grades.csv";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub what: String,
    pub is_good: bool,
    /// What was found, or what is wrong.
    pub says: String,
}

impl Finding {
    /// From what a check came to.
    pub fn of(what: &str, result: Result<String>) -> Self {
        let (is_good, says) = match result {
            Ok(says) => (true, says),
            Err(error) => (false, error.to_string()),
        };
        Self { what: what.to_owned(), is_good, says }
    }
}

/// Looks at every file of a sheet and changes nothing. The mapping is opened and compared; nothing of it is shown.
///
/// # Errors
/// Where the folder holds no sheet.
pub fn verify(sheet: &Path) -> Result<Vec<Finding>> {
    let (manifest, genesis) = manifest::read::<Manifest>(sheet)?;
    let mut findings = vec![Finding::of(MANIFEST, Ok(format!("sheet {}, seed {}", manifest.id, manifest.seed)))];
    let cards = cards::read(sheet, &manifest.cards_sha256);
    findings.push(match &cards {
        Ok(cards) => Finding::of(CARDS, check_cards(cards, &manifest)),
        Err(error) => Finding { what: CARDS.to_owned(), is_good: false, says: error.to_string() },
    });
    findings.push(Finding::of(RUBRIC, check_rubric(sheet, &manifest)));
    // Without its cards, nothing of a sheet can be compared with anything.
    let Ok(cards) = cards else { return Ok(findings) };
    let sealed = sealed::read(sheet, &manifest);
    findings.push(match &sealed {
        Ok(sealed) => Finding::of(SEALED, check_sealed(sealed, &cards, &manifest)),
        Err(error) => Finding { what: SEALED.to_owned(), is_good: false, says: error.to_string() },
    });
    if sheet.join(UNBLINDED).exists() {
        let rows = store::journal::read::<UnblindedRow>(&sheet.join(UNBLINDED));
        findings.push(Finding::of(UNBLINDED, rows.map(|(rows, _)| format!("unsealed {} times", rows.len()))));
    }
    let mut names = raters(sheet)?;
    if sheet.join(format!("{ADJUDICATED}.jsonl")).exists() {
        names.push(ADJUDICATED.to_owned());
    }
    for name in names {
        let file = format!("{name}.jsonl");
        findings.push(Finding::of(&file, check_journal(&sheet.join(&file), &genesis, &cards)));
    }
    if sheet.join(GRADES).exists()
        && let Ok(sealed) = &sealed
    {
        let opened = Opened { manifest, genesis, cards };
        findings.push(Finding::of(GRADES, check_grades(sheet, &opened, sealed)));
    }
    Ok(findings)
}

fn check_cards(cards: &[CardRow], manifest: &Manifest) -> Result<String> {
    for card in cards {
        if text_sha256(&card.answer) != card.answer_sha256 {
            return Err(Error::failed(format!("the digest of the answer on card {} is not its own", card.key)));
        }
    }
    let keys: BTreeSet<&str> = cards.iter().map(|card| card.key.as_str()).collect();
    if keys.len() != cards.len() || cards.len() != manifest.counts.cards {
        return Err(Error::failed(format!(
            "{} cards with {} keys, and {MANIFEST} counts {}",
            cards.len(),
            keys.len(),
            manifest.counts.cards
        )));
    }
    Ok(format!("{} cards, {} questions", cards.len(), manifest.counts.questions))
}

fn check_rubric(sheet: &Path, manifest: &Manifest) -> Result<String> {
    let bytes = manifest::read_checked(sheet, RUBRIC, &manifest.rubric_sha256)?;
    Rubric::parse(&String::from_utf8_lossy(&bytes), &sheet.join(RUBRIC))?;
    Ok("as it was".to_owned())
}

fn check_sealed(sealed: &Sealed, cards: &[CardRow], manifest: &Manifest) -> Result<String> {
    if !sealed.slots.iter().map(|slot| &slot.key).eq(cards.iter().map(|card| &card.key)) {
        return Err(Error::failed("its slots are not those of the cards"));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for slot in sealed.slots.iter().filter(|slot| slot.repeats.is_none()) {
        *counts.entry(&slot.model_id).or_default() += 1;
    }
    for answers in &manifest.answers {
        if counts.remove(answers.model_id.as_str()).unwrap_or(0) != answers.answers {
            return Err(Error::failed(format!("a model has another number of slots than {MANIFEST} says")));
        }
    }
    if !counts.is_empty() {
        return Err(Error::failed(format!("a slot belongs to a model that {MANIFEST} does not name")));
    }
    let by_key: BTreeMap<&str, &CardRow> = cards.iter().map(|card| (card.key.as_str(), card)).collect();
    for slot in &sealed.slots {
        let Some(first) = &slot.repeats else { continue };
        let text = |key: &str| by_key.get(key).map(|card| (card.question_id, &card.answer_sha256));
        if text(&slot.key) != text(first) {
            return Err(Error::failed(format!("card {} is no repeat of the one it should repeat", slot.key)));
        }
    }
    Ok(format!("{} slots, as they were sealed", sealed.slots.len()))
}

fn check_journal(path: &Path, genesis: &str, cards: &[CardRow]) -> Result<String> {
    let replayable = journal::read(path, genesis)?;
    let progress = replay(cards, &replayable.events, path)?.progress();
    let torn = if replayable.warnings.is_empty() { "" } else { "; its last line is torn and does not count" };
    Ok(format!(
        "{} events in an unbroken chain: {} graded, {} skipped{torn}",
        replayable.events.len(),
        progress.graded,
        progress.skipped
    ))
}

/// A kept export must be what the journals give now, with missing answers counted one way or the other.
fn check_grades(sheet: &Path, opened: &Opened, sealed: &Sealed) -> Result<String> {
    let kept = std::fs::read(sheet.join(GRADES))
        .map_err(|source| Error::failed(format!("cannot be read: {source}")).source(source))?;
    for which in [Which::Grades, Which::Repeats, Which::Verdicts] {
        for missing in [MissingPolicy::Excluded, MissingPolicy::D] {
            let made = opened.export(sheet, sealed, which, Some(missing))?;
            if made.csv == kept {
                return Ok(format!("{} rows, byte for byte what the journals give", made.rows));
            }
        }
    }
    Err(Error::failed("is not what the journals give now; `owleval grade --export` writes it anew"))
}
