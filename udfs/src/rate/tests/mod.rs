mod as_of;
mod change;
mod model;
mod versions;

use super::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};
use crate::currency::{Currency, CurrencyCode};

const DAY_MICROS: i64 = 86_400_000_000;

fn code(text: &str) -> CurrencyCode {
    CurrencyCode::parse(text).unwrap()
}

/// A snapshot of US dollar rates for a day, known since the instant 0: `"GBP 0.64, INR 51.2"`.
fn snapshot(day: i32, rates: &str) -> Snapshot {
    let mut rates: Vec<_> = rates
        .split(", ")
        .filter_map(|rate| rate.split_once(' '))
        .map(|(currency, rate)| (code(currency), rate.parse().unwrap()))
        .collect();
    rates.sort_by_key(|rate: &(CurrencyCode, _)| rate.0);
    Snapshot {
        id: payload(&format!("{day} {rates:?}")),
        provider: "openexchangerates".to_owned(),
        base: code("USD"),
        rate_date: RateDate(day),
        valid_at: None,
        known_at: InstantMicros(0),
        location: format!("{day}.json"),
        rates,
        expires: None,
        held: Vec::new(),
    }
}

/// An id that differs with the text; a real one would be a hash.
fn payload(text: &str) -> SnapshotId {
    let mut id = [0; 32];
    for (index, byte) in text.bytes().enumerate() {
        id[index % 32] ^= byte.rotate_left(u32::try_from(index / 32).unwrap());
    }
    SnapshotId(id)
}

fn by_date(max_age_days: Option<u32>) -> BookOptions {
    BookOptions { mode: AsOfMode::Date, max_age_days, known_as_of: InstantMicros(100) }
}

fn by_instant() -> BookOptions {
    BookOptions { mode: AsOfMode::Instant, max_age_days: None, known_as_of: InstantMicros(100) }
}

fn currency(book: &RateBook, text: &str) -> Currency {
    book.currencies().find(code(text)).unwrap()
}
