//! What may be used of a ledger as of an instant, by the rules of every conversion.

use cambist_engine::rates::ledger::{Ledger, Version};
use cambist_engine::store::Stores;
use cambist_udfs::rate::{AsOfMode, BookError, BookOptions, InstantMicros, RateBook, RateDate, Snapshot};
use jiff::Timestamp;

use super::{Days, of_ledger};
use crate::error::{JobError, Result};

/// Reads what lies at `url`.
pub(super) async fn read(stores: &Stores, url: &str) -> Result<Ledger> {
    let ledger = Ledger::read(stores, url).await.map_err(|error| of_ledger(&error))?;
    ledger.ok_or_else(|| {
        JobError::usage(format!(
            "no rates found at `{url}`, expected a ledger, or files such as `2024-05-01.json` or an ECB history"
        ))
    })
}

pub(super) fn micros(at: Timestamp) -> InstantMicros {
    InstantMicros(at.as_microsecond())
}

/// Returns the snapshots that count as of an instant, by their days, without what is held.
pub(super) fn counting(versions: &[Version<'_>], as_of: InstantMicros) -> Result<Vec<Snapshot>> {
    let known = versions.iter().filter(|version| version.known_at <= as_of);
    let admitted: Vec<Snapshot> = known
        .flat_map(|version| version.snapshots.iter().filter_map(|snapshot| version.admitted(snapshot, as_of)))
        .collect();
    let options = BookOptions { mode: AsOfMode::Date, max_age_days: None, known_as_of: as_of };
    match RateBook::build(admitted, &options) {
        Ok(book) => Ok(book.snapshots().to_vec()),
        Err(BookError::NoSnapshot { .. }) => Ok(Vec::new()),
        Err(error) => Err(JobError::data("the snapshots do not make a book").caused_by(error)),
    }
}

impl Days {
    pub(super) fn has(self, day: RateDate) -> bool {
        let limit = |date: Option<jiff::civil::Date>| date.map(RateDate::of);
        limit(self.from).is_none_or(|from| from <= day) && limit(self.until).is_none_or(|until| day <= until)
    }

    pub(super) fn bounds(self) -> (Option<RateDate>, Option<RateDate>) {
        (self.from.map(RateDate::of), self.until.map(RateDate::of))
    }
}
