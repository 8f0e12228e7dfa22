//! What a gate says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::currency::CurrencyCode;
use crate::reason::EntryReason;

macro_rules! gates {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// What a [`Finding`] is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Gate { $($(#[$doc])* #[serde(rename = $name)] $variant,)+ }

        impl Gate {
            /// Every gate, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

gates! {
    /// The base is listed with a rate other than 1.
    BaseNotOne = "base_not_one",
    /// A rate is zero or negative.
    NonPositive = "non_positive",
    /// A rate is the reciprocal of what it should be.
    Inversion = "inversion",
    /// A rate is off by a power of ten.
    PowerOfTen = "power_of_ten",
    /// A rate differs from the second provider's.
    CrossCheck = "cross_check",
    /// Most rates differ from the second provider's by one and the same factor: another base, or another day.
    CrossBase = "cross_base",
    /// A rate changed too much from one publication to the next.
    Jump = "jump",
    /// Too many of the currencies of the publication before are missing.
    Coverage = "coverage",
    /// A required currency is missing.
    RequiredMissing = "required_missing",
    /// The snapshot is from the future.
    TimeFuture = "time_future",
    /// The snapshot's day, its timestamp and the day that was asked for are too far apart.
    TimeDate = "time_date",
    /// The timestamp is older than that of the version it would replace, or of the day before.
    TimeOrder = "time_order",
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One reason for which a rate, or a whole snapshot, should be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which gate holds.
    pub gate: Gate,
    /// The currency whose rate is held; none: the whole snapshot.
    pub currency: Option<CurrencyCode>,
    /// What was found, against what, and what is allowed.
    pub detail: String,
}

impl Finding {
    /// The code under which what is held is reported.
    pub const REASON: EntryReason = EntryReason::RateSuspect;

    pub(super) fn of_snapshot(gate: Gate, detail: String) -> Self {
        Self { gate, currency: None, detail }
    }

    pub(super) fn of_rate(gate: Gate, currency: CurrencyCode, detail: String) -> Self {
        Self { gate, currency: Some(currency), detail }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.currency {
            Some(currency) => write!(f, "{currency}: {}: {}", self.gate, self.detail),
            None => write!(f, "whole snapshot: {}: {}", self.gate, self.detail),
        }
    }
}
