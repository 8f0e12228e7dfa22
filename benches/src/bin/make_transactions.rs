//! Writes the transactions that the whole-job benchmark reads: 10 files, each spread over one year, 366
//! event dates, 24 currencies. The same bytes every time.
//!
//! `make_transactions DIR ROWS csv|parquet`

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{
    Decimal128Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use cambist_udfs::decimal::Decimal;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const FILES: u64 = 10;
const BATCH_ROWS: usize = 65_536;

/// 2024-01-01T00:00:00Z, the first second of a leap year.
const FIRST_SECOND: i64 = 1_704_067_200;
const SECONDS_PER_YEAR: u64 = 366 * 86_400;

const CURRENCIES: [&str; 24] = [
    "EUR", "USD", "GBP", "JPY", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "TRY", "AUD", "CAD",
    "CNY", "HKD", "IDR", "INR", "KRW", "MXN", "SGD", "THB", "ZAR",
];

/// SplitMix64: enough disorder for a benchmark, and the same everywhere.
struct Disorder(u64);

impl Disorder {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

struct Transaction {
    id: u64,
    customer: u64,
    minor: i64,
    currency: &'static str,
    second: i64,
}

impl Transaction {
    fn make(id: u64, disorder: &mut Disorder) -> Self {
        let refund = if disorder.next().is_multiple_of(37) { -1 } else { 1 };
        let pick = disorder.next() as usize % (CURRENCIES.len() * 2);
        Self {
            id,
            customer: disorder.next() % 1_000_000,
            minor: refund * (disorder.next() % 10_000_000) as i64,
            // Half of all rows are in the first four.
            currency: CURRENCIES[if pick < CURRENCIES.len() { pick % 4 } else { pick - CURRENCIES.len() }],
            second: FIRST_SECOND + (disorder.next() % SECONDS_PER_YEAR) as i64,
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rows, format] = arguments.as_slice() else {
        bail!("usage: make_transactions DIR ROWS csv|parquet");
    };
    let rows: u64 = rows.parse().context("ROWS is not a number")?;
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder)?;
    for file in 0..FILES {
        let ids = file * rows / FILES..(file + 1) * rows / FILES;
        let mut disorder = Disorder(file);
        let transactions = ids.map(move |id| Transaction::make(id, &mut disorder));
        let path = folder.join(format!("transactions-{file:02}.{format}"));
        match format.as_str() {
            "csv" => write_csv(&path, transactions)?,
            "parquet" => write_parquet(&path, transactions)?,
            other => bail!("format is `{other}`, expected csv or parquet"),
        }
    }
    Ok(())
}

fn write_csv(path: &Path, transactions: impl Iterator<Item = Transaction>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "transaction_id,customer,amount,currency,event_time")?;
    for row in transactions {
        let amount = Decimal::new(row.minor.into(), 2).context("an amount beyond 38 digits")?;
        let time = jiff::Timestamp::from_second(row.second)?;
        writeln!(file, "{},customer-{:06},{amount},{},{time}", row.id, row.customer, row.currency)?;
    }
    Ok(file.flush()?)
}

fn write_parquet(path: &Path, transactions: impl Iterator<Item = Transaction>) -> Result<()> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("transaction_id", DataType::Int64, false),
        Field::new("customer", DataType::Utf8, false),
        Field::new("amount", DataType::Decimal128(18, 2), false),
        Field::new("currency", DataType::Utf8, false),
        Field::new("event_time", time.clone(), false),
    ]));
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, Arc::clone(&schema), Some(properties))?;
    let mut transactions = transactions.peekable();
    while transactions.peek().is_some() {
        let (mut ids, mut customers, mut currencies) =
            (Int64Builder::new(), StringBuilder::new(), StringBuilder::new());
        let mut amounts = Decimal128Builder::new().with_data_type(DataType::Decimal128(18, 2));
        let mut times = TimestampMicrosecondBuilder::new().with_data_type(time.clone());
        for row in transactions.by_ref().take(BATCH_ROWS) {
            ids.append_value(row.id.cast_signed());
            customers.append_value(format!("customer-{:06}", row.customer));
            amounts.append_value(row.minor.into());
            currencies.append_value(row.currency);
            times.append_value(row.second * 1_000_000);
        }
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(ids.finish()),
                Arc::new(customers.finish()),
                Arc::new(amounts.finish()),
                Arc::new(currencies.finish()),
                Arc::new(times.finish()),
            ],
        )?;
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(())
}
