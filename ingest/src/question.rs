//! What a provider is asked for, and of a range of days which questions are left to ask.

use std::fmt;

use cambist_udfs::rate::RateDate;
use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};

use crate::destination::Destination;
use crate::provider::Profile;

/// The widest range: two centuries of days are a slip of the keyboard.
pub const RANGE_DAYS_MAX: i32 = 73_049;

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The newest rates.
    Latest,
    /// The rates of one day.
    Day(Date),
    /// The rates of every day from the first to the last.
    Span(Date, Date),
}

impl Question {
    /// The form for machines: `latest`, `2024-05-01` or `2024-05-01/2024-05-31`.
    pub fn code(&self) -> String {
        match self {
            Self::Latest => "latest".to_owned(),
            Self::Day(day) => day.to_string(),
            Self::Span(first, last) => format!("{first}/{last}"),
        }
    }

    /// The first and the last day that is asked for.
    pub fn days(&self) -> Option<(Date, Date)> {
        match *self {
            Self::Latest => None,
            Self::Day(day) => Some((day, day)),
            Self::Span(first, last) => Some((first, last)),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => formatter.write_str("the latest rates"),
            Self::Day(day) => write!(formatter, "the rates of {day}"),
            Self::Span(first, last) => write!(formatter, "the rates of {first} to {last}"),
        }
    }
}

/// What the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest rates.
    Latest,
    /// One day, asked for whatever is there.
    Day(Date),
    /// Every day of a range that is not there yet.
    Range {
        /// The first day.
        first: Date,
        /// The last day.
        last: Date,
        /// Ask for many days at once where the provider can answer so.
        in_series: bool,
        /// Ask for the days that are there as well.
        again: bool,
    },
}

/// Why nothing can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRange {
    /// The range ends before it begins.
    #[error("the range ends on {last}, before it begins on {first}")]
    Reversed {
        /// The first day.
        first: Date,
        /// The last day.
        last: Date,
    },
    /// Rates of a day that has not begun.
    #[error("{day} has not begun yet, expected a day up to {today} (UTC)")]
    Future {
        /// The day.
        day: Date,
        /// Today.
        today: Date,
    },
    /// More days than anybody wants.
    #[error("the range has more than {RANGE_DAYS_MAX} days")]
    TooLong,
    /// The provider has no answer for many days.
    #[error("{provider} answers for one day at a time")]
    NoSeries {
        /// The provider.
        provider: &'static str,
    },
}

/// The questions that are left, and the days that need none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is asked, by day.
    pub questions: Vec<Question>,
    /// Days of the range that are there already.
    pub days_there: u64,
    /// Days of the range on which the provider never publishes.
    pub days_closed: u64,
}

impl Plan {
    /// Decides what is asked `now` of the provider.
    ///
    /// A day that was received before it had ended is asked for again: what came then may not be its last
    /// word.
    ///
    /// # Errors
    /// [`InvalidRange`].
    pub fn make(
        wanted: Wanted,
        profile: &Profile,
        destination: &dyn Destination,
        now: Timestamp,
    ) -> Result<Self, InvalidRange> {
        let today = utc_date(now);
        match wanted {
            Wanted::Latest => Ok(Self { questions: vec![Question::Latest], ..Self::default() }),
            Wanted::Day(day) => {
                not_future(day, today)?;
                Ok(Self { questions: vec![Question::Day(day)], ..Self::default() })
            }
            Wanted::Range { first, last, in_series, again } => {
                let days = days_of(first, last, today)?;
                let mut plan = Self::default();
                let mut missing = Vec::new();
                for day in days {
                    if (profile.is_closed)(day) {
                        plan.days_closed += 1;
                    } else if !again && is_there(profile, destination, day) {
                        plan.days_there += 1;
                    } else {
                        missing.push(day);
                    }
                }
                plan.questions = questions(profile, &missing, in_series)?;
                Ok(plan)
            }
        }
    }
}

fn days_of(first: Date, last: Date, today: Date) -> Result<Vec<Date>, InvalidRange> {
    if last < first {
        return Err(InvalidRange::Reversed { first, last });
    }
    not_future(last, today)?;
    let count = day_number(last) - day_number(first) + 1;
    if count > RANGE_DAYS_MAX {
        return Err(InvalidRange::TooLong);
    }
    Ok(first.series(Span::new().days(1)).take_while(|day| *day <= last).collect())
}

