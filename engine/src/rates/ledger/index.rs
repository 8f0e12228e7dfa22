//! The index: what all objects of a ledger hold, as one Parquet file, so that thousands of small objects need
//! not be asked for.
//!
//! It is only a copy. Each row says which object it was made of, as that object was listed; a row whose object
//! is listed otherwise now is not used.
//!
//! An object has one row with its document (an entry, an approval, the notes on a payload), and after it one
//! row for each of its snapshots.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Builder, FixedSizeBinaryArray, Int32Array, Int64Array, ListBuilder,
    RecordBatch, StringArray, StringBuilder, UInt8Builder, UInt64Array,
};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, UInt8Type, UInt64Type};
use arrow::error::ArrowError;
use bytes::Bytes;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::decimal::Decimal;
use cambist_udfs::rate::{InstantMicros, RateDate, Snapshot, SnapshotId};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::error::LedgerError;
use super::payload::Stamp;

const READ_ROWS: usize = 1024;
const ID_BYTES: i32 = 32;
const MANTISSA_DIGITS: u8 = 38;

/// What the index says of one object.
#[derive(Clone, Debug)]
pub(super) struct IndexedObject {
    pub(super) path: String,
    pub(super) stamp: Stamp,
    pub(super) document: String,
    /// Without their places and times of arrival, which are those of the object.
    pub(super) snapshots: Vec<Snapshot>,
}

/// Writes the index of `objects`.
pub(super) fn encode(objects: &[IndexedObject]) -> Result<Bytes, LedgerError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| LedgerError::Index { action: "written", source };
    let batch = to_batch(objects).map_err(|error| failed(error.into()))?;
    let write = || {
        let compression = Compression::ZSTD(ZstdLevel::try_new(3)?);
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    Ok(write().map_err(|error| failed(error.into()))?.into())
}

/// Reads an index.
pub(super) fn decode(bytes: Bytes) -> Result<Vec<IndexedObject>, LedgerError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| LedgerError::Index { action: "read", source };
    let open = || ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(READ_ROWS).build();
    let mut objects = Vec::new();
    for batch in open().map_err(|error| failed(error.into()))? {
        let batch = batch.map_err(|error| failed(error.into()))?;
        read_batch(&batch, &mut objects)
            .ok_or_else(|| failed("its columns are not those of an index".into()))?;
    }
    Ok(objects)
}

/// An object's own row, or one of its snapshots.
#[derive(Clone, Copy)]
enum Row<'a> {
    Object(&'a IndexedObject),
    Snapshot(&'a Snapshot),
}

impl<'a> Row<'a> {
    fn object(self) -> Option<&'a IndexedObject> {
        match self {
            Self::Object(object) => Some(object),
            Self::Snapshot(_) => None,
        }
    }

    fn snapshot(self) -> Option<&'a Snapshot> {
        match self {
            Self::Object(_) => None,
            Self::Snapshot(snapshot) => Some(snapshot),
        }
    }
}

