//! Event times: from what the source writes to a calendar date in the rate zone and an instant.

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit};
use cambist_udfs::reason::RowReason;
use datafusion::common::{Result, internal_err, plan_err};
use jiff::civil::{Date, DateTime};
use jiff::fmt::{strtime, temporal::Pieces};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::amount::shown;
use super::exec::Refused;

const MICROS_PER_DAY: i64 = 86_400_000_000;
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// What a `strptime` form says of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTimeKind {
    /// A calendar date, which no zone moves.
    Date,
    /// A local time, which needs the source's zone.
    Local,
    /// An instant: it names its own offset or zone.
    Instant,
}

/// Tells what times of the form `format` are.
///
/// # Errors
/// Where the form is not understood, or holds no date.
pub fn check_time_format(format: &str) -> Result<EventTimeKind> {
    let sample = jiff::civil::date(2001, 2, 3).at(4, 5, 6, 0).to_zoned(TimeZone::UTC);
    let read = sample.and_then(|sample| {
        let text = strtime::format(format, &sample)?;
        strtime::BrokenDownTime::parse(format, text)
    });
    let parts = match read {
        Ok(parts) => parts,
        Err(error) => {
            return plan_err!(
                "time format `{format}` is not understood: {error}; expected for example `%Y-%m-%d %H:%M:%S`"
            );
        }
    };
    let is_instant = parts.offset().is_some() || parts.iana_time_zone().is_some();
    if parts.to_timestamp().is_ok() || is_instant {
        return Ok(EventTimeKind::Instant);
    }
    match (parts.to_date(), parts.hour()) {
        (Ok(_), None) => Ok(EventTimeKind::Date),
        (Ok(_), Some(_)) => Ok(EventTimeKind::Local),
        (Err(error), _) => plan_err!("time format `{format}` holds no calendar date: {error}"),
    }
}

/// When an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventTime {
    /// The date in the rate zone, days since 1970-01-01.
    pub(super) day: i32,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(super) instant_micros: i64,
}

/// How event times of one source are read.
pub(super) struct EventTimeReader {
    format: Option<String>,
    zone: Option<TimeZone>,
    rate_zone: TimeZone,
    rate_zone_is_utc: bool,
    /// Feeds are mostly in time order: the last text read often comes again.
    last: Option<(String, EventTime)>,
}

impl EventTimeReader {
    pub(super) fn new(format: Option<String>, zone: Option<&str>, rate_zone: &str) -> Result<Self> {
        let rate_zone = time_zone(rate_zone)?;
        Ok(Self {
            format,
            zone: zone.map(time_zone).transpose()?,
            rate_zone_is_utc: rate_zone == TimeZone::UTC,
            rate_zone,
            last: None,
        })
    }

    #[inline]
    pub(super) fn at(&mut self, times: &EventTimes, row: usize) -> std::result::Result<EventTime, Refused> {
        match times {
            EventTimes::Text(values) if values.is_valid(row) => self.text(values.value(row)),
            EventTimes::Date(values) if values.is_valid(row) => self.date_only(values.value(row)),
            EventTimes::Instant(values, unit) if values.is_valid(row) => {
                self.instant(micros(values.value(row), *unit)?)
            }
            EventTimes::Local(values, unit) if values.is_valid(row) => {
                let local = Timestamp::from_microsecond(micros(values.value(row), *unit)?)
                    .map_err(|_| out_of_range())?;
                self.local(TimeZone::UTC.to_datetime(local))
            }
            _ => Err(Refused::new(RowReason::EventTimeMissing, "the event time is missing".to_owned())),
        }
    }

    fn text(&mut self, text: &str) -> std::result::Result<EventTime, Refused> {
        if let Some((last, time)) = &self.last
            && last == text
        {
            return Ok(*time);
        }
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() {
            return Err(Refused::new(RowReason::EventTimeMissing, "the event time is blank".to_owned()));
        }
        let read = match &self.format {
            Some(format) => self.formatted(format, trimmed),
            None => self.iso(trimmed),
        };
        let time = read.map_err(|problem| match problem {
            Problem::Form(detail) => {
                Refused::new(RowReason::EventTimeInvalid, format!("event time `{}`: {detail}", shown(text)))
            }
            Problem::Refused(refused) => refused,
        })?;
        match &mut self.last {
            Some((last, remembered)) => {
                last.clear();
                last.push_str(text);
                *remembered = time;
            }
            None => self.last = Some((text.to_owned(), time)),
        }
        Ok(time)
    }

    fn iso(&self, text: &str) -> std::result::Result<EventTime, Problem> {
        let pieces = Pieces::parse(text).map_err(|error| Problem::Form(error.to_string()))?;
        let Some(time) = pieces.time() else {
            return Ok(self.date_only(days(pieces.date()))?);
        };
        let local = pieces.date().to_datetime(time);
        let Some(offset) = pieces.to_numeric_offset() else {
            return Ok(self.local(local)?);
        };
        let instant = offset.to_timestamp(local).map_err(|error| Problem::Form(error.to_string()))?;
        Ok(self.instant(instant.as_microsecond())?)
    }

