//! The built-in model as a backend: it lives on a thread of its own, so that no tensor operation ever blocks the async
//! runtime, and decodes together whatever is waiting.

mod assistant;
mod built_in;
mod open;
mod worker;

use std::sync::Mutex;
use std::sync::mpsc;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;

use super::{Backend, BackendError, BackendInfo, Decoding, FailureKind, Reply};
use crate::error::Result;
use crate::evalset::Conversation;

pub use assistant::Assistant;
pub use open::{DeviceChoice, DtypeChoice, LocalOptions};

/// mPLUG-Owl on this machine.
pub struct LocalBackend {
    info: BackendInfo,
    batch: usize,
    jobs: Mutex<mpsc::Sender<Job>>,
}

/// One conversation on its way to the model's thread.
struct Job {
    conversation: Conversation,
    decoding: Decoding,
    reply: oneshot::Sender<Result<Reply, BackendError>>,
}

impl LocalBackend {
    /// Loads the model and starts its thread.
    pub fn open(options: &LocalOptions) -> Result<Self> {
        let (assistant, info) = open::open(options)?;
        let batch = options.batch.unwrap_or_else(|| open::default_batch(&assistant)).max(1);
        Ok(Self::start(assistant, info, batch))
    }

    /// Serves a model that is already loaded.
    pub fn start(assistant: Assistant, info: BackendInfo, batch: usize) -> Self {
        let (jobs, waiting) = mpsc::channel();
        std::thread::Builder::new()
            .name("mplug-owl".into())
            .spawn(move || worker::serve(&assistant, &waiting, batch))
            .expect("the system starts a thread");
        Self { info, batch, jobs: Mutex::new(jobs) }
    }
}

impl Backend for LocalBackend {
    fn info(&self) -> BackendInfo {
        self.info.clone()
    }

    /// One conversation more than is decoded together waits, so that a place is filled as soon as it is free.
    fn max_in_flight(&self) -> usize {
        self.batch + 1
    }

    fn reply<'a>(
        &'a self,
        conversation: &'a Conversation,
        decoding: &'a Decoding,
    ) -> BoxFuture<'a, Result<Reply, BackendError>> {
        let (reply, answer) = oneshot::channel();
        let job = Job { conversation: conversation.clone(), decoding: decoding.clone(), reply };
        let sent = self.jobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).send(job);
        async move {
            let gone = || failure(FailureKind::Fatal, "the model's thread has ended");
            sent.map_err(|_| gone())?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        }
        .boxed()
    }
}

fn failure(kind: FailureKind, message: impl Into<String>) -> BackendError {
    BackendError { kind, message: message.into(), attempts: 1 }
}
