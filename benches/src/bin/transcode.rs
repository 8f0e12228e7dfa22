//! The yardstick of the whole-job benchmark: the same engine reads the same files and writes them as
//! Parquet with the same compression, without a conversion, a partition, a check or a commit.
//!
//! `transcode DIR csv|parquet OUT`

use anyhow::{Result, bail};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::config::TableParquetOptions;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{CsvReadOptions, ParquetReadOptions, SessionConfig, SessionContext};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, format, output] = arguments.as_slice() else {
        bail!("usage: transcode DIR csv|parquet OUT");
    };
    let context = SessionContext::new_with_config(SessionConfig::new());
    let schema = Schema::new(vec![
        Field::new("transaction_id", DataType::Int64, true),
        Field::new("customer", DataType::Utf8, true),
        Field::new("amount", DataType::Decimal128(18, 2), true),
        Field::new("currency", DataType::Utf8, true),
        Field::new("event_time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]);
    let rows = match format.as_str() {
        "csv" => context.read_csv(folder.as_str(), CsvReadOptions::new().schema(&schema)).await?,
        "parquet" => context.read_parquet(folder.as_str(), ParquetReadOptions::default()).await?,
        other => bail!("format is `{other}`, expected csv or parquet"),
    };
    let mut options = TableParquetOptions::default();
    options.global.compression = Some("zstd(1)".to_owned());
    rows.write_parquet(output, DataFrameWriteOptions::new(), Some(options)).await?;
    Ok(())
}
