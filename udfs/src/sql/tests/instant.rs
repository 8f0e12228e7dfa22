//! Rates chosen by instant: the snapshots hold from noon UTC of their day.

use super::{rows, session_with};
use crate::rate::AsOfMode;

fn check(event: &str, expected: &str) {
    let sql = format!("SELECT fx_convert('100', 'GBP', {event}, 'INR')");
    assert_eq!(rows(&session_with(AsOfMode::Instant, 1), &sql).unwrap(), [expected], "{event}");
}

#[test]
fn a_timestamp_is_looked_up_by_its_instant() {
    // 100 * 89.25 / 0.8550 = 10438.596…; 100 * 89.60 / 0.8575 = 10448.979….
    check("TIMESTAMP '2024-05-03T11:59:59.999999'", "10438.60");
    check("TIMESTAMP '2024-05-03T12:00:00'", "10448.98");
    check("TIMESTAMP '2024-05-03T12:00:00+01:00'", "10438.60");
}

/// A date stands for its first instant, so that no rate is from later than the event.
#[test]
fn a_date_is_looked_up_by_its_first_instant() {
    check("DATE '2024-05-03'", "10438.60");
    check("DATE '2024-05-04'", "10448.98");
}
