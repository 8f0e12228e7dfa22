use super::*;
use crate::rate::{BookError, SnapshotIndex};
use crate::reason::SnapshotReason;

fn known(at: i64, location: &str, snapshot: Snapshot) -> Snapshot {
    Snapshot { known_at: InstantMicros(at), location: location.to_owned(), ..snapshot }
}

/// Builds a book of pound rates that were known as of 100 and returns the rates in its order.
fn pounds(snapshots: Vec<Snapshot>) -> Result<Vec<String>, BookError> {
    let book = RateBook::build(snapshots, &by_date(None))?;
    let pound = currency(&book, "GBP");
    let count = u32::try_from(book.snapshots().len()).unwrap();
    Ok((0..count).map(|index| book.rate(SnapshotIndex(index), pound).unwrap().to_string()).collect())
}

#[test]
fn the_version_received_last_counts() {
    let first = known(10, "a", snapshot(7, "GBP 0.61"));
    let second = known(20, "b", snapshot(7, "GBP 0.62"));
    let late = known(101, "c", snapshot(7, "GBP 0.63"));
    assert_eq!(pounds(vec![second.clone(), first.clone()]).unwrap(), ["0.62"]);
    assert_eq!(pounds(vec![first.clone(), second.clone(), late.clone()]).unwrap(), ["0.62"]);
    assert_eq!(pounds(vec![first, known(100, "c", late)]).unwrap(), ["0.63"]);
}

#[test]
fn the_same_payload_twice_is_one_snapshot_known_since_the_first_time() {
    let original = known(10, "a", snapshot(7, "GBP 0.61"));
    let again = known(30, "c", snapshot(7, "GBP 0.61"));
    let book =
        RateBook::build(vec![again, known(10, "0", original.clone()), original], &by_date(None)).unwrap();
    assert_eq!(book.snapshots().len(), 1);
    assert_eq!(
        (book.snapshots()[0].known_at, book.snapshots()[0].location.as_str()),
        (InstantMicros(10), "0")
    );
}

/// Otherwise a correction that was taken back would hold for ever.
#[test]
fn a_provider_may_come_back_to_an_earlier_payload() {
    let original = known(10, "a", snapshot(7, "GBP 0.61"));
    let correction = known(20, "b", snapshot(7, "GBP 0.62"));
    let again = known(30, "c", snapshot(7, "GBP 0.61"));
    let given = vec![again, correction.clone(), original];
    assert_eq!(pounds(given.clone()).unwrap(), ["0.61"]);
    let book = RateBook::build(given, &by_date(None)).unwrap();
    assert_eq!(book.snapshots()[0].known_at, InstantMicros(30));
    // A copy that arrives with a new payload is no rival of it.
    let (copy, new) = (known(40, "d", correction), known(40, "e", snapshot(7, "GBP 0.63")));
    assert_eq!(pounds(vec![known(30, "c", copy.clone()), copy, new]).unwrap(), ["0.63"]);
}

#[test]
fn one_payload_may_be_for_many_days() {
    let id = payload("time series");
    let of_day = |day, rates| Snapshot { id, ..snapshot(day, rates) };
    assert_eq!(pounds(vec![of_day(8, "GBP 0.62"), of_day(7, "GBP 0.61")]).unwrap(), ["0.61", "0.62"]);
}

#[test]
fn two_payloads_received_last_at_once_are_a_conflict() {
    let oldest = known(5, "c", snapshot(7, "GBP 0.60"));
    let first = known(1_320_685_862_000_000, "a", snapshot(7, "GBP 0.61"));
    let second = known(1_320_685_862_000_000, "b", snapshot(7, "GBP 0.62"));
    let options = BookOptions { known_as_of: InstantMicros(i64::MAX), ..by_date(None) };
    let error = RateBook::build(vec![second.clone(), oldest.clone(), first.clone()], &options).unwrap_err();
    assert_eq!(error.reason(), Some(SnapshotReason::SnapshotConflict));
    assert_eq!(
        error.to_string(),
        "two different payloads of `openexchangerates` for 1970-01-08 were received at the same time, \
         2011-11-07T17:11:02Z: `a` and `b`; expected one payload, or different times of arrival"
    );
    // Not yet known, corrected since, or of another publisher: no conflict.
    assert_eq!(pounds(vec![second.clone(), oldest, first.clone()]).unwrap(), ["0.60"]);
    let latest = known(1_320_685_862_000_001, "c", snapshot(7, "GBP 0.63"));
    assert_eq!(
        RateBook::build(vec![second.clone(), first.clone(), latest], &options).unwrap().snapshots().len(),
        1
    );
    let other = Snapshot { provider: "ecb".to_owned(), ..second };
    assert_eq!(RateBook::build(vec![other, first], &options).unwrap().snapshots().len(), 2);
}

