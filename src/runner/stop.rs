//! The user's wish to stop, as the runner sees it.

use tokio::sync::watch;

/// How urgently the user wants the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    Go,
    /// Ask nothing more; wait for what is in flight.
    Finish,
    /// Drop what is in flight.
    Drop,
}

/// Watches for the wish to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<StopLevel>);

/// Where the wish to stop is told.
#[derive(Debug)]
pub struct StopButton(watch::Sender<StopLevel>);

/// A button and what it stops.
pub fn stop_button() -> (StopButton, Stop) {
    let (sender, receiver) = watch::channel(StopLevel::Go);
    (StopButton(sender), Stop(receiver))
}

impl StopButton {
    /// The first press finishes, the second drops.
    pub fn press(&self) {
        self.0.send_modify(|level| *level = if *level == StopLevel::Go { StopLevel::Finish } else { StopLevel::Drop });
    }
}

impl Stop {
    /// Waits until the wish is stronger than `level`; for ever where it never is.
    pub(crate) async fn raised_above(&mut self, level: StopLevel) -> StopLevel {
        loop {
            let now = *self.0.borrow_and_update();
            if now > level {
                return now;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
