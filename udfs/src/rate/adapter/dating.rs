//! Which day a document is for: its own date, else the date in its file's name, else its timestamp's.

use jiff::civil::Date;

use super::Refusal;
use super::excerpt::excerpt;
use super::intake::Intake;
use super::json::{is_string, scalar_text};
use crate::decimal::Decimal;
use crate::rate::snapshot::{InstantMicros, RateDate};
use crate::reason::SnapshotReason;

/// 10000-01-01T00:00:00Z in seconds: what lies beyond is milliseconds or rubbish, not seconds.
const TIMESTAMP_SECONDS_END: i128 = 253_402_300_800;
/// Real daily files are stamped at either end of their day, so one day of difference says nothing.
const STAMP_DISTANCE_DAYS_MAX: u32 = 1;

/// What a document says about its time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DocumentTimes<'a> {
    /// The JSON text of its date.
    pub(super) date: Option<&'a str>,
    /// The JSON text of its timestamp, in seconds since the epoch.
    pub(super) timestamp: Option<&'a str>,
}

impl DocumentTimes<'_> {
    /// Decides the day and the instant of a document with one set of rates, and notes what disagrees.
    pub(super) fn resolve(
        &self,
        intake: &mut Intake<'_>,
    ) -> Result<(RateDate, Option<InstantMicros>), Refusal> {
        let body_date = self.date.map(document_date).transpose()?;
        let stamp = self.timestamp.and_then(instant_of_seconds);
        let stamp_date = stamp.map(InstantMicros::utc_date);
        let name_date = intake.name_date();
        let Some(rate_date) = body_date.or(name_date).or(stamp_date) else {
            return Err(self.undated());
        };
        if let Some(text) = self.timestamp.filter(|_| stamp.is_none()) {
            intake.suspect_time(format!(
                "the timestamp `{}` is no time in seconds; it is ignored",
                excerpt(text)
            ));
        }
        intake.compare_with_name(body_date);
        let Some(far_date) =
            stamp_date.filter(|date| distance_days(*date, rate_date) > STAMP_DISTANCE_DAYS_MAX)
        else {
            return Ok((rate_date, stamp));
        };
        if body_date.is_some() {
            // Some services stamp a historical answer with the time of the request.
            intake.suspect_time(format!(
                "the document is dated {rate_date} and stamped {far_date}; the stamp is ignored"
            ));
            return Ok((rate_date, None));
        }
        intake.suspect_time(format!("the file is named for {rate_date} and stamped {far_date}"));
        Ok((rate_date, stamp))
    }

    fn undated(&self) -> Refusal {
        let detail = match self.timestamp {
            Some(text) => format!("the timestamp `{}` is no time in seconds", excerpt(text)),
            None => "the document bears neither a date nor a timestamp".to_owned(),
        };
        let expected = "expected `date`, a file name such as `2011-12-01.json`, or `timestamp` in seconds";
        Refusal::new(SnapshotReason::SnapshotDateInvalid, format!("{detail}; {expected}"))
    }
}

/// Returns the date in a file's name: the only one of the form `2011-12-01` in it, or none.
///
/// # Errors
/// A date that is not in the calendar, such as `2011-09-31`.
pub fn name_date(file_name: &str) -> Result<Option<RateDate>, Refusal> {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let mut dates: Vec<&str> = name.char_indices().filter_map(|(at, _)| date_at(name, at)).collect();
    dates.dedup();
    let [text] = dates[..] else { return Ok(None) };
    let invalid = || {
        let detail = format!("the file is named `{}`; there is no day `{text}`", excerpt(name));
        Refusal::new(SnapshotReason::SnapshotDateInvalid, detail)
    };
    calendar_date(text).map(Some).ok_or_else(invalid)
}

/// The ten characters from `at` on, if they have the form of a date and no digit on either side.
fn date_at(name: &str, at: usize) -> Option<&str> {
    let text = name.get(at..at + 10).filter(|text| has_date_form(text))?;
    let digit_before = name[..at].ends_with(|c: char| c.is_ascii_digit());
    let digit_after = name[at + 10..].starts_with(|c: char| c.is_ascii_digit());
    (!digit_before && !digit_after).then_some(text)
}

/// True if `text` has the form `YYYY-MM-DD`, whether or not there is such a day.
pub(super) fn has_date_form(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Reads a date that a document states as `YYYY-MM-DD`.
///
/// # Errors
/// Another form, or a day that is not in the calendar.
pub(super) fn stated_date(text: &str) -> Result<RateDate, Refusal> {
    calendar_date(text).ok_or_else(|| invalid_date(text))
}

/// Reads a date that a document states as `30 October 2026`, or as `YYYY-MM-DD`.
///
/// # Errors
/// Another form, or a day that is not in the calendar.
pub(super) fn spelled_date(text: &str) -> Result<RateDate, Refusal> {
    if has_date_form(text) {
        return stated_date(text);
    }
    let date = jiff::fmt::strtime::parse("%d %B %Y", text).and_then(|broken_down| broken_down.to_date());
    date.ok().map(RateDate::of).ok_or_else(|| invalid_date(text))
}

fn document_date(value: &str) -> Result<RateDate, Refusal> {
    if !is_string(value) {
        return Err(invalid_date(value));
    }
    stated_date(&scalar_text(value))
}

fn invalid_date(text: &str) -> Refusal {
    let detail =
        format!("the document's date is `{}`; expected a day of the calendar as `2011-12-01`", excerpt(text));
    Refusal::new(SnapshotReason::SnapshotDateInvalid, detail)
}

fn calendar_date(text: &str) -> Option<RateDate> {
    if !has_date_form(text) {
        return None;
    }
    let year = text.get(..4)?.parse().ok()?;
    let month = text.get(5..7)?.parse().ok()?;
    let day = text.get(8..)?.parse().ok()?;
    Date::new(year, month, day).ok().map(RateDate::of)
}

/// The instant of a timestamp in seconds, a number or a string, if it lies between 1970 and 9999.
fn instant_of_seconds(value: &str) -> Option<InstantMicros> {
    const MICROS_PER_SECOND: i128 = 1_000_000;
    let seconds = Decimal::from_bytes(scalar_text(value).trim().as_bytes()).ok()?;
    let unit = 10_i128.checked_pow(u32::from(seconds.scale()))?;
    let whole = seconds.mantissa() / unit;
    if seconds.mantissa() <= 0 || whole >= TIMESTAMP_SECONDS_END {
        return None;
    }
    // The fraction is below one, so neither product leaves the range.
    let fraction = (seconds.mantissa() % unit) * MICROS_PER_SECOND / unit;
    i64::try_from(whole * MICROS_PER_SECOND + fraction).ok().map(InstantMicros)
}

fn distance_days(one: RateDate, other: RateDate) -> u32 {
    one.0.abs_diff(other.0)
}