#[test]
fn providers_of_one_day_are_ordered_by_name() {
    let of = |provider: &str, at, rates| {
        known(at, provider, Snapshot { provider: provider.to_owned(), ..snapshot(7, rates) })
    };
    let (ecb, fixer) = (of("ecb", 90, "GBP 0.61"), of("fixer", 10, "GBP 0.62"));
    assert_eq!(pounds(vec![ecb.clone(), fixer.clone()]).unwrap(), ["0.61", "0.62"]);
    assert_eq!(pounds(vec![fixer, ecb]).unwrap(), ["0.61", "0.62"]);
}

#[test]
fn versions_of_an_instant_are_told_by_the_instant() {
    let at = |instant, known_at, rates| Snapshot {
        valid_at: Some(InstantMicros(instant)),
        ..known(known_at, "a", snapshot(7, rates))
    };
    let given =
        vec![at(50, 1, "GBP 0.61"), at(60, 1, "GBP 0.62"), at(60, 2, "GBP 0.63"), snapshot(7, "GBP 0.64")];
    let book = RateBook::build(given, &by_instant()).unwrap();
    let pound = currency(&book, "GBP");
    let rates = [0, 1].map(|index| book.rate(SnapshotIndex(index), pound).unwrap().to_string());
    assert_eq!((book.snapshots().len(), rates), (2, ["0.61".to_owned(), "0.63".to_owned()]));
}

#[test]
fn a_book_of_nothing_is_refused() {
    let error = RateBook::build(Vec::new(), &by_date(None)).unwrap_err();
    assert!(matches!(error, BookError::NoSnapshot { given: 0, .. }));
    let given = vec![known(101, "a", snapshot(7, "GBP 0.61")), snapshot(8, "GBP 0.62")];
    let error = RateBook::build(given, &by_instant()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "none of 2 rate snapshots is usable: 1 were received after 1970-01-01T00:00:00.0001Z, 1 do not say from which \
         instant they hold; expected at least one"
    );
    assert_eq!(error.reason(), None);
}

#[test]
fn the_digest_is_of_what_is_admitted() {
    let (first, second) = (snapshot(7, "GBP 0.61"), snapshot(8, "GBP 0.62"));
    let digest = |snapshots| RateBook::build(snapshots, &by_date(None)).unwrap().digest();
    let both = digest(vec![first.clone(), second.clone()]);
    assert_eq!(both, digest(vec![second.clone(), first.clone(), second.clone()]));
    assert_eq!(both, digest(vec![second.clone(), first.clone(), known(101, "z", snapshot(9, "GBP 0.7"))]));
    assert_ne!(both, digest(vec![first.clone()]));
    assert_ne!(both, digest(vec![first.clone(), Snapshot { rate_date: RateDate(9), ..second.clone() }]));
    assert_ne!(both, digest(vec![first, Snapshot { provider: "ecb".to_owned(), ..second }]));
}

#[test]
fn what_people_entered_comes_last_on_its_day() {
    let entered = Snapshot { provider: "manual:GBP".to_owned(), ..snapshot(7, "GBP 0.60") };
    let published = snapshot(7, "GBP 0.61");
    assert_eq!(pounds(vec![entered, published]).unwrap(), ["0.61", "0.60"]);
}

#[test]
fn what_is_held_or_expires_is_another_book() {
    let digest = |snapshot| RateBook::build(vec![snapshot], &by_date(None)).unwrap().digest();
    let plain = snapshot(7, "GBP 0.61");
    let held = Snapshot { held: vec![code("RUB")], ..plain.clone() };
    let expiring = Snapshot { expires: Some(RateDate(9)), ..plain.clone() };
    let digests = [digest(plain), digest(held), digest(expiring)];
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
}
