//! What a ledger says of a payload: when it became known, from where, and what of it is held back; and what
//! people decided about that.

use std::collections::BTreeMap;

use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{InstantMicros, RateDate, Snapshot};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The version of entries and approvals that this program writes.
pub(super) const FORMAT_VERSION: u32 = 1;

/// How a payload came into the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// It was asked from its provider.
    Fetch,
    /// It was brought in from files.
    Import,
    /// It came over a stream.
    Sink,
    /// Somebody entered it.
    Manual,
}

/// One admission of a payload. Entries are created once and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of this form.
    pub version: u32,
    /// When the payload was received; what time travel goes by.
    pub known_at: Timestamp,
    /// When the entry was written: later than `known_at` for what was imported.
    pub recorded_at: Timestamp,
    /// Who published the rates.
    pub provider: String,
    /// How they came.
    pub channel: Channel,
    /// The request without its key, the file, or the topic, partition and offset.
    pub origin: String,
    /// Who entered the payload, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_by: Option<String>,
    /// The payload's name without its extension: its day, or its provider and days.
    pub stem: String,
    /// The hex sha256 of the payload as received.
    pub sha256: String,
    /// The payload's size.
    pub bytes: u64,
    /// The first day that it holds rates for.
    pub first_date: Date,
    /// The last day that it holds rates for.
    pub last_date: Date,
    /// What else the answer said, such as `etag` and `last_modified`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// What is not used until somebody approves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// What the gates found and was to be reported only: it is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Held>,
}

/// A rate, or all of a snapshot, that is held back as implausible (`RATE_SUSPECT`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The gate that holds it.
    pub gate: String,
    /// The day; all days of the payload where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_date: Option<Date>,
    /// The currency; the whole snapshot where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<CurrencyCode>,
    /// What was found.
    pub detail: String,
}

/// Somebody's approval of what an entry holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The version of this form.
    pub version: u32,
    /// The entry, relative to the ledger's folder.
    pub entry: String,
    /// The days that it is for; all of the entry's where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_dates: Vec<Date>,
    /// The currencies that it is for; everything that the entry holds back where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<CurrencyCode>,
    /// Who approved.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When; what time travel goes by.
    pub at: Timestamp,
}

impl Entry {
    /// Returns the instant at which the payload was received.
    pub fn known_at_micros(&self) -> InstantMicros {
        InstantMicros(self.known_at.as_microsecond())
    }
}

impl Held {
    /// Tells whether it concerns a snapshot.
    pub(super) fn concerns(&self, snapshot: &Snapshot) -> bool {
        self.rate_date.is_none_or(|date| RateDate::of(date) == snapshot.rate_date)
    }
}

impl Approval {
    /// Tells whether it lets pass what was held back of a day.
    pub(super) fn covers(&self, held: &Held, day: RateDate) -> bool {
        let is_day =
            self.rate_dates.is_empty() || self.rate_dates.iter().any(|date| RateDate::of(*date) == day);
        let is_currency = self.currencies.is_empty()
            || held.currency.is_some_and(|currency| self.currencies.contains(&currency));
        is_day && is_currency
    }
}