    fn formatted(&self, format: &str, text: &str) -> std::result::Result<EventTime, Problem> {
        let form = |error: jiff::Error| Problem::Form(format!("{error}; expected the form `{format}`"));
        let parts = strtime::BrokenDownTime::parse(format, text).map_err(form)?;
        if parts.offset().is_some() || parts.iana_time_zone().is_some() {
            let instant = parts.to_timestamp().map_err(form)?;
            return Ok(self.instant(instant.as_microsecond())?);
        }
        if parts.hour().is_none() {
            if let Ok(instant) = parts.to_timestamp() {
                return Ok(self.instant(instant.as_microsecond())?);
            }
            return Ok(self.date_only(days(parts.to_date().map_err(form)?))?);
        }
        Ok(self.local(parts.to_datetime().map_err(form)?)?)
    }

    /// A date is a date: it is not moved to the rate zone. As an instant it begins with the source's day.
    fn date_only(&self, day: i32) -> std::result::Result<EventTime, Refused> {
        let midnight = EPOCH
            .checked_add(SignedDuration::from_hours(24 * i64::from(day)))
            .map_err(|_| out_of_range())?
            .at(0, 0, 0, 0);
        let instant = self.to_instant(midnight)?;
        Ok(EventTime { day, instant_micros: instant.as_microsecond() })
    }

    fn local(&self, local: DateTime) -> std::result::Result<EventTime, Refused> {
        self.instant(self.to_instant(local)?.as_microsecond())
    }

    /// A local time that a clock change skips or repeats is the earlier of its two instants.
    fn to_instant(&self, local: DateTime) -> std::result::Result<Timestamp, Refused> {
        let zone = self.zone.as_ref().unwrap_or(&self.rate_zone);
        zone.to_ambiguous_timestamp(local).earlier().map_err(|_| out_of_range())
    }

    fn instant(&self, instant_micros: i64) -> std::result::Result<EventTime, Refused> {
        let day = if self.rate_zone_is_utc {
            instant_micros.div_euclid(MICROS_PER_DAY)
        } else {
            let instant = Timestamp::from_microsecond(instant_micros).map_err(|_| out_of_range())?;
            i64::from(days(self.rate_zone.to_datetime(instant).date()))
        };
        let day = i32::try_from(day).map_err(|_| out_of_range())?;
        Ok(EventTime { day, instant_micros })
    }
}

enum Problem {
    Form(String),
    Refused(Refused),
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

fn out_of_range() -> Refused {
    Refused::new(
        RowReason::EventTimeInvalid,
        "the event time lies outside the years -9999 to 9999".to_owned(),
    )
}

fn days(date: Date) -> i32 {
    let hours = date.duration_since(EPOCH).as_hours();
    // A civil date is at most 3.7 million days from the epoch.
    i32::try_from(hours / 24).unwrap_or(i32::MAX)
}

fn time_zone(name: &str) -> Result<TimeZone> {
    if matches!(name, "UTC" | "Etc/UTC" | "Z") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).or_else(|_| {
        plan_err!("time zone `{name}` is not known, expected an IANA name such as `Europe/London` or `UTC`")
    })
}

fn micros(value: i64, unit: TimeUnit) -> std::result::Result<i64, Refused> {
    match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
    }
    .ok_or_else(out_of_range)
}

/// The event times of one batch.
pub(super) enum EventTimes {
    Missing,
    Text(StringArray),
    Date(Date32Array),
    Instant(Int64Array, TimeUnit),
    Local(Int64Array, TimeUnit),
}

