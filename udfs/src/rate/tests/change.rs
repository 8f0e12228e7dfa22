//! The comparison of two books against asking both of them for every day.

use proptest::prelude::*;

use super::*;
use crate::rate::{BookComparison, DayRange, PairChange, PairOutcome};
use crate::reason::RowReason;

fn known(at: i64, snapshot: Snapshot) -> Snapshot {
    Snapshot { known_at: InstantMicros(at), location: format!("{at}"), ..snapshot }
}

fn at(options: BookOptions, known_as_of: i64, snapshots: &[Snapshot]) -> RateBook {
    let options = BookOptions { known_as_of: InstantMicros(known_as_of), ..options };
    RateBook::build(snapshots.to_vec(), &options).unwrap()
}

fn changes(before: &RateBook, after: &RateBook, pair: (&str, &str)) -> Vec<PairChange> {
    BookComparison::new(before, after).unwrap().pair(code(pair.0), code(pair.1))
}

fn days(changes: &[PairChange]) -> Vec<(i32, i32)> {
    changes.iter().map(|change| (change.days.first.0, change.days.last.0)).collect()
}

fn target_rate(outcome: &PairOutcome) -> String {
    outcome.quote().map_or_else(|| format!("{outcome:?}"), |quote| quote.target_rate.to_string())
}

#[test]
fn a_corrected_day_changes_until_the_next_snapshot() {
    let snapshots = [
        snapshot(10, "GBP 0.5, INR 50"),
        snapshot(13, "GBP 0.5, INR 51"),
        known(20, snapshot(10, "GBP 0.5, INR 55")),
    ];
    let (before, after) = (at(by_date(None), 10, &snapshots), at(by_date(None), 30, &snapshots));
    let found = changes(&before, &after, ("GBP", "INR"));
    assert_eq!(days(&found), [(10, 12)]);
    assert_eq!(
        (target_rate(&found[0].before), target_rate(&found[0].after)),
        ("50".to_owned(), "55".to_owned())
    );
    // The pounds' rate is the same, but rows name the snapshot.
    assert_eq!(days(&changes(&before, &after, ("GBP", "USD"))), [(10, 12)]);
    assert_eq!(changes(&before, &before, ("GBP", "INR")), []);
    assert_eq!(changes(&before, &after, ("GBP", "GBP")), []);
    assert_eq!(changes(&before, &after, ("GBP", "JPY")), [], "held by neither");
}

#[test]
fn a_currency_that_is_not_corrected_reigns_on() {
    // The correction of day 11 lacks the rupee: the rows go back to day 10.
    let snapshots =
        [snapshot(10, "INR 50"), snapshot(11, "INR 51, GBP 0.5"), known(20, snapshot(11, "GBP 0.6"))];
    let (before, after) = (at(by_date(Some(3)), 10, &snapshots), at(by_date(Some(3)), 30, &snapshots));
    let found = changes(&before, &after, ("USD", "INR"));
    // From day 14 on the one of day 10 is stale, from day 15 on both are.
    assert_eq!(days(&found), [(11, 13), (14, 14)]);
    assert_eq!(target_rate(&found[0].after), "50");
    assert_eq!(found[1].after, PairOutcome::Refused(RowReason::RateStale));
}

#[test]
fn a_snapshot_that_came_late_fills_a_gap() {
    let snapshots =
        [snapshot(10, "INR 50"), known(20, snapshot(8, "INR 48")), known(20, snapshot(30, "INR 53"))];
    let (before, after) = (at(by_date(Some(5)), 10, &snapshots), at(by_date(Some(5)), 30, &snapshots));
    let found = changes(&before, &after, ("USD", "INR"));
    assert_eq!(days(&found), [(8, 9), (30, 35)]);
    assert_eq!(found[0].before, PairOutcome::Refused(RowReason::EventBeforeHistory));
    assert_eq!(found[1].before, PairOutcome::Refused(RowReason::RateStale));
    let endless =
        changes(&at(by_date(None), 10, &snapshots), &at(by_date(None), 30, &snapshots), ("USD", "INR"));
    assert_eq!(days(&endless), [(8, 9), (30, i32::MAX)]);
}

#[test]
fn a_code_that_no_list_knows_is_new_with_the_first_snapshot_that_carries_it() {
    let snapshots = [snapshot(10, "INR 50"), known(20, snapshot(12, "INR 50, BTC 0.1"))];
    let (before, after) = (at(by_date(Some(1)), 10, &snapshots), at(by_date(Some(1)), 30, &snapshots));
    let found = changes(&before, &after, ("BTC", "INR"));
    assert_eq!(days(&found).first(), Some(&(10, 11)));
    assert_eq!(found[0].before, PairOutcome::Refused(RowReason::CurrencyUnknown));
    assert!(found.iter().any(|change| change.after.quote().is_some() && change.days.first == RateDate(12)));
}

#[test]
fn an_instant_changes_its_day_in_every_zone() {
    let hour = |hour: i64| InstantMicros(10 * DAY_MICROS + hour * DAY_MICROS / 24);
    let of = |at, known_at, rates| Snapshot { valid_at: Some(at), ..known(known_at, snapshot(10, rates)) };
    let snapshots = [
        of(hour(6), 0, "INR 50"),
        of(hour(18), 0, "INR 51"),
        of(hour(60), 0, "INR 52"),
        of(hour(18), 20, "INR 59"),
    ];
    let (before, after) = (at(by_instant(), 10, &snapshots), at(by_instant(), 30, &snapshots));
    let found = changes(&before, &after, ("USD", "INR"));
    // From 18:00 on day 10 to 12:00 on day 12, give or take a zone.
    assert_eq!(days(&found), [(9, 13)]);
    assert_eq!(target_rate(&found[0].after), "59");
}

