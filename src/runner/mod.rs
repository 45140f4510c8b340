//! Conversations x backend -> answers.
//!
//! Conversations are asked side by side, as many as the backend takes; the turns of one conversation follow each
//! other. One loop owns the run folder: it asks, waits for the next reply, puts it on disk, and asks on. So stopping,
//! carrying on and giving up are all decided in one place, and nothing is shared between threads.
//!
//! - An answer is on disk, whole and synced, as soon as it is complete.
//! - What is answered in the folder is never asked again; its answer serves as history.
//! - A failed turn is no history: with the model's own answers as history, the later turns of its conversation are
//!   recorded as blocked. Failed and blocked questions are asked again by the next call.
//! - A fatal failure (wrong key, quota used up) ends the asking; what is in flight is still waited for.

mod course;
pub mod history;
pub mod stop;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::backend::{Backend, BackendError, Decoding, FailureKind, Reply};
use crate::error::Result;
use crate::evalset::{EvalSet, Selected};
use crate::record::{AnswerRow, FailureRow};
use crate::store::RunFolder;

use course::Course;
pub use course::now;
pub use history::Past;
use stop::{Stop, StopLevel};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Where the pictures come from.
    pub evalset: &'a EvalSet,
    /// The conversations to ask, and which of their turns.
    pub selected: &'a [Selected],
    pub decoding: &'a Decoding,
    pub past: &'a Past,
}

