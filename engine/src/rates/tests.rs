use std::sync::Arc;

use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};
use datafusion::common::DataFusionError;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};

use super::*;
use crate::location::Location;
use crate::store::{StoreHandle, Stores};
use crate::table::Staging;

fn snapshots(count: u8) -> Vec<Snapshot> {
    let snapshot = |day: u8| Snapshot {
        id: SnapshotId([day; 32]),
        provider: "test".to_owned(),
        base: CurrencyCode::parse("EUR").unwrap(),
        rate_date: RateDate(20_000 + i32::from(day)),
        valid_at: Some(InstantMicros(-1)),
        known_at: InstantMicros(5),
        location: "s3://rates/a \"b\".json".to_owned(),
        rates: vec![
            (CurrencyCode::parse("GBP").unwrap(), "0.123456789012345678".parse().unwrap()),
            (CurrencyCode::parse("USD").unwrap(), "12345678901234567890.50".parse().unwrap()),
        ],
        expires: None,
        held: Vec::new(),
    };
    (0..count).map(snapshot).collect()
}

fn options(max_age_days: Option<u32>) -> BookOptions {
    BookOptions { mode: AsOfMode::Date, max_age_days, known_as_of: InstantMicros(9) }
}

fn loaded(count: u8, max_age_days: Option<u32>) -> LoadedRates {
    let book = Arc::new(RateBook::build(snapshots(count), &options(max_age_days)).unwrap());
    LoadedRates {
        reference: RateBookRef::of("rates", &book),
        book,
        refused: Vec::new(),
        notices: Vec::new(),
        entries: Vec::new(),
        held: Vec::new(),
    }
}

struct Lake {
    memory: Arc<InMemory>,
    stores: Stores,
    staging: Staging,
}

impl Lake {
    fn new() -> Self {
        let memory = Arc::new(InMemory::new());
        let root = Location::parse("s3://lake/processed data").unwrap();
        let stores = Stores::new();
        stores.register(root.place().clone(), StoreHandle::with_multipart(Arc::clone(&memory)));
        let staging = Staging::new(&stores, &root, "r1").unwrap();
        Self { memory, stores, staging }
    }
}

#[tokio::test]
async fn a_pinned_book_is_the_same_to_the_last_digit() {
    let lake = Lake::new();
    let rates = loaded(3, Some(7));
    let reference = pin(&rates, &lake.staging).await.unwrap();
    assert_eq!(pin(&rates, &lake.staging).await.unwrap(), reference, "pinned once");
    let book = RateBooks::new(lake.stores.clone()).get(&reference).await.unwrap();
    assert_eq!(book.snapshots(), rates.book.snapshots());
    assert_eq!(book.options(), rates.book.options());
    assert_eq!(book.digest(), rates.book.digest());
    // Equal numbers may be written with other decimals; these must not be.
    assert_eq!(book.snapshots()[0].rates[1].1.to_string(), "12345678901234567890.50");
}

#[tokio::test]
async fn who_asks_at_once_waits_for_one_load() {
    let lake = Lake::new();
    let reference = pin(&loaded(3, None), &lake.staging).await.unwrap();
    let books = RateBooks::new(lake.stores.clone());
    let asked = futures::future::join_all((0..10).map(|_| books.get(&reference))).await;
    assert!(asked.iter().all(Result::is_ok));
    let counts = books.counts();
    assert_eq!((counts.loads, counts.hits, counts.failures, counts.kept), (1, 9, 0, 1));
}

/// The same snapshots by another rule are another book.
#[tokio::test]
async fn books_of_one_digest_but_other_rules_are_apart() {
    let books = RateBooks::default();
    let (strict, lax) = (loaded(3, Some(1)), loaded(3, None));
    assert_eq!(strict.reference.digest, lax.reference.digest);
    for rates in [&strict, &lax] {
        books.add(&rates.reference, Arc::clone(&rates.book));
    }
    assert_eq!(books.get(&strict.reference).await.unwrap().options().max_age_days, Some(1));
    assert_eq!(books.get(&lax.reference).await.unwrap().options().max_age_days, None);
}

#[tokio::test]
async fn the_least_used_book_goes_and_one_in_use_stays_shared() {
    let lake = Lake::new();
    let books = RateBooks::new(lake.stores.clone());
    let mut references = Vec::new();
    for count in 1..=9 {
        let root = Location::parse("s3://lake/processed data").unwrap();
        let staging = Staging::new(&lake.stores, &root, &format!("r{count}")).unwrap();
        references.push(pin(&loaded(count, None), &staging).await.unwrap());
    }
    let held = books.get(&references[0]).await.unwrap();
    for reference in &references[1..] {
        books.get(reference).await.unwrap();
    }
    assert_eq!(books.counts().kept, 8);
    assert!(Arc::ptr_eq(&books.get(&references[0]).await.unwrap(), &held), "still in use");
    assert_eq!(books.counts().loads, 9);
    drop(held);
    books.get(&references[0]).await.unwrap();
    assert_eq!(books.counts().loads, 10, "it was let go");
}

#[tokio::test]
async fn what_is_not_the_pinned_book_is_refused_and_looked_at_again() {
    let lake = Lake::new();
    let reference = pin(&loaded(3, None), &lake.staging).await.unwrap();
    let books = RateBooks::new(lake.stores.clone());
    let path = Location::parse(&reference.pinned.as_ref().unwrap().location).unwrap().path().clone();
    let good = lake.memory.get(&path).await.unwrap().bytes().await.unwrap();
    lake.memory.put(&path, PutPayload::from_static(b"other")).await.unwrap();
    let refused = books.get(&reference).await.unwrap_err();
    assert!(refused.to_string().contains("are not those of the plan: sha256"), "{refused}");
    assert!(!matches!(refused, DataFusionError::IoError(_)));

    lake.memory.put(&path, good.into()).await.unwrap();
    let stale = RateBookRef { digest: "0".repeat(64), ..reference.clone() };
    let refused = books.get(&stale).await.unwrap_err();
    assert!(refused.to_string().contains("are not those of the plan: rates="), "{refused}");

    books.get(&reference).await.unwrap();
    assert_eq!((books.counts().loads, books.counts().failures), (1, 2), "a failure is not kept");

    let unpinned = RateBookRef { pinned: None, ..loaded(2, None).reference };
    let refused = books.get(&unpinned).await.unwrap_err();
    assert!(refused.to_string().contains("does not say where it lies"), "{refused}");
}
