//! A file gives the same rows in one piece and in byte ranges, wherever it is cut.

use super::*;
use crate::progress::RunProgress;

/// Rows without their numbers, which a range that begins inside the file cannot know.
fn unnumbered(rows: &[String]) -> Vec<String> {
    rows.iter().map(|row| row.split_once('@').map_or(row.clone(), |(_, rest)| rest.to_owned())).collect()
}

async fn check_splits(config: &RecordConfig, bytes: &[u8], rows_min: usize) {
    let objects = Objects::new(&[("in/file", bytes)]).await;
    let whole = unnumbered(&objects.rows(config, objects.whole()).await.unwrap());
    assert!(whole.len() >= rows_min, "{whole:?}");
    for first in 0..=bytes.len() {
        let rows = unnumbered(&objects.rows(config, objects.cut(&[first])).await.unwrap());
        assert_eq!(rows, whole, "cut at {first}");
        for second in (first..=bytes.len()).step_by(1 + bytes.len() / 30) {
            let rows = unnumbered(&objects.rows(config, objects.cut(&[first, second])).await.unwrap());
            assert_eq!(rows, whole, "cut at {first} and {second}");
        }
    }
}

fn csv() -> RecordConfig {
    RecordConfig { quoted_newlines: false, chunk_bytes: 5, ..RecordConfig::new(Format::Csv) }
}

#[tokio::test]
async fn delimited_files_split_anywhere() {
    check_splits(&csv(), b"\nid,b\n1,a\r\n\r\n2\n3,\"x\n4,\xff\n\n55,\"e\"\"f\"\n6,", 6).await;
}

#[tokio::test]
async fn delimited_files_with_a_byte_order_mark_split_anywhere() {
    check_splits(&csv(), b"\xef\xbb\xbfid,b\n1,a\n2,b\n", 2).await;
}

#[tokio::test]
async fn delimited_files_without_header_split_anywhere() {
    check_splits(&RecordConfig { header: false, ..csv() }, b"\xef\xbb\xbf1,a\n2,b\n\n3\n", 3).await;
}

#[tokio::test]
async fn records_above_the_limit_split_anywhere() {
    check_splits(&RecordConfig { max_record_bytes: 6, ..csv() }, b"a,b\n1,2\n3,4444444444\n5,6\n", 3).await;
}

#[tokio::test]
async fn lines_of_json_split_anywhere() {
    let config = RecordConfig { chunk_bytes: 7, ..RecordConfig::new(Format::Ndjson) };
    check_splits(
        &config,
        b"\xef\xbb\xbf{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":}\n{\"a\":\"\xc3\xa9\"}\n{\"a\":4}",
        5,
    )
    .await;
}

#[tokio::test]
async fn a_compressed_file_is_read_by_the_range_that_begins_it() {
    let bytes = compressed::gzip(b"a,b\n1,2\n3,4\n5,6\n");
    check_splits(&csv(), &bytes, 3).await;
}

#[tokio::test]
async fn ranges_count_each_byte_of_a_file_once() {
    let bytes = b"a,b\n1,2\n3,4\n5,6\n7,8\n".as_slice();
    let objects = Objects::new(&[("f", bytes)]).await;
    let schema = infer(&objects.store, &objects.files, &csv()).await.unwrap();
    for cut in 1..bytes.len() - 1 {
        let progress = RunProgress::default();
        let source = RecordSource::new(Arc::new(csv()), Arc::clone(&schema)).with_progress(progress.clone());
        scan(&objects.store, source, objects.cut(&[cut])).await.unwrap();
        // One byte of the range before is read again, to see whether a record begins here.
        let bytes = bytes.len() as u64;
        assert!(
            (bytes - 5..=bytes + 1).contains(&progress.counts().bytes_done),
            "{}",
            progress.counts().bytes_done
        );
    }
}
