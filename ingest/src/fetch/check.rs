//! Whether a document is what was asked for: whole, of the declared shape, of the day, not from the future.

use std::time::Duration;

use cambist_udfs::rate::adapter::{Admission, Payload, Refusal, read_payload};
use cambist_udfs::rate::{InstantMicros, RateDate};
use cambist_udfs::reason::SnapshotReason;
use jiff::Timestamp;
use serde::de::IgnoredAny;

use super::client::Document;
use super::error::FetchError;
use crate::provider::Profile;
use crate::question::{Question, day_number};

/// Real daily files are stamped at either end of their day.
const STAMP_DISTANCE_DAYS_MAX: u32 = 1;

/// The longest time without a publication of those who skip days: Christmas and the weekends around it.
const SKIPPED_DAYS_MAX: i32 = 7;

/// A document that answers its question.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The document.
    pub document: Document,
    /// The publisher by the name of its shape.
    pub provider: String,
    /// The first and the last day that it has rates of.
    pub rate_dates: (RateDate, RateDate),
    /// Days that were asked for and are not in it.
    pub days_absent: u64,
}

/// Checks a document against its question.
///
/// # Errors
/// [`FetchError`] of the document: cut short, an error answer, no rates, another shape, another day, or a
/// time in the future.
pub fn check(
    profile: &Profile,
    question: &Question,
    file_name: &str,
    document: Document,
    clock_skew_max: Duration,
) -> Result<Checked, FetchError> {
    let known_at = InstantMicros(document.received_at.as_microsecond());
    let payload = Payload { bytes: &document.bytes, file_name, location: file_name, known_at };
    let admission = read_payload(&payload).map_err(|refusal| refused(&document.bytes, refusal))?;
    let (Some(first), Some(last)) = (admission.snapshots.first(), admission.snapshots.last()) else {
        return Err(FetchError::Refused {
            reason: SnapshotReason::SnapshotEmpty,
            detail: "the document holds no rates".to_owned(),
        });
    };
    if !profile.shapes.contains(&first.provider.as_str()) {
        let expected =
            profile.shapes.iter().map(|shape| format!("`{shape}`")).collect::<Vec<_>>().join(" or ");
        return Err(FetchError::WrongShape { found: first.provider.clone(), expected });
    }
    let rate_dates = (first.rate_date, last.rate_date);
    check_days(profile, question, &admission)?;
    check_future(question, &admission, document.received_at, clock_skew_max)?;
    let days_absent = days_absent(question, &admission);
    Ok(Checked { provider: first.provider.clone(), rate_dates, days_absent, document })
}

fn refused(bytes: &[u8], refusal: Refusal) -> FetchError {
    if let Some(detail) = cut_short(bytes) {
        return FetchError::Truncated { detail };
    }
    match refusal.reason {
        SnapshotReason::SnapshotErrorBody => FetchError::ErrorBody { status: 200, said: refusal.detail },
        reason => FetchError::Refused { reason, detail: refusal.detail },
    }
}

/// Tells where a document ends too early.
fn cut_short(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim();
    let ends_early = match text.bytes().next() {
        None => true,
        Some(b'{' | b'[' | b'"') => {
            serde_json::from_str::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
        }
        Some(b'<') => text.contains(":Envelope") && !text.ends_with(":Envelope>"),
        Some(_) => false,
    };
    ends_early.then(|| format!("the document ends after {} bytes, before it is whole", bytes.len()))
}

fn check_days(profile: &Profile, question: &Question, admission: &Admission) -> Result<(), FetchError> {
    let Some((first, last)) = question.days().map(|(first, last)| (day_number(first), day_number(last)))
    else {
        return Ok(());
    };
    // Files hold whatever they hold; the days that are wanted are looked for in them.
    let earliest = match profile {
        Profile { answers_with_files: true, .. } => i32::MIN,
        Profile { skips_days: true, .. } => first - SKIPPED_DAYS_MAX,
        _ => first,
    };
    let is_foreign = |date: i32| date < earliest || date > last && !profile.answers_with_files;
    let is_stamped_elsewhere = |stamp: Option<InstantMicros>, date: RateDate| {
        stamp.is_some_and(|stamp| stamp.utc_date().0.abs_diff(date.0) > STAMP_DISTANCE_DAYS_MAX)
    };
    for snapshot in &admission.snapshots {
        let found = if is_foreign(snapshot.rate_date.0) {
            snapshot.rate_date.to_string()
        } else if is_stamped_elsewhere(snapshot.valid_at, snapshot.rate_date) {
            snapshot.valid_at.map_or_else(String::new, |stamp| stamp.utc_date().to_string())
        } else {
            continue;
        };
        return Err(FetchError::WrongDay { asked: *question, found });
    }
    Ok(())
}

fn check_future(
    question: &Question,
    admission: &Admission,
    now: Timestamp,
    limit: Duration,
) -> Result<(), FetchError> {
    let now = now.as_microsecond();
    // A day's rates may be stamped with its end before it has ended.
    let asked_end = question.days().map_or(now, |(_, last)| RateDate(day_number(last) + 1).start().0);
    let latest = now.max(asked_end);
    for snapshot in &admission.snapshots {
        let day_start = snapshot.rate_date.start().0;
        let stated = snapshot.valid_at.map_or(day_start, |stamp| stamp.0);
        let ahead = Duration::from_micros(u64::try_from(stated.saturating_sub(latest)).unwrap_or(0));
        if ahead > limit {
            return Err(FetchError::ClockSkew { what: "the document's time", ahead, limit, is_ours: false });
        }
    }
    Ok(())
}

/// Days between the first and the last that were asked for and are not there.
fn days_absent(question: &Question, admission: &Admission) -> u64 {
    let Some((first, last)) = question.days().map(|(first, last)| (day_number(first), day_number(last)))
    else {
        return 0;
    };
    let asked = u64::from(last.abs_diff(first)) + 1;
    let is_asked = |date: i32| (first..=last).contains(&date);
    let there = admission.snapshots.iter().filter(|snapshot| is_asked(snapshot.rate_date.0)).count();
    asked.saturating_sub(there as u64)
}
