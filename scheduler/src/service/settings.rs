//! What can be set of the job service, with its bounds.

use std::time::Duration;

/// How the job service behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// The folder of the runs' records, `file://` or `s3://`.
    pub state_url: String,
    /// Runs that are driven at once.
    pub runs_at_once: usize,
    /// Runs that may wait; one more is refused.
    pub queue_length_max: usize,
    /// Attempts at one run, over all restarts of the scheduler; then it fails. A run that takes its
    /// scheduler down would otherwise do so for ever.
    pub attempts_max: u32,
    /// How long a stopping service lets its runs finish; what is left then is resumed at the next start.
    pub stop_grace: Duration,
    /// For how long a record is tried to be written before the run is suspended.
    pub record_timeout: Duration,
    /// Finished runs that are kept in memory for lists; older ones are still found by their id.
    pub history_max: usize,
}

impl ServiceSettings {
    /// Returns the defaults for the folder `state_url`.
    pub fn new(state_url: impl Into<String>) -> Self {
        Self {
            state_url: state_url.into(),
            runs_at_once: 2,
            queue_length_max: 1000,
            attempts_max: 20,
            stop_grace: Duration::from_secs(30),
            record_timeout: Duration::from_secs(60),
            history_max: 1000,
        }
    }
}
