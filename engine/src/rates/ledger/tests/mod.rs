//! The ledger on a store in memory.

mod judging;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateDate};
use jiff::Timestamp;
use jiff::civil::date;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::*;
use crate::rates::{LoadedRates, RatesError, load};
use crate::store::StoreHandle;

const URL: &str = "s3://rates/exchange rates";

struct Lake {
    memory: Arc<InMemory>,
    stores: Stores,
}

impl Lake {
    fn new() -> Self {
        let memory = Arc::new(InMemory::new());
        let stores = Stores::new();
        let location = Location::parse(URL).unwrap();
        stores.register(location.place().clone(), StoreHandle::with_multipart(Arc::clone(&memory)));
        Self { memory, stores }
    }

    /// Appends without gates: these payloads are received decades before their day.
    async fn append(&self, received: Received) -> Result<Appended, LedgerError> {
        let options = WriterOptions { gates: GateMode::Off, ..WriterOptions::default() };
        let mut writer = LedgerWriter::open(&self.stores, URL, options).await?;
        writer.append(received, at(1_000)).await
    }

    async fn load(&self, known_as_of: i64) -> Result<LoadedRates, RatesError> {
        let known_as_of = InstantMicros(known_as_of * 1_000_000);
        let options = BookOptions { mode: AsOfMode::Date, max_age_days: None, known_as_of };
        load(&self.stores, URL, &options).await
    }

    /// The rates of each day as `day: code=rate`, as known at a second.
    async fn rates(&self, known_as_of: i64) -> Vec<String> {
        let book = self.load(known_as_of).await.unwrap().book;
        let shown = |snapshot: &cambist_udfs::rate::Snapshot| {
            let rates: Vec<String> =
                snapshot.rates.iter().map(|(code, rate)| format!("{code}={rate}")).collect();
            format!("{}: {}", snapshot.rate_date, rates.join(" "))
        };
        book.snapshots().iter().map(shown).collect()
    }

    async fn paths(&self) -> Vec<String> {
        let location = Location::parse(URL).unwrap();
        let objects = crate::store::list_objects(self.memory.as_ref(), &location).await.unwrap();
        objects.iter().map(|object| object.location.as_ref()["exchange rates/".len()..].to_owned()).collect()
    }

