//! The asking: everything of a plan that the folder does not know yet.
//!
//! One loop owns the folder, as in `runner`: it asks, waits for the next reply, puts it on disk, and asks on. A reply is
//! on disk before anything follows from it, so that no kill makes the judge be asked twice. Failures are kept nowhere:
//! the next call asks again.

use std::collections::{HashMap, VecDeque};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::budget::{Budget, Tokens};
use super::definition::PicturePolicy;
use super::folder::{JudgementFolder, Known};
use super::plan::{Ask, Plan, Prepared};
use super::reply;
use super::row::{JudgementRow, PicturesShown, Usage};
use crate::backend::http::{ChatClient, ChatReply, is_no_vision};
use crate::backend::{BackendError, FailureKind};
use crate::error::{Error, Result};
use crate::evalset::{ImageBytes, Part};
use crate::runner::now;
use crate::runner::stop::{Stop, StopLevel};

/// What happened, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// Before the first ask.
    Begun(Outlook),
    /// A row is on disk; what was spent so far.
    Judged {
        row: &'a JudgementRow,
        cost: Option<f64>,
    },
    /// No row was made; the next call tries again.
    Failed(&'a AskFailure),
    /// The server takes no pictures; the judge goes on without them.
    PicturesWithheld,
    Finishing {
        in_flight: usize,
    },
    GivenUp {
        message: &'a str,
    },
}

/// What lies ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    pub asks: usize,
    /// Of which the folder knows the outcome.
    pub known: usize,
    /// What the others take at most, unless replies have to be asked for again.
    pub tokens: Tokens,
    /// In the currency of the prices; `None` without them.
    pub cost: Option<f64>,
}

/// An ask without a row.
#[derive(Debug, Clone, PartialEq)]
pub struct AskFailure {
    pub ask: Ask,
    pub model_id: String,
    pub question_id: u64,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Complete,
    /// Nothing more can be asked: wrong key, quota used up.
    GivenUp {
        message: String,
    },
    /// The next ask might pass the limit of the budget.
    BudgetUsedUp,
    Interrupted,
}

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    pub ended: Ended,
    /// Rows that this call added.
    pub asked: usize,
    pub failures: Vec<AskFailure>,
    pub cost: Option<f64>,
}

/// Asks a server, and finds again what it was asked.
pub struct Course<'a> {
    plan: &'a Plan<'a>,
    client: &'a ChatClient,
    shows_pictures: bool,
    /// By item, read once.
    pictures: HashMap<&'a str, Vec<ImageBytes>>,
}

/// What is to be asked next: an ask, or the same again with the format spelled out.
#[derive(Clone, Copy)]
struct Next {
    ask: Ask,
    again: bool,
}

/// A reply that came back.
struct Finished {
    next: Next,
    prepared: Prepared,
    request_sha256: String,
    estimate: Tokens,
    result: Result<ChatReply, BackendError>,
}

impl<'a> Course<'a> {
    /// `shows_pictures` is what is known of the server; where an earlier call found that it takes none, none are sent.
    pub fn new(plan: &'a Plan<'a>, client: &'a ChatClient, known: &Known, shows_pictures: bool) -> Self {
        let withheld = known.rows().any(|row| row.pictures == PicturesShown::Withheld);
        let shows_pictures = shows_pictures && plan.judge.pictures == PicturePolicy::Auto && !withheld;
        Self { plan, client, shows_pictures, pictures: HashMap::new() }
    }

