//! Which items of an evalset are asked.

use std::str::FromStr;

use super::{EvalSet, Item, Subset};
use crate::error::{Error, Result};

/// What `--subset`, `--ability`, `--limit` and `--shard` say.
///
/// Subset and abilities choose *turns*: a turn is chosen if it is in the subset and needs at least one of the abilities.
/// A later turn means nothing without what was said before it, so an item is kept with all of its turns up to the last
/// chosen one; the turns after that are dropped. Then `limit` keeps the first so many items, and `shard` every N-th of
/// those. Items are never torn apart: the shards of one selection have no question in common, and together they are the
/// selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// None for all.
    pub subset: Option<Subset>,
    /// Letters; empty for all.
    pub abilities: Vec<String>,
    /// At most so many items.
    pub limit: Option<usize>,
    pub shard: Option<Shard>,
}

/// One of `count` parts of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `count`.
    index: usize,
    count: usize,
}

/// An item, and which of its turns were chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// Ends with the last chosen turn.
    pub item: Item,
    /// 0-based turns, ascending, never empty.
    pub chosen: Vec<usize>,
}

impl Selected {
    /// The turns that are asked and recorded: with the model's own answers as history, all up to the last chosen one,
    /// since each needs those before it; with history from elsewhere, or none, the chosen ones alone.
    pub fn asked(&self, history_is_own: bool) -> Vec<usize> {
        if history_is_own { (0..self.item.turns.len()).collect() } else { self.chosen.clone() }
    }
}

impl Selection {
    /// Picks items of an evalset, in its order.
    ///
    /// # Errors
    /// Where an ability is unknown to the evalset, or nothing is left. A shard may be empty, where there are more shards
    /// than items.
    pub fn pick(&self, evalset: &EvalSet) -> Result<Vec<Selected>> {
        for ability in &self.abilities {
            if !evalset.abilities.contains_key(ability) {
                let letters = evalset.abilities.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(Error::input(format!("evalset {} has no ability \"{ability}\"", evalset.name))
                    .remedy(format!("its abilities are {letters}")));
            }
        }
        let selected: Vec<Selected> = evalset
            .items
            .iter()
            .filter_map(|item| self.turns_of(item))
            .take(self.limit.unwrap_or(usize::MAX))
            .collect();
        if selected.is_empty() {
            return Err(Error::input(format!("no question of evalset {} is selected", evalset.name))
                .remedy("choose another subset, other abilities or a larger limit"));
        }
        Ok(match self.shard {
            None => selected,
            Some(shard) => selected.into_iter().skip(shard.index - 1).step_by(shard.count).collect(),
        })
    }

    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    fn turns_of(&self, item: &Item) -> Option<Selected> {
        let is_chosen = |turn: &super::Turn| {
            self.subset.is_none_or(|subset| turn.subsets.contains(&subset))
                && (self.abilities.is_empty() || turn.abilities.iter().any(|ability| self.abilities.contains(ability)))
        };
        let chosen: Vec<usize> =
            item.turns.iter().enumerate().filter(|(_, turn)| is_chosen(turn)).map(|(index, _)| index).collect();
        let last = *chosen.last()?;
        let mut item = item.clone();
        item.turns.truncate(last + 1);
        Some(Selected { item, chosen })
    }
}

impl Shard {
    /// Part `index` (from 1) of `count`.
    ///
    /// # Errors
    /// Where `index` is not from 1 to `count`.
    pub fn new(index: usize, count: usize) -> Result<Self> {
        if (1..=count).contains(&index) {
            Ok(Self { index, count })
        } else {
            Err(Error::input(format!("there is no shard {index} of {count}")).remedy("write I/N with I from 1 to N"))
        }
    }
}