    fn path(relative: &str) -> Path {
        Path::from(format!("exchange rates/{relative}"))
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn received(second: i64, day: &str, rates: &str) -> Received {
    Received {
        bytes: Bytes::from(format!(r#"{{"timestamp":1,"base":"USD","rates":{{{rates}}}}}"#)),
        file_name: format!("{day}.json"),
        known_at: InstantMicros(second * 1_000_000),
        channel: Channel::Fetch,
        origin: "https://rates.example/".to_owned(),
        entered_by: None,
        metadata: BTreeMap::from([("etag".to_owned(), format!("\"{second}\""))]),
    }
}

fn entered(second: i64, rates: &str) -> Received {
    let body = format!(
        r#"{{"entered_by":"Ada","reason":"no feed","base":"USD","date":"2024-05-01","expires":"2024-05-02","rates":{{{rates}}}}}"#
    );
    Received {
        bytes: Bytes::from(body),
        channel: Channel::Manual,
        entered_by: Some("Ada".to_owned()),
        ..received(second, "2024-05-01", "")
    }
}

fn approval(by: &str, second: i64) -> ApprovalRequest {
    ApprovalRequest {
        provider: None,
        sha256: None,
        rate_dates: vec![date(2024, 5, 1)],
        currencies: Vec::new(),
        by: by.to_owned(),
        reason: "checked".to_owned(),
        at: at(second),
    }
}

#[tokio::test]
async fn a_correction_is_a_further_version_and_every_instant_can_be_gone_back_to() {
    let lake = Lake::new();
    let first = lake.append(received(10, "2024-05-01", r#""INR":83.1"#)).await.unwrap();
    let Appended::Stored { object, is_new_day: true, .. } = first else { panic!("{first:?}") };
    assert_eq!(object, "2024-05-01.json");
    let again = lake.append(received(20, "2024-05-01", r#""INR":83.1"#)).await.unwrap();
    assert_eq!(again, Appended::Unchanged { object });
    let corrected = lake.append(received(30, "2024-05-01", r#""INR":83.2"#)).await.unwrap();
    assert!(matches!(corrected, Appended::Stored { is_new_day: false, .. }), "{corrected:?}");
    lake.append(received(40, "2024-05-02", r#""INR":83.5"#)).await.unwrap();
    // The provider takes its correction back.
    lake.append(received(50, "2024-05-01", r#""INR":83.1"#)).await.unwrap();

    assert!(matches!(lake.load(9).await, Err(RatesError::Book { .. })));
    assert_eq!(lake.rates(10).await, ["2024-05-01: INR=83.1"]);
    assert_eq!(lake.rates(30).await, ["2024-05-01: INR=83.2"]);
    assert_eq!(lake.rates(40).await, ["2024-05-01: INR=83.2", "2024-05-02: INR=83.5"]);
    assert_eq!(lake.rates(50).await, ["2024-05-01: INR=83.1", "2024-05-02: INR=83.5"]);
    let paths = lake.paths().await;
    let payloads: Vec<&String> = paths.iter().filter(|path| !path.starts_with("_ledger/")).collect();
    assert_eq!(payloads.len(), 3, "{payloads:?}");
    assert!(payloads[2].starts_with("_versions/2024-05-01/19700101T000030000000Z-"), "{payloads:?}");
}

#[tokio::test]
async fn appending_again_changes_nothing() {
    let lake = Lake::new();
    for _ in 0..2 {
        lake.append(received(10, "2024-05-01", r#""INR":83.1"#)).await.unwrap();
        lake.append(received(30, "2024-05-01", r#""INR":83.2"#)).await.unwrap();
    }
    assert_eq!(lake.paths().await.len(), 4);
    let writer = LedgerWriter::open(&lake.stores, URL, WriterOptions::default()).await.unwrap();
    let day = RateDate(19_844);
    let latest = writer.latest("openexchangerates", day).unwrap();
    assert_eq!((latest.known_at, latest.metadata["etag"].as_str()), (InstantMicros(30_000_000), "\"30\""));
    assert!(writer.latest("ecb", day).is_none());
}

/// Whoever fetches a range goes by what is there.
#[tokio::test]
async fn a_day_is_there_only_with_its_payload_and_may_be_one_of_many() {
    let lake = Lake::new();
    lake.append(received(10, "2024-05-01", r#""INR":83.1"#)).await.unwrap();
    let series = r#""2024-05-01":{"INR":83.1},"2024-05-03":{"INR":83.3}"#;
    lake.append(Received { file_name: "series.json".to_owned(), ..received(20, "", series) }).await.unwrap();
    let plain = received(0, "2024-05-05", r#""INR":83.5"#).bytes;
    lake.memory.put(&Lake::path("2024-05-05.json"), PutPayload::from(plain)).await.unwrap();
    let there = async || {
        let writer = LedgerWriter::open(&lake.stores, URL, WriterOptions::default()).await.unwrap();
        let known = |day| Some(writer.latest("openexchangerates", RateDate(day))?.known_at.0 / 1_000_000);
        (19_844..=19_848).map(known).collect::<Vec<_>>()
    };
    let days = there().await;
    assert_eq!(days[..4], [Some(20), None, Some(20), None]);
    assert!(days[4] > Some(20), "a plain file is known since it was modified: {days:?}");
    let paths = lake.paths().await;
    let series = paths.iter().find(|path| path.starts_with("openexchangerates_")).unwrap();
    lake.memory.delete(&Lake::path(series)).await.unwrap();
    lake.memory.delete(&Lake::path("2024-05-05.json")).await.unwrap();
    assert_eq!(there().await, [Some(10), None, None, None, None]);
}

/// A writer may die between the two objects; what was held must not be seen without its hold.
#[tokio::test]
async fn an_entry_without_its_payload_admits_nothing_and_is_completed() {
    let lake = Lake::new();
    lake.append(received(10, "2024-05-01", r#""INR":83.1"#)).await.unwrap();
    lake.append(received(20, "2024-05-02", r#""INR":83.2"#)).await.unwrap();
    lake.memory.delete(&Lake::path("2024-05-02.json")).await.unwrap();
    assert_eq!(lake.rates(99).await, ["2024-05-01: INR=83.1"]);
    let again = lake.append(received(70, "2024-05-02", r#""INR":83.2"#)).await.unwrap();
    assert!(matches!(again, Appended::Stored { .. }), "{again:?}");
    assert_eq!(lake.rates(20).await, ["2024-05-01: INR=83.1", "2024-05-02: INR=83.2"]);
    assert_eq!(lake.paths().await.len(), 4, "no second entry");
}

#[tokio::test]
async fn two_writers_of_one_day_both_keep_what_they_got() {
    let lake = Lake::new();
    let options = WriterOptions { gates: GateMode::Off, ..WriterOptions::default() };
    let open = || LedgerWriter::open(&lake.stores, URL, options.clone());
    let (mut one, mut other) = (open().await.unwrap(), open().await.unwrap());
    one.append(received(10, "2024-05-01", r#""INR":83.1"#), at(10)).await.unwrap();
    other.append(received(20, "2024-05-01", r#""INR":83.2"#), at(20)).await.unwrap();
    assert_eq!(lake.rates(10).await, ["2024-05-01: INR=83.1"]);
    assert_eq!(lake.rates(20).await, ["2024-05-01: INR=83.2"]);
}

#[tokio::test]
async fn what_is_no_snapshot_is_refused_and_nothing_is_stored() {
    let lake = Lake::new();
    let body = br#"{"error":true,"status":401,"message":"invalid_app_id"}"#;
    let refused =
        lake.append(Received { bytes: Bytes::from_static(body), ..received(1, "2024-05-01", "") }).await;
    let Err(LedgerError::Refused { source, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.reason.code(), "SNAPSHOT_ERROR_BODY");
    assert!(lake.paths().await.is_empty());
}

#[tokio::test]
async fn what_somebody_entered_waits_for_somebody_else() {
    let lake = Lake::new();
    lake.append(received(10, "2024-05-01", r#""INR":83.1"#)).await.unwrap();
    lake.append(entered(20, r#""VES":36.5"#)).await.unwrap();
    let loaded = lake.load(99).await.unwrap();
    assert_eq!(loaded.book.snapshots().len(), 1);
    assert_eq!((loaded.held.len(), loaded.held[0].held[0].gate.as_str()), (1, "manual"));

    let own = approve(&lake.stores, URL, &approval(" ada", 30)).await.unwrap_err();
    assert!(own.to_string().contains("cannot approve it, expected somebody else"), "{own}");
    approve(&lake.stores, URL, &approval("Grace", 40)).await.unwrap();
    let again = approve(&lake.stores, URL, &approval("Grace", 50)).await.unwrap_err();
    assert!(again.to_string().contains("nothing of the kind is held"), "{again}");

    assert_eq!(lake.rates(39).await, ["2024-05-01: INR=83.1"]);
    assert_eq!(lake.rates(40).await, ["2024-05-01: INR=83.1", "2024-05-01: VES=36.5"]);
    let book = lake.load(40).await.unwrap().book;
    assert_eq!(book.snapshots()[1].expires, Some(RateDate(19_845)));
    assert_eq!(book.snapshots()[1].known_at, InstantMicros(20_000_000));
}

#[tokio::test]
async fn the_index_says_what_the_objects_say_and_only_of_those_it_was_made_of() {
    let lake = Lake::new();
    lake.append(received(10, "2024-05-01", r#""INR":"83.10","XAU":0.000512345678901234,"BAD":-1"#))
        .await
        .unwrap();
    lake.append(received(30, "2024-05-01", r#""INR":83.2"#)).await.unwrap();
    lake.append(entered(35, r#""VES":36.5"#)).await.unwrap();
    approve(&lake.stores, URL, &approval("Grace", 40)).await.unwrap();
    let indexes = |paths: &[String]| paths.iter().filter(|path| path.starts_with("_index/")).count();
    assert_eq!(indexes(&lake.paths().await), 1, "an approval brings it up to date");
    let described = |loaded: &LoadedRates| {
        format!("{:?} {:?} {:?} {:?}", loaded.book.snapshots(), loaded.entries, loaded.notices, loaded.held)
    };
    for second in [10, 30, 99] {
        let indexed = described(&lake.load(second).await.unwrap());
        let plain = Lake::new();
        for path in lake.paths().await.iter().filter(|path| !path.starts_with("_index/")) {
            let bytes = lake.memory.get(&Lake::path(path)).await.unwrap().bytes().await.unwrap();
            plain.memory.put(&Lake::path(path), bytes.into()).await.unwrap();
        }
        assert_eq!(indexed, described(&plain.load(second).await.unwrap()), "as of {second}");
    }

    // An object that the index does not know, and one that changed under its name.
    lake.append(received(50, "2024-05-02", r#""INR":83.9"#)).await.unwrap();
    lake.memory.put(&Lake::path("2024-05-03.json"), payload(r#""INR":84.5"#)).await.unwrap();
    assert_eq!(lake.rates(60).await.len(), 3);
    assert_eq!(index(&lake.stores, URL, at(60)).await.unwrap().new, 3);
    assert_eq!(index(&lake.stores, URL, at(61)).await.unwrap().new, 0);
    lake.memory.put(&Lake::path("2024-05-03.json"), payload(r#""INR":84.6"#)).await.unwrap();
    let loaded = lake.load(4_000_000_000).await.unwrap();
    assert_eq!(loaded.book.snapshots().last().unwrap().rates[0].1.to_string(), "84.6");
    index(&lake.stores, URL, at(70)).await.unwrap();
    assert_eq!(indexes(&lake.paths().await), 2, "the older ones are gone");

    // One that cannot be read is as good as none.
    let newest = lake.paths().await.into_iter().rfind(|path| path.starts_with("_index/")).unwrap();
    lake.memory.put(&Lake::path(&newest), PutPayload::from_static(b"PAR1 no")).await.unwrap();
    assert_eq!(lake.rates(60).await.len(), 3);
}

fn payload(rates: &str) -> PutPayload {
    PutPayload::from(received(0, "", rates).bytes)
}