    /// Asks everything that the folder does not know.
    ///
    /// # Errors
    /// Where the folder cannot be written or the judge's template cannot be used. Failures of asks are returned.
    pub async fn run(
        &mut self,
        folder: &mut JudgementFolder,
        budget: &mut Budget,
        mut stop: Stop,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Outcome> {
        let outlook = self.outlook(folder.known(), budget)?;
        observe(Event::Begun(outlook));
        let client = self.client;
        let mut waiting: VecDeque<Next> = self.plan.asks.iter().map(|ask| Next { ask: *ask, again: false }).collect();
        let mut in_flight: FuturesUnordered<BoxFuture<'_, Finished>> = FuturesUnordered::new();
        let mut level = StopLevel::Go;
        let mut ended: Option<Ended> = None;
        let mut asked = 0;
        let mut failures = Vec::new();
        loop {
            while level == StopLevel::Go && ended.is_none() && in_flight.len() < client.concurrency() {
                let Some(next) = waiting.pop_front() else { break };
                let (prepared, request_sha256) = match self.prepare(&next) {
                    Ok(prepared) => prepared,
                    Err(Unasked::Useless(error)) => return Err(error),
                    Err(Unasked::Item(message)) => {
                        let failure = self.failure(next.ask, message);
                        observe(Event::Failed(&failure));
                        failures.push(failure);
                        continue;
                    }
                };
                if let Some(row) = folder.known().row(&request_sha256) {
                    if is_asked_again(row) {
                        waiting.push_front(Next { ask: next.ask, again: true });
                    }
                    continue;
                }
                let estimate = estimate(&prepared);
                if !budget.reserve(estimate) {
                    // What is in flight may turn out cheaper than was set aside for it.
                    waiting.push_front(next);
                    if in_flight.is_empty() {
                        ended = Some(Ended::BudgetUsedUp);
                    }
                    break;
                }
                let one = async move {
                    let result = client.ask(&prepared.chat).await;
                    Finished { next, prepared, request_sha256, estimate, result }
                };
                in_flight.push(one.boxed());
            }
            if in_flight.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                raised = stop.raised_above(level) => {
                    level = raised;
                    if level == StopLevel::Drop {
                        break;
                    }
                    observe(Event::Finishing { in_flight: in_flight.len() });
                }
                Some(finished) = in_flight.next() => {
                    let Finished { next, prepared, request_sha256, estimate, result } = finished;
                    match result {
                        Ok(reply) => {
                            let row = self.row(&next, &prepared, request_sha256, reply);
                            budget.settle(estimate, Tokens::counted(&row.usage, estimate));
                            folder.record(vec![row.clone()])?;
                            asked += 1;
                            observe(Event::Judged { row: &row, cost: budget.cost() });
                            if is_asked_again(&row) {
                                waiting.push_front(Next { ask: next.ask, again: true });
                            }
                        }
                        Err(error) if is_no_vision(&error) && prepared.pictures == PicturesShown::Shown => {
                            budget.settle(estimate, Tokens::default());
                            if self.shows_pictures {
                                self.shows_pictures = false;
                                observe(Event::PicturesWithheld);
                            }
                            waiting.push_front(Next { ask: next.ask, again: false });
                        }
                        Err(error) => {
                            budget.settle(estimate, Tokens::default());
                            if error.kind == FailureKind::Fatal && ended.is_none() {
                                observe(Event::GivenUp { message: &error.message });
                                ended = Some(Ended::GivenUp { message: error.message.clone() });
                            }
                            let failure = self.failure(next.ask, error.message);
                            observe(Event::Failed(&failure));
                            failures.push(failure);
                        }
                    }
                }
            }
        }
        let ended = match level {
            StopLevel::Go => ended.unwrap_or(Ended::Complete),
            StopLevel::Finish | StopLevel::Drop => Ended::Interrupted,
        };
        Ok(Outcome { ended, asked, failures, cost: budget.cost() })
    }

    /// What lies ahead, as far as it is known without asking.
    pub fn outlook(&mut self, known: &Known, budget: &Budget) -> Result<Outlook> {
        let mut outlook = Outlook { asks: self.plan.asks.len(), known: 0, tokens: Tokens::default(), cost: None };
        let plan = self.plan;
        for ask in &plan.asks {
            match self.find(known, ask)? {
                Found::Row(_) => outlook.known += 1,
                Found::Unknown(Some(prepared)) => outlook.tokens.add(estimate(&prepared)),
                Found::Unknown(None) => {}
            }
        }
        outlook.cost = budget.cost_of(outlook.tokens);
        Ok(outlook)
    }

