//! Which day and instant a document gets. 1322697600 is 2011-12-01T00:00:00Z.

use super::{check, outcome};

fn stamped(timestamp: &str) -> String {
    format!(r#"{{"license":"l","timestamp":{timestamp},"base":"USD","rates":{{"INR":51.9}}}}"#)
}

fn dated(date: &str, timestamp: &str) -> String {
    format!(r#"{{"date":{date},"timestamp":{timestamp},"base":"USD","rates":{{"INR":51.9}}}}"#)
}

#[test]
fn own_date_goes_before_the_name_and_the_name_before_the_stamp() {
    let day = |date: &str| format!("fixer USD {date} 1322697600: INR=51.9");
    check("latest.json", &dated(r#""2011-12-01""#, "1322697600"), &[&day("2011-12-01")]);
    check(
        "2011-11-30.json",
        &dated(r#""2011-12-01""#, "1322697600"),
        &[
            &day("2011-12-01"),
            "! SNAPSHOT_TIME_SUSPECT the document is dated 2011-12-01, the file is named for 2011-11-30",
        ],
    );
    check(
        "2011-12-02.json",
        &stamped("1322697600"),
        &["openexchangerates USD 2011-12-02 1322697600: INR=51.9"],
    );
    check("latest.json", &stamped("1322697600"), &["openexchangerates USD 2011-12-01 1322697600: INR=51.9"]);
}

#[test]
fn stamp_far_from_the_name_is_reported_and_kept() {
    check(
        "2011-12-03.json",
        &stamped("1322697600"),
        &[
            "openexchangerates USD 2011-12-03 1322697600: INR=51.9",
            "! SNAPSHOT_TIME_SUSPECT the file is named for 2011-12-03 and stamped 2011-12-01",
        ],
    );
}

#[test]
fn stamp_far_from_the_own_date_is_ignored() {
    check(
        "x.json",
        &dated(r#""2000-01-03""#, "1322697600"),
        &[
            "fixer USD 2000-01-03 -: INR=51.9",
            "! SNAPSHOT_TIME_SUSPECT the document is dated 2000-01-03 and stamped 2011-12-01; the stamp is ignored",
        ],
    );
}

#[test]
fn stamps_are_seconds_as_number_or_string() {
    for timestamp in ["1322697600", "\"1322697600\"", "1322697600.0", "1.3226976e9", "1322697600.9999999"] {
        let found = outcome("latest.json", &stamped(timestamp));
        assert_eq!(found, "openexchangerates USD 2011-12-01 1322697600: INR=51.9", "{timestamp}");
    }
    // Milliseconds, nothing, rubbish, a time text.
    for timestamp in ["1322697600000", "0", "-5", "true", "\"soon\"", "\"2011-12-01T00:00:00Z\"", "{}"] {
        let shown = timestamp;
        check(
            "latest.json",
            &stamped(timestamp),
            &[&format!(
                "SNAPSHOT_DATE_INVALID: the timestamp `{shown}` is no time in seconds; expected `date`, a file name \
             such as `2011-12-01.json`, or `timestamp` in seconds"
            )],
        );
        check(
            "2011-12-01.json",
            &stamped(timestamp),
            &[
                "openexchangerates USD 2011-12-01 -: INR=51.9",
                &format!(
                    "! SNAPSHOT_TIME_SUSPECT the timestamp `{shown}` is no time in seconds; it is ignored"
                ),
            ],
        );
    }
    assert!(
        outcome("latest.json", &stamped("null")).starts_with(
            "SNAPSHOT_DATE_INVALID: the document bears neither a date nor a timestamp; expected"
        )
    );
}

#[test]
fn day_that_does_not_exist_is_refused_wherever_it_stands() {
    check(
        "2011-09-31.json",
        &stamped("1314746276"),
        &["SNAPSHOT_DATE_INVALID: the file is named `2011-09-31.json`; there is no day `2011-09-31`"],
    );
    check(
        "2011-02-29.json.gz",
        &dated(r#""2011-02-28""#, "null"),
        &["SNAPSHOT_DATE_INVALID: the file is named `2011-02-29.json.gz`; there is no day `2011-02-29`"],
    );
    for date in
        [r#""2011-02-29""#, r#""2011-13-01""#, r#""2011-1-1""#, r#""01.12.2011""#, r#""""#, "20111201"]
    {
        let found = outcome("2011-12-01.json", &dated(date, "1322697600"));
        assert!(found.starts_with("SNAPSHOT_DATE_INVALID: the document's date is"), "{date}: {found}");
    }
    check("2012-02-29.json", &dated(r#""2012-02-29""#, "null"), &["fixer USD 2012-02-29 -: INR=51.9"]);
}

#[test]
fn name_dates_a_document_only_if_it_holds_one_date() {
    for (name, date) in [
        ("rates_2011-12-02_final.json", "2011-12-02"),
        ("2011-12-02T17.json", "2011-12-02"),
        ("folder/2011-12-02/latest.json", "2011-12-01"),
        ("2011-12-02_2011-12-03.json", "2011-12-01"),
        ("12011-12-02.json", "2011-12-01"),
        ("2011-12-021.json", "2011-12-01"),
        ("20111202.json", "2011-12-01"),
        ("kurse-für-2011-12-02.json", "2011-12-02"),
    ] {
        let expected = format!("openexchangerates USD {date} 1322697600: INR=51.9");
        check(name, &stamped("1322697600"), &[&expected]);
    }
}

#[test]
fn one_day_files_of_the_central_bank_are_compared_with_their_name() {
    let day = "Date, USD, \n30 October 2026, 1.1172, \n";
    check("eurofxref-2026-10-30.csv", day, &["ecb EUR 2026-10-30 -: USD=1.1172"]);
    check(
        "eurofxref-2026-10-31.csv",
        day,
        &[
            "ecb EUR 2026-10-30 -: USD=1.1172",
            "! SNAPSHOT_TIME_SUSPECT the document is dated 2026-10-30, the file is named for 2026-10-31",
        ],
    );
    let history = "Date,USD,\n2026-10-30,1.1172,\n2026-10-29,1.113,\n";
    check(
        "hist-2026-11-02.csv",
        history,
        &["ecb EUR 2026-10-29 -: USD=1.113", "ecb EUR 2026-10-30 -: USD=1.1172"],
    );
}
