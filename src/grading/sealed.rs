//! `sealed.json`: which model stands in which slot, and whatever else names models. A grader's program never reads it.
//!
//! What is sealed is base64, so that nobody reads it by accident. It is no secret from those who want to know: they can
//! decode it, or put the same answers in order again with the seed of `sheet.json`. A study that fears that keeps the file
//! and the answers elsewhere until the grades are in. Its digest stands in `sheet.json` from the beginning,
//! so that the mapping cannot be changed after the grades are known; a random salt inside keeps the digest from being
//! found by trying mappings. Each unsealing is a row of `unblinded.jsonl`.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::clock::now;
use super::leak::Leak;
use super::manifest::{self, Manifest};
use crate::error::{Error, Kind, Result};
use crate::store::Journal;

pub(super) const SEALED: &str = "sealed.json";
pub(super) const UNBLINDED: &str = "unblinded.jsonl";
const SCHEMA: &str = "owleval-sealed/1";

/// How often, and after which pause, the log is tried again where another process holds it.
const LOG_ATTEMPTS: usize = 50;
const LOG_PAUSE: Duration = Duration::from_millis(20);

/// What is sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// 32 random bytes, hexadecimal.
    pub salt: String,
    /// In the order of the cards.
    pub slots: Vec<Slot>,
    pub repairs: Vec<RepairNote>,
    pub leaks: Vec<Leak>,
}

/// Who stands in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub key: String,
    pub model_id: String,
    /// For a hidden repeat, the slot that it repeats.
    pub repeats: Option<String>,
}

/// What was repaired in an answer, or is unusual about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairNote {
    pub model_id: String,
    pub question_id: u64,
    pub what: String,
}

/// The file around it.
#[derive(Serialize, Deserialize)]
struct Envelope {
    schema: String,
    about: String,
    sealed: String,
}

/// Who unseals a sheet, and what for.
#[derive(Debug, Clone, Copy)]
pub struct Unsealing<'a> {
    pub who: &'a str,
    pub why: &'a str,
}

/// A row of `unblinded.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UnblindedRow {
    /// UTC, RFC 3339.
    at: String,
    who: String,
    why: String,
    sealed_sha256: String,
}

/// What whoever makes a sheet should look at, and no grader: it names models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MakersNotes {
    pub repairs: Vec<RepairNote>,
    pub leaks: Vec<Leak>,
    pub missing: Vec<manifest::Missing>,
}

impl Sealed {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let cannot = |source: serde_json::Error| Error::failed("the mapping cannot be put into JSON").source(source);
        let envelope = Envelope {
            schema: SCHEMA.to_owned(),
            about: "Says which model gave which answer. Graders must not open it; `owleval grade --export` does, and logs it."
                .to_owned(),
            sealed: STANDARD.encode(serde_json::to_vec(self).map_err(cannot)?),
        };
        let mut bytes = serde_json::to_vec_pretty(&envelope).map_err(cannot)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// A new salt from the system's random numbers.
    pub fn salt() -> String {
        hex::encode(rand::random::<[u8; 32]>())
    }

    /// The slots by their keys.
    pub fn by_key(&self) -> HashMap<&str, &Slot> {
        self.slots.iter().map(|slot| (slot.key.as_str(), slot)).collect()
    }
}

/// Unseals a sheet, after writing down who does so.
///
/// # Errors
/// Where the mapping is missing, or another than when the sheet was made.
pub(super) fn unseal(sheet: &Path, manifest: &Manifest, unsealing: Unsealing<'_>) -> Result<Sealed> {
    let sealed = read(sheet, manifest)?;
    let mut log = open_log(sheet)?;
    log.append(&[UnblindedRow {
        at: now(),
        who: unsealing.who.to_owned(),
        why: unsealing.why.to_owned(),
        sealed_sha256: manifest.sealed_sha256.clone(),
    }])?;
    Ok(sealed)
}

/// The log, which another unsealing holds for a moment at most.
fn open_log(sheet: &Path) -> Result<Journal<UnblindedRow>> {
    let mut attempts = 0;
    loop {
        match Journal::open(&sheet.join(UNBLINDED)) {
            Err(error) if error.kind() == Kind::Input && attempts < LOG_ATTEMPTS => {
                attempts += 1;
                std::thread::sleep(LOG_PAUSE);
            }
            opened => return opened.map(|opened| opened.journal),
        }
    }
}

/// Locks a sheet against other processes that make the same one, for as long as the value lives. The log is the one
/// file that both would have and that is never replaced.
pub(super) fn lock(sheet: &Path) -> Result<Journal<UnblindedRow>> {
    Ok(Journal::open(&sheet.join(UNBLINDED))?.journal)
}

/// Reads the mapping without telling anybody: for `owleval verify`, which shows nothing of it.
pub(super) fn read(sheet: &Path, manifest: &Manifest) -> Result<Sealed> {
    let bytes = manifest::read_checked(sheet, SEALED, &manifest.sealed_sha256)?;
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::input("no sealed mapping")
            .at(sheet.join(SEALED))
            .remedy("use the owleval that made the sheet")
            .source(source)
    };
    let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|source| unusable(source.into()))?;
    let bytes = STANDARD.decode(envelope.sealed).map_err(|source| unusable(source.into()))?;
    serde_json::from_slice(&bytes).map_err(|source| unusable(source.into()))
}

/// Unseals a sheet for whoever made it: repairs, leaks and what is missing.
///
/// # Errors
/// Where the folder holds no sheet, or its mapping is missing or was changed.
pub fn what_the_maker_should_know(sheet: &Path, who: &str) -> Result<MakersNotes> {
    let (manifest, _) = manifest::read::<Manifest>(sheet)?;
    let Sealed { repairs, leaks, .. } = unseal(sheet, &manifest, Unsealing { who, why: "notes" })?;
    Ok(MakersNotes { repairs, leaks, missing: manifest.missing })
}
