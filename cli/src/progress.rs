//! The progress bar: bytes done of bytes total, on a terminal's stderr only.

use std::time::Duration;

use cambist_jobs::RunProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws per second are enough for an eye.
const REDRAW: Duration = Duration::from_millis(200);

/// Shows `progress` while `work` goes on.
pub(crate) async fn shown<T>(progress: RunProgress, is_quiet: bool, work: impl Future<Output = T>) -> T {
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
                let counts = progress.counts();
                bar.set_length(counts.bytes_total);
                bar.set_position(counts.bytes_done);
            }
        }
    }
}