fn not_future(day: Date, today: Date) -> Result<(), InvalidRange> {
    if day > today { Err(InvalidRange::Future { day, today }) } else { Ok(()) }
}

fn is_there(profile: &Profile, destination: &dyn Destination, day: Date) -> bool {
    let day_end = RateDate(day_number(day) + 1);
    destination
        .held(profile.shapes, RateDate(day_number(day)))
        .is_some_and(|held| held.known_at >= day_end.start())
}

fn questions(profile: &Profile, missing: &[Date], in_series: bool) -> Result<Vec<Question>, InvalidRange> {
    if profile.answers_with_files {
        let whole = missing.first().zip(missing.last());
        return Ok(whole.map(|(first, last)| Question::Span(*first, *last)).into_iter().collect());
    }
    if !in_series {
        return Ok(missing.iter().copied().map(Question::Day).collect());
    }
    let Some(days_max) = profile.series_days_max else {
        return Err(InvalidRange::NoSeries { provider: profile.name });
    };
    let mut spans: Vec<(Date, Date)> = Vec::new();
    for &day in missing {
        match spans.last_mut() {
            Some((first, last)) if day_number(day) - day_number(*first) < days_max => *last = day,
            _ => spans.push((day, day)),
        }
    }
    Ok(spans.into_iter().map(|(first, last)| Question::Span(first, last)).collect())
}

/// Returns the calendar date of an instant in UTC.
pub(crate) fn utc_date(instant: Timestamp) -> Date {
    instant.to_zoned(TimeZone::UTC).date()
}

/// Returns the days since 1970-01-01.
pub(crate) fn day_number(day: Date) -> i32 {
    RateDate::of(day).0
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::provider::find;

    fn days(first: Date, last: Date) -> Vec<Date> {
        days_of(first, last, date(2026, 1, 1)).unwrap()
    }

    #[test]
    fn a_series_is_as_long_as_the_provider_allows_and_leaves_out_what_is_there() {
        let profile = *find("openexchangerates").unwrap().profile();
        let mut missing = days(date(2024, 1, 1), date(2024, 3, 10));
        missing.retain(|day| *day < date(2024, 1, 20) || *day > date(2024, 2, 20));
        let asked = questions(&profile, &missing, true).unwrap();
        let spans = [
            Question::Span(date(2024, 1, 1), date(2024, 1, 19)),
            Question::Span(date(2024, 2, 21), date(2024, 3, 10)),
        ];
        assert_eq!(asked, spans);
        let year = questions(&profile, &days(date(2023, 1, 1), date(2023, 12, 31)), true).unwrap();
        assert_eq!(year.len(), 12);
        assert_eq!(year[0], Question::Span(date(2023, 1, 1), date(2023, 1, 31)));
        assert_eq!(year[11], Question::Span(date(2023, 12, 8), date(2023, 12, 31)));
        assert_eq!(questions(&profile, &missing, false).unwrap().len(), missing.len());
    }

    #[test]
    fn files_are_asked_for_once_and_nothing_is_asked_for_nothing() {
        let profile = *find("ecb").unwrap().profile();
        let missing = [date(2024, 1, 2), date(2024, 5, 3)];
        let asked = questions(&profile, &missing, false).unwrap();
        assert_eq!(asked, [Question::Span(missing[0], missing[1])]);
        assert_eq!(questions(&profile, &[], false).unwrap(), []);
    }

    #[test]
    fn ranges_that_cannot_be_meant_are_refused() {
        let today = date(2024, 5, 1);
        assert_eq!(days_of(today, today, today).unwrap(), [today]);
        let message = |first, last| days_of(first, last, today).unwrap_err().to_string();
        assert_eq!(
            message(date(2024, 4, 2), date(2024, 4, 1)),
            "the range ends on 2024-04-01, before it begins on 2024-04-02"
        );
        assert_eq!(
            message(today, date(2024, 5, 2)),
            "2024-05-02 has not begun yet, expected a day up to 2024-05-01 (UTC)"
        );
        assert_eq!(message(date(1, 1, 1), today), "the range has more than 73049 days");
    }

    #[test]
    fn days_are_counted_from_the_epoch() {
        for (day, number) in [(date(1970, 1, 1), 0), (date(1969, 12, 31), -1), (date(2024, 5, 1), 19_844)] {
            assert_eq!(day_number(day), number);
        }
    }
}
