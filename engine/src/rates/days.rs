//! Days of the calendar and days since 1970.

use cambist_udfs::rate::RateDate;
use jiff::civil::{Date, date};

/// Returns a calendar day as days since 1970-01-01.
pub fn rate_date(day: Date) -> Option<RateDate> {
    date(1970, 1, 1).until(day).ok().map(|span| RateDate(span.get_days()))
}

/// Returns the calendar day of a number of days since 1970-01-01, if the calendar reaches that far.
pub fn civil_date(day: RateDate) -> Option<Date> {
    jiff::Span::new().try_days(day.0).ok().and_then(|days| date(1970, 1, 1).checked_add(days).ok())
}
