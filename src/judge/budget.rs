//! What judging costs: the estimate beforehand, the total so far, and the limit that is never passed.

use serde::{Deserialize, Serialize};

use super::definition::Price;
use super::row::Usage;

/// Tokens of prompts and of replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
}

impl Tokens {
    pub fn add(&mut self, other: Self) {
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.completion = self.completion.saturating_add(other.completion);
    }

    pub fn cost(self, price: Price) -> f64 {
        (self.prompt as f64 * price.prompt + self.completion as f64 * price.completion) / 1e6
    }

    /// What a server counted; where it did not, the estimate from before.
    pub fn counted(usage: &Usage, estimate: Self) -> Self {
        Self {
            prompt: usage.prompt_tokens.unwrap_or(estimate.prompt),
            completion: usage.completion_tokens.unwrap_or(estimate.completion),
        }
    }
}

/// The money of one folder of judgements, earlier calls included.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    price: Option<Price>,
    /// The most that may be spent.
    limit: Option<f64>,
    spent: Tokens,
    /// Of what is in flight.
    reserved: Tokens,
}

impl Budget {
    pub fn new(price: Option<Price>, limit: Option<f64>, spent: Tokens) -> Self {
        Self { price, limit, spent, reserved: Tokens::default() }
    }

    /// Sets so much aside, unless it might pass the limit.
    pub fn reserve(&mut self, estimate: Tokens) -> bool {
        let mut all = self.spent;
        all.add(self.reserved);
        all.add(estimate);
        let passes = self.price.zip(self.limit).is_some_and(|(price, limit)| all.cost(price) > limit);
        if !passes {
            self.reserved.add(estimate);
        }
        !passes
    }

    /// Replaces what was set aside by what it took.
    pub fn settle(&mut self, estimate: Tokens, took: Tokens) {
        self.reserved.prompt = self.reserved.prompt.saturating_sub(estimate.prompt);
        self.reserved.completion = self.reserved.completion.saturating_sub(estimate.completion);
        self.spent.add(took);
    }

    pub fn spent(&self) -> Tokens {
        self.spent
    }

    /// What was spent so far; `None` without prices.
    pub fn cost(&self) -> Option<f64> {
        self.price.map(|price| self.spent.cost(price))
    }

    /// What so many tokens would cost; `None` without prices.
    pub fn cost_of(&self, tokens: Tokens) -> Option<f64> {
        self.price.map(|price| tokens.cost(price))
    }

    pub fn limit(&self) -> Option<f64> {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price { prompt: 1.0, completion: 10.0 };

    fn tokens(prompt: u64, completion: u64) -> Tokens {
        Tokens { prompt, completion }
    }

    #[test]
    fn what_is_in_flight_counts_against_the_limit_until_it_is_settled() {
        // 0.2 an ask.
        let mut budget = Budget::new(Some(PRICE), Some(0.5), Tokens::default());
        let estimate = tokens(100_000, 10_000);
        assert!(budget.reserve(estimate) && budget.reserve(estimate));
        assert!(!budget.reserve(estimate), "a third might pass the limit");
        budget.settle(estimate, tokens(50_000, 1_000));
        assert!((budget.cost().unwrap() - 0.06).abs() < 1e-12);
        assert!(budget.reserve(estimate));
        budget.settle(estimate, Tokens::default());
        assert_eq!(budget.spent(), tokens(50_000, 1_000));
    }

    #[test]
    fn without_a_price_or_a_limit_nothing_is_refused() {
        let much = tokens(u64::MAX, u64::MAX);
        let mut priced = Budget::new(Some(PRICE), None, much);
        let mut limited = Budget::new(None, Some(0.0), much);
        assert!(priced.reserve(much) && limited.reserve(much));
        assert_eq!(limited.cost(), None);
    }

    #[test]
    fn a_server_that_counts_nothing_is_charged_the_estimate() {
        let usage = Usage { prompt_tokens: Some(7), completion_tokens: None, elapsed_ms: 0 };
        assert_eq!(Tokens::counted(&usage, tokens(1, 2)), tokens(7, 2));
    }
}
