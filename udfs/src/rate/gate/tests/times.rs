use super::*;

const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

fn stamped(day: i32, instant: i64) -> Snapshot {
    Snapshot { valid_at: Some(InstantMicros(instant)), ..dollars(day, "EUR 0.8") }
}

#[track_caller]
fn check_times(snapshot: &Snapshot, context: &GateContext<'_>, expected: &str) {
    assert_eq!(held(snapshot, context, &GateOptions::default()), expected);
}

#[test]
fn a_timestamp_ahead_of_the_receipt_is_held_beyond_the_skew() {
    let context = GateContext { received_at: InstantMicros(100 * DAY + 3600 * SECOND), ..ALONE };
    check_times(&stamped(100, 100 * DAY + 3900 * SECOND), &context, "");
    check_times(&stamped(100, 100 * DAY + 3900 * SECOND + 1), &context, "* time_future");
}

#[test]
fn a_day_ahead_of_the_receipt_is_held() {
    let context = GateContext { received_at: InstantMicros(100 * DAY), ..ALONE };
    check_times(&dollars(101, "EUR 0.8"), &context, "");
    check_times(&dollars(102, "EUR 0.8"), &context, "* time_future");
    check_times(&dollars(-40_000, "EUR 0.8"), &context, "");
}

// Real daily files are stamped at either end of their day, or in the evening before.
#[test]
fn a_timestamp_of_another_day_is_held() {
    for (instant, expected) in [
        (98 * DAY + DAY - 1, "* time_date"),
        (99 * DAY, ""),
        (100 * DAY, ""),
        (102 * DAY - 1, ""),
        (102 * DAY, "* time_date"),
    ] {
        check_times(&stamped(100, instant), &ALONE, expected);
    }
}

// A provider that rests on weekends answers with an older day, never with a later one.
#[test]
fn another_day_than_was_asked_for_is_held() {
    for (named, expected) in [(98, "* time_date"), (99, ""), (100, ""), (105, ""), (106, "* time_date")] {
        let context = GateContext { named_date: Some(RateDate(named)), ..ALONE };
        check_times(&dollars(100, "EUR 0.8"), &context, expected);
    }
}

#[test]
fn a_timestamp_before_that_of_the_predecessor_is_held() {
    let context = GateContext { predecessors: &[&stamped(98, 0), &stamped(99, 100 * DAY - 1)], ..ALONE };
    check_times(&stamped(100, 100 * DAY - 1), &context, "");
    check_times(&stamped(100, 100 * DAY - 2), &context, "* time_order");
    check_times(&dollars(100, "EUR 0.8"), &context, "");
}

// A snapshot that was fetched late from somewhere stale must not undo what is there.
#[test]
fn a_timestamp_before_that_of_the_version_it_would_replace_is_held() {
    let replaced = stamped(100, 101 * DAY - 1);
    let context =
        GateContext { predecessors: &[&stamped(99, 0)], previous_version: Some(&replaced), ..ALONE };
    check_times(&stamped(100, 101 * DAY - 1), &context, "");
    check_times(&stamped(100, 101 * DAY - 2), &context, "* time_order");
    let findings = check(&stamped(100, 100 * DAY), &context, &GateOptions::default());
    assert_eq!(
        findings[0].detail,
        "stamped 1970-04-11T00:00:00Z; the version it would replace is stamped 1970-04-11T23:59:59.999999Z"
    );
}

#[test]
fn instants_at_the_ends_of_time_do_not_overflow() {
    for received_at in [InstantMicros(i64::MIN), InstantMicros(i64::MAX)] {
        let context = GateContext { received_at, named_date: Some(RateDate(i32::MIN)), ..ALONE };
        for day in [i32::MIN, i32::MAX] {
            for instant in [i64::MIN, i64::MAX] {
                assert!(!check(&stamped(day, instant), &context, &GateOptions::default()).is_empty());
            }
        }
    }
}

#[test]
fn the_times_are_in_the_finding() {
    let context =
        GateContext { received_at: InstantMicros(15_290 * DAY), named_date: Some(RateDate(15_280)), ..ALONE };
    let findings = check(&stamped(15_286, 15_283 * DAY), &context, &GateOptions::default());
    let texts: Vec<_> = findings.iter().map(|finding| finding.detail.as_str()).collect();
    assert_eq!(
        texts,
        [
            "dated 2011-11-08, stamped 2011-11-05T00:00:00Z; at most 1 d apart is allowed",
            "dated 2011-11-08, asked or named for 2011-11-02; at most 1 d later is allowed",
        ]
    );
}
