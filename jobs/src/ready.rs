//! Whether a day's inputs are there: its source files closed, its rates admitted. Reads only.
//!
//! What is missing is not an error: it is the answer, and may be another one a minute later. A store that does
//! not answer is an error, and so are options that name nothing that could ever be there.

use cambist_engine::failure::chain;
use cambist_engine::files;
use cambist_engine::rates::{self, RatesError};
use cambist_engine::store::Stores;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{AsOfMode, BookError, BookOptions, InstantMicros, RateDate, Snapshot};
use serde::Serialize;

use crate::error::{ErrorKind, JobError, Result};
use crate::input::{of_files, of_rates};
use crate::normalize::NormalizeSpec;
use crate::normalize::values::{choice, fill_date, in_range, required, target_codes};

/// A century: more is a typing error.
const RATES_AGE_DAYS_LIMIT: i64 = 36_500;

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct ReadyReport {
    /// Whether nothing is missing.
    pub ready: bool,
    /// The day.
    pub date: String,
    /// What is missing.
    pub missing: Vec<Missing>,
}

/// What a missing input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingKind {
    /// Source files.
    Source,
    /// Rates.
    Rates,
}

/// A missing input.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// What it is.
    pub kind: MissingKind,
    /// Where it was looked for.
    pub place: String,
    /// What was found instead.
    pub detail: String,
    /// The currencies without a rate, where there are rates of the day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<String>,
}

impl ReadyReport {
    /// Returns the exit code of the command line.
    pub fn exit_code(&self) -> u8 {
        if self.ready { 0 } else { ErrorKind::NotReady.exit_code() }
    }
}

/// What is expected of a day.
#[derive(Debug)]
struct Expected {
    date: jiff::civil::Date,
    places: Vec<String>,
    quiet_seconds: u64,
    rates_url: String,
    mode: AsOfMode,
    rates_age_days_max: u32,
    currencies: Vec<CurrencyCode>,
}

/// Tells whether the inputs that `spec` expects for `date` are there at the instant `now`.
///
/// # Errors
/// [`ErrorKind::Usage`] for options that are wrong, [`ErrorKind::Data`] for rates that contradict each other,
/// [`ErrorKind::Infrastructure`] where a store fails.
pub async fn ready(
    stores: &Stores,
    spec: &NormalizeSpec,
    date: &str,
    now: jiff::Timestamp,
) -> Result<ReadyReport> {
    let expected = Expected::of(spec, date)?;
    let mut missing = Vec::new();
    for place in &expected.places {
        missing.extend(missing_source(stores, place, expected.quiet_seconds, now).await?);
    }
    missing.extend(missing_rates(stores, &expected, now).await?);
    Ok(ReadyReport { ready: missing.is_empty(), date: expected.date.to_string(), missing })
}

impl Expected {
    fn of(spec: &NormalizeSpec, date: &str) -> Result<Self> {
        let date: jiff::civil::Date = date.parse().map_err(|_| {
            JobError::usage(format!("--date is `{date}`, expected a date such as `2024-05-01`"))
        })?;
        let ready = &spec.ready;
        let places = match ready.expect.as_slice() {
            [] => vec![required("source.url", "ready.expect", spec.source.url.clone())?],
            places => places.to_vec(),
        };
        let currencies =
            if ready.currencies.is_empty() { &spec.target.currencies } else { &ready.currencies };
        let currencies = target_codes(currencies.clone())?.into_iter().map(|code| {
            CurrencyCode::parse(&code).ok_or_else(|| {
                JobError::usage(format!("ready.currencies has `{code}`, expected currency codes"))
            })
        });
        let days = ready.rates_age_days_max.unwrap_or(0);
        Ok(Self {
            date,
            places: places.into_iter().map(|place| fill_date(place, Some(date))).collect::<Result<_>>()?,
            quiet_seconds: ready.quiet_seconds.unwrap_or(0),
            rates_url: required("rates.url", "the spec", spec.rates.url.clone())?,
            mode: choice("rates.mode", spec.rates.mode.as_deref().unwrap_or("date"), "date or instant")?,
            rates_age_days_max: in_range("ready.rates_age_days_max", days, 0, RATES_AGE_DAYS_LIMIT)?,
            currencies: currencies.collect::<Result<_>>()?,
        })
    }
}

