//! Loads a rate book once and says how long that took: what every run does before its first row.
//!
//! `load_rates URL`

use std::io::Write;
use std::time::Instant;

use anyhow::{Result, bail};
use cambist_engine::rates;
use cambist_engine::store::Stores;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url] = arguments.as_slice() else {
        bail!("usage: load_rates URL");
    };
    let options =
        BookOptions { mode: AsOfMode::Date, max_age_days: None, known_as_of: InstantMicros(i64::MAX) };
    let started = Instant::now();
    let loaded = rates::load(&Stores::new(), url, &options).await?;
    let seconds = started.elapsed().as_secs_f64();
    let snapshots = loaded.book.snapshots();
    let rates: usize = snapshots.iter().map(|snapshot| snapshot.rates.len() + snapshot.held.len()).sum();
    let peak_mib = peak_kib()? / 1024;
    writeln!(
        std::io::stdout(),
        r#"{{"seconds":{seconds},"snapshots":{},"rates":{rates},"peak_mib":{peak_mib}}}"#,
        snapshots.len()
    )?;
    Ok(())
}

/// The largest resident memory of this process so far, which Linux tells.
fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    match line.and_then(|rest| rest.split_whitespace().next()) {
        Some(kib) => Ok(kib.parse()?),
        None => bail!("/proc/self/status has no VmHWM"),
    }
}
