use std::io::Write;

use super::*;
use crate::progress::RunProgress;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

fn csv() -> RecordConfig {
    RecordConfig::new(Format::Csv)
}

const FILE: &[u8] = b"a,b\n1,one\n2,two\n3,three\n";
const ROWS: [&str; 3] = ["1@4 1|one", "2@10 2|two", "3@16 3|three"];

#[tokio::test]
async fn reads_gzip_and_zstd_whatever_the_name() {
    check(&csv(), &gzip(FILE), &ROWS).await;
    check(&csv(), &zstd(FILE), &ROWS).await;
}

#[tokio::test]
async fn reads_all_members_and_frames() {
    for at in [0, 3, 11, FILE.len()] {
        let (first, second) = FILE.split_at(at);
        check(&csv(), &[gzip(first), gzip(second)].concat(), &ROWS).await;
        check(&csv(), &[zstd(first), zstd(second)].concat(), &ROWS).await;
    }
}

#[tokio::test]
async fn reads_more_than_one_step_of_a_decoder() {
    let line = "123456,abcdefgh\n";
    let file = format!("a,b\n{}", line.repeat(20_000));
    for bytes in [gzip(file.as_bytes()), zstd(file.as_bytes())] {
        let objects = Objects::new(&[("f", bytes.as_slice())]).await;
        let batches = objects.batches(&csv(), objects.whole()).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    }
}

/// The rows before the damage, and the error or the marker that tells of it.
async fn cut_rows(bytes: &[u8], chunk_bytes: usize) -> (Vec<String>, String) {
    let objects = Objects::new(&[("a.csv", FILE), ("f.gz.zst", bytes)]).await;
    let mut config = RecordConfig { chunk_bytes, ..csv() };
    let cut = FileGroup::new(vec![PartitionedFile::new_from_meta(objects.files[1].clone())]);
    let error = objects.rows(&config, vec![cut.clone()]).await.unwrap_err();
    assert!(matches!(&error, RecordError::DamagedFile { file, .. } if file == "f.gz.zst"), "{error}");
    config.allow_damaged = true;
    let mut rows = objects.rows(&config, vec![cut]).await.unwrap();
    let marker = rows.pop().unwrap();
    (rows, marker)
}

#[tokio::test]
async fn gives_the_whole_records_before_a_cut_of_a_gzip_file() {
    let bytes = gzip(FILE);
    for length in 1..bytes.len() {
        let (mut rows, marker) = cut_rows(&bytes[..length], 4096).await;
        assert!(marker.contains(DAMAGED_FILE_MARKER) && marker.contains("cut short"), "{marker}");
        if rows.last().is_some_and(|row| row.contains("ROW_MALFORMED the record is truncated")) {
            rows.pop();
        }
        assert_eq!(rows, ROWS[..rows.len()], "cut at {length}");
        // Only the trailer of 8 bytes is missing: all records are there.
        if length >= bytes.len() - 8 {
            assert_eq!(rows.len(), 3, "cut at {length}");
        }
        assert_eq!(
            cut_rows(&bytes[..length], 1).await.0.len(),
            cut_rows(&bytes[..length], 4096).await.0.len()
        );
    }
}

#[tokio::test]
async fn gives_the_whole_records_before_a_cut_of_a_zstd_file() {
    let bytes = [zstd(&FILE[..16]), zstd(&FILE[16..])].concat();
    let first = zstd(&FILE[..16]).len();
    for length in (1..bytes.len()).filter(|length| *length != first) {
        let (rows, marker) = cut_rows(&bytes[..length], 64).await;
        assert!(marker.contains(DAMAGED_FILE_MARKER) && marker.contains("cut short"), "{marker}");
        let whole = if length > first { 2 } else { 0 };
        assert_eq!(rows[..whole], ROWS[..whole], "cut at {length}");
    }
}

#[tokio::test]
async fn sees_a_wrong_checksum() {
    let mut bytes = gzip(FILE);
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    let (rows, marker) = cut_rows(&bytes, 7).await;
    assert_eq!(rows, ROWS);
    assert!(marker.starts_with("?@24 __DAMAGED_FILE the gzip stream is corrupt: "), "{marker}");
}

#[tokio::test]
async fn sees_what_follows_a_compressed_stream() {
    for bytes in [gzip(FILE), zstd(FILE)] {
        let (rows, marker) = cut_rows(&[bytes, b"something that follows".to_vec()].concat(), 64).await;
        assert_eq!(rows, ROWS);
        assert!(marker.contains("is corrupt"), "{marker}");
    }
}

#[tokio::test]
async fn tells_an_empty_compressed_file_to_be_damaged_by_its_name() {
    let objects = Objects::new(&[("a.csv", FILE), ("b.csv", b""), ("c.csv.gz", b"")]).await;
    let error = objects.rows(&csv(), objects.whole()).await.unwrap_err();
    assert_eq!(error.to_string(), "damaged file `c.csv.gz`: a compressed file of 0 bytes is cut short");
}

#[tokio::test]
async fn tells_of_damage_where_no_file_tells_the_columns() {
    let bytes = gzip(FILE);
    for format in [Format::Csv, Format::Ndjson, Format::Json, Format::Parquet] {
        let found = error(&RecordConfig::new(format), &[("f.gz", &bytes[..11])]).await;
        assert!(found.starts_with("damaged file `f.gz`: "), "{found}");
    }
}

#[tokio::test]
async fn counts_the_raw_bytes_that_were_read() {
    let bytes = gzip(FILE);
    let objects = Objects::new(&[("f", bytes.as_slice())]).await;
    let schema = infer(&objects.store, &objects.files, &csv()).await.unwrap();
    let progress = RunProgress::default();
    let source = RecordSource::new(Arc::new(csv()), schema).with_progress(progress.clone());
    scan(&objects.store, source, objects.whole()).await.unwrap();
    assert_eq!(progress.counts().bytes_done, bytes.len() as u64);
}
