use super::*;
use crate::rate::{AsOf, SnapshotIndex};
use crate::reason::RowReason;

/// Asks the book and the pair's index for an event of a day, and compares with a snapshot and an age.
fn check(book: &RateBook, pair: (&str, &str), day: i32, expected: Result<(u32, u32), RowReason>) {
    let (source, target) = (currency(book, pair.0), currency(book, pair.1));
    let expected = expected.map(|(snapshot, age_days)| AsOf { snapshot: SnapshotIndex(snapshot), age_days });
    assert_eq!(book.at_date(source, target, RateDate(day)), expected, "{pair:?} on {day}");
    assert_eq!(book.pair(source, target).at_date(RateDate(day)), expected, "index of {pair:?} on {day}");
}

fn check_at(book: &RateBook, pair: (&str, &str), at: i64, expected: Result<(u32, u32), RowReason>) {
    let (source, target) = (currency(book, pair.0), currency(book, pair.1));
    let (at, day) = (InstantMicros(at), RateDate(i32::try_from(at.div_euclid(DAY_MICROS)).unwrap()));
    let expected = expected.map(|(snapshot, age_days)| AsOf { snapshot: SnapshotIndex(snapshot), age_days });
    assert_eq!(book.at_instant(source, target, at, day), expected, "{pair:?} at {at}");
    assert_eq!(book.pair(source, target).at_instant(at, day), expected, "index of {pair:?} at {at}");
}

#[test]
fn the_newest_snapshot_on_or_before_the_day_is_chosen() {
    let rates = "GBP 0.64, INR 51.2";
    let book =
        RateBook::build(vec![snapshot(13, rates), snapshot(10, rates), snapshot(11, rates)], &by_date(None))
            .unwrap();
    check(&book, ("GBP", "INR"), 9, Err(RowReason::EventBeforeHistory));
    check(&book, ("GBP", "INR"), 10, Ok((0, 0)));
    check(&book, ("GBP", "INR"), 11, Ok((1, 0)));
    check(&book, ("GBP", "INR"), 12, Ok((1, 1)));
    check(&book, ("GBP", "INR"), 13, Ok((2, 0)));
    check(&book, ("GBP", "INR"), 5_000, Ok((2, 4_987)));
    check(&book, ("GBP", "INR"), i32::MIN, Err(RowReason::EventBeforeHistory));
    check(&book, ("GBP", "INR"), i32::MAX, Ok((2, i32::MAX.unsigned_abs() - 13)));
    assert_eq!(book.first_date(), RateDate(10));
}

#[test]
fn both_currencies_come_from_one_snapshot() {
    let book = RateBook::build(
        vec![snapshot(10, "GBP 0.64, INR 51.2"), snapshot(11, "GBP 0.65"), snapshot(12, "INR 52.0")],
        &by_date(None),
    )
    .unwrap();
    check(&book, ("GBP", "INR"), 12, Ok((0, 2)));
    check(&book, ("INR", "GBP"), 12, Ok((0, 2)));
    check(&book, ("GBP", "USD"), 12, Ok((1, 1)));
    check(&book, ("USD", "INR"), 12, Ok((2, 0)));
}

#[test]
fn what_is_missing_is_told_apart() {
    let book = RateBook::build(
        vec![snapshot(10, "GBP 0.64"), snapshot(11, "PLN 3.4"), snapshot(12, "GBP 0.65, PLN 3.5")],
        &by_date(None),
    )
    .unwrap();
    check(&book, ("PLN", "GBP"), 9, Err(RowReason::EventBeforeHistory));
    check(&book, ("PLN", "GBP"), 10, Err(RowReason::RateMissingSource));
    check(&book, ("PLN", "GBP"), 11, Err(RowReason::RateMissingTarget));
    check(&book, ("GBP", "PLN"), 11, Err(RowReason::RateMissingTarget));
    check(&book, ("PLN", "GBP"), 12, Ok((2, 0)));
    check(&book, ("JPY", "GBP"), 12, Err(RowReason::RateMissingSource));
    check(&book, ("GBP", "JPY"), 12, Err(RowReason::RateMissingTarget));
    check(&book, ("JPY", "KRW"), 12, Err(RowReason::RateMissingSource));
}

#[test]
fn a_snapshot_beyond_the_age_limit_is_stale() {
    let book = RateBook::build(vec![snapshot(10, "GBP 0.64")], &by_date(Some(7))).unwrap();
    check(&book, ("GBP", "USD"), 17, Ok((0, 7)));
    check(&book, ("GBP", "USD"), 18, Err(RowReason::RateStale));
    let strict = RateBook::build(vec![snapshot(10, "GBP 0.64")], &by_date(Some(0))).unwrap();
    check(&strict, ("GBP", "USD"), 10, Ok((0, 0)));
    check(&strict, ("GBP", "USD"), 11, Err(RowReason::RateStale));
}

#[test]
fn an_instant_chooses_within_the_day() {
    let at = |hours: i64| 10 * DAY_MICROS + hours * DAY_MICROS / 24;
    let hourly = |hours: i64| Snapshot {
        valid_at: Some(InstantMicros(at(hours))),
        ..snapshot(10, &format!("GBP 0.{}", 50 + hours))
    };
    let book =
        RateBook::build(vec![hourly(18), hourly(6), hourly(30), snapshot(9, "GBP 0.4")], &by_instant())
            .unwrap();
    assert_eq!(book.snapshots().len(), 3);
    check_at(&book, ("GBP", "USD"), at(6) - 1, Err(RowReason::EventBeforeHistory));
    check_at(&book, ("GBP", "USD"), at(6), Ok((0, 0)));
    check_at(&book, ("GBP", "USD"), at(18) - 1, Ok((0, 0)));
    check_at(&book, ("GBP", "USD"), at(18), Ok((1, 0)));
    check_at(&book, ("GBP", "USD"), at(24), Ok((1, 1)));
    check_at(&book, ("GBP", "USD"), at(30), Ok((2, 1)));
    check_at(&book, ("GBP", "USD"), at(3000), Ok((2, 125)));
}