fn to_batch(objects: &[IndexedObject]) -> Result<RecordBatch, ArrowError> {
    let of_object =
        |object| std::iter::once(Row::Object(object)).chain(object.snapshots.iter().map(Row::Snapshot));
    let rows: Vec<Row<'_>> = objects.iter().flat_map(of_object).collect();
    let objects = || rows.iter().map(|row| row.object());
    let snapshots = || rows.iter().map(|row| row.snapshot());
    let ids = snapshots().map(|snapshot| snapshot.map(|snapshot| snapshot.id.0));
    let mut codes = ListBuilder::new(StringBuilder::new());
    let mantissa = Decimal128Builder::new().with_precision_and_scale(MANTISSA_DIGITS, 0)?;
    let mut mantissas = ListBuilder::new(mantissa);
    let mut scales = ListBuilder::new(UInt8Builder::new());
    for snapshot in snapshots() {
        for (code, rate) in snapshot.iter().flat_map(|snapshot| &snapshot.rates) {
            codes.values().append_value(code.as_str());
            mantissas.values().append_value(rate.mantissa());
            scales.values().append_value(rate.scale());
        }
        codes.append(snapshot.is_some());
        mantissas.append(snapshot.is_some());
        scales.append(snapshot.is_some());
    }
    let columns: [(&str, ArrayRef); 14] = [
        (
            "path",
            Arc::new(
                objects().map(|object| object.map(|object| object.path.as_str())).collect::<StringArray>(),
            ),
        ),
        (
            "bytes",
            Arc::new(
                objects().map(|object| object.map(|object| object.stamp.bytes)).collect::<UInt64Array>(),
            ),
        ),
        (
            "modified",
            Arc::new(
                objects().map(|object| object.map(|object| object.stamp.modified.0)).collect::<Int64Array>(),
            ),
        ),
        ("e_tag", Arc::new(objects().map(|object| object?.stamp.e_tag.as_deref()).collect::<StringArray>())),
        (
            "document",
            Arc::new(
                objects()
                    .map(|object| object.map(|object| object.document.as_str()))
                    .collect::<StringArray>(),
            ),
        ),
        ("id", Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, ID_BYTES)?)),
        (
            "provider",
            Arc::new(
                snapshots()
                    .map(|snapshot| snapshot.map(|snapshot| snapshot.provider.as_str()))
                    .collect::<StringArray>(),
            ),
        ),
        (
            "base",
            Arc::new(
                snapshots()
                    .map(|snapshot| snapshot.map(|snapshot| snapshot.base.as_str()))
                    .collect::<StringArray>(),
            ),
        ),
        (
            "rate_date",
            Arc::new(
                snapshots()
                    .map(|snapshot| snapshot.map(|snapshot| snapshot.rate_date.0))
                    .collect::<Int32Array>(),
            ),
        ),
        (
            "valid_at",
            Arc::new(snapshots().map(|snapshot| snapshot?.valid_at.map(|at| at.0)).collect::<Int64Array>()),
        ),
        (
            "expires",
            Arc::new(snapshots().map(|snapshot| snapshot?.expires.map(|day| day.0)).collect::<Int32Array>()),
        ),
        ("codes", Arc::new(codes.finish())),
        ("mantissas", Arc::new(mantissas.finish())),
        ("scales", Arc::new(scales.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
}

/// Reads rows on from where `objects` ends; nothing where a column or a value is not what we write.
fn read_batch(batch: &RecordBatch, objects: &mut Vec<IndexedObject>) -> Option<()> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (path, e_tag, document) = (text("path")?, text("e_tag")?, text("document")?);
    let bytes = batch.column_by_name("bytes")?.as_primitive_opt::<UInt64Type>()?;
    let modified = batch.column_by_name("modified")?.as_primitive_opt::<Int64Type>()?;
    let ids = batch.column_by_name("id")?.as_fixed_size_binary_opt()?;
    let (provider, base) = (text("provider")?, text("base")?);
    let rate_date = batch.column_by_name("rate_date")?.as_primitive_opt::<Int32Type>()?;
    let valid_at = batch.column_by_name("valid_at")?.as_primitive_opt::<Int64Type>()?;
    let expires = batch.column_by_name("expires")?.as_primitive_opt::<Int32Type>()?;
    let list = |name: &str| batch.column_by_name(name)?.as_list_opt::<i32>();
    let (codes, mantissas, scales) = (list("codes")?, list("mantissas")?, list("scales")?);
    for row in 0..batch.num_rows() {
        if path.is_valid(row) {
            objects.push(IndexedObject {
                path: path.value(row).to_owned(),
                stamp: Stamp {
                    bytes: bytes.value(row),
                    modified: InstantMicros(modified.value(row)),
                    e_tag: e_tag.is_valid(row).then(|| e_tag.value(row).to_owned()),
                },
                document: document.value(row).to_owned(),
                snapshots: Vec::new(),
            });
            continue;
        }
        let (codes, mantissas, scales) = (codes.value(row), mantissas.value(row), scales.value(row));
        let codes = codes.as_string_opt::<i32>()?;
        let mantissas = mantissas.as_primitive_opt::<Decimal128Type>()?;
        let scales = scales.as_primitive_opt::<UInt8Type>()?;
        let rate = |at: usize| {
            let code = CurrencyCode::parse(codes.value(at))?;
            Some((code, Decimal::new(mantissas.value(at), scales.value(at))?))
        };
        let object = objects.last_mut()?;
        object.snapshots.push(Snapshot {
            id: SnapshotId(ids.value(row).try_into().ok()?),
            provider: provider.value(row).to_owned(),
            base: CurrencyCode::parse(base.value(row))?,
            rate_date: RateDate(rate_date.value(row)),
            valid_at: valid_at.is_valid(row).then(|| InstantMicros(valid_at.value(row))),
            known_at: object.stamp.modified,
            location: String::new(),
            rates: (0..codes.len()).map(rate).collect::<Option<_>>()?,
            expires: expires.is_valid(row).then(|| RateDate(expires.value(row))),
            held: Vec::new(),
        });
    }
    Some(())
}