/// `I/N`, as in `2/8`.
impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        let (index, count) = parts.ok_or_else(|| {
            Error::input(format!("\"{text}\" is not a shard")).remedy("write I/N with I from 1 to N, as in 2/8")
        })?;
        Self::new(index, count)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evalset::{ImageRoot, Turn};

    fn evalset(items: Vec<Vec<Turn>>) -> EvalSet {
        EvalSet {
            name: "made up".to_owned(),
            version: None,
            description: None,
            source: None,
            licence: None,
            sha256: String::new(),
            images: ImageRoot::Folder("cases".into()),
            abilities: ["a", "b", "c"].map(|letter| (letter.to_owned(), letter.to_owned())).into(),
            items: items
                .into_iter()
                .enumerate()
                .map(|(index, turns)| Item { id: index.to_string(), images: Vec::new(), turns })
                .collect(),
        }
    }

    fn turn(question_id: u64, subsets: &[Subset], abilities: &str) -> Turn {
        Turn {
            question_id,
            question: "?".to_owned(),
            abilities: abilities.chars().map(String::from).collect(),
            subsets: subsets.to_vec(),
            reference: Vec::new(),
        }
    }

    use Subset::{MultiTurn, SingleTurn};

    fn small() -> EvalSet {
        evalset(vec![
            vec![turn(1, &[SingleTurn], "a")],
            vec![turn(2, &[SingleTurn, MultiTurn], "ab"), turn(3, &[MultiTurn], "c"), turn(4, &[MultiTurn], "a")],
            vec![turn(5, &[SingleTurn], "b")],
        ])
    }

    fn ids(selected: &[Selected]) -> Vec<Vec<u64>> {
        selected.iter().map(|one| one.item.turns.iter().map(|turn| turn.question_id).collect()).collect()
    }

    #[test]
    fn a_later_turn_brings_the_turns_before_it_and_none_after() {
        let selection = Selection { abilities: vec!["c".to_owned()], ..Selection::default() };
        let selected = selection.pick(&small()).expect("a selection");
        assert_eq!(ids(&selected), [vec![2, 3]]);
        assert_eq!(selected[0].chosen, [1]);
        assert_eq!(selected[0].asked(true), [0, 1]);
        assert_eq!(selected[0].asked(false), [1]);
    }

    #[test]
    fn subsets_limits_and_shards_pick_whole_items() {
        let pick = |selection: Selection| ids(&selection.pick(&small()).expect("a selection"));
        let all = Selection::default();
        assert!(all.is_all());
        assert_eq!(pick(all.clone()), [vec![1], vec![2, 3, 4], vec![5]]);
        assert_eq!(pick(Selection { subset: Some(SingleTurn), ..all.clone() }), [vec![1], vec![2], vec![5]]);
        assert_eq!(pick(Selection { subset: Some(MultiTurn), ..all.clone() }), [vec![2, 3, 4]]);
        assert_eq!(pick(Selection { limit: Some(2), ..all.clone() }), [vec![1], vec![2, 3, 4]]);
        let shard = Shard::new(2, 2).ok();
        assert_eq!(pick(Selection { shard, ..all.clone() }), [vec![2, 3, 4]]);
        let shard = Shard::new(9, 9).ok();
        assert_eq!(pick(Selection { shard, ..all }), Vec::<Vec<u64>>::new());
    }

    #[test]
    fn unknown_abilities_empty_selections_and_bad_shards_are_refused() {
        let unknown = Selection { abilities: vec!["z".to_owned()], ..Selection::default() };
        assert!(unknown.pick(&small()).expect_err("refused").message().contains("\"z\""));
        assert!(Selection { limit: Some(0), ..Selection::default() }.pick(&small()).is_err());
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3"] {
            assert_eq!(text.parse::<Shard>().expect_err(text).exit_code(), 2);
        }
        assert_eq!("2/8".parse::<Shard>().expect("a shard").to_string(), "2/8");
    }

    proptest! {
        #[test]
        fn shards_part_a_selection_without_loss_or_overlap(
            sizes in prop::collection::vec(1usize..5, 1..12), letters in prop::collection::vec(0usize..3, 60), limit in 1usize..15, count in 1usize..6,
        ) {
            let mut question_id = 0;
            let mut next = || {
                question_id += 1;
                turn(question_id, &[MultiTurn], ["a", "b", "c"][letters[question_id as usize % letters.len()]])
            };
            let set = evalset(sizes.iter().map(|&size| (0..size).map(|_| next()).collect()).collect());
            let whole = Selection { abilities: vec!["b".to_owned()], limit: Some(limit), ..Selection::default() };
            let Ok(whole_picked) = whole.pick(&set) else { return Ok(()) };
            prop_assert!(whole_picked.len() <= limit);
            for one in &whole_picked {
                // What is kept is the beginning of the item, up to a chosen turn.
                let original = set.items.iter().find(|item| item.id == one.item.id).expect("an item of the set");
                prop_assert_eq!(&original.turns[..one.item.turns.len()], &one.item.turns[..]);
                prop_assert_eq!(one.chosen.last().copied(), Some(one.item.turns.len() - 1));
                for (index, turn) in original.turns.iter().enumerate() {
                    prop_assert_eq!(one.chosen.contains(&index), turn.abilities == ["b"]);
                }
            }
            let mut parts: Vec<Selected> = Vec::new();
            for index in 1..=count {
                let shard = Some(Shard::new(index, count).expect("a shard"));
                parts.extend(Selection { shard, ..whole.clone() }.pick(&set).expect("a part"));
            }
            parts.sort_by_key(|one| one.item.id.parse::<usize>().expect("a number"));
            prop_assert_eq!(parts, whole_picked);
        }
    }
}
