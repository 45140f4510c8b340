//! What raters disagree on, and the final verdicts: beside the originals, never over them.

use std::collections::BTreeMap;
use std::path::Path;

use super::journal;
use super::rater::{self, ADJUDICATED};
use super::session::{Blind, Opening, Session, replay};
use super::{Grade, raters};
use crate::error::{Error, Result};

/// The grades that cards were given, from best to worst, by the cards' keys: those on which raters disagree.
///
/// # Errors
/// Where the sheet or a journal cannot be read or was changed.
pub fn disagreements(sheet: &Path) -> Result<BTreeMap<String, Vec<Grade>>> {
    let mut given = grades_given(sheet, &Blind::read(sheet)?)?;
    given.retain(|_, grades| grades.first() != grades.last());
    Ok(given)
}

/// Every grade that stands, by card, from best to worst.
fn grades_given(sheet: &Path, blind: &Blind) -> Result<BTreeMap<String, Vec<Grade>>> {
    let mut given: BTreeMap<String, Vec<Grade>> = BTreeMap::new();
    for rater in raters(sheet)? {
        let path = rater::journal_of(sheet, &rater)?;
        let state = replay(&blind.cards, &journal::read(&path, &blind.genesis)?.events, &path)?;
        for (index, card) in blind.cards.iter().enumerate() {
            if let Some(grade) = state.mark(index).grade {
                given.entry(card.key.clone()).or_default().push(grade);
            }
        }
    }
    for grades in given.values_mut() {
        grades.sort_unstable();
    }
    Ok(given)
}

impl Opening<'_> {
    /// Opens the cards on which raters disagree, for `who` to decide, and those that were decided before. The verdicts
    /// go to `adjudicated.jsonl`.
    ///
    /// # Errors
    /// As [`Opening::session`]; and where nobody disagrees.
    pub fn adjudication(&self, who: &str) -> Result<(Session, Vec<String>)> {
        rater::check(who)?;
        let mut blind = Blind::read(self.sheet)?;
        let given = grades_given(self.sheet, &blind)?;
        let path = self.sheet.join(format!("{ADJUDICATED}.jsonl"));
        let decided = if path.exists() { journal::read(&path, &blind.genesis)?.events } else { Vec::new() };
        blind.cards.retain(|card| {
            given.get(&card.key).is_some_and(|grades| grades.first() != grades.last())
                || decided.iter().any(|event| event.card == card.key)
        });
        if blind.cards.is_empty() {
            let graders = raters(self.sheet)?.len();
            return Err(Error::input(match graders {
                0 | 1 => "there is nothing to decide: fewer than two raters have graded".to_owned(),
                _ => format!("there is nothing to decide: the {graders} raters agree wherever two of them graded"),
            })
            .at(self.sheet)
            .remedy("copy the raters' journals into the folder of the sheet"));
        }
        self.open(blind, &path, Some(who), |key| given.get(key).cloned().unwrap_or_default())
    }
}
