//! Seeded choices of a sheet: the same seed gives the same sheet, on any machine and for good.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// What a stream of choices is for, so that no two uses share a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Conversations = 1,
    Slots = 2,
    Repeats = 3,
    Parts = 4,
}

/// A stream of choices. The ranges are drawn here rather than by the `rand` crate, whose ranges may give other values
/// in a later version.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(purpose: Purpose, seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..23].copy_from_slice(b"grading");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A whole number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// Orders of models for one question after another, in which every model stands as often in every place.
///
/// The orders come from Latin squares: in a square of `m` orders of `m` models each model stands once in each place.
/// They are Williams squares (E. J. Williams, Australian Journal of Scientific Research A 2, 1949), in which each model
/// also follows each other model as often, over one square for an even `m` and over a square and its mirror image for
/// an odd one. Names and rows are shuffled for every square. A question that not all models answered takes its order
/// from squares of those that did.
pub(super) struct Slots {
    dice: Dice,
    streams: std::collections::BTreeMap<Vec<usize>, Stream>,
}

#[derive(Default)]
struct Stream {
    rows: Vec<Vec<usize>>,
    last: Vec<usize>,
    is_mirrored: bool,
}

impl Slots {
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(Purpose::Slots, seed), streams: std::collections::BTreeMap::new() }
    }

    /// The models of one question in the order in which they are shown.
    pub fn next(&mut self, models: &[usize]) -> Vec<usize> {
        let stream = self.streams.entry(models.to_vec()).or_default();
        if stream.rows.is_empty() {
            stream.rows = square(models, stream.is_mirrored, &mut self.dice);
            stream.is_mirrored = !stream.is_mirrored;
            // Rows are taken from the end; two questions in a row shall not have the same order.
            if stream.rows.last() == Some(&stream.last) {
                stream.rows.rotate_left(1);
            }
        }
        let row = stream.rows.pop().unwrap_or_default();
        stream.last.clone_from(&row);
        row
    }
}

/// A Williams square over `models`, its names and rows shuffled.
fn square(models: &[usize], is_mirrored: bool, dice: &mut Dice) -> Vec<Vec<usize>> {
    let count = models.len();
    let mut names = models.to_vec();
    dice.shuffle(&mut names);
    // 0, 1, m − 1, 2, m − 2, …: the steps between neighbours are all different.
    let mut first: Vec<usize> =
        (0..count).map(|place| if place % 2 == 1 { place.div_ceil(2) } else { (count - place / 2) % count }).collect();
    if is_mirrored {
        first.reverse();
    }
    let mut rows: Vec<Vec<usize>> =
        (0..count).map(|row| first.iter().map(|name| names[(name + row) % count]).collect()).collect();
    dice.shuffle(&mut rows);
    rows
}

/// Shares conversations out among `parts`: `overlap` of them go to every part, each other one to one part, so that all
/// parts have about as many cards. `cards` are the cards of each conversation; what comes back are its indices, in
/// ascending order, by part.
pub(super) fn share_out(cards: &[usize], parts: usize, overlap: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut dice = Dice::new(Purpose::Parts, seed);
    let mut order: Vec<usize> = (0..cards.len()).collect();
    dice.shuffle(&mut order);
    let (shared, own) = order.split_at(overlap.min(order.len()));
    let mut shares = vec![shared.to_vec(); parts];
    let mut sizes = vec![0; parts];
    // The largest first: what is left at the end evens the parts out.
    let mut own = own.to_vec();
    own.sort_by_key(|conversation| std::cmp::Reverse(cards[*conversation]));
    for conversation in own {
        let smallest = (0..parts).min_by_key(|part| sizes[*part]).unwrap_or(0);
        sizes[smallest] += cards[conversation];
        shares[smallest].push(conversation);
    }
    for share in &mut shares {
        share.sort_unstable();
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_square_has_each_model_once_in_each_row_and_place() {
        for count in 1..9 {
            let models: Vec<usize> = (10..10 + count).collect();
            for is_mirrored in [false, true] {
                let rows = square(&models, is_mirrored, &mut Dice::new(Purpose::Slots, 7));
                assert_eq!(rows.len(), count);
                for (index, row) in rows.iter().enumerate() {
                    let mut row = row.clone();
                    row.sort_unstable();
                    assert_eq!(row, models);
                    let mut column: Vec<usize> = rows.iter().map(|row| row[index]).collect();
                    column.sort_unstable();
                    assert_eq!(column, models);
                }
            }
        }
    }

    #[test]
    fn in_a_square_of_an_even_count_each_model_follows_each_other_once() {
        let models: Vec<usize> = (0..6).collect();
        let mut pairs: Vec<(usize, usize)> = square(&models, false, &mut Dice::new(Purpose::Slots, 3))
            .iter()
            .flat_map(|row| row.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>())
            .collect();
        pairs.sort_unstable();
        let every: Vec<(usize, usize)> =
            models.iter().flat_map(|a| models.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b).collect();
        assert_eq!(pairs, every);
    }

    #[test]
    fn parts_share_what_was_declared_and_have_about_as_many_cards() {
        let cards: Vec<usize> = (0..50).map(|index| if index % 7 == 0 { 24 } else { 6 }).collect();
        let shares = share_out(&cards, 3, 5, 1);
        let count = |conversation: usize| shares.iter().filter(|share| share.contains(&conversation)).count();
        assert_eq!((0..50).filter(|conversation| count(*conversation) == 3).count(), 5);
        assert_eq!((0..50).filter(|conversation| count(*conversation) == 1).count(), 45);
        let sizes: Vec<usize> = shares.iter().map(|share| share.iter().map(|index| cards[*index]).sum()).collect();
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 6, "{sizes:?}");
        assert_ne!(shares, share_out(&cards, 3, 5, 2));
        assert_eq!(shares, share_out(&cards, 3, 5, 1));
    }
}
