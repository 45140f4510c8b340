//! How fast a server is asked: requests a minute, tokens a minute, and a pause for all when the server asks one.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Every attempt passes here before it is sent.
pub struct Pace {
    requests: Option<DefaultDirectRateLimiter>,
    tokens: Option<Mutex<TokenWindow>>,
    paused_until: Mutex<Option<Instant>>,
}

/// An attempt that was let through, whose tokens can be set right afterwards.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(Option<u64>);

impl Pace {
    pub fn new(requests_per_minute: Option<NonZeroU32>, tokens_per_minute: Option<NonZeroU32>) -> Self {
        // One at a time, evenly spread: with a burst of a minute's worth, the first minute would see nearly twice it.
        let quota =
            |number: NonZeroU32| Quota::with_period(MINUTE / number.get()).map(|q| q.allow_burst(NonZeroU32::MIN));
        Self {
            requests: requests_per_minute.and_then(quota).map(RateLimiter::direct),
            tokens: tokens_per_minute.map(|limit| Mutex::new(TokenWindow::new(u64::from(limit.get())))),
            paused_until: Mutex::new(None),
        }
    }

    /// Waits until a request of about so many tokens may be sent.
    pub async fn enter(&self, tokens: u64) -> Ticket {
        let ticket = self.enter_tokens(tokens).await;
        if let Some(requests) = &self.requests {
            requests.until_ready().await;
        }
        loop {
            let until = *lock(&self.paused_until);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return ticket,
            }
        }
    }

    async fn enter_tokens(&self, tokens: u64) -> Ticket {
        let Some(window) = &self.tokens else { return Ticket(None) };
        loop {
            let admitted = lock(window).admit(Instant::now(), tokens);
            match admitted {
                Ok(number) => return Ticket(Some(number)),
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Replaces the estimate of a request by what the server counted.
    pub fn settle(&self, ticket: Ticket, tokens: u64) {
        if let (Some(window), Some(number)) = (&self.tokens, ticket.0) {
            lock(window).settle(number, tokens);
        }
    }

    /// Holds every request back for a while: a server that is overrun by one is overrun by all.
    pub fn pause(&self, wait: Duration) {
        let mut until = lock(&self.paused_until);
        let new = Instant::now() + wait;
        if until.is_none_or(|old| old < new) {
            *until = Some(new);
        }
    }
}

/// The tokens of the last minute. (`governor` cannot correct an estimate afterwards, and a picture's is a guess.)
struct TokenWindow {
    limit: u64,
    /// When, number and tokens of each request, oldest first.
    sent: VecDeque<(Instant, u64, u64)>,
    next: u64,
}

impl TokenWindow {
    fn new(limit: u64) -> Self {
        Self { limit, sent: VecDeque::new(), next: 0 }
    }

    /// Lets a request through, or says how long to wait before trying again. A request that is larger than the limit
    /// goes through alone, when nothing else was sent for a minute; otherwise it never would.
    fn admit(&mut self, now: Instant, tokens: u64) -> Result<u64, Duration> {
        while self.sent.front().is_some_and(|(at, ..)| now.duration_since(*at) >= MINUTE) {
            self.sent.pop_front();
        }
        let used: u64 = self.sent.iter().map(|(.., tokens)| tokens).sum();
        let oldest = self.sent.iter().find(|(.., tokens)| *tokens > 0);
        if let Some((oldest, ..)) = oldest
            && used + tokens > self.limit
        {
            return Err(MINUTE.saturating_sub(now.duration_since(*oldest)).max(Duration::from_millis(1)));
        }
        let number = self.next;
        self.next += 1;
        self.sent.push_back((now, number, tokens));
        Ok(number)
    }

    fn settle(&mut self, number: u64, tokens: u64) {
        if let Some(entry) = self.sent.iter_mut().find(|entry| entry.1 == number) {
            entry.2 = tokens;
        }
    }
}

/// A panic elsewhere leaves these plain values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_holds_more_tokens_than_the_limit() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut window = TokenWindow::new(100);
        assert!(window.admit(at(0), 60).is_ok());
        assert!(window.admit(at(10), 40).is_ok());
        assert_eq!(window.admit(at(20), 1), Err(Duration::from_secs(40)));
        assert!(window.admit(at(60), 60).is_ok());
        assert_eq!(window.admit(at(61), 1), Err(Duration::from_secs(9)));
    }

    #[test]
    fn an_estimate_is_replaced_by_what_was_counted() {
        let now = Instant::now();
        let mut window = TokenWindow::new(100);
        let first = window.admit(now, 100).expect("room for the first");
        assert!(window.admit(now, 50).is_err());
        window.settle(first, 10);
        assert!(window.admit(now, 50).is_ok());
        window.settle(99, 10);
    }

    #[test]
    fn a_request_larger_than_the_limit_goes_through_alone() {
        let now = Instant::now();
        let mut window = TokenWindow::new(100);
        assert!(window.admit(now, 1000).is_ok());
        assert!(window.admit(now, 1).is_err());
        assert!(window.admit(now + MINUTE, 1).is_ok());
        assert!(window.admit(now + MINUTE, 1000).is_err());
    }

    #[tokio::test]
    async fn requests_are_spread_evenly() {
        // One every 20 ms: four need three gaps.
        let pace = Pace::new(NonZeroU32::new(3000), None);
        let start = Instant::now();
        for _ in 0..4 {
            pace.enter(1).await;
        }
        assert!(start.elapsed() >= Duration::from_millis(55), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_pause_holds_for_all_and_a_shorter_one_does_not_end_it() {
        let pace = Pace::new(None, None);
        let start = Instant::now();
        pace.pause(Duration::from_millis(40));
        pace.pause(Duration::from_millis(1));
        pace.enter(1).await;
        assert!(start.elapsed() >= Duration::from_millis(40));
    }
}
