//! The progress bar: bytes done of bytes total, on a terminal's stderr only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cambist_jobs::ScanProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Raw bytes to read, once they are known; one run per process.
static TOTAL_BYTES: AtomicU64 = AtomicU64::new(0);

/// Redraws per second are enough for an eye.
const REDRAW: Duration = Duration::from_millis(200);

/// Tells the bar how much there is to read.
pub(crate) fn set_total(bytes: u64) {
    TOTAL_BYTES.store(bytes, Ordering::Relaxed);
}

/// Shows `progress` while `work` goes on.
pub(crate) async fn shown<T>(progress: ScanProgress, is_quiet: bool, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if is_quiet || bar.is_hidden() {
        return work.await;
    }
    let template = "{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {elapsed} (left {eta})";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let mut redraw = tokio::time::interval(REDRAW);
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                bar.finish_and_clear();
                return result;
            }
            _ = redraw.tick() => {
                bar.set_length(TOTAL_BYTES.load(Ordering::Relaxed));
                bar.set_position(progress.bytes());
            }
        }
    }
}