/// A rate that somebody entered until a day gives way to what was published.
#[test]
fn an_entered_rate_changes_its_days_only() {
    let entered = Snapshot {
        provider: "manual:INR".to_owned(),
        expires: Some(RateDate(12)),
        ..known(20, snapshot(11, "INR 60"))
    };
    let snapshots = [snapshot(10, "INR 50"), snapshot(14, "INR 51"), entered];
    let (before, after) = (at(by_date(None), 10, &snapshots), at(by_date(None), 30, &snapshots));
    assert_eq!(days(&changes(&before, &after, ("USD", "INR"))), [(11, 12)]);
    assert_eq!(days(&changes(&after, &before, ("USD", "INR"))), [(11, 12)]);
}

/// What was held back and is approved later is the same payload with one rate more.
#[test]
fn an_approved_rate_is_a_change_of_its_pair_alone() {
    let whole = snapshot(11, "INR 60, GBP 0.5");
    let held = Snapshot { held: vec![code("INR")], id: whole.id, ..snapshot(11, "GBP 0.5") };
    let (before, after) = (
        at(by_date(None), 10, &[snapshot(10, "INR 50"), held]),
        at(by_date(None), 10, &[snapshot(10, "INR 50"), whole]),
    );
    assert_eq!(days(&changes(&before, &after, ("USD", "INR"))), [(11, i32::MAX)]);
    assert_eq!(changes(&before, &after, ("USD", "GBP")), []);
}

#[test]
fn books_of_other_rules_are_not_compared() {
    let snapshots = [snapshot(10, "INR 50")];
    let (one, other) = (at(by_date(None), 10, &snapshots), at(by_date(Some(3)), 10, &snapshots));
    assert!(BookComparison::new(&one, &other).is_none());
}

/// The outcome as the book's own look-up gives it.
fn asked(book: &RateBook, pair: (&str, &str), day: i32) -> PairOutcome {
    let found = book.currencies().find(code(pair.0)).zip(book.currencies().find(code(pair.1)));
    let Some((source, target)) = found else { return PairOutcome::Refused(RowReason::CurrencyUnknown) };
    match book.at_date(source, target, RateDate(day)) {
        Err(reason) => PairOutcome::Refused(reason),
        Ok(found) => PairOutcome::Quoted(crate::rate::PairQuote {
            snapshot: book.snapshots()[found.snapshot.index()].id,
            rate_date: book.snapshots()[found.snapshot.index()].rate_date,
            source_rate: book.rate(found.snapshot, source).unwrap(),
            target_rate: book.rate(found.snapshot, target).unwrap(),
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn days_are_told_exactly_as_both_books_answer(
        given in proptest::collection::vec((0..40_i32, 0..8_usize, 0..4_i64, 0..9_i32), 2..60), max_age_days in proptest::option::of(0..9_u32),
    ) {
        const HELD: [&str; 8] = ["INR 5", "GBP 7", "INR 5, GBP 7", "INR 6, GBP 7", "BTC 1, INR 5", "BTC 2", "GBP 8", "BTC 1, GBP 7"];
        let of = |(order, (day, held, known_at, lasts)): (i64, (i32, usize, i64, i32))| {
            // Some expire.
            let expires = (lasts < 4).then_some(RateDate(day + lasts));
            Snapshot { expires, ..known(known_at * 1000 + order, snapshot(day, HELD[held])) }
        };
        let snapshots: Vec<Snapshot> = (0..).zip(given).map(of).collect();
        let build = |known_as_of| {
            let options = BookOptions { known_as_of: InstantMicros(known_as_of), ..by_date(max_age_days) };
            RateBook::build(snapshots.clone(), &options)
        };
        let (Ok(before), Ok(after)) = (build(1500), build(9000)) else { return Ok(()) };
        for pair in [("USD", "INR"), ("GBP", "INR"), ("BTC", "GBP"), ("INR", "USD")] {
            let found = changes(&before, &after, pair);
            let ascend = |two: &[PairChange]| two[0].days.last < two[1].days.first;
            prop_assert!(found.windows(2).all(ascend), "{found:?}");
            for day in -3..60 {
                let (was, is) = (asked(&before, pair, day), asked(&after, pair, day));
                let told = found.iter().find(|change| DayRange::contains(&change.days, RateDate(day)));
                // Before the first of all snapshots rows of an unknown code and of a known one fail alike.
                let is_before_all = |outcome: &PairOutcome| matches!(outcome, PairOutcome::Refused(RowReason::CurrencyUnknown | RowReason::EventBeforeHistory));
                match told {
                    Some(change) => prop_assert_eq!((&change.before, &change.after), (&was, &is), "{:?} on {}", pair, day),
                    None => prop_assert!(was == is || (is_before_all(&was) && is_before_all(&is)), "{pair:?} on {day}: {was:?}, {is:?}"),
                }
            }
        }
    }
}