    /// The text that would be sent for each ask of which nothing is known.
    ///
    /// # Errors
    /// Where the judge's template cannot be used.
    pub fn prompts(&mut self, known: &Known) -> Result<Vec<String>> {
        let plan = self.plan;
        let mut prompts = Vec::new();
        for ask in &plan.asks {
            if let Found::Unknown(Some(prepared)) = self.find(known, ask)? {
                let parts = prepared.chat.messages.into_iter().flat_map(|message| message.parts);
                let texts = parts.map(|part| match part {
                    Part::Text(text) => text,
                    Part::Image(image) => format!("<{}>", image.name),
                });
                prompts.push(texts.collect::<Vec<String>>().join("\n"));
            }
        }
        Ok(prompts)
    }

    /// The row that settles each ask, in the order of the plan; `None` where there is none.
    ///
    /// # Errors
    /// Where the judge's template cannot be used.
    pub fn rows(&mut self, known: &Known) -> Result<Vec<Option<JudgementRow>>> {
        let plan = self.plan;
        plan.asks
            .iter()
            .map(|ask| {
                Ok(match self.find(known, ask)? {
                    Found::Row(row) => Some(*row),
                    Found::Unknown(_) => None,
                })
            })
            .collect()
    }

    fn find(&mut self, known: &Known, ask: &Ask) -> Result<Found> {
        let mut next = Next { ask: *ask, again: false };
        loop {
            let (prepared, request_sha256) = match self.prepare(&next) {
                Ok(prepared) => prepared,
                Err(Unasked::Useless(error)) => return Err(error),
                Err(Unasked::Item(_)) => return Ok(Found::Unknown(None)),
            };
            match known.row(&request_sha256) {
                None => return Ok(Found::Unknown(Some(Box::new(prepared)))),
                Some(row) if is_asked_again(row) => next.again = true,
                Some(row) => return Ok(Found::Row(Box::new(row.clone()))),
            }
        }
    }

    fn prepare(&mut self, next: &Next) -> Result<(Prepared, String), Unasked> {
        let plan = self.plan;
        let item = plan.targets[next.ask.target].item;
        let pictures: &[ImageBytes] = if !self.shows_pictures || item.images.is_empty() {
            &[]
        } else {
            match self.pictures.entry(&item.id) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(plan.evalset.pictures(item).map_err(|error| Unasked::Item(error.to_string()))?)
                }
            }
        };
        let mut prepared = plan.prepare(&next.ask, pictures).map_err(Unasked::Useless)?;
        if next.again {
            prepared = plan.again(prepared);
        }
        let request_sha256 =
            self.client.request_sha256(&prepared.chat).map_err(|error| Unasked::Item(error.message))?;
        Ok((prepared, request_sha256))
    }

    fn row(&self, next: &Next, prepared: &Prepared, request_sha256: String, reply: ChatReply) -> JudgementRow {
        let mut row = self.plan.row(&next.ask, Some(self.client.model()), request_sha256, now());
        row.attempt = u8::from(next.again);
        row.pictures = prepared.pictures;
        row.set(reply::parse(&reply.text, prepared.wanted));
        row.finish_reason = Some(reply.finish);
        row.usage = Usage {
            prompt_tokens: reply.prompt_tokens,
            completion_tokens: reply.completion_tokens,
            elapsed_ms: u64::try_from(reply.elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        row.reply = Some(reply.text);
        row
    }

    fn failure(&self, ask: Ask, message: String) -> AskFailure {
        let target = &self.plan.targets[ask.target];
        AskFailure {
            ask,
            model_id: self.plan.answers[target.answers].model_id.clone(),
            question_id: target.asked().question_id,
            message,
        }
    }
}

enum Found {
    Row(Box<JudgementRow>),
    /// What would be asked, where it can be.
    Unknown(Option<Box<Prepared>>),
}

/// Why something cannot be asked.
enum Unasked {
    /// Nothing can.
    Useless(Error),
    /// This one cannot: its picture is broken.
    Item(String),
}

/// Whether the row is a first reply that could not be read.
fn is_asked_again(row: &JudgementRow) -> bool {
    !row.is_read() && row.attempt == 0
}

fn estimate(prepared: &Prepared) -> Tokens {
    let completion = prepared.chat.decoding.max_new_tokens as u64;
    Tokens { prompt: prepared.chat.estimated_tokens().saturating_sub(completion), completion }
}