async fn missing_source(
    stores: &Stores,
    place: &str,
    quiet_seconds: u64,
    now: jiff::Timestamp,
) -> Result<Option<Missing>> {
    let found = files::list(stores, place).await.map_err(|error| of_files(&error))?;
    let missing = |detail: String| {
        Some(Missing { kind: MissingKind::Source, place: place.to_owned(), detail, currencies: Vec::new() })
    };
    let Some(newest) = found.objects.iter().max_by_key(|object| object.last_modified) else {
        return Ok(missing("nothing is there".to_owned()));
    };
    let age_seconds = now.as_second().saturating_sub(newest.last_modified.timestamp());
    if quiet_seconds > 0 && age_seconds < i64::try_from(quiet_seconds).unwrap_or(i64::MAX) {
        return Ok(missing(format!(
            "`{}` was written {} s ago, expected none within {quiet_seconds} s",
            found.display_of(newest),
            age_seconds.max(0)
        )));
    }
    Ok(None)
}

async fn missing_rates(
    stores: &Stores,
    expected: &Expected,
    now: jiff::Timestamp,
) -> Result<Option<Missing>> {
    let missing = |detail: String, currencies: Vec<String>| {
        let place = expected.rates_url.clone();
        Ok(Some(Missing { kind: MissingKind::Rates, place, detail, currencies }))
    };
    let known_as_of = InstantMicros(now.as_microsecond());
    let options = BookOptions { mode: expected.mode, max_age_days: None, known_as_of };
    let book = match rates::load(stores, &expected.rates_url, &options).await {
        Ok(loaded) => loaded.book,
        Err(
            nothing @ (RatesError::Nothing { .. }
            | RatesError::NoneUsable { .. }
            | RatesError::Book { source: BookError::NoSnapshot { .. }, .. }),
        ) => return missing(chain(&nothing), Vec::new()),
        Err(error) => return Err(of_rates(&error)),
    };
    let last = RateDate::of(expected.date);
    let first = RateDate(last.0.saturating_sub(expected.rates_age_days_max.cast_signed()));
    let of_day = book.snapshots().iter().filter(|snapshot| (first..=last).contains(&snapshot.rate_date));
    // A row takes both of its rates from one snapshot, so one of them must hold all.
    let lacking = |snapshot: &Snapshot| {
        let lacks = |code: &&CurrencyCode| {
            **code != snapshot.base && !snapshot.rates.iter().any(|rate| rate.0 == **code)
        };
        expected.currencies.iter().filter(lacks).map(ToString::to_string).collect::<Vec<String>>()
    };
    let best =
        of_day.rev().map(|snapshot| (snapshot, lacking(snapshot))).min_by_key(|(_, lacks)| lacks.len());
    match best {
        Some((_, lacks)) if lacks.is_empty() => Ok(None),
        Some((snapshot, lacks)) => missing(
            format!(
                "the snapshot of {} from `{}` has no {}",
                snapshot.rate_date,
                snapshot.location,
                lacks.join(", ")
            ),
            lacks,
        ),
        None => {
            let newest =
                book.snapshots().iter().map(|snapshot| snapshot.rate_date).filter(|day| *day <= last).max();
            let newest = newest
                .map_or_else(|| "none is earlier".to_owned(), |day| format!("the newest before is of {day}"));
            let wanted = if first == last { format!("for {last}") } else { format!("for {first} to {last}") };
            missing(format!("no snapshot {wanted}, {newest}"), Vec::new())
        }
    }
}
