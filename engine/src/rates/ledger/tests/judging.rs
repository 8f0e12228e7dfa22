//! The gates before a ledger.

use super::*;

/// Appends to a ledger with its gates, and returns what is found.
async fn found(lake: &Lake, options: &WriterOptions, received: Received) -> Vec<String> {
    let mut writer = LedgerWriter::open(&lake.stores, URL, options.clone()).await.unwrap();
    let appended = writer.append(received, at(1_000)).await.unwrap();
    let Appended::Stored { held, findings, .. } = appended else { panic!("{appended:?}") };
    [held, findings].concat().iter().map(in_words).collect()
}

fn in_words(held: &Held) -> String {
    let currency = held.currency.map_or_else(|| "all".to_owned(), |code| code.to_string());
    format!("{}: {currency}: {}", held.rate_date.unwrap(), held.gate)
}

/// The stamp of noon on a day of May 2024, which is when it is received; in seconds.
fn noon(day: i64) -> i64 {
    1_714_521_600 + (day - 1) * 86_400 + 43_200
}

fn daily(day: i64, rates: &str) -> Received {
    let body = format!(r#"{{"timestamp":{},"base":"USD","rates":{{{rates}}}}}"#, noon(day));
    Received { bytes: body.into(), ..received(noon(day), &format!("2024-05-{day:02}"), "") }
}

const GOOD: &str = r#""EUR":0.93,"INR":83.1"#;
const SLIP: &str = r#""EUR":0.93,"INR":8.31"#;

#[tokio::test]
async fn what_is_held_is_not_used_and_is_no_measure_until_it_is_approved() {
    let (lake, options) = (Lake::new(), WriterOptions::default());
    assert!(found(&lake, &options, daily(1, GOOD)).await.is_empty());
    assert_eq!(found(&lake, &options, daily(2, SLIP)).await, ["2024-05-02: INR: power_of_ten"]);
    assert_eq!(lake.rates(noon(2)).await, ["2024-05-01: EUR=0.93 INR=83.1", "2024-05-02: EUR=0.93"]);
    // The slip is no measure: the good rate is not found, and the slip is found again.
    assert!(found(&lake, &options, daily(3, GOOD)).await.is_empty());
    assert_eq!(found(&lake, &options, daily(4, SLIP)).await, ["2024-05-04: INR: power_of_ten"]);

    let request = ApprovalRequest { rate_dates: vec![date(2024, 5, 4)], ..approval("Grace", noon(4) + 1) };
    approve(&lake.stores, URL, &request).await.unwrap();
    assert_eq!(lake.rates(noon(5)).await[3], "2024-05-04: EUR=0.93 INR=8.31");
    assert!(found(&lake, &options, daily(5, SLIP)).await.is_empty());
    assert_eq!(found(&lake, &options, daily(6, GOOD)).await, ["2024-05-06: INR: power_of_ten"]);
}

#[tokio::test]
async fn a_report_finds_the_same_and_holds_nothing() {
    let lake = Lake::new();
    let options = WriterOptions { gates: GateMode::Report, ..WriterOptions::default() };
    for (day, rates, expected) in [(1, GOOD, None), (2, SLIP, Some(2)), (3, SLIP, Some(3)), (4, GOOD, None)] {
        let expected: Vec<String> =
            expected.map(|day| format!("2024-05-0{day}: INR: power_of_ten")).into_iter().collect();
        assert_eq!(found(&lake, &options, daily(day, rates)).await, expected);
    }
    assert_eq!(lake.rates(noon(4)).await[2], "2024-05-03: EUR=0.93 INR=8.31");
    assert!(lake.load(noon(4)).await.unwrap().held.is_empty());
    let off = WriterOptions { gates: GateMode::Off, ..WriterOptions::default() };
    assert!(found(&lake, &off, daily(5, SLIP)).await.is_empty());
}

#[tokio::test]
async fn a_payload_is_judged_by_what_was_known_when_it_came() {
    let (lake, options) = (Lake::new(), WriterOptions::default());
    // Brought in out of order: the day before was corrected after this payload had come.
    assert!(found(&lake, &options, daily(1, GOOD)).await.is_empty());
    let correction = Received { known_at: InstantMicros(noon(5) * 1_000_000), ..daily(1, SLIP) };
    let off = WriterOptions { gates: GateMode::Off, ..WriterOptions::default() };
    found(&lake, &off, correction).await;
    assert_eq!(found(&lake, &options, daily(2, SLIP)).await, ["2024-05-02: INR: power_of_ten"]);
    assert!(found(&lake, &options, daily(6, SLIP)).await.is_empty());
}

#[tokio::test]
async fn the_days_of_one_payload_are_judged_one_after_the_other() {
    let lake = Lake::new();
    let days = [GOOD, GOOD, SLIP, GOOD]
        .iter()
        .zip(1..)
        .map(|(rates, day)| format!(r#""2024-05-0{day}":{{{rates}}}"#));
    let body = format!(r#"{{"base":"USD","rates":{{{}}}}}"#, days.collect::<Vec<_>>().join(","));
    let series = Received { bytes: body.into(), ..received(noon(9), "series", "") };
    let held = found(&lake, &WriterOptions::default(), series).await;
    assert_eq!(held, ["2024-05-03: INR: power_of_ten"]);
    assert_eq!(lake.rates(noon(9)).await[2..], ["2024-05-03: EUR=0.93", "2024-05-04: EUR=0.93 INR=83.1"]);
}

/// A series that was wrong from its first day shows only against another provider's.
#[tokio::test]
async fn a_second_provider_decides_where_it_quotes_the_currency() {
    let lake = Lake::new();
    let bank = Bytes::from_static(b"Date,USD,INR\n2024-05-02,1.07,89.3\n2024-04-30,1.07,89.2\n");
    lake.memory.put(&Path::from("bank/eurofxref.csv"), bank.into()).await.unwrap();
    let against = Some("s3://rates/bank/eurofxref.csv".to_owned());
    let options = WriterOptions { against, ..WriterOptions::default() };
    for day in 1..=2 {
        let inverted = daily(day, r#""INR":0.012,"VES":36.5"#);
        assert_eq!(found(&lake, &options, inverted).await, [format!("2024-05-0{day}: INR: inversion")]);
    }
    assert!(found(&lake, &options, daily(3, r#""INR":83.4,"VES":36.5"#)).await.is_empty());
    let nowhere =
        WriterOptions { against: Some("s3://rates/nothing".to_owned()), ..WriterOptions::default() };
    let refused = LedgerWriter::open(&lake.stores, URL, nowhere).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Against { .. }), "{refused}");
}

#[tokio::test]
async fn what_is_there_is_judged_as_if_it_came_again() {
    let lake = Lake::new();
    let off = WriterOptions { gates: GateMode::Off, ..WriterOptions::default() };
    for (day, rates) in [(1, GOOD), (2, SLIP), (3, GOOD)] {
        found(&lake, &off, daily(day, rates)).await;
    }
    lake.memory.put(&Lake::path("2024-05-04.json"), daily(4, SLIP).bytes.into()).await.unwrap();
    let ledger = Ledger::read(&lake.stores, URL).await.unwrap().unwrap();
    let suspects = ledger.check(&lake.stores, &WriterOptions::default()).await.unwrap();
    // The plain file comes first, since nobody says when it was received, and the others differ from it only by
    // being earlier.
    let found: Vec<String> = suspects.iter().map(|suspect| in_words(&suspect.found)).collect();
    assert_eq!(found, ["2024-05-02: INR: power_of_ten"]);
    assert_eq!(suspects[0].version.snapshots[0].rates.len(), 2);
    assert!(!suspects[0].is_approved);
}

#[tokio::test]
async fn two_payloads_of_one_instant_keep_their_order() {
    let lake = Lake::new();
    for _ in 0..2 {
        lake.append(received(10, "2024-05-01", r#""INR":83.1"#)).await.unwrap();
        lake.append(received(10, "2024-05-01", r#""INR":83.2"#)).await.unwrap();
        lake.append(received(10, "2024-05-02", r#""INR":83.3"#)).await.unwrap();
    }
    assert_eq!(lake.rates(10).await, ["2024-05-01: INR=83.1", "2024-05-02: INR=83.3"]);
    assert_eq!(lake.rates(11).await, ["2024-05-01: INR=83.2", "2024-05-02: INR=83.3"]);
    let entries = lake.paths().await.into_iter().filter(|path| path.starts_with("_ledger/")).count();
    assert_eq!(entries, 3, "the second time changes nothing");
}

/// Who made a document is what it says, whoever brings it in.
#[tokio::test]
async fn a_manual_document_waits_for_somebody_else_than_its_maker() {
    let lake = Lake::new();
    let off = WriterOptions { gates: GateMode::Off, ..WriterOptions::default() };
    let imported = Received { channel: Channel::Import, entered_by: None, ..entered(10, r#""VES":36.5"#) };
    let mut writer = LedgerWriter::open(&lake.stores, URL, off).await.unwrap();
    let Appended::Stored { held, .. } = writer.append(imported, at(10)).await.unwrap() else { panic!() };
    assert_eq!(held[0].gate, "manual");
    assert!(approve(&lake.stores, URL, &approval("ADA", 20)).await.is_err());
    approve(&lake.stores, URL, &approval("Grace", 20)).await.unwrap();
}
