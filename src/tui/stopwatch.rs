//! How long a grader worked on each card. The time comes from outside, so that tests decide what it is.

use std::collections::BTreeMap;
use std::time::Duration;

/// A pause without a key counts for so long; the rest of it is no work.
pub const IDLE: Duration = Duration::from_secs(60);

/// Adds up the time between the keys, card by card, until it is recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stopwatch {
    last: Duration,
    /// Not yet recorded, by card.
    open: BTreeMap<usize, Duration>,
}

impl Stopwatch {
    /// A watch that starts at `now`, measured from any fixed moment.
    pub fn new(now: Duration) -> Self {
        Self { last: now, open: BTreeMap::new() }
    }

    /// A key was pressed while `card` was shown.
    pub fn tick(&mut self, card: usize, now: Duration) {
        *self.open.entry(card).or_default() += now.saturating_sub(self.last).min(IDLE);
        self.last = now;
    }

    /// The program was away (suspended): what passed since the last key is no work.
    pub fn skip_to(&mut self, now: Duration) {
        self.last = now;
    }

    /// Seconds on a card that are not yet recorded.
    pub fn seconds(&self, card: usize) -> f64 {
        self.open.get(&card).map_or(0.0, Duration::as_secs_f64)
    }

    /// The seconds on a card have been recorded.
    pub fn recorded(&mut self, card: usize) {
        self.open.remove(&card);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn time_goes_to_the_card_that_was_shown() {
        let mut watch = Stopwatch::new(at(100));
        watch.tick(0, at(107));
        watch.tick(1, at(112));
        watch.tick(0, at(113));
        assert_eq!((watch.seconds(0), watch.seconds(1), watch.seconds(2)), (8.0, 5.0, 0.0));
        watch.recorded(0);
        assert_eq!((watch.seconds(0), watch.seconds(1)), (0.0, 5.0));
    }

    #[test]
    fn of_a_long_pause_a_minute_counts() {
        let mut watch = Stopwatch::new(at(0));
        watch.tick(0, at(3_600));
        assert_eq!(watch.seconds(0), 60.0);
        watch.tick(0, at(3_659));
        assert_eq!(watch.seconds(0), 119.0);
    }

    #[test]
    fn time_away_is_no_work() {
        let mut watch = Stopwatch::new(at(0));
        watch.tick(0, at(2));
        watch.skip_to(at(50));
        watch.tick(0, at(51));
        assert_eq!(watch.seconds(0), 3.0);
        // A clock that runs backwards costs nothing.
        watch.tick(0, at(40));
        assert_eq!(watch.seconds(0), 3.0);
    }
}
