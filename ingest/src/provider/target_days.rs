//! The days on which the European Central Bank certainly publishes no rates.

use jiff::civil::{Date, Weekday};
use jiff::{Span, ToSpan};

/// From this year on the closing days of TARGET are those of today.
const SINCE_YEAR: i16 = 2002;

/// Tells whether `day` is a closing day of the TARGET system: a weekend, New Year, Good Friday, Easter
/// Monday, the first of May, Christmas, and the day after.
///
/// <https://www.ecb.europa.eu/ecb/contacts/working-hours/html/index.en.html>
pub(super) fn is_closing_day(day: Date) -> bool {
    if matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
        return true;
    }
    if day.year() < SINCE_YEAR {
        return false;
    }
    let is_fixed = matches!((day.month(), day.day()), (1, 1) | (5, 1) | (12, 25 | 26));
    let is_beside_easter =
        |distance: Span| easter(day.year()).and_then(|easter| easter.checked_add(distance).ok()) == Some(day);
    is_fixed || is_beside_easter(-2.days()) || is_beside_easter(1.day())
}

/// Easter Sunday in the Gregorian calendar, by the rule of Meeus, Jones and Butcher.
fn easter(year: i16) -> Option<Date> {
    let year_number = i32::from(year);
    let golden = year_number % 19;
    let (century, in_century) = (year_number / 100, year_number % 100);
    let correction = (8 * century + 13) / 25;
    let moon = (19 * golden + century - century / 4 - correction + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (in_century / 4) - moon - in_century % 4) % 7;
    let late = (golden + 11 * moon + 22 * weekday) / 451;
    let sum = moon + weekday - 7 * late + 114;
    let (month, day) = (i8::try_from(sum / 31).ok()?, i8::try_from(sum % 31 + 1).ok()?);
    Date::new(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// The dates of Easter are those of the almanac.
    #[test]
    fn easter_is_known() {
        for (year, month, day) in
            [(1999, 4, 4), (2000, 4, 23), (2008, 3, 23), (2011, 4, 24), (2024, 3, 31), (2038, 4, 25)]
        {
            assert_eq!(easter(year), Some(date(year, month, day)));
        }
    }

    #[test]
    fn closing_days_are_weekends_and_the_six_holidays() {
        for closed in [
            date(2024, 5, 4),
            date(2024, 5, 5),
            date(2024, 1, 1),
            date(2024, 3, 29),
            date(2024, 4, 1),
            date(2024, 5, 1),
            date(2024, 12, 25),
            date(2024, 12, 26),
        ] {
            assert!(is_closing_day(closed), "{closed}");
        }
        // Ascension, Whit Monday, Epiphany, New Year's Eve; and Easter Monday before the rule was made.
        for open in
            [date(2024, 5, 9), date(2024, 5, 20), date(2025, 1, 6), date(2024, 12, 31), date(1999, 4, 5)]
        {
            assert!(!is_closing_day(open), "{open}");
        }
    }
}
