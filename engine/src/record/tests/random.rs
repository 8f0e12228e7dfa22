//! Files of random dirt: no byte is lost, and neither the size of chunks nor a cut changes the rows.

use super::*;

/// A generator of the numerical recipes kind; the tests are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn file(&mut self, words: &[&[u8]], length: usize) -> Vec<u8> {
        (0..self.below(length)).flat_map(|_| words[self.below(words.len())].iter().copied()).collect()
    }
}

const CSV_WORDS: [&[u8]; 11] =
    [b"a", b"b", b",", b",", b"\n", b"\n", b"\r\n", b"\"", b"\"\"", b"\xc3\xa9", b"\xff"];
const JSON_WORDS: [&[u8]; 14] = [
    b"{\"a\":1}",
    b"{\"a\":\"x\"}",
    b"{",
    b"}",
    b"\"",
    b"a",
    b":",
    b",",
    b"\n",
    b"\n",
    b" ",
    b"\\",
    b"\xc3\xa9",
    b"\xff",
];

fn without_line_ends(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// Reads `bytes` with chunks of several sizes, and in ranges at every cut where that is allowed.
async fn check_file(config: &RecordConfig, schema: &arrow::datatypes::SchemaRef, bytes: &[u8]) {
    let objects = Objects::new(&[("f", bytes)]).await;
    let mut first: Option<Vec<String>> = None;
    for chunk_bytes in [4096, 1, 3, 8] {
        let config = RecordConfig { chunk_bytes, ..config.clone() };
        let source = RecordSource::new(Arc::new(config), Arc::clone(schema));
        let batches = scan(&objects.store, source, objects.whole()).await.unwrap();
        let found: Vec<String> = batches.iter().flat_map(rows).collect();
        let raws = batches.iter().flat_map(raw_bytes).collect::<Vec<u8>>();
        assert_eq!(without_line_ends(&raws), without_line_ends(bytes), "{}", bytes.escape_ascii());
        let expected = first.get_or_insert_with(|| found.clone());
        assert_eq!(found, *expected, "chunks of {chunk_bytes} bytes of {}", bytes.escape_ascii());
    }
    if !config.is_splittable() || bytes.is_empty() {
        return;
    }
    let unnumbered = |rows: &[String]| -> Vec<String> {
        rows.iter().map(|row| row.split_once('@').unwrap_or_default().1.to_owned()).collect()
    };
    for cut in 0..=bytes.len() {
        let source = RecordSource::new(Arc::new(config.clone()), Arc::clone(schema));
        let batches = scan(&objects.store, source, objects.cut(&[cut])).await.unwrap();
        let found: Vec<String> = batches.iter().flat_map(rows).collect();
        let expected = first.clone().unwrap_or_default();
        assert_eq!(unnumbered(&found), unnumbered(&expected), "cut at {cut} of {}", bytes.escape_ascii());
    }
}

fn raw_bytes(batch: &RecordBatch) -> Vec<u8> {
    let record = batch.column_by_name(RECORD_COLUMN).unwrap().as_struct();
    let raws = record.column_by_name(RAW_FIELD).unwrap().as_binary_view();
    raws.iter().flatten().flat_map(<[u8]>::to_vec).collect()
}

async fn check_random(config: &RecordConfig, sample: &[u8], words: &[&[u8]], files: usize, length: usize) {
    let objects = Objects::new(&[("sample", sample)]).await;
    let schema = infer(&objects.store, &objects.files, config).await.unwrap();
    let mut random = Random(42);
    for _ in 0..files {
        let file = random.file(words, length);
        check_file(config, &schema, &file).await;
    }
}

fn csv() -> RecordConfig {
    RecordConfig { header: false, ..RecordConfig::new(Format::Csv) }
}

#[tokio::test]
async fn delimited_files_of_random_dirt() {
    check_random(&csv(), b"1,2", &CSV_WORDS, 600, 40).await;
    check_random(&RecordConfig { max_record_bytes: 12, ..csv() }, b"1,2", &CSV_WORDS, 600, 60).await;
    check_random(&RecordConfig { encoding: Encoding::Latin1, ..csv() }, b"1,2", &CSV_WORDS, 200, 40).await;
}

#[tokio::test]
async fn delimited_files_of_random_dirt_split_anywhere() {
    let config = RecordConfig { quoted_newlines: false, ..csv() };
    check_random(&config, b"1,2", &CSV_WORDS, 60, 30).await;
    check_random(&RecordConfig { max_record_bytes: 5, ..config }, b"1,2", &CSV_WORDS, 60, 30).await;
}

#[tokio::test]
async fn lines_of_json_of_random_dirt_split_anywhere() {
    let config = RecordConfig::new(Format::Ndjson);
    check_random(&config, b"{\"a\":1}", &JSON_WORDS, 60, 20).await;
    check_random(&RecordConfig { max_record_bytes: 9, ..config }, b"{\"a\":1}", &JSON_WORDS, 60, 20).await;
}

#[tokio::test]
async fn objects_of_random_dirt() {
    let config = RecordConfig::new(Format::Json);
    check_random(&config, b"{\"a\":1}", &JSON_WORDS, 600, 30).await;
    check_random(&RecordConfig { max_record_bytes: 9, ..config }, b"{\"a\":1}", &JSON_WORDS, 600, 30).await;
}