/// What happened, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// Before the first question: how many there are in all, and how many were answered by earlier calls.
    Begun { questions: usize, answered: usize },
    /// An answer is on disk.
    Answered(&'a AnswerRow),
    /// A failure is on disk.
    Failed(&'a FailureRow),
    /// The user asked to stop; so many questions in flight are still waited for.
    Finishing { in_flight: usize },
    /// The user asked to stop at once; these questions were in flight and are dropped.
    Dropped { questions: &'a [u64] },
    /// Nothing more is asked.
    GivenUp { message: &'a str },
}

/// How a call of [`run`] ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub ended: Ended,
    /// Answers that this call added.
    pub answered: usize,
    /// Tokens of those answers, where the backend counts them.
    pub completion_tokens: u64,
    pub elapsed: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// Every question was answered or tried.
    Complete,
    /// A fatal failure ended the asking.
    GivenUp { message: String },
    /// The user stopped it; the dropped questions were in flight.
    Interrupted { dropped: Vec<u64> },
}

/// A turn that came back.
struct Finished<'a> {
    course: Course<'a>,
    turn: usize,
    result: Result<Reply, BackendError>,
}

/// Asks every question of the plan that the folder has no answer to, and puts what comes back into the folder.
///
/// # Errors
/// Where the folder cannot be written. Failures of questions are recorded, not returned.
pub async fn run(
    plan: Plan<'_>,
    backend: &dyn Backend,
    folder: &mut RunFolder,
    mut stop: Stop,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let began = Instant::now();
    let questions: usize = plan.selected.iter().map(|one| one.asked(plan.past.is_own()).len()).sum();
    let answers: HashMap<u64, &str> =
        folder.answers().iter().map(|row| (row.question_id, row.answer.as_str())).collect();
    let mut waiting: VecDeque<Course<'_>> = plan
        .selected
        .iter()
        .map(|selected| Course::new(selected, plan.past, &answers))
        .filter(|course| course.next_turn().is_some())
        .collect();
    observe(Event::Begun { questions, answered: folder.answers().len() });
    if !waiting.is_empty() {
        folder.begin(questions)?;
    }

    let model_id = folder.manifest().model.id.clone();
    let limit = backend.max_in_flight().max(1);
    let mut in_flight: FuturesUnordered<BoxFuture<'_, Finished<'_>>> = FuturesUnordered::new();
    // Which questions are in flight, to name them where they are dropped.
    let mut asked: Vec<u64> = Vec::new();
    let mut finished: Vec<Finished<'_>> = Vec::new();
    let mut level = StopLevel::Go;
    let mut given_up: Option<String> = None;
    let mut outcome =
        Outcome { ended: Ended::Complete, answered: 0, completion_tokens: 0, elapsed: Duration::default() };

    loop {
        let mut answer_rows = Vec::new();
        let mut failure_rows = Vec::new();
        for Finished { mut course, turn, result } in finished.drain(..) {
            asked.retain(|id| *id != course.item.turns[turn].question_id);
            match result {
                Ok(reply) => answer_rows.push(course.answered(turn, reply, &model_id)),
                Err(error) => {
                    if error.kind == FailureKind::Fatal && given_up.is_none() {
                        given_up = Some(error.message.clone());
                        observe(Event::GivenUp { message: &error.message });
                    }
                    failure_rows.extend(course.failed(turn, error));
                }
            }
            // A conversation that has begun goes first: its past is still at hand in the model.
            waiting.push_front(course);
        }

        while given_up.is_none() && level == StopLevel::Go && in_flight.len() < limit {
            let Some(course) = waiting.pop_front() else { break };
            let Some(turn) = course.next_turn() else { continue };
            asked.push(course.item.turns[turn].question_id);
            in_flight.push(ask(plan, backend, course, turn));
        }
        // What was just added starts when it is first looked at: before the disk is waited for, not after.
        if level < StopLevel::Drop {
            take_ready(&mut in_flight, &mut finished, limit);
        }
        record(folder, answer_rows, failure_rows, &mut outcome, observe)?;

        if level == StopLevel::Drop || finished.is_empty() && in_flight.is_empty() {
            break;
        }
        let raised = if finished.is_empty() {
            tokio::select! {
                biased;
                next = in_flight.next() => {
                    finished.extend(next);
                    take_ready(&mut in_flight, &mut finished, limit);
                    None
                }
                next = stop.raised_above(level) => Some(next),
            }
        } else {
            // Even where replies always wait already, the user is heard.
            stop.raised_above(level).now_or_never()
        };
        if let Some(next) = raised {
            level = next;
            if level == StopLevel::Finish {
                observe(Event::Finishing { in_flight: asked.len() });
            }
        }
    }
    drop(in_flight);
    if level == StopLevel::Drop && !asked.is_empty() {
        observe(Event::Dropped { questions: &asked });
    }

    let interrupted = level != StopLevel::Go;
    outcome.ended = match given_up {
        Some(message) => Ended::GivenUp { message },
        // A stop that came when nothing was left to ask interrupted nothing.
        None if interrupted && !(asked.is_empty() && waiting.iter().all(|course| course.next_turn().is_none())) => {
            Ended::Interrupted { dropped: asked }
        }
        None => Ended::Complete,
    };
    let finished_at = (outcome.ended == Ended::Complete).then(course::now);
    folder.finish(questions, finished_at)?;
    outcome.elapsed = began.elapsed();
    Ok(outcome)
}

/// Asks one turn.
fn ask<'a>(plan: Plan<'a>, backend: &'a dyn Backend, course: Course<'a>, turn: usize) -> BoxFuture<'a, Finished<'a>> {
    async move {
        let mut course = course;
        let result = match course.conversation(plan, turn) {
            Ok(conversation) => backend.reply(&conversation, plan.decoding).await,
            Err(error) => Err(error),
        };
        Finished { course, turn, result }
    }
    .boxed()
}

/// Takes what is complete already, without waiting: replies that come together go to disk with one sync. At most
/// `limit`, so that a backend which answers at once does not keep its answers from the disk.
fn take_ready<'a>(
    in_flight: &mut FuturesUnordered<BoxFuture<'a, Finished<'a>>>,
    finished: &mut Vec<Finished<'a>>,
    limit: usize,
) {
    while finished.len() < limit {
        match in_flight.next().now_or_never() {
            Some(Some(next)) => finished.push(next),
            _ => break,
        }
    }
}

/// Puts rows on disk, then tells of them.
fn record(
    folder: &mut RunFolder,
    answers: Vec<AnswerRow>,
    failures: Vec<FailureRow>,
    outcome: &mut Outcome,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    for row in folder.record_answers(answers)? {
        outcome.answered += 1;
        outcome.completion_tokens += row.completion_tokens.unwrap_or(0);
        observe(Event::Answered(row));
    }
    for row in folder.record_failures(failures)? {
        observe(Event::Failed(row));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
