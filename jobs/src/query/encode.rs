//! A result as the bytes of its file, and whether another file says the same.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use cambist_engine::athena::{output_type, to_output};
use cambist_engine::partition_writer::ContentHash;
use datafusion::arrow::array::{ArrayRef, BinaryArray, RecordBatch};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::arrow::json::{Writer, WriterBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::error::{JobError, Result};
use crate::input::{planning, running};

/// Where a Parquet file keeps the hash of its rows.
pub(super) const HASH_KEY: &str = "cambist.content_hash";

/// Records that are hashed at once.
const RECORDS_AT_ONCE: usize = 4096;

/// What a result's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Parquet, packed with ZSTD.
    Parquet,
    /// CSV with a line of names; a null is an empty field.
    Csv,
    /// One JSON object a line; a null is written as such.
    Ndjson,
}

impl FileFormat {
    /// Returns the format that a file's name tells.
    ///
    /// # Errors
    /// A usage error for any other name.
    pub fn of_name(name: &str) -> Result<Self> {
        let ending = name.rsplit(['/', '.']).next().unwrap_or_default();
        match ending {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "ndjson" => Ok(Self::Ndjson),
            _ => Err(JobError::usage(format!(
                "output.url is `{name}`, expected a name that ends in .parquet, .csv or .ndjson"
            ))),
        }
    }
}

/// A result in the form of its file.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) columns: SchemaRef,
    pub(crate) rows: u64,
    pub(crate) content_hash: ContentHash,
    pub(crate) bytes: Bytes,
}