impl EventTimes {
    pub(super) fn of(column: &ArrayRef) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Null => Self::Missing,
            DataType::Utf8 => Self::Text(column.as_string().clone()),
            DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text(cast(column, &DataType::Utf8)?.as_string().clone())
            }
            DataType::Date32 => Self::Date(column.as_primitive::<Date32Type>().clone()),
            DataType::Date64 => {
                Self::Date(cast(column, &DataType::Date32)?.as_primitive::<Date32Type>().clone())
            }
            DataType::Timestamp(unit, zone) => {
                let values = cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
                match zone {
                    Some(_) => Self::Instant(values, *unit),
                    None => Self::Local(values, *unit),
                }
            }
            other => return internal_err!("an event time of type {other}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Reads one text and returns the event date and the UTC instant, or the reason.
    fn read(zone: Option<&str>, rate_zone: &str, format: Option<&str>, text: &str) -> String {
        let mut reader = EventTimeReader::new(format.map(str::to_owned), zone, rate_zone).unwrap();
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        match reader.at(&EventTimes::of(&column).unwrap(), 0) {
            Ok(time) => {
                let day = cambist_udfs::rate::RateDate(time.day);
                format!("{day} {}", Timestamp::from_microsecond(time.instant_micros).unwrap())
            }
            Err(refused) => refused.reason().to_string(),
        }
    }

    #[test]
    fn an_instant_is_dated_in_the_rate_zone() {
        assert_eq!(read(None, "UTC", None, "2024-05-01T23:30:00-02:00"), "2024-05-02 2024-05-02T01:30:00Z");
        assert_eq!(read(None, "Asia/Tokyo", None, "2024-05-01T15:00:00Z"), "2024-05-02 2024-05-01T15:00:00Z");
    }

    #[test]
    fn a_local_time_is_read_in_the_source_zone() {
        // London is on summer time, UTC+1, on 1 May.
        assert_eq!(
            read(Some("Europe/London"), "UTC", None, "2024-05-01 00:30:00"),
            "2024-04-30 2024-04-30T23:30:00Z"
        );
    }

    /// Clocks in London went from 01:00 to 02:00 on 31 March 2024 and from 02:00 to 01:00 on 27 October.
    #[test]
    fn skipped_and_repeated_local_times_are_the_earlier_instant() {
        // 01:30 was skipped: by the offset after the change it is 00:30Z, by the one before 01:30Z.
        assert_eq!(
            read(Some("Europe/London"), "UTC", None, "2024-03-31T01:30:00"),
            "2024-03-31 2024-03-31T00:30:00Z"
        );
        // 01:30 came twice: first in summer time, 00:30Z, then at 01:30Z.
        assert_eq!(
            read(Some("Europe/London"), "UTC", None, "2024-10-27T01:30:00"),
            "2024-10-27 2024-10-27T00:30:00Z"
        );
    }

    #[test]
    fn a_date_is_not_moved() {
        assert_eq!(
            read(Some("America/New_York"), "Asia/Tokyo", None, "2024-05-01"),
            "2024-05-01 2024-05-01T04:00:00Z"
        );
        assert_eq!(
            read(Some("UTC"), "Asia/Tokyo", Some("%d.%m.%Y"), "01.05.2024"),
            "2024-05-01 2024-05-01T00:00:00Z"
        );
    }

    #[test]
    fn an_unpadded_form_is_read() {
        let read = |text| read(Some("Europe/London"), "UTC", Some("%m/%d/%Y %H:%M"), text);
        assert_eq!(read("12/1/2010 8:26"), "2010-12-01 2010-12-01T08:26:00Z");
        assert_eq!(read("13/1/2010 8:26"), "EVENT_TIME_INVALID");
    }

    #[test]
    fn what_is_no_time_has_a_reason() {
        assert_eq!(read(Some("UTC"), "UTC", None, "2024-02-30T00:00:00Z"), "EVENT_TIME_INVALID");
        assert_eq!(read(Some("UTC"), "UTC", None, "yesterday"), "EVENT_TIME_INVALID");
        assert_eq!(read(Some("UTC"), "UTC", None, "  "), "EVENT_TIME_MISSING");
    }

    #[test]
    fn a_form_tells_what_its_times_are() {
        assert_eq!(check_time_format("%Y-%m-%d").unwrap(), EventTimeKind::Date);
        assert_eq!(check_time_format("%m/%d/%Y %H:%M").unwrap(), EventTimeKind::Local);
        assert_eq!(check_time_format("%Y-%m-%dT%H:%M:%S%z").unwrap(), EventTimeKind::Instant);
        assert_eq!(check_time_format("%s").unwrap(), EventTimeKind::Instant);
        assert!(check_time_format("%H:%M").is_err());
        assert!(check_time_format("%Y-%m-%d %!").is_err());
    }

    #[test]
    fn columns_of_times_of_every_unit_are_read() {
        let of = |column: ArrayRef| {
            let mut reader = EventTimeReader::new(None, Some("Asia/Tokyo"), "UTC").unwrap();
            reader.at(&EventTimes::of(&column).unwrap(), 0).unwrap()
        };
        // 1,704,067,200 s is 2024-01-01T00:00:00Z, day 19,723; as Tokyo's local time it is nine hours earlier.
        let seconds = arrow::array::TimestampSecondArray::from(vec![1_704_067_200]);
        let nanos = arrow::array::TimestampNanosecondArray::from(vec![1_704_067_200_000_000_999]);
        assert_eq!(of(Arc::new(seconds.clone().with_timezone("UTC"))).day, 19_723);
        assert_eq!(of(Arc::new(nanos.with_timezone("UTC"))).instant_micros, 1_704_067_200_000_000);
        assert_eq!(of(Arc::new(seconds)).instant_micros, 1_704_034_800_000_000);
        assert_eq!(of(Arc::new(Date32Array::from(vec![19_723]))).day, 19_723);
    }
}
