//! The order of a sheet: which answer stands in which slot, and where some come again.
//!
//! Pure: conversations and models are numbers here.

use std::collections::BTreeMap;

use super::order::{Dice, Purpose, Slots};

/// A conversation: for each turn, the models that answered it, ascending.
pub(super) type Turns = Vec<Vec<usize>>;

/// One card in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub conversation: usize,
    pub turn: usize,
    pub model: usize,
    /// Cards of one question, side by side; counted from 0, in the order of the sheet.
    pub group: usize,
    /// From 0, within the group.
    pub slot: usize,
    /// For a hidden repeat, where its first showing stands on the sheet.
    pub repeats: Option<usize>,
}

impl Placed {
    /// The slot's name in journals: `017-2`. A repeat's looks like any other.
    pub fn key(&self) -> String {
        format!("{:03}-{}", self.group + 1, self.slot + 1)
    }
}

/// How far a repeat stands from its first showing, at least, on a sheet of so many cards: a third of it.
pub(super) fn distance(cards: usize) -> usize {
    cards.div_ceil(3)
}

/// Puts the answers into order.
///
/// Conversations are shuffled; the turns of one stay in order; the answers to one question are adjacent, and their
/// order is counterbalanced over the sheet ([`Slots`]). `repeats` answers come again, each at least a third of the
/// sheet later, between two conversations and taken evenly from the models; fewer where there is no room.
pub(super) fn arrange(conversations: &[Turns], repeats: usize, seed: u64) -> Vec<Placed> {
    let mut order: Vec<usize> = (0..conversations.len()).collect();
    Dice::new(Purpose::Conversations, seed).shuffle(&mut order);
    let mut slots = Slots::new(seed);
    let mut cards: Vec<Placed> = Vec::new();
    // Where a conversation may begin, and therefore a repeat may stand.
    let mut seams = Vec::new();
    for conversation in order {
        seams.push(cards.len());
        for (turn, models) in conversations[conversation].iter().enumerate() {
            let placed = |model| Placed { conversation, turn, model, group: 0, slot: 0, repeats: None };
            cards.extend(slots.next(models).into_iter().map(placed));
        }
    }
    seams.push(cards.len());
    let chosen = choose_repeats(&cards, repeats, seed);
    number(insert(&cards, &seams, &chosen, seed))
}

/// The cards that come again, by their index, evenly from the models.
fn choose_repeats(cards: &[Placed], repeats: usize, seed: u64) -> Vec<usize> {
    let Some(last) = cards.len().checked_sub(distance(cards.len() + repeats)) else { return Vec::new() };
    let mut dice = Dice::new(Purpose::Repeats, seed);
    let mut eligible: Vec<usize> = (0..cards.len()).filter(|index| *index <= last).collect();
    dice.shuffle(&mut eligible);
    let mut by_model: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in eligible {
        by_model.entry(cards[index].model).or_default().push(index);
    }
    let mut piles: Vec<Vec<usize>> = by_model.into_values().collect();
    dice.shuffle(&mut piles);
    let mut chosen = Vec::new();
    while chosen.len() < repeats && piles.iter().any(|pile| !pile.is_empty()) {
        let left = repeats - chosen.len();
        chosen.extend(piles.iter_mut().filter_map(Vec::pop).take(left));
    }
    chosen
}

/// Puts every chosen card once more into a seam that is far enough behind it. What is inserted elsewhere only moves
/// the two further apart.
fn insert(cards: &[Placed], seams: &[usize], chosen: &[usize], seed: u64) -> Vec<Placed> {
    let far = distance(cards.len() + chosen.len());
    let mut dice = Dice::new(Purpose::Repeats, seed.wrapping_add(1));
    let mut at_seam: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &first in chosen {
        let behind = seams.partition_point(|seam| *seam < first + far);
        if behind < seams.len() {
            let seam = seams[behind + dice.below(seams.len() - behind)];
            at_seam.entry(seam).or_default().push(first);
        }
    }
    let mut places = vec![0; cards.len()];
    let mut whole: Vec<Placed> = Vec::with_capacity(cards.len() + chosen.len());
    for index in 0..=cards.len() {
        for first in at_seam.remove(&index).unwrap_or_default() {
            whole.push(Placed { repeats: Some(places[first]), ..cards[first] });
        }
        if let Some(card) = cards.get(index) {
            places[index] = whole.len();
            whole.push(*card);
        }
    }
    whole
}