/// Returns the columns under which the columns `result` of a SELECT are written.
pub(crate) fn written_columns(result: &Schema) -> Result<SchemaRef> {
    let mut names = BTreeSet::new();
    let mut fields = Vec::new();
    for field in result.fields() {
        if !names.insert(field.name()) {
            return Err(JobError::usage(format!(
                "two columns of the result are called `{}`: rename one with AS",
                field.name()
            )));
        }
        let written = output_type(field.data_type()).map_err(|_| {
            JobError::usage(format!(
                "the column `{}` of type {} cannot be written: leave it out, or CAST it",
                field.name(),
                field.data_type()
            ))
        })?;
        fields.push(Field::new(field.name(), written, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Makes the file of `batches`, in their order; `columns` are those of [`written_columns`].
pub(crate) fn encode(format: FileFormat, columns: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Encoded> {
    let mut content_hash = ContentHash::default();
    let mut rows = 0;
    let mut written = Vec::new();
    for batch in batches {
        let cast = batch.columns().iter().zip(columns.fields());
        let cast = cast.map(|(column, field)| to_output(column, field.data_type()));
        let cast: Vec<ArrayRef> = cast.collect::<std::result::Result<_, _>>().map_err(running)?;
        let batch = RecordBatch::try_new(Arc::clone(columns), cast).map_err(not_encoded)?;
        content_hash.merge(ContentHash::of(&batch).map_err(running)?);
        rows += batch.num_rows() as u64;
        written.push(batch);
    }
    let bytes = match format {
        FileFormat::Parquet => parquet(columns, &written, content_hash)
            .map_err(|error| JobError::data("the result cannot be written as Parquet").caused_by(error))?,
        FileFormat::Csv => csv_text(columns, &written).map_err(not_encoded)?,
        FileFormat::Ndjson => ndjson(&written).map_err(not_encoded)?,
    };
    Ok(Encoded { columns: Arc::clone(columns), rows, content_hash, bytes: bytes.into() })
}

fn not_encoded(error: ArrowError) -> JobError {
    planning(error.into(), "the result cannot be written")
}

fn parquet(
    columns: &SchemaRef,
    batches: &[RecordBatch],
    hash: ContentHash,
) -> parquet::errors::Result<Vec<u8>> {
    let notes = vec![KeyValue::new(HASH_KEY.to_owned(), hash.to_string())];
    let mut writer = parquet_writer(Vec::new(), Arc::clone(columns), notes)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

fn csv_text(columns: &SchemaRef, batches: &[RecordBatch]) -> std::result::Result<Vec<u8>, ArrowError> {
    let mut writer = csv_writer(Vec::new(), Arc::clone(columns))?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(writer.into_inner())
}

fn ndjson(batches: &[RecordBatch]) -> std::result::Result<Vec<u8>, ArrowError> {
    let mut writer = json_writer(Vec::new());
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Returns a writer of Parquet, packed with ZSTD, whose file also says `notes`.
///
/// # Errors
/// Where Parquet has no such columns, or `out` fails.
pub fn parquet_writer<W: Write + Send>(
    out: W,
    columns: SchemaRef,
    notes: Vec<KeyValue>,
) -> parquet::errors::Result<ArrowWriter<W>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_key_value_metadata((!notes.is_empty()).then_some(notes))
        .build();
    ArrowWriter::try_new(out, columns, Some(properties))
}

/// Returns a writer of CSV; a result without rows has its line of names all the same.
///
/// # Errors
/// Where CSV has no such columns, or `out` fails.
pub fn csv_writer<W: Write>(out: W, columns: SchemaRef) -> std::result::Result<csv::Writer<W>, ArrowError> {
    let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
    writer.write(&RecordBatch::new_empty(columns))?;
    Ok(writer)
}

/// Returns a writer of one JSON object a line; a null is written as such.
pub fn json_writer<W: Write>(out: W) -> Writer<W, LineDelimited> {
    WriterBuilder::new().with_explicit_nulls(true).build(out)
}

/// Tells whether two text files hold the same records, in whatever order.
pub(super) fn is_same_text(format: FileFormat, one: &[u8], other: &[u8]) -> bool {
    // Each record's text is the same in both, so their lengths add up to the same.
    one.len() == other.len()
        && matches!((records_hash(format, one), records_hash(format, other)), (Some(one), Some(other)) if one == other)
}

/// Hashes the line of names and, whatever their order, the records of a text file; nothing where it is
/// none.
fn records_hash(format: FileFormat, text: &[u8]) -> Option<(Vec<Vec<u8>>, ContentHash)> {
    let mut hash = ContentHash::default();
    let mut records: Vec<Vec<u8>> = Vec::new();
    let mut add = |record: Vec<u8>, is_last: bool| -> Option<()> {
        if !is_last {
            records.push(record);
        }
        if is_last || records.len() == RECORDS_AT_ONCE {
            let column: ArrayRef = Arc::new(BinaryArray::from_iter_values(records.drain(..)));
            hash.merge(ContentHash::of(&RecordBatch::try_from_iter([("record", column)]).ok()?).ok()?);
        }
        Some(())
    };
    let mut names = Vec::new();
    if format == FileFormat::Csv {
        let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(text);
        names.extend(reader.byte_headers().ok()?.iter().map(<[u8]>::to_vec));
        for record in reader.byte_records() {
            let mut flat = Vec::new();
            for field in record.ok()?.iter() {
                flat.extend((field.len() as u64).to_le_bytes());
                flat.extend(field);
            }
            add(flat, false)?;
        }
    } else {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            add(line.to_vec(), false)?;
        }
    }
    add(Vec::new(), true)?;
    Some((names, hash))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Int64Array, StringArray, UInt64Array};

    use super::*;

    fn result(names: &[Option<&str>]) -> RecordBatch {
        let rows = names.len();
        let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        let amounts = Decimal128Array::from_iter_values((0..rows).map(|row| row as i128 - 1));
        let amounts: ArrayRef = Arc::new(amounts.with_precision_and_scale(12, 2).unwrap());
        let counts: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows as u64));
        RecordBatch::try_from_iter([("name", names), ("amount", amounts), ("n", counts)]).unwrap()
    }

    fn encoded(format: FileFormat, batches: Vec<RecordBatch>) -> Encoded {
        let columns = written_columns(&result(&[]).schema()).unwrap();
        encode(format, &columns, batches).unwrap()
    }

    #[test]
    fn text_is_what_other_programs_expect() {
        let batch = result(&[Some("a,\"b\"\nc"), None]);
        let csv = encoded(FileFormat::Csv, vec![batch.clone()]);
        assert_eq!(csv.bytes, "name,amount,n\n\"a,\"\"b\"\"\nc\",-0.01,0\n,0.00,1\n");
        assert_eq!(csv.rows, 2);
        let json = encoded(FileFormat::Ndjson, vec![batch]);
        let lines = "{\"name\":\"a,\\\"b\\\"\\nc\",\"amount\":-0.01,\"n\":0}\n{\"name\":null,\"amount\":0.00,\"n\":1}\n";
        assert_eq!(json.bytes, lines);
        assert_eq!(encoded(FileFormat::Csv, Vec::new()).bytes, "name,amount,n\n");
        assert_eq!(encoded(FileFormat::Ndjson, Vec::new()).bytes, "");
    }

    #[test]
    fn the_hash_looks_at_rows_and_not_at_their_order_or_format() {
        let rows = result(&[Some("x"), None, Some("y\nz")]);
        let turned = vec![rows.slice(2, 1), rows.slice(0, 2)];
        let hashes: Vec<String> = [
            encoded(FileFormat::Csv, vec![rows.clone()]),
            encoded(FileFormat::Parquet, turned.clone()),
            encoded(FileFormat::Ndjson, turned.clone()),
        ]
        .iter()
        .map(|encoded| encoded.content_hash.to_string())
        .collect();
        assert_eq!(hashes[0], hashes[1]);
        assert_eq!(hashes[0], hashes[2]);
        for format in [FileFormat::Csv, FileFormat::Ndjson] {
            let one = encoded(format, vec![rows.clone()]).bytes;
            let other = encoded(format, turned.clone()).bytes;
            assert_ne!(one, other);
            assert!(is_same_text(format, &one, &other), "{format:?}");
            // The same bytes in all, but of other records.
            let swapped = encoded(format, vec![result(&[Some("z"), None, Some("y\nx")])]).bytes;
            assert_eq!(swapped.len(), one.len());
            assert!(!is_same_text(format, &one, &swapped), "{format:?}");
        }
        let (one, other) = (b"a,b\n1,2\n", b"b,a\n1,2\n");
        assert!(!is_same_text(FileFormat::Csv, one, other), "other names");
    }

    #[test]
    fn columns_that_cannot_be_written_are_refused_by_name() {
        let twice: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let schema = Schema::new(vec![
            Field::new("id", twice.data_type().clone(), true),
            Field::new("id", twice.data_type().clone(), true),
        ]);
        assert_eq!(
            written_columns(&schema).unwrap_err().to_string(),
            "two columns of the result are called `id`: rename one with AS"
        );
        let duration =
            datafusion::arrow::datatypes::DataType::Duration(datafusion::arrow::datatypes::TimeUnit::Second);
        let error = written_columns(&Schema::new(vec![Field::new("age", duration, true)])).unwrap_err();
        assert!(error.to_string().starts_with("the column `age` of type Duration"), "{error}");
    }
}