#[test]
fn an_event_without_a_time_uses_no_rate_of_later_in_its_day() {
    let noon = Snapshot {
        valid_at: Some(InstantMicros(10 * DAY_MICROS + DAY_MICROS / 2)),
        ..snapshot(10, "GBP 0.5")
    };
    let book = RateBook::build(vec![noon], &by_instant()).unwrap();
    check(&book, ("GBP", "USD"), 10, Err(RowReason::EventBeforeHistory));
    check(&book, ("GBP", "USD"), 11, Ok((0, 1)));
}

// Files of Open Exchange Rates bear a timestamp of late the day before: the age is counted from the day
// they are for, and one that is for a later day than the event is of age 0.
#[test]
fn a_snapshot_for_a_later_day_is_of_age_zero() {
    let early = Snapshot { valid_at: Some(InstantMicros(9 * DAY_MICROS)), ..snapshot(10, "GBP 0.5") };
    let book = RateBook::build(vec![early], &by_instant()).unwrap();
    check_at(&book, ("GBP", "USD"), 9 * DAY_MICROS, Ok((0, 0)));
}

#[test]
fn rates_are_as_published_and_the_base_is_one() {
    let book = RateBook::build(vec![snapshot(10, "GBP 0.6400, BTC 0.00001")], &by_date(None)).unwrap();
    let rate = |text| book.rate(SnapshotIndex(0), currency(&book, text)).map(|rate| rate.to_string());
    assert_eq!(rate("GBP").as_deref(), Some("0.6400"));
    assert_eq!(rate("BTC").as_deref(), Some("0.00001"));
    assert_eq!(rate("USD").as_deref(), Some("1"));
    assert_eq!(rate("EUR"), None);
    assert_eq!(book.rate(SnapshotIndex(1), currency(&book, "GBP")), None);
}

#[test]
fn what_a_snapshot_must_not_hold_is_not_used() {
    let mut unsound = snapshot(10, "ZWD 0, GBP 0.64, EUR -1, USD 2");
    unsound.rates.reverse();
    let book = RateBook::build(vec![unsound], &by_date(None)).unwrap();
    check(&book, ("GBP", "USD"), 10, Ok((0, 0)));
    check(&book, ("ZWD", "USD"), 10, Err(RowReason::RateMissingSource));
    check(&book, ("GBP", "EUR"), 10, Err(RowReason::RateMissingTarget));
    assert_eq!(book.rate(SnapshotIndex(0), currency(&book, "USD")), Some("1".parse().unwrap()));
}

// Dates that far apart are not indexed day by day.
#[test]
fn dates_of_any_distance_are_ordered() {
    let far = vec![snapshot(i32::MAX, "GBP 0.3"), snapshot(i32::MIN, "GBP 0.1"), snapshot(0, "GBP 0.2")];
    let book = RateBook::build(far, &by_date(None)).unwrap();
    check(&book, ("GBP", "USD"), i32::MIN, Ok((0, 0)));
    check(&book, ("GBP", "USD"), -1, Ok((0, i32::MAX.unsigned_abs())));
    check(&book, ("GBP", "USD"), 5, Ok((1, 5)));
    check(&book, ("GBP", "USD"), i32::MAX, Ok((2, 0)));
}

#[test]
fn days_and_instants_read_as_dates() {
    assert_eq!(RateDate(15_285).to_string(), "2011-11-07");
    assert_eq!(RateDate(i32::MAX).to_string(), "day 2147483647 of the epoch");
    assert_eq!(InstantMicros(1_320_685_862_000_000).to_string(), "2011-11-07T17:11:02Z");
    assert_eq!(InstantMicros(i64::MAX).to_string(), "microsecond 9223372036854775807 of the epoch");
}

#[test]
fn modes_read_back() {
    for mode in AsOfMode::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    let error = "nearest".parse::<AsOfMode>().unwrap_err();
    assert_eq!(error.to_string(), "unknown as-of mode `nearest`; expected `date` or `instant`");
}

#[test]
fn a_book_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<RateBook>();
    shared::<crate::rate::PairIndex>();
}

/// An expired rate gives way to an older one that may still be used, never the other way round.
#[test]
fn a_rate_is_not_used_beyond_the_day_on_which_it_expires() {
    let entered = Snapshot {
        provider: "manual:GBP".to_owned(),
        expires: Some(RateDate(12)),
        ..snapshot(10, "GBP 0.5")
    };
    let book = RateBook::build(vec![snapshot(9, "GBP 0.4"), entered.clone()], &by_date(Some(5))).unwrap();
    let (pound, dollar) = (currency(&book, "GBP"), currency(&book, "USD"));
    let index = book.pair(pound, dollar);
    let found = |day| {
        let found = book.at_date(pound, dollar, RateDate(day));
        assert_eq!(index.at_date(RateDate(day)), found);
        found.map(|as_of| (as_of.snapshot.0, as_of.age_days))
    };
    assert_eq!(found(9), Ok((0, 0)));
    assert_eq!(found(12), Ok((1, 2)));
    assert_eq!(found(13), Ok((0, 4)));
    assert_eq!(found(15), Err(RowReason::RateStale));
    let alone = RateBook::build(vec![entered], &by_date(None)).unwrap();
    let (pound, dollar) = (currency(&alone, "GBP"), currency(&alone, "USD"));
    assert_eq!(alone.at_date(pound, dollar, RateDate(13)), Err(RowReason::RateStale));
}
