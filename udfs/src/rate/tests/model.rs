//! The book against a model that reads all snapshots for every question, by the wording of the rules.

use proptest::prelude::*;

use super::*;
use crate::rate::{AsOf, SnapshotIndex};
use crate::reason::RowReason;

const CODES: [&str; 5] = ["USD", "GBP", "INR", "EUR", "BTC"];

/// A snapshot for a day and an instant near it, with the currencies that the bits name; the base is one of them too.
fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    (0..160_i32, 0..16_usize, 0..24_i64, any::<bool>(), 0..5_usize, 0..3_i64).prop_map(
        |(day, bits, hour, has_instant, base, known)| {
            let held = CODES.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1 && *index != base);
            let rates = held.map(|(_, code)| format!("{code} 1.{}", day + 1)).collect::<Vec<_>>().join(", ");
            let text = format!("{day} {bits} {hour} {has_instant} {base} {known}");
            let valid_at =
                has_instant.then_some(InstantMicros((i64::from(day) * 24 + hour - 3) * DAY_MICROS / 24));
            Snapshot {
                base: code(CODES[base]),
                id: payload(&text),
                valid_at,
                known_at: InstantMicros(known),
                ..snapshot(day, &rates)
            }
        },
    )
}

fn holds(snapshot: &Snapshot, text: &str) -> bool {
    snapshot.base == code(text) || snapshot.rates.iter().any(|rate| rate.0 == code(text))
}

/// Section 2 of the rules, word for word, over the admitted snapshots of a book.
fn expected(
    book: &RateBook,
    pair: (&str, &str),
    eligible: impl Fn(&Snapshot) -> bool,
    day: i32,
) -> Result<AsOf, RowReason> {
    let eligible: Vec<(u32, &Snapshot)> =
        (0..).zip(book.snapshots()).filter(|(_, snapshot)| eligible(snapshot)).collect();
    if eligible.is_empty() {
        return Err(RowReason::EventBeforeHistory);
    }
    if !eligible.iter().any(|(_, snapshot)| holds(snapshot, pair.0)) {
        return Err(RowReason::RateMissingSource);
    }
    let newest = eligible.iter().rfind(|(_, snapshot)| holds(snapshot, pair.0) && holds(snapshot, pair.1));
    let (index, snapshot) = newest.ok_or(RowReason::RateMissingTarget)?;
    let age_days = u32::try_from((day - snapshot.rate_date.0).max(0)).unwrap();
    match book.options().max_age_days {
        Some(limit) if age_days > limit => Err(RowReason::RateStale),
        _ => Ok(AsOf { snapshot: SnapshotIndex(*index), age_days }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_look_up_is_as_the_rules_word_it(
        snapshots in proptest::collection::vec(any_snapshot(), 1..200), max_age_days in proptest::option::of(0..20_u32), is_instant in any::<bool>(),
        events in proptest::collection::vec((-5..170_i32, 0..24_i64, 0..4_usize, 0..4_usize), 60),
    ) {
        let mode = if is_instant { AsOfMode::Instant } else { AsOfMode::Date };
        // Known from equal instants, many of these conflict: of each publication keep the versions apart.
        let snapshots = (0..).zip(snapshots).map(|(order, snapshot)| Snapshot { known_at: InstantMicros(snapshot.known_at.0 * 1000 + order), ..snapshot });
        let options = BookOptions { mode, max_age_days, known_as_of: InstantMicros(1500) };
        let Ok(book) = RateBook::build(snapshots.collect(), &options) else { return Ok(()) };
        prop_assert!(book.snapshots().iter().all(|snapshot| snapshot.known_at <= options.known_as_of));
        for (day, hour, source, target) in events {
            let pair = (CODES[source], CODES[target]);
            let Some((from, to)) = book.currencies().find(code(pair.0)).zip(book.currencies().find(code(pair.1))) else { continue };
            let at = InstantMicros((i64::from(day) * 24 + hour) * DAY_MICROS / 24);
            let on_day = |snapshot: &Snapshot| match mode {
                AsOfMode::Date => snapshot.rate_date <= RateDate(day),
                AsOfMode::Instant => snapshot.valid_at.unwrap().0 <= i64::from(day) * DAY_MICROS,
            };
            let at_instant = |snapshot: &Snapshot| match mode {
                AsOfMode::Date => snapshot.rate_date <= RateDate(day),
                AsOfMode::Instant => snapshot.valid_at.unwrap() <= at,
            };
            let index = book.pair(from, to);
            let expected_on_day = expected(&book, pair, on_day, day);
            prop_assert_eq!(book.at_date(from, to, RateDate(day)), expected_on_day);
            prop_assert_eq!(index.at_date(RateDate(day)), expected_on_day);
            let expected_at_instant = expected(&book, pair, at_instant, day);
            prop_assert_eq!(book.at_instant(from, to, at, RateDate(day)), expected_at_instant);
            prop_assert_eq!(index.at_instant(at, RateDate(day)), expected_at_instant);
        }
    }
}