/// Numbers groups and slots; a repeat is a group of its own.
fn number(mut cards: Vec<Placed>) -> Vec<Placed> {
    let mut group = 0;
    let mut slot = 0;
    for index in 0..cards.len() {
        if index > 0 {
            let (before, card) = (&cards[index - 1], &cards[index]);
            let question = |card: &Placed| (card.conversation, card.turn);
            if card.repeats.is_some() || before.repeats.is_some() || question(card) != question(before) {
                group += 1;
                slot = 0;
            } else {
                slot += 1;
            }
        }
        (cards[index].group, cards[index].slot) = (group, slot);
    }
    cards
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Conversations of one to five turns that up to seven models answered, each turn by any of them.
    fn conversations() -> impl Strategy<Value = Vec<Turns>> {
        (2usize..8).prop_flat_map(|models| {
            let everyone: Vec<usize> = (0..models).collect();
            let some = prop::sample::subsequence(everyone.clone(), 0..=models);
            let turn = prop_oneof![4 => Just(everyone), 1 => some];
            prop::collection::vec(prop::collection::vec(turn, 1..6), 1..40)
        })
    }

    proptest! {
        #[test]
        fn every_answer_stands_once_its_question_together_and_its_turns_in_order(
            conversations in conversations(), seed in any::<u64>(), share in 0usize..20,
        ) {
            let count: usize = conversations.iter().flatten().map(Vec::len).sum();
            let cards = arrange(&conversations, count * share / 100, seed);
            let mut found: Vec<(usize, usize, usize)> = cards
                .iter().filter(|card| card.repeats.is_none())
                .map(|card| (card.conversation, card.turn, card.model)).collect();
            found.sort_unstable();
            let mut expected = Vec::new();
            for (conversation, turns) in conversations.iter().enumerate() {
                for (turn, models) in turns.iter().enumerate() {
                    expected.extend(models.iter().map(|model| (conversation, turn, *model)));
                }
            }
            prop_assert_eq!(found, expected);
            // Between the first and the last card of a conversation stands nothing else, and turns never go back.
            let firsts: Vec<&Placed> = cards.iter().filter(|card| card.repeats.is_none()).collect();
            let mut seen = std::collections::BTreeSet::new();
            for pair in firsts.windows(2) {
                if pair[0].conversation == pair[1].conversation {
                    prop_assert!(pair[0].turn <= pair[1].turn);
                } else {
                    prop_assert!(seen.insert(pair[0].conversation));
                }
            }
            // Keys are unique and name adjacent groups.
            let keys: std::collections::BTreeSet<String> = cards.iter().map(Placed::key).collect();
            prop_assert_eq!(keys.len(), cards.len());
            prop_assert!(cards.windows(2).all(|pair| pair[1].group - pair[0].group <= 1));
        }

        #[test]
        fn among_questions_that_the_same_models_answered_no_place_is_favoured(
            conversations in conversations(), seed in any::<u64>(),
        ) {
            let cards = arrange(&conversations, 0, seed);
            let mut counts: BTreeMap<(&Vec<usize>, usize), Vec<usize>> = BTreeMap::new();
            for card in &cards {
                let models = &conversations[card.conversation][card.turn];
                counts.entry((models, card.model)).or_insert_with(|| vec![0; models.len()])[card.slot] += 1;
            }
            for places in counts.values() {
                let (least, most) = (places.iter().min().unwrap(), places.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{:?}", places);
            }
        }

        #[test]
        fn repeats_are_as_many_as_asked_evenly_from_the_models_and_far_from_their_first_showing(
            turns in prop::collection::vec(1usize..6, 10..40), seed in any::<u64>(), share in 1usize..20,
        ) {
            let conversations: Vec<Turns> = turns.iter().map(|turns| vec![vec![0, 1, 2]; *turns]).collect();
            let count: usize = 3 * turns.iter().sum::<usize>();
            let wanted = count * share / 100;
            let cards = arrange(&conversations, wanted, seed);
            prop_assert_eq!(cards.len(), count + wanted);
            let mut by_model = [0usize; 3];
            for (place, card) in cards.iter().enumerate() {
                let Some(first) = card.repeats else { continue };
                by_model[card.model] += 1;
                prop_assert!(place - first >= distance(cards.len()), "{} after {}", place, first);
                let first = &cards[first];
                prop_assert_eq!(
                    (first.conversation, first.turn, first.model), (card.conversation, card.turn, card.model)
                );
                prop_assert_eq!((first.repeats, card.slot), (None, 0));
            }
            prop_assert!(by_model.iter().max().unwrap() - by_model.iter().min().unwrap() <= 1, "{:?}", by_model);
        }
    }

    #[test]
    fn a_seed_gives_one_order_and_another_seed_another() {
        let conversations: Vec<Turns> = vec![vec![vec![0, 1, 2, 3]; 2]; 12];
        assert_eq!(arrange(&conversations, 5, 1), arrange(&conversations, 5, 1));
        assert_ne!(arrange(&conversations, 5, 1), arrange(&conversations, 5, 2));
    }

    #[test]
    fn the_order_of_models_differs_from_question_to_question() {
        let conversations: Vec<Turns> = vec![vec![vec![0, 1, 2, 3, 4, 5]]; 60];
        let cards = arrange(&conversations, 0, 0);
        let orders: Vec<Vec<usize>> =
            cards.chunks(6).map(|cards| cards.iter().map(|card| card.model).collect()).collect();
        assert!(orders.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_sheet_too_short_for_repeats_has_fewer_of_them() {
        assert_eq!(arrange(&[vec![vec![0]]], 3, 0).iter().filter(|card| card.repeats.is_some()).count(), 0);
    }
}
