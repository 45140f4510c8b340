//! Ctrl-C and a polite kill become a wish to stop.

use crate::error::{Error, Result};
use crate::runner::stop::{Stop, stop_button};

/// From now on, the first Ctrl-C (or SIGTERM) asks the run to finish what is in flight, the second to drop it. Must be
/// called inside a runtime; until then, a Ctrl-C ends the process as usual: there is nothing to lose yet.
pub fn stop_on_signals() -> Result<Stop> {
    let (button, stop) = stop_button();
    let unable = |source| Error::failed("cannot listen for Ctrl-C").source(source);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).map_err(unable)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(unable)?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => button.press(),
                    _ = terminate.recv() => button.press(),
                }
            }
        });
    }
    #[cfg(not(unix))]
    {
        let _ = unable;
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                button.press();
            }
        });
    }
    Ok(stop)
}
