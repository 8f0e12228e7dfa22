//! Why a record, a snapshot or a single rate was not used: the stable codes that reports, quarantine
//! tables and tests all speak in.

use std::fmt;

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every reason, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the stable upper-case code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// Returns the reason that bears `code`, if any does.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.code()) }
        }

        impl std::error::Error for $name {}
    };
}

reasons! {
    /// The primary reason for which a record is quarantined.
    RowReason {
        /// The record does not have the form of its format, or a value contradicts its declared type.
        RowMalformed = "ROW_MALFORMED",
        /// The record is not valid in the declared encoding.
        EncodingInvalid = "ENCODING_INVALID",
        /// The amount is null or blank.
        AmountMissing = "AMOUNT_MISSING",
        /// The amount is not a decimal number.
        AmountNotNumeric = "AMOUNT_NOT_NUMERIC",
        /// The amount has more than 18 decimals, or more than its column keeps.
        AmountScaleExceeded = "AMOUNT_SCALE_EXCEEDED",
        /// The amount has more digits than its column keeps.
        AmountOverflow = "AMOUNT_OVERFLOW",
        /// The currency is null or blank.
        CurrencyMissing = "CURRENCY_MISSING",
        /// The currency is neither in ISO 4217 nor in the rate book.
        CurrencyUnknown = "CURRENCY_UNKNOWN",
        /// The code stands for no currency (`XXX`) or for testing (`XTS`).
        CurrencyNotMoney = "CURRENCY_NOT_MONEY",
        /// The currency was withdrawn before the event.
        CurrencyNotValidAtDate = "CURRENCY_NOT_VALID_AT_DATE",
        /// The event time is null or blank.
        EventTimeMissing = "EVENT_TIME_MISSING",
        /// The event time is not a time of the declared form.
        EventTimeInvalid = "EVENT_TIME_INVALID",
        /// The event lies before the first snapshot of the book.
        EventBeforeHistory = "EVENT_BEFORE_HISTORY",
        /// No eligible snapshot has a rate for the source currency.
        RateMissingSource = "RATE_MISSING_SOURCE",
        /// No eligible snapshot has a rate for the target together with the source.
        RateMissingTarget = "RATE_MISSING_TARGET",
        /// The newest snapshot with both rates is older than the age limit.
        RateStale = "RATE_STALE",
        /// The converted amount has more than 38 digits.
        ResultOverflow = "RESULT_OVERFLOW",
        /// Another record of the run bears the same id.
        DuplicateId = "DUPLICATE_ID",
    }
}

reasons! {
    /// Why a whole snapshot is not used, or is used with a warning.
    SnapshotReason {
        /// The bytes are not a document of any known shape.
        SnapshotMalformed = "SNAPSHOT_MALFORMED",
        /// The provider answered with an error.
        SnapshotErrorBody = "SNAPSHOT_ERROR_BODY",
        /// The base is missing, or has a rate other than 1.
        SnapshotBaseInvalid = "SNAPSHOT_BASE_INVALID",
        /// The document's date is missing or does not exist in the calendar.
        SnapshotDateInvalid = "SNAPSHOT_DATE_INVALID",
        /// The times that the document, its name and its arrival state do not fit together.
        SnapshotTimeSuspect = "SNAPSHOT_TIME_SUSPECT",
        /// The document holds no usable rate.
        SnapshotEmpty = "SNAPSHOT_EMPTY",
        /// Two different payloads claim the same day and the same time of arrival.
        SnapshotConflict = "SNAPSHOT_CONFLICT",
    }
}

reasons! {
    /// Why one rate of a snapshot is not used while the rest of it stands.
    EntryReason {
        /// Zero or negative.
        RateNonPositive = "RATE_NON_POSITIVE",
        /// Not a finite decimal number.
        RateNotNumeric = "RATE_NOT_NUMERIC",
        /// More than 18 decimals or more than 20 integer digits.
        RateScaleExceeded = "RATE_SCALE_EXCEEDED",
        /// Well-formed but implausible.
        RateSuspect = "RATE_SUSPECT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_stored_by_their_codes() {
        for reason in SnapshotReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
        }
        for reason in EntryReason::ALL {
            assert_eq!(serde_json::from_value::<EntryReason>(reason.code().into()).unwrap(), *reason);
        }
    }
}
