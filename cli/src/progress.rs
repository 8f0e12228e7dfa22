//! The progress line: bytes done of bytes total, rows a second and what is left, on a terminal's stderr
//! only. The same line whether the run is here or on a cluster.

use std::collections::VecDeque;
use std::time::Duration;

use cambist_jobs::ProgressCounts;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// Redraws per second are enough for an eye.
pub(crate) const REDRAW: Duration = Duration::from_millis(200);

/// The rate is that of the last seconds: long enough to be steady, short enough to show a stall.
const RATE_WINDOW: Duration = Duration::from_secs(5);

const COUNTED: &str = "{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {msg}  {elapsed} (left {eta})";
const THINGS: &str = "{bar:30} {pos} of {len} {msg}  {per_sec}  {elapsed} (left {eta})";
const WAITING: &str = "{spinner} {msg}  {elapsed}";

/// A progress line; draws nothing where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    bar: ProgressBar,
    is_counted: bool,
    rate: RecordRate,
}

impl ProgressLine {
    /// Opens the line; `is_quiet` never shows it.
    pub(crate) fn new(is_quiet: bool) -> Self {
        let target = if is_quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let line = Self { bar, is_counted: false, rate: RecordRate::default() };
        line.set_style(WAITING);
        line
    }

    /// Tells whether nobody sees it.
    pub(crate) fn is_hidden(&self) -> bool {
        self.bar.is_hidden()
    }

    /// Shows `counts`, or what the run waits for where it does.
    pub(crate) fn show(&mut self, counts: ProgressCounts, waiting: Option<&str>) {
        self.come_back();
        let is_counted = waiting.is_none() && counts.bytes_total > 0;
        if is_counted != self.is_counted {
            self.is_counted = is_counted;
            self.set_style(if is_counted { COUNTED } else { WAITING });
        }
        if !is_counted {
            let text = waiting.map_or_else(|| "planning".to_owned(), |reason| format!("queued: {reason}"));
            self.bar.set_message(text);
            self.bar.tick();
            return;
        }
        // Work that was lost with an executor is done again: what was done may become less.
        if counts.bytes_done < self.bar.position() {
            self.bar.reset_eta();
            self.rate = RecordRate::default();
        }
        self.bar.set_length(counts.bytes_total.max(counts.bytes_done));
        self.bar.set_position(counts.bytes_done);
        let rate = self.rate.per_second(Instant::now(), counts.records_done);
        self.bar.set_message(counted_text(counts, rate));
    }

    /// Shows what has come of a result whose length nobody knows.
    pub(crate) fn show_received(&mut self, rows: u64, bytes: u64) {
        self.come_back();
        if self.is_counted {
            self.is_counted = false;
            self.set_style(WAITING);
        }
        let text = if rows == 0 {
            "waiting for rows".to_owned()
        } else {
            let rate = self.rate.per_second(Instant::now(), rows);
            received_text(rows, bytes, rate)
        };
        self.bar.set_message(text);
        self.bar.tick();
    }

    /// Takes the line away until it is shown again: what is printed meanwhile stands on lines of its own.
    pub(crate) fn hide(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows a line again that was taken away.
    fn come_back(&self) {
        if self.bar.is_finished() {
            let elapsed = self.bar.elapsed();
            self.bar.reset();
            self.bar.set_elapsed(elapsed);
        }
    }

    /// Takes the line away for good.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn set_style(&self, template: &str) {
        // The templates are constants; were one broken, the plain bar would do.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

/// A line that counts things of which each takes its time; draws nothing where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct CountLine {
    bar: ProgressBar,
}

impl CountLine {
    /// Opens the line; `is_quiet` never shows it.
    pub(crate) fn new(is_quiet: bool, what: &'static str) -> Self {
        let target = if is_quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template(THINGS) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { bar }
    }

    /// Opens a line that counts bytes.
    pub(crate) fn of_bytes(is_quiet: bool) -> Self {
        let line = Self::new(is_quiet, "");
        if let Ok(style) = ProgressStyle::with_template(COUNTED) {
            line.bar.set_style(style);
        }
        line
    }

    /// Shows how many of how many are done.
    pub(crate) fn show(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Takes the line away for good.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn counted_text(counts: ProgressCounts, rate: u64) -> String {
    let mut text = format!("{} rows/s", HumanCount(rate));
    if counts.tasks_total > 0 {
        text.push_str(&format!("  {} of {} tasks", counts.tasks_done, counts.tasks_total));
    }
    text
}

fn received_text(rows: u64, bytes: u64, rate: u64) -> String {
    format!("{} rows  {}  {} rows/s", HumanCount(rows), HumanBytes(bytes), HumanCount(rate))
}

/// Records a second over the last seconds.
#[derive(Debug, Default)]
struct RecordRate(VecDeque<(Instant, u64)>);

impl RecordRate {
    /// Notes how many records are done `now`, and returns the rate.
    fn per_second(&mut self, now: Instant, records: u64) -> u64 {
        self.0.push_back((now, records));
        // The oldest sample kept is the newest one that is as old as the window: the rate spans all of it.
        while self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_WINDOW) {
            self.0.pop_front();
        }
        let Some((since, before)) = self.0.front() else { return 0 };
        let milliseconds = u64::try_from(now.duration_since(*since).as_millis()).unwrap_or(u64::MAX);
        records.saturating_sub(*before).saturating_mul(1000).checked_div(milliseconds).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (mut rate, start) = (RecordRate::default(), Instant::now());
        assert_eq!(rate.per_second(start, 0), 0);
        assert_eq!(rate.per_second(start + Duration::from_secs(1), 500), 500);
        // Ten seconds of nothing: the rows of the first second are forgotten.
        for second in 2..12 {
            rate.per_second(start + Duration::from_secs(second), 500);
        }
        assert_eq!(rate.per_second(start + Duration::from_secs(12), 500), 0);
        assert!(rate.0.len() <= 8, "{}", rate.0.len());
    }

    #[test]
    fn the_line_tells_rows_and_tasks() {
        let counts = ProgressCounts { bytes_total: 9, tasks_total: 40, tasks_done: 12, ..Default::default() };
        assert_eq!(counted_text(counts, 1_250_000), "1,250,000 rows/s  12 of 40 tasks");
        assert_eq!(received_text(1_234_567, 12 << 20, 500), "1,234,567 rows  12.00 MiB  500 rows/s");
        let in_process = ProgressCounts { bytes_total: 9, ..Default::default() };
        assert_eq!(counted_text(in_process, 7), "7 rows/s");
    }
}
