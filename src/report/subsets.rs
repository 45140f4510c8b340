//! Parts of the questions: their names in files and for people, and their order.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::evalset::{Item, Subset};

/// The subset of all questions.
pub const ALL: &str = "all";

/// The name of an ability's subset is this and its letter.
pub const ABILITY: &str = "ability:";

/// A part of the questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubsetRow {
    /// `all`, `single_turn`, `multi_turn`, `ability:a`…
    pub subset: String,
    /// For people.
    pub name: String,
    pub questions: usize,
}

/// The subsets that a question is of: all, those of its category, and one for each ability.
pub fn of_question(categories: &[String], abilities: &[String]) -> Vec<String> {
    let abilities = abilities.iter().map(|ability| format!("{ABILITY}{ability}"));
    std::iter::once(ALL.to_owned()).chain(categories.iter().cloned()).chain(abilities).collect()
}

/// All, the two categories, then the others; only those that have a question. `names` are those of abilities, by letter.
pub(super) fn rows<'a>(
    questions: impl Iterator<Item = &'a [String]>,
    names: &BTreeMap<String, String>,
) -> Vec<SubsetRow> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for subset in questions.flatten() {
        *counts.entry(subset).or_default() += 1;
    }
    let fixed = [ALL, Subset::SingleTurn.name(), Subset::MultiTurn.name()];
    let others = counts.keys().copied().filter(|subset| !fixed.contains(subset));
    let order: Vec<&str> = fixed.into_iter().chain(others).collect();
    let row = |subset: &str| {
        let questions = counts.get(subset).copied()?;
        Some(SubsetRow { subset: subset.to_owned(), name: name(subset, names), questions })
    };
    order.into_iter().filter_map(row).collect()
}

/// A subset's name for people.
fn name(subset: &str, names: &BTreeMap<String, String>) -> String {
    match subset.strip_prefix(ABILITY) {
        Some(ability) => match names.get(ability) {
            Some(name) => format!("{ability}: {name}"),
            None => format!("ability {ability}"),
        },
        None => match Subset::from_name(subset) {
            Some(Subset::SingleTurn) => "single turn".to_owned(),
            Some(Subset::MultiTurn) => "multi-turn".to_owned(),
            None if subset == ALL => "all questions".to_owned(),
            None => subset.to_owned(),
        },
    }
}

/// The name of a subset for people, by the rows that a report has.
pub(super) fn name_of<'a>(rows: &'a [SubsetRow], subset: &'a str) -> &'a str {
    rows.iter().find(|row| row.subset == subset).map_or(subset, |row| row.name.as_str())
}

/// What a question shares with those that depend on it: its picture, or its conversation where it has none.
pub(super) fn picture(item: &Item) -> String {
    if item.images.is_empty() { item.id.clone() } else { item.images.join(";") }
}
