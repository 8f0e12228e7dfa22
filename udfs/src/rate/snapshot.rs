//! A snapshot: one publication of exchange rates in canonical form.
//!
//! Rates are units of each currency per one unit of the base; the base itself is implicitly exactly 1
//! and is not listed. A snapshot is immutable; a correction is another snapshot with a later `known_at`.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::currency::CurrencyCode;
use crate::decimal::Decimal;

/// A calendar date as days since 1970-01-01 (proleptic Gregorian).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RateDate(pub i32);

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

impl RateDate {
    /// Returns the day of a calendar date.
    pub fn of(date: Date) -> Self {
        // Dates lie between the years -9999 and 9999: at most 4.4 million days.
        Self(i32::try_from(date.duration_since(EPOCH).as_hours() / 24).unwrap_or(i32::MAX))
    }

    /// Returns the calendar date, if the calendar reaches that far.
    pub fn civil(self) -> Option<Date> {
        jiff::Span::new().try_days(self.0).and_then(|days| EPOCH.checked_add(days)).ok()
    }

    /// Returns the day's first instant in UTC.
    pub fn start(self) -> InstantMicros {
        InstantMicros(i64::from(self.0) * MICROS_PER_DAY)
    }
}

impl fmt::Display for RateDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.civil() {
            Some(date) => date.fmt(f),
            None => write!(f, "day {} of the epoch", self.0),
        }
    }
}

/// An instant as microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstantMicros(pub i64);

const MICROS_PER_DAY: i64 = 86_400_000_000;

impl InstantMicros {
    /// Returns the UTC date of the instant.
    pub fn utc_date(self) -> RateDate {
        // 64 bits of microseconds are 213,503,982 days at most.
        RateDate(i32::try_from(self.0.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX))
    }
}

impl fmt::Display for InstantMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "microsecond {} of the epoch", self.0),
        }
    }
}

/// The sha256 of a snapshot's payload, byte for byte as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(pub [u8; 32]);

impl SnapshotId {
    /// Returns the first 12 hex digits, as output rows bear them.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || format!("`{text}` is no snapshot id, expected 64 hex digits");
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return Err(refused());
        }
        for (position, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * position..2 * position + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

/// One publication of rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What identifies the payload.
    pub id: SnapshotId,
    /// The publisher, by the name of its shape: `openexchangerates`, `ecb`, ….
    pub provider: String,
    /// The currency of which every rate is the price of one unit.
    pub base: CurrencyCode,
    /// The day the rates are for.
    pub rate_date: RateDate,
    /// The instant from which the rates hold, where the payload gives one.
    pub valid_at: Option<InstantMicros>,
    /// When the payload was received.
    pub known_at: InstantMicros,
    /// Where the payload lies: a path or URL, for reports.
    pub location: String,
    /// Units of each currency per one unit of the base; positive, sorted by code, without the base.
    pub rates: Vec<(CurrencyCode, Decimal)>,
    /// The last day for which the rates may be used, where whoever entered them set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<RateDate>,
    /// The codes whose rates were published but are held back as implausible, in ascending order; they are
    /// not among `rates`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<CurrencyCode>,
}

/// What the provider of rates that people entered begins with; the codes follow.
pub(super) const MANUAL: &str = "manual:";

impl Snapshot {
    /// Tells whether people entered it, rather than a provider published it.
    pub fn is_manual(&self) -> bool {
        self.provider.starts_with(MANUAL)
    }
}
