//! When something happened: a date, a timestamp (by its date in UTC), or a date as text.

use arrow::array::{Array, AsArray, Date32Array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ScalarFunctionArgs;

use super::Column;
use super::text::Texts;
use crate::rate::{InstantMicros, RateDate};
use crate::reason::RowReason;
use crate::sql::error::shown;

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The day of an event, and its instant if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sql) struct Event {
    pub(in crate::sql) day: RateDate,
    pub(in crate::sql) at: Option<InstantMicros>,
}

/// The values of an event argument.
pub(in crate::sql) enum Events {
    Text(Texts),
    Day(Date32Array, usize),
    Instant(Instants),
}

/// Timestamps of any unit.
pub(in crate::sql) struct Instants {
    values: ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
    ticks_per_second: i64,
    stride: usize,
}

impl Events {
    pub(in crate::sql) fn of(args: &ScalarFunctionArgs, position: usize) -> Result<Self> {
        let column = Column::of(args, position)?;
        let (array, stride) = (&column.array, column.stride);
        let (values, ticks_per_second) = match array.data_type() {
            DataType::Date32 => return Ok(Self::Day(array.as_primitive::<Date32Type>().clone(), stride)),
            DataType::Date64 => (array.as_primitive::<Date64Type>().values(), 1_000),
            DataType::Timestamp(TimeUnit::Second, _) => {
                (array.as_primitive::<TimestampSecondType>().values(), 1)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                (array.as_primitive::<TimestampMillisecondType>().values(), 1_000)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                (array.as_primitive::<TimestampMicrosecondType>().values(), MICROS_PER_SECOND)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                (array.as_primitive::<TimestampNanosecondType>().values(), 1_000_000_000)
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                return Ok(Self::Text(Texts::new(&column)?));
            }
            other => return internal_err!("an event of type {other}"),
        };
        Ok(Self::Instant(Instants {
            values: values.clone(),
            nulls: array.nulls().cloned(),
            ticks_per_second,
            stride,
        }))
    }

    /// Returns the event of a row.
    #[inline]
    pub(in crate::sql) fn get(&self, row: usize) -> std::result::Result<Event, RowReason> {
        match self {
            Self::Day(values, stride) if values.is_valid(row * stride) => {
                Ok(Event { day: RateDate(values.value(row * stride)), at: None })
            }
            Self::Day(_, _) => Err(RowReason::EventTimeMissing),
            Self::Instant(instants) => instants.get(row),
            Self::Text(texts) => texts.get(row).ok_or(RowReason::EventTimeMissing).and_then(read),
        }
    }

    /// Returns the day of a row's event, if it has one.
    #[inline]
    pub(in crate::sql) fn day(&self, row: usize) -> Option<RateDate> {
        match self {
            Self::Day(values, stride) => {
                values.is_valid(row * stride).then(|| RateDate(values.value(row * stride)))
            }
            Self::Instant(instants) => instants.day(instants.ticks(row)?),
            Self::Text(texts) => texts.get(row).and_then(|text| read(text).ok()).map(|event| event.day),
        }
    }

    /// Tells whether rows have instants, of which the day is only a part.
    pub(in crate::sql) const fn are_instants(&self) -> bool {
        matches!(self, Self::Instant(_))
    }

    /// Says what is wrong with the event of a row.
    pub(in crate::sql) fn explain(&self, row: usize, reason: RowReason) -> String {
        let text = match self {
            Self::Text(texts) => texts.get(row).map(shown),
            Self::Instant(instants) => instants.values.get(row * instants.stride).map(ToString::to_string),
            Self::Day(_, _) => None,
        };
        match text {
            Some(text) if reason == RowReason::EventTimeInvalid => {
                format!("event date `{text}`; expected a date of the calendar such as `2024-05-01`")
            }
            _ => "the event date is missing; expected a date".to_owned(),
        }
    }
}

impl Instants {
    #[inline]
    fn get(&self, row: usize) -> std::result::Result<Event, RowReason> {
        let ticks = self.ticks(row).ok_or(RowReason::EventTimeMissing)?;
        let day = self.day(ticks).ok_or(RowReason::EventTimeInvalid)?;
        let micros = if self.ticks_per_second > MICROS_PER_SECOND {
            ticks.div_euclid(self.ticks_per_second / MICROS_PER_SECOND)
        } else {
            ticks.saturating_mul(MICROS_PER_SECOND / self.ticks_per_second)
        };
        Ok(Event { day, at: Some(InstantMicros(micros)) })
    }

    #[inline]
    fn ticks(&self, row: usize) -> Option<i64> {
        let place = row * self.stride;
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(place));
        (!is_null).then(|| self.values[place])
    }

    /// Euclid, because what is before 1970 belongs to the day that began before it.
    #[inline]
    fn day(&self, ticks: i64) -> Option<RateDate> {
        // The usual unit by a constant, which makes the division a multiplication.
        let day = match self.ticks_per_second {
            MICROS_PER_SECOND => ticks.div_euclid(MICROS_PER_SECOND * SECONDS_PER_DAY),
            ticks_per_second => ticks.div_euclid(ticks_per_second * SECONDS_PER_DAY),
        };
        i32::try_from(day).ok().map(RateDate)
    }
}

/// Reads `YYYY-MM-DD`, with ASCII white space around it, and nothing else.
#[inline]
fn read(text: &str) -> std::result::Result<Event, RowReason> {
    let text = text.as_bytes().trim_ascii();
    if text.is_empty() {
        return Err(RowReason::EventTimeMissing);
    }
    let day = match text {
        [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] => {
            let year = number(&[*y0, *y1, *y2, *y3]);
            calendar_day(year, number(&[*m0, *m1]), number(&[*d0, *d1]))
        }
        _ => None,
    };
    day.map(|day| Event { day, at: None }).ok_or(RowReason::EventTimeInvalid)
}

fn number(digits: &[u8]) -> Option<i16> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0')))
}

fn calendar_day(year: Option<i16>, month: Option<i16>, day: Option<i16>) -> Option<RateDate> {
    let (month, day) = (i8::try_from(month?).ok()?, i8::try_from(day?).ok()?);
    let midnight = jiff::civil::Date::new(year?, month, day).ok()?.at(0, 0, 0, 0);
    let instant = jiff::tz::Offset::UTC.to_timestamp(midnight).ok()?;
    i32::try_from(instant.as_second().div_euclid(SECONDS_PER_DAY)).ok().map(RateDate)
}
