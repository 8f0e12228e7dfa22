//! A result as text or as a file, batch by batch.

use std::io::Write;

use cambist_jobs::query::{csv_writer, json_writer, parquet_writer};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::Writer as JsonWriter;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;

use crate::error::{Result, SqlError, SqlErrorKind};

/// Some rows of a result.
pub type Batch = RecordBatch;

/// The columns of a result.
pub type Columns = SchemaRef;

/// What a result is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// A table for the eye, of a bounded number of rows.
    Table {
        /// Rows that are shown; the others are counted.
        rows_max: usize,
    },
    /// CSV with a line of names; a null is an empty field, a decimal has all its digits.
    Csv,
    /// One JSON object a line; a null is written as such, a decimal as a number with all its digits.
    Json,
    /// Parquet, packed with ZSTD.
    Parquet,
}

/// Writes one result.
#[derive(Debug)]
pub struct OutputWriter<W: Write + Send> {
    rows: u64,
    sink: Sink<W>,
}

#[derive(Debug)]
enum Sink<W: Write + Send> {
    Table { out: W, schema: SchemaRef, shown: Vec<RecordBatch>, left: usize },
    Csv(Box<csv::Writer<W>>),
    Json(Box<JsonWriter<W, LineDelimited>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> OutputWriter<W> {
    /// Begins to write a result with the columns `schema` to `out`.
    ///
    /// # Errors
    /// Where the format has no such columns, or `out` fails.
    pub fn new(format: OutputFormat, schema: SchemaRef, out: W) -> Result<Self> {
        let sink = match format {
            OutputFormat::Table { rows_max } => {
                Sink::Table { out, schema, shown: Vec::new(), left: rows_max }
            }
            OutputFormat::Csv => Sink::Csv(Box::new(csv_writer(out, schema).map_err(failed)?)),
            OutputFormat::Json => Sink::Json(Box::new(json_writer(out))),
            OutputFormat::Parquet => {
                Sink::Parquet(Box::new(parquet_writer(out, schema, Vec::new()).map_err(of_parquet)?))
            }
        };
        Ok(Self { rows: 0, sink })
    }

    /// Writes rows.
    ///
    /// # Errors
    /// Where they cannot be written in the format, or the sink fails.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        match &mut self.sink {
            Sink::Table { shown, left, .. } => {
                let rows = batch.num_rows().min(*left);
                if rows > 0 {
                    shown.push(batch.slice(0, rows));
                    *left -= rows;
                }
                Ok(())
            }
            Sink::Csv(writer) => writer.write(batch).map_err(failed),
            Sink::Json(writer) => writer.write(batch).map_err(failed),
            Sink::Parquet(writer) => writer.write(batch).map_err(of_parquet),
        }
    }

    /// Writes what is left, and returns how many rows there were and the sink.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn finish(self) -> Result<(u64, W)> {
        let out = match self.sink {
            Sink::Table { mut out, schema, shown, .. } => {
                let count: usize = shown.iter().map(RecordBatch::num_rows).sum();
                let shown = if shown.is_empty() { vec![RecordBatch::new_empty(schema)] } else { shown };
                let text = pretty_format_batches(&shown).map_err(failed)?;
                let more = self.rows - count as u64;
                writeln!(out, "{text}").map_err(|error| failed(error.into()))?;
                if more > 0 {
                    writeln!(out, "… and {more} more rows").map_err(|error| failed(error.into()))?;
                }
                out
            }
            Sink::Csv(writer) => writer.into_inner(),
            Sink::Json(mut writer) => {
                writer.finish().map_err(failed)?;
                writer.into_inner()
            }
            Sink::Parquet(writer) => writer.into_inner().map_err(of_parquet)?,
        };
        Ok((self.rows, out))
    }
}

fn failed(error: ArrowError) -> SqlError {
    let kind = match &error {
        ArrowError::IoError(..) => SqlErrorKind::Unavailable,
        _ => SqlErrorKind::Invalid,
    };
    SqlError::new(kind, format!("the result cannot be written: {error}"))
}

fn of_parquet(error: ParquetError) -> SqlError {
    match error {
        ParquetError::ArrowError(text) => SqlError::invalid(format!("the result cannot be written: {text}")),
        other => SqlError::new(SqlErrorKind::Unavailable, format!("the result cannot be written: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Decimal128Array, StringArray};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;

    fn batch() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("amount", DataType::Decimal128(38, 18), true),
        ]);
        let names = StringArray::from(vec![Some("a,b"), None]);
        let amounts = Decimal128Array::from(vec![Some(1_234_567_890_123_456_789_012_345_678), None]);
        let amounts = amounts.with_precision_and_scale(38, 18).unwrap();
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(names), Arc::new(amounts)]).unwrap()
    }

    fn text(format: OutputFormat, batches: &[RecordBatch]) -> String {
        let mut writer = OutputWriter::new(format, batch().schema(), Vec::new()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        let (rows, out) = writer.finish().unwrap();
        assert_eq!(rows, batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_keep_all_their_digits_and_nulls_are_told() {
        assert_eq!(
            text(OutputFormat::Csv, &[batch()]),
            "name,amount\n\"a,b\",1234567890.123456789012345678\n,\n"
        );
        assert_eq!(
            text(OutputFormat::Json, &[batch()]),
            "{\"name\":\"a,b\",\"amount\":1234567890.123456789012345678}\n{\"name\":null,\"amount\":null}\n"
        );
    }

    #[test]
    fn a_result_without_rows_has_its_names() {
        assert_eq!(text(OutputFormat::Csv, &[]), "name,amount\n");
        assert_eq!(text(OutputFormat::Json, &[]), "");
        assert!(text(OutputFormat::Table { rows_max: 10 }, &[]).contains("| name | amount |"));
    }

    #[test]
    fn a_table_shows_so_many_rows_and_counts_the_others() {
        let shown = text(OutputFormat::Table { rows_max: 3 }, &[batch(), batch()]);
        assert_eq!(shown.matches("a,b").count(), 2);
        assert!(shown.ends_with("… and 1 more rows\n"), "{shown}");
    }

    #[test]
    fn a_parquet_file_is_read_back_as_it_was() {
        let mut writer = OutputWriter::new(OutputFormat::Parquet, batch().schema(), Vec::new()).unwrap();
        writer.write(&batch()).unwrap();
        let (_, out) = writer.finish().unwrap();
        let reader = ParquetRecordBatchReader::try_new(bytes_of(out), 1024).unwrap();
        let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(read, [batch()]);
    }

    fn bytes_of(out: Vec<u8>) -> std::fs::File {
        use std::io::{Seek, Write as _};
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&out).unwrap();
        file.rewind().unwrap();
        file
    }
}
