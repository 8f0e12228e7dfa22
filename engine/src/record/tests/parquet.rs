use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{
    ArrayRef, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringArray, StringViewArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::Int32Type;

use super::*;

fn parquet() -> RecordConfig {
    RecordConfig::new(Format::Parquet)
}

fn write(columns: Vec<(&str, ArrayRef)>, rows_per_group: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn ids(count: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(0..count))
}

async fn rows_of(config: &RecordConfig, bytes: &[u8]) -> Vec<String> {
    let objects = Objects::new(&[("f.parquet", bytes)]).await;
    objects.rows(config, objects.whole()).await.unwrap()
}

#[tokio::test]
async fn reads_other_engines_types_as_plain_ones() {
    let dictionary: DictionaryArray<Int32Type> = vec!["x", "y"].into_iter().collect();
    let time = TimestampNanosecondArray::from(vec![0, 1_500_000_000]).with_timezone("+00:00");
    let bytes = write(
        vec![
            ("v", Arc::new(StringViewArray::from(vec![Some("a"), None]))),
            ("d", Arc::new(dictionary)),
            ("u", Arc::new(UInt32Array::from(vec![1, u32::MAX]))),
            ("w", Arc::new(UInt64Array::from(vec![1, u64::MAX]))),
            ("t", Arc::new(time)),
        ],
        10,
    );
    let objects = Objects::new(&[("f", bytes.as_slice())]).await;
    let schema = infer(&objects.store, &objects.files, &parquet()).await.unwrap();
    let types: Vec<String> =
        schema.fields().iter().take(5).map(|field| field.data_type().to_string()).collect();
    assert_eq!(types, ["Utf8", "Utf8", "Int64", "Decimal128(20, 0)", "Timestamp(ns, \"UTC\")"]);
    let expected = [
        "1@0 a|x|1|1|1970-01-01T00:00:00Z",
        "2@1 -|y|4294967295|18446744073709551615|1970-01-01T00:00:01.500Z",
    ];
    assert_eq!(rows_of(&parquet(), &bytes).await, expected);
}

#[tokio::test]
async fn sets_rows_that_contradict_a_declared_type_aside() {
    let text = StringArray::from(vec![Some("1.50"), Some("one"), None, Some("1e1")]);
    let number = Decimal128Array::from(vec![100, 250, 300, 425]).with_precision_and_scale(9, 2).unwrap();
    let bytes = write(vec![("amount", Arc::new(text)), ("n", Arc::new(number))], 10);
    let mut config = typed_columns(parquet(), &[("amount", "decimal(9,2)"), ("n", "int64")]);
    config.roles.insert("amount".to_owned(), ColumnRole::Amount);
    let expected = [
        "1@0 1.50|1",
        "2@1 AMOUNT_NOT_NUMERIC column `amount`: `one` is not of type decimal(9,2) <>",
        "3@2 -|3",
        "4@3 ROW_MALFORMED column `n`: `4.25` has more decimals than int64 <>",
    ];
    let config_without_n = config.clone();
    assert_eq!(rows_of(&config_without_n, &bytes).await, expected);
}

#[tokio::test]
async fn keeps_the_row_as_it_was_beside_its_fault() {
    let text = StringArray::from(vec!["one"]);
    let bytes = write(vec![("amount", Arc::new(text)), ("id", ids(1))], 10);
    let config = typed_columns(parquet(), &[("amount", "decimal(9,2)")]);
    let objects = Objects::new(&[("f", bytes.as_slice())]).await;
    let batches = objects.batches(&config, objects.whole()).await.unwrap();
    let record = batches[0].column_by_name(RECORD_COLUMN).unwrap().as_struct();
    let raw = record.column_by_name(RAW_FIELD).unwrap();
    let formatter = ArrayFormatter::try_new(raw, &FormatOptions::default()).unwrap();
    assert_eq!(formatter.value(0).to_string(), "{amount: one, id: 0}");
}

#[tokio::test]
async fn row_groups_split_anywhere_and_keep_their_row_numbers() {
    let bytes = write(vec![("id", ids(10))], 3);
    let objects = Objects::new(&[("f", bytes.as_slice())]).await;
    let whole = objects.rows(&parquet(), objects.whole()).await.unwrap();
    assert_eq!((whole.len(), whole[9].as_str()), (10, "10@9 9"));
    for first in (0..=bytes.len()).step_by(7) {
        for second in (first..=bytes.len()).step_by(61) {
            let rows = objects.rows(&parquet(), objects.cut(&[first, second])).await.unwrap();
            assert_eq!(rows, whole, "cut at {first} and {second}");
        }
    }
}

#[tokio::test]
async fn tells_damage_of_a_footer_and_of_a_page() {
    let text: Vec<String> = (0..1000).map(|row| format!("value {row}")).collect();
    let good = write(vec![("text", Arc::new(StringArray::from(text)))], 250);
    let cut = &good[..good.len() - 20];
    let mut page = good.clone();
    // The last row group's pages lie just before the footer, whose length is in the last 8 bytes.
    let footer = u32::from_le_bytes(good[good.len() - 8..good.len() - 4].try_into().unwrap()) as usize;
    let pages = good.len() - 8 - footer;
    page[pages / 4 * 3 + 100..pages].fill(0xff);
    for (bytes, rows_before) in [(cut, 0), (page.as_slice(), 750)] {
        let objects = Objects::new(&[("a", good.as_slice()), ("b", bytes)]).await;
        let groups = vec![FileGroup::new(vec![PartitionedFile::new_from_meta(objects.files[1].clone())])];
        let error = objects.rows(&parquet(), groups.clone()).await.unwrap_err();
        assert!(matches!(&error, RecordError::DamagedFile { file, .. } if file == "b"), "{error}");
        let config = RecordConfig { allow_damaged: true, ..parquet() };
        let rows = objects.rows(&config, groups).await.unwrap();
        assert_eq!(rows.len(), rows_before + 1);
        assert!(rows[rows_before].contains(DAMAGED_FILE_MARKER), "{}", rows[rows_before]);
    }
}

#[tokio::test]
async fn tells_a_damaged_file_once_however_it_is_split() {
    let good = write(vec![("id", ids(3))], 3);
    let cut = &good[..good.len() - 20];
    let config = RecordConfig { allow_damaged: true, ..parquet() };
    let objects = Objects::new(&[("b", cut), ("c", good.as_slice())]).await;
    assert_eq!(objects.rows(&config, objects.cut(&[10, 50])).await.unwrap().len(), 1);
}

#[tokio::test]
async fn refuses_files_with_other_columns_or_types() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let list = write(vec![("id", ids(1))], 10);
    let other = write(vec![("id", text), ("more", ids(1))], 10);
    let found = error(&parquet(), &[("1", list.as_slice()), ("2", other.as_slice())]).await;
    assert_eq!(
        found,
        "`2` has a column `more`, which the source does not have; the files of one source must have the same columns"
    );
    let found = error(&parquet(), &[("1", other.as_slice()), ("2", list.as_slice())]).await;
    assert_eq!(
        found,
        "`2` has no column `more`, which the source has; the files of one source must have the same columns"
    );
}
