//! From the text of a value to the value of its declared type, exactly or not at all.
//!
//! Nothing is rounded, cut or guessed: a text that does not denote a value of the type is a
//! contradiction, and the caller makes it a fault.

use cambist_udfs::decimal::{Decimal, DecimalError};

/// As many digits as a decimal may have.
const DECIMAL_DIGITS_MAX: u8 = 38;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Offsets in use lie within 14 hours of UTC, ISO 8601 allows any below 24; as in the tz database, more
/// than that is a mistake.
const OFFSET_HOURS_MAX: i64 = 23;

/// How a text contradicts a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contradiction {
    /// It does not denote a value of that kind.
    Kind,
    /// It is a number with more decimals than the type keeps.
    Scale,
    /// It is a number with more digits than the type keeps.
    Overflow,
}

/// Reads a whole number; its value decides, so that `17850.0` and `1e3` are whole.
pub(crate) fn int64(text: &str) -> Result<i64, Contradiction> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return whole_decimal(text);
    }
    let mut value: i64 = 0;
    for &digit in digits {
        let digit = i64::from(digit - b'0');
        // Summed below zero, where i64 reaches one further.
        value =
            value.checked_mul(10).and_then(|tens| tens.checked_sub(digit)).ok_or(Contradiction::Overflow)?;
    }
    if is_negative { Ok(value) } else { value.checked_neg().ok_or(Contradiction::Overflow) }
}

fn whole_decimal(text: &str) -> Result<i64, Contradiction> {
    let mantissa = decimal(text, DECIMAL_DIGITS_MAX, 0)?;
    i64::try_from(mantissa).map_err(|_| Contradiction::Overflow)
}

/// Reads a decimal as its mantissa at `scale`.
pub(crate) fn decimal(text: &str, precision: u8, scale: u8) -> Result<i128, Contradiction> {
    let value = Decimal::from_bytes(text.as_bytes()).map_err(|error| match error {
        DecimalError::ScaleExceeded => Contradiction::Scale,
        DecimalError::Overflow => Contradiction::Overflow,
        _ => Contradiction::Kind,
    })?;
    let limit = 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    match value.rescale(scale) {
        Some(mantissa) if mantissa.abs() < limit => Ok(mantissa),
        Some(_) => Err(Contradiction::Overflow),
        None if value.normalized().scale() > scale => Err(Contradiction::Scale),
        None => Err(Contradiction::Overflow),
    }
}

/// Reads `true`, `false`, `1` or `0`.
pub(crate) fn boolean(text: &str) -> Result<bool, Contradiction> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Contradiction::Kind),
    }
}

/// Reads a finite double.
pub(crate) fn float64(text: &str) -> Result<f64, Contradiction> {
    let value: f64 = text.parse().map_err(|_| Contradiction::Kind)?;
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit());
    match (value.is_finite(), is_number) {
        (true, _) => Ok(value),
        (false, true) => Err(Contradiction::Overflow),
        (false, false) => Err(Contradiction::Kind),
    }
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01.
pub(crate) fn date(text: &str) -> Result<i32, Contradiction> {
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date().filter(|_| cursor.0.is_empty()).ok_or(Contradiction::Kind)?;
    i32::try_from(days).map_err(|_| Contradiction::Overflow)
}

/// Reads a date and time without offset as microseconds since 1970-01-01T00:00:00 of the local clock.
pub(crate) fn timestamp(text: &str) -> Result<i64, Contradiction> {
    match date_time(text) {
        Some((micros, None)) => Ok(micros),
        _ => Err(Contradiction::Kind),
    }
}

/// Reads a date and time with an offset or `Z` as microseconds since the epoch of UTC.
pub(crate) fn instant(text: &str) -> Result<i64, Contradiction> {
    match date_time(text) {
        Some((micros, Some(offset))) => Ok(micros - offset * MICROS_PER_SECOND),
        _ => Err(Contradiction::Kind),
    }
}

/// Reads `YYYY-MM-DD[T| ]HH:MM[:SS[.fraction]][Z|±HH[:]MM]` as local microseconds and the offset in
/// seconds. A fraction finer than a microsecond is not this type's.
fn date_time(text: &str) -> Option<(i64, Option<i64>)> {
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date()?;
    if !(cursor.skip(b'T') || cursor.skip(b't') || cursor.skip(b' ')) {
        return None;
    }
    let hour = cursor.digits(2).filter(|hour| *hour < 24)?;
    let minute = cursor.skip(b':').then(|| cursor.digits(2)).flatten().filter(|minute| *minute < 60)?;
    let mut micros = (days * SECONDS_PER_DAY + hour * 3600 + minute * 60) * MICROS_PER_SECOND;
    if cursor.skip(b':') {
        micros += cursor.digits(2).filter(|second| *second < 60)? * MICROS_PER_SECOND;
        if cursor.skip(b'.') || cursor.skip(b',') {
            micros += cursor.fraction()?;
        }
    }
    let offset = cursor.offset()?;
    cursor.0.is_empty().then_some((micros, offset))
}

/// What is left of a text that is being read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn skip(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits
            .iter()
            .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        let month = self.skip(b'-').then(|| self.digits(2)).flatten()?;
        let day = self.skip(b'-').then(|| self.digits(2)).flatten()?;
        let date = jiff::civil::Date::new(
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        );
        date.is_ok().then(|| days_from_civil(year, month, day))
    }

    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        let (micros, finer) = digits.split_at(count.min(6));
        if count == 0 || finer.iter().any(|digit| *digit != b'0') {
            return None;
        }
        let value = micros.iter().fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
        Some((micros.len()..6).fold(value, |value, _| value * 10))
    }

    fn offset(&mut self) -> Option<Option<i64>> {
        if self.0.is_empty() {
            return Some(None);
        }
        if self.skip(b'Z') || self.skip(b'z') {
            return Some(Some(0));
        }
        let sign = if self.skip(b'+') {
            1
        } else if self.skip(b'-') {
            -1
        } else {
            return None;
        };
        let hours = self.digits(2).filter(|hours| *hours <= OFFSET_HOURS_MAX)?;
        self.skip(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2).filter(|minutes| *minutes < 60)? };
        Some(Some(sign * (hours * 3600 + minutes * 60)))
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, by the method of Howard Hinnant
/// (<https://howardhinnant.github.io/date_algorithms.html#days_from_civil>), years 0 to 9999.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
