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
/// order is counterbalanced over the sheet ([`Slots`]).
///
/// Some questions come again, hidden, with at least `repeats` answers in all; fewer where there is no room. A repeat looks
/// like any question: all its answers come again, in an order of their own, between two conversations and a third of the
/// sheet or more after they were seen first. Only questions that open a conversation come again, since a later turn would be
/// known by what it lacks before it. What is left is that a grader remembers a picture or a text.
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
    let chosen = choose_repeats(conversations, &cards, repeats, seed);
    number(insert(conversations, &cards, &seams, &chosen, &mut slots, seed))
}

/// The conversations whose first question comes again, with the place behind its last answer.
fn choose_repeats(conversations: &[Turns], cards: &[Placed], repeats: usize, seed: u64) -> Vec<(usize, usize)> {
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, card) in cards.iter().enumerate().filter(|(_, card)| card.turn == 0) {
        ends.insert(card.conversation, place + 1);
    }
    let mut eligible: Vec<(usize, usize)> = ends.into_iter().collect();
    let mut dice = Dice::new(Purpose::Repeats, seed);
    dice.shuffle(&mut eligible);
    let mut chosen = Vec::new();
    let mut count = 0;
    for (conversation, end) in eligible {
        let more = conversations[conversation][0].len();
        if count >= repeats {
            break;
        }
        // Each repeat makes the sheet longer, and what is far enough on it.
        if end + distance(cards.len() + count.max(repeats) + more) <= cards.len() {
            chosen.push((conversation, end));
            count += more;
        }
    }
    chosen
}

/// Puts every chosen question once more into a seam that is far enough behind it. What is inserted elsewhere only moves
/// the two further apart.
fn insert(
    conversations: &[Turns],
    cards: &[Placed],
    seams: &[usize],
    chosen: &[(usize, usize)],
    slots: &mut Slots,
    seed: u64,
) -> Vec<Placed> {
    let again: usize = chosen.iter().map(|(conversation, _)| conversations[*conversation][0].len()).sum();
    let far = distance(cards.len() + again);
    let mut dice = Dice::new(Purpose::Repeats, seed.wrapping_add(1));
    let mut at_seam: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (conversation, end) in chosen {
        let behind = seams.partition_point(|seam| *seam < end + far);
        if behind < seams.len() {
            let seam = seams[behind + dice.below(seams.len() - behind)];
            at_seam.entry(seam).or_default().push(*conversation);
        }
    }
    // (conversation, model) -> where its answer to the first question stands.
    let mut places: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut whole: Vec<Placed> = Vec::with_capacity(cards.len() + again);
    for index in 0..=cards.len() {
        for conversation in at_seam.remove(&index).unwrap_or_default() {
            for model in slots.next(&conversations[conversation][0]) {
                let repeats = places.get(&(conversation, model)).copied();
                whole.push(Placed { conversation, turn: 0, model, group: 0, slot: 0, repeats });
            }
        }
        if let Some(card) = cards.get(index) {
            if card.turn == 0 {
                places.insert((card.conversation, card.model), whole.len());
            }
            whole.push(*card);
        }
    }
    whole
}

/// Numbers groups and slots; the repeats of a question are a group of their own.
fn number(mut cards: Vec<Placed>) -> Vec<Placed> {
    let mut group = 0;
    let mut slot = 0;
    for index in 0..cards.len() {
        if index > 0 {
            let question = |card: &Placed| (card.conversation, card.turn, card.repeats.is_some());
            if question(&cards[index]) != question(&cards[index - 1]) {
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
        fn repeats_are_whole_questions_as_many_as_asked_and_far_from_their_first_showing(
            turns in prop::collection::vec(1usize..6, 10..40), models in 1usize..5, seed in any::<u64>(),
            share in 1usize..20,
        ) {
            let everyone: Vec<usize> = (0..models).collect();
            let conversations: Vec<Turns> = turns.iter().map(|turns| vec![everyone.clone(); *turns]).collect();
            let count: usize = models * turns.iter().sum::<usize>();
            let wanted = count * share / 100;
            let cards = arrange(&conversations, wanted, seed);
            let again: Vec<(usize, &Placed)> =
                cards.iter().enumerate().filter(|(_, card)| card.repeats.is_some()).collect();
            prop_assert_eq!(cards.len(), count + again.len());
            // A few first questions are too late, or the sheet too short, only where much is to come again.
            prop_assert!(again.len() < wanted + models);
            prop_assert!(share > 10 || again.len() >= wanted, "{} of {}", again.len(), wanted);
            for (place, card) in &again {
                let first = card.repeats.map(|first| (first, &cards[first]));
                let Some((at, first)) = first else { continue };
                prop_assert!(place - at >= distance(cards.len()), "{} after {}", place, at);
                prop_assert_eq!((first.conversation, first.turn, first.model), (card.conversation, 0, card.model));
                prop_assert_eq!(first.repeats, None);
            }
            // By the sizes of groups and the places in them, a repeat is a question like any other.
            let mut groups: BTreeMap<usize, Vec<&Placed>> = BTreeMap::new();
            for card in &cards {
                groups.entry(card.group).or_default().push(card);
            }
            for group in groups.values() {
                prop_assert_eq!(group.len(), models);
                prop_assert!(group.iter().enumerate().all(|(slot, card)| card.slot == slot));
            }
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
