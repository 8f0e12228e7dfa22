//! When a server stops.

use cambist_jobs::error::{ErrorKind, JobError, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Returns a future that ends when this process is told to stop: by SIGTERM, by SIGINT, and by the end of its
/// terminal unless it is `detached` from that.
///
/// From here on these signals no longer end the process by themselves.
pub(super) fn stop_signal(detached: bool) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminations = begin(SignalKind::terminate())?;
    let mut interrupts = begin(SignalKind::interrupt())?;
    let mut hangups = begin(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminations.recv() => {}
            _ = interrupts.recv() => {}
            _ = hangups.recv(), if !detached => {}
        }
    })
}

/// Goes on when the terminal is closed.
pub(super) fn ignore_hangups() -> Result<()> {
    // Once listened for, the signal does nothing by itself for the rest of the process's life.
    begin(SignalKind::hangup()).map(drop)
}

fn begin(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| {
        JobError::new(ErrorKind::Infrastructure, "signals cannot be listened for").caused_by(error)
    })
}
