//! What a run has staged goes when the run is given up, however that happens.

use cambist_engine::table::Staging;
use tokio::runtime::Handle;

/// A run's staging place; removes what lies there when it is dropped, as it is where the run is cancelled.
#[derive(Debug)]
pub(crate) struct StagingGuard {
    staging: Staging,
    is_armed: bool,
}

impl StagingGuard {
    /// Guards what is staged at `staging` from now on.
    pub(crate) fn new(staging: Staging) -> Self {
        Self { staging, is_armed: true }
    }

    /// Returns the staging place.
    pub(crate) fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Removes everything now.
    pub(crate) async fn discard(mut self) {
        self.is_armed = false;
        discard(&self.staging).await;
    }

    /// Guards no longer.
    pub(crate) fn release(mut self) -> Staging {
        self.is_armed = false;
        self.staging.clone()
    }
}

impl Drop for StagingGuard {
    fn drop(&mut self) {
        // Without a runtime the process is about to end, and `gc` will find what is left.
        if self.is_armed
            && let Ok(runtime) = Handle::try_current()
        {
            let staging = self.staging.clone();
            runtime.spawn(async move { discard(&staging).await });
        }
    }
}

/// Removes what is staged; what cannot be removed now is removed by `gc`.
pub(crate) async fn discard(staging: &Staging) {
    if let Err(error) = staging.discard().await {
        tracing::warn!(%error, "staged files are left to gc");
    }
}
