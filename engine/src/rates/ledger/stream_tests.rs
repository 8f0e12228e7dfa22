//! What Kafka Connect and Firehose deliver, as sources of rates and as payloads of a ledger.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::*;
use crate::rates::{LoadedRates, load};

const FOREVER: i64 = 4_000_000_000_000_000;
const FIREHOSE: &str = "rates-1-2024-05-02-00-00-07-0f8fad5b-d9cb-469f-a165-70867728950e";

/// A document that bears no date but a timestamp: 2024-05-01 and so many days later, at 23:00.
fn document(day: i64, rate: &str) -> String {
    let timestamp = 1_714_604_400 + day * 86_400;
    format!(r#"{{"disclaimer":"x","timestamp":{timestamp},"base":"USD","rates":{{"INR":{rate}}}}}"#)
}

fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn read(folder: &Path) -> LoadedRates {
    let options =
        BookOptions { mode: AsOfMode::Date, max_age_days: None, known_as_of: InstantMicros(FOREVER) };
    load(&Stores::new(), folder.to_str().unwrap(), &options).await.unwrap()
}

fn rates(loaded: &LoadedRates) -> Vec<String> {
    let snapshots = loaded.book.snapshots().iter();
    snapshots.map(|snapshot| format!("{}: {}", snapshot.rate_date, snapshot.rates[0].1)).collect()
}

#[tokio::test]
async fn firehose_objects_are_rates_though_nothing_parts_them_and_the_last_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let whole = [document(0, "83.1"), document(0, "83.1"), document(0, "83.2"), document(1, "83.5")].concat();
    let cut = &document(2, "84")[..40];
    write(folder.path(), &format!("2024/05/02/00/{FIREHOSE}"), &gzip(&format!("{whole}{cut}")));
    // Delivered again, not compressed, an hour later.
    let again = FIREHOSE.replace("-00-00-07-", "-01-00-07-");
    write(folder.path(), &format!("2024/05/02/01/{again}"), whole.as_bytes());
    let loaded = read(folder.path()).await;
    // The hour of the delivery dates nothing; of two documents for a day the later one counts.
    assert_eq!(rates(&loaded), ["2024-05-01: 83.2", "2024-05-02: 83.5"]);
    assert_eq!(loaded.refused.len(), 1, "{:?}", loaded.refused);
    let detail = &loaded.refused[0].detail;
    assert!(detail.starts_with("document 5 of 5, from byte 300 on: "), "{detail}");
    // Each document is a payload of its own.
    let alone = tempfile::tempdir().unwrap();
    write(alone.path(), "any.json", document(1, "83.5").as_bytes());
    let ids = |loaded: &LoadedRates| loaded.book.snapshots().last().unwrap().id;
    assert_eq!(ids(&read(alone.path()).await), ids(&loaded));
}

#[tokio::test]
async fn objects_of_kafka_connect_are_rates_one_document_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!("{}\n{{\"base\":\"USD\"\n{}\n", document(0, "83.1"), document(1, "83.5"));
    write(folder.path(), "topics/t/partition=0/t+0+0000000000.json", lines.as_bytes());
    write(folder.path(), "topics/t/partition=0/t+0+0000000003.json", document(2, "84").as_bytes());
    let loaded = read(folder.path()).await;
    assert_eq!(rates(&loaded), ["2024-05-01: 83.1", "2024-05-02: 83.5", "2024-05-03: 84"]);
    assert_eq!(loaded.refused.len(), 1, "{:?}", loaded.refused);
    assert!(loaded.refused[0].detail.starts_with("document 2 of 3"), "{:?}", loaded.refused);
}

#[tokio::test]
async fn one_document_is_read_as_ever_whatever_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}\n \n", document(0, "83.1"));
    write(folder.path(), "2024-05-07.json", text.as_bytes());
    let loaded = read(folder.path()).await;
    assert_eq!(rates(&loaded), ["2024-05-07: 83.1"], "its name dates it");
    let sha256 = names::sha256_of(text.as_bytes());
    assert_eq!(crate::rates::reference::hex(&loaded.book.snapshots()[0].id.0), sha256);
}

#[tokio::test]
async fn a_ledger_takes_several_documents_as_one_payload_and_its_index_keeps_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().to_str().unwrap();
    let bytes = [document(1, "83.5"), document(0, "83.1"), document(0, "83.2")].concat();
    let received = Received {
        bytes: Bytes::from(bytes),
        file_name: FIREHOSE.to_owned(),
        known_at: InstantMicros(2_000_000_000_000_000),
        channel: Channel::Import,
        origin: "firehose".to_owned(),
        entered_by: None,
        metadata: Default::default(),
    };
    let inspected = inspect(&received).unwrap();
    assert_eq!(inspected.provider, "openexchangerates");
    let mut writer = LedgerWriter::open(&Stores::new(), url, WriterOptions::default()).await.unwrap();
    let appended = writer.append(received, Timestamp::UNIX_EPOCH).await.unwrap();
    let Appended::Stored { object, rate_dates, .. } = appended else { panic!("{appended:?}") };
    assert_eq!(object, "openexchangerates_2024-05-01_2024-05-02.json");
    assert_eq!(rate_dates, inspected.rate_dates);
    let plain = rates(&read(folder.path()).await);
    assert_eq!(plain, ["2024-05-01: 83.2", "2024-05-02: 83.5"]);
    writer.finish(Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(folder.path().join("_index").is_dir());
    assert_eq!(rates(&read(folder.path()).await), plain);
}
