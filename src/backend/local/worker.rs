//! The model's thread: admits conversations as places are free, decodes all of them a token a step.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use candle_core::Tensor;
use futures::channel::oneshot;

use super::assistant::{Assistant, Prepared};
use super::{Job, failure};
use crate::backend::{BackendError, FailureKind, FinishReason, Reply};
use crate::error::{Error, Kind, Result};
use crate::evalset::ImageBytes;
use crate::owl::generate::{Finish, Finished, Generator, Past, Request};

/// Pictures whose visual tokens are kept; a conversation's turns come soon after one another.
const KEPT_PICTURES: usize = 64;

/// Conversations whose past is kept for their next turn.
const KEPT_PASTS: usize = 64;

/// Answers jobs until the backend is dropped.
pub(super) fn serve(assistant: &Assistant, jobs: &Receiver<Job>, batch: usize) {
    let mut worker = Worker {
        assistant,
        generator: Generator::new(&assistant.owl),
        running: HashMap::new(),
        next_tag: 0,
        features: Kept::new(KEPT_PICTURES),
        pasts: Kept::new(KEPT_PASTS),
    };
    loop {
        if worker.running.is_empty() {
            // Nothing to decode: wait.
            let Ok(job) = jobs.recv() else { return };
            worker.admit(job);
        }
        while worker.running.len() < batch {
            match jobs.try_recv() {
                Ok(job) => worker.admit(job),
                // Even when nobody can ask any more, what was asked is still answered.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        worker.step();
    }
}

struct Worker<'a> {
    assistant: &'a Assistant,
    generator: Generator<'a>,
    running: HashMap<u64, Running>,
    next_tag: u64,
    /// By the digest of the picture.
    features: Kept<Tensor>,
    /// By item.
    pasts: Kept<Past>,
}

/// A conversation that is being answered.
struct Running {
    item: String,
    stop: Vec<String>,
    request_sha256: String,
    started: Instant,
    reply: oneshot::Sender<Result<Reply, BackendError>>,
}

impl Worker<'_> {
    fn admit(&mut self, job: Job) {
        let started = Instant::now();
        let Job { conversation, decoding, reply } = job;
        let prepared = self.assistant.prepare(&conversation).and_then(|prepared| {
            let digest = self.assistant.request_sha256(&prepared, &decoding)?;
            let features = self.features(&prepared)?;
            Ok((prepared, digest, features))
        });
        let (prepared, request_sha256, features) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return answer(reply, Err(as_failure(&error))),
        };
        let tag = self.next_tag;
        self.next_tag += 1;
        let request = Request {
            tag,
            prompt: prepared.row,
            features,
            pictures: prepared.images.into_iter().map(|image| image.sha256).collect(),
            past: self.pasts.take(&conversation.item),
            sampling: self.assistant.sampling(&conversation, &decoding),
            until: self.assistant.until(&decoding.stop),
        };
        if let Err(error) = self.generator.admit(request) {
            return answer(reply, Err(as_failure(&error)));
        }
        let item = conversation.item;
        self.running.insert(tag, Running { item, stop: decoding.stop, request_sha256, started, reply });
    }

    /// Visual tokens of all pictures of a prompt, `[n, Q + 1, H]`.
    fn features(&mut self, prepared: &Prepared) -> Result<Option<Tensor>> {
        let features = prepared.images.iter().map(|image| self.picture(image)).collect::<Result<Vec<_>>>()?;
        if features.is_empty() { Ok(None) } else { Ok(Some(Tensor::cat(&features, 0)?)) }
    }

    fn picture(&mut self, image: &ImageBytes) -> Result<Tensor> {
        if let Some(features) = self.features.get(&image.sha256) {
            return Ok(features.clone());
        }
        let features = self.assistant.features(image)?;
        self.features.put(image.sha256.clone(), features.clone());
        Ok(features)
    }

    fn step(&mut self) {
        match self.generator.step() {
            Ok(finished) => {
                for finished in finished {
                    self.finish(finished);
                }
            }
            Err(error) => {
                // The rows share their steps: one that fails takes the others along.
                self.generator = Generator::new(&self.assistant.owl);
                for (_, running) in self.running.drain() {
                    answer(running.reply, Err(as_failure(&error)));
                }
            }
        }
    }

    fn finish(&mut self, finished: Finished) {
        let Some(running) = self.running.remove(&finished.tag) else { return };
        self.pasts.put(running.item, finished.past);
        let reply = Reply {
            text: self.assistant.text(&finished.ids, &running.stop),
            finish: match finished.finish {
                Finish::Stop => FinishReason::Stop,
                Finish::Length => FinishReason::Length,
            },
            prompt_tokens: Some(finished.prompt_tokens as u64),
            completion_tokens: Some(finished.ids.len() as u64),
            elapsed: running.started.elapsed(),
            request_sha256: running.request_sha256,
        };
        answer(running.reply, Ok(reply));
    }
}

/// Whoever asked may have gone; the answer is then dropped.
fn answer(reply: oneshot::Sender<Result<Reply, BackendError>>, result: Result<Reply, BackendError>) {
    drop(reply.send(result));
}

/// Input errors are the item's own; others the model's.
fn as_failure(error: &Error) -> BackendError {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let kind = match error.kind() {
        Kind::Input => FailureKind::Input,
        Kind::Failed | Kind::Interrupted => FailureKind::Transient,
    };
    failure(kind, message)
}

/// The last few values, by name; the oldest goes first.
struct Kept<T> {
    limit: usize,
    values: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Kept<T> {
    fn new(limit: usize) -> Self {
        Self { limit, values: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, name: &str) -> Option<&T> {
        self.values.get(name)
    }

    fn take(&mut self, name: &str) -> Option<T> {
        self.order.retain(|kept| kept != name);
        self.values.remove(name)
    }

    fn put(&mut self, name: String, value: T) {
        self.order.retain(|kept| *kept != name);
        self.order.push_back(name.clone());
        self.values.insert(name, value);
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let mut kept = Kept::new(2);
        for name in ["a", "b", "a", "c"] {
            kept.put(name.into(), name.len());
        }
        assert!(kept.get("b").is_none());
        assert_eq!(kept.take("a"), Some(1));
        assert_eq!(kept.values.len(), 1);
    }
}
