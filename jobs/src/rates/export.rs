//! `rates export`: what may be used of a ledger, as one flat file.

use std::sync::Arc;

use cambist_engine::location::Location;
use cambist_engine::store::{StoreError, Stores};
use cambist_udfs::rate::Snapshot;
use datafusion::arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::error::ArrowError;
use jiff::Timestamp;
use object_store::{ObjectStoreExt, PutMode};
use serde::Serialize;

use super::Days;
use super::known::{counting, micros, read};
use super::of_store;
use crate::error::{JobError, Result};
use crate::query::{FileFormat, encode, written_columns};

/// Every rate has at most 20 digits before the point and 18 after it.
const RATE_DIGITS: u8 = 38;
const RATE_DECIMALS: u8 = 18;
/// The snapshots of a batch: some hundred rates each.
const SNAPSHOTS_AT_ONCE: usize = 256;

/// What is exported, and to where.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// The file, or a folder that ends in `/`, in which it is called `rates`.
    pub to: String,
    /// Its format; by its name where it is not given.
    pub format: Option<FileFormat>,
    /// Replace a file that is there.
    pub replace: bool,
    /// Only what this provider published.
    pub provider: Option<String>,
    /// Only these days.
    pub days: Days,
    /// As it was known then.
    pub known_as_of: Timestamp,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// The file.
    pub to: String,
    /// Snapshots in it.
    pub snapshots: u64,
    /// Rates in it.
    pub rows: u64,
    /// The file's size.
    pub bytes: u64,
    /// The order-free hash of the rows.
    pub content_hash: String,
}

/// Writes what counts of the ledger at `url`, without what is held: one row for each rate.
///
/// # Errors
/// Where nothing lies there, it cannot be read, or the file is there already with other bytes.
pub async fn export(stores: &Stores, url: &str, request: &ExportRequest) -> Result<ExportReport> {
    let (to, format) = target(request)?;
    let ledger = read(stores, url).await?;
    let mut snapshots = counting(&ledger.versions(), micros(request.known_as_of))?;
    snapshots.retain(|snapshot| {
        request.days.has(snapshot.rate_date)
            && request.provider.as_ref().is_none_or(|provider| *provider == snapshot.provider)
    });
    let failed = |error: ArrowError| JobError::data("the rates make no table").caused_by(error);
    let schema = batch(&[], format).map_err(failed)?.schema();
    let batches: std::result::Result<Vec<RecordBatch>, ArrowError> =
        snapshots.chunks(SNAPSHOTS_AT_ONCE).map(|chunk| batch(chunk, format)).collect();
    let encoded = encode(format, &written_columns(&schema)?, batches.map_err(failed)?)?;
    let report = ExportReport {
        to: to.clone(),
        snapshots: snapshots.len() as u64,
        rows: encoded.rows,
        bytes: encoded.bytes.len() as u64,
        content_hash: encoded.content_hash.to_string(),
    };
    write(stores, &to, request.replace, encoded.bytes).await?;
    Ok(report)
}

/// Text formats have each rate as it was published; Parquet has it as a decimal.
fn batch(snapshots: &[Snapshot], format: FileFormat) -> std::result::Result<RecordBatch, ArrowError> {
    let rows: Vec<(&Snapshot, usize)> = snapshots
        .iter()
        .flat_map(|snapshot| (0..snapshot.rates.len()).map(move |position| (snapshot, position)))
        .collect();
    let snapshots = || rows.iter().map(|(snapshot, _)| *snapshot);
    let rates = || rows.iter().map(|(snapshot, position)| snapshot.rates[*position]);
    let text = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
    let rate: ArrayRef = match format {
        FileFormat::Parquet => {
            let values: Decimal128Array = rates().map(|(_, rate)| rate.rescale(RATE_DECIMALS)).collect();
            let scale = i8::try_from(RATE_DECIMALS).unwrap_or(i8::MAX);
            Arc::new(values.with_precision_and_scale(RATE_DIGITS, scale)?)
        }
        FileFormat::Csv | FileFormat::Ndjson => text(rates().map(|(_, rate)| rate.to_string()).collect()),
    };
    let instants = |values: Vec<Option<i64>>| {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef
    };
    RecordBatch::try_from_iter([
        (
            "rate_date",
            Arc::new(Date32Array::from_iter_values(snapshots().map(|snapshot| snapshot.rate_date.0)))
                as ArrayRef,
        ),
        ("valid_at", instants(snapshots().map(|snapshot| snapshot.valid_at.map(|at| at.0)).collect())),
        ("provider", text(snapshots().map(|snapshot| snapshot.provider.clone()).collect())),
        ("base", text(snapshots().map(|snapshot| snapshot.base.to_string()).collect())),
        ("currency", text(rates().map(|(code, _)| code.to_string()).collect())),
        ("rate", rate),
        ("snapshot", text(snapshots().map(|snapshot| snapshot.id.short()).collect())),
        ("known_at", instants(snapshots().map(|snapshot| Some(snapshot.known_at.0)).collect())),
    ])
}

/// Returns the file and its format.
fn target(request: &ExportRequest) -> Result<(String, FileFormat)> {
    let to = &request.to;
    let expected = "expected a name that ends in .parquet, .csv or .ndjson, or --format";
    if to.ends_with('/') {
        let format = request.format.unwrap_or(FileFormat::Parquet);
        let ending = match format {
            FileFormat::Parquet => "parquet",
            FileFormat::Csv => "csv",
            FileFormat::Ndjson => "ndjson",
        };
        return Ok((format!("{to}rates.{ending}"), format));
    }
    let format = request.format.map_or_else(|| FileFormat::of_name(to), Ok);
    let format = format.map_err(|_| JobError::usage(format!("--to is `{to}`, {expected}")))?;
    Ok((to.clone(), format))
}

async fn write(stores: &Stores, to: &str, replace: bool, bytes: bytes::Bytes) -> Result<()> {
    let location = Location::parse(to).map_err(|error| JobError::usage(error.to_string()))?;
    let store = stores.for_location(&location).map_err(|error| of_store(&error))?.store;
    let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
    let put = store.put_opts(location.path(), bytes.clone().into(), mode.into()).await;
    let failed = |source| of_store(&StoreError::request("write", &location)(source));
    match put {
        Ok(_) => Ok(()),
        Err(object_store::Error::AlreadyExists { .. }) => {
            let read = async { store.get(location.path()).await?.bytes().await };
            if read.await.map_err(failed)? == bytes {
                return Ok(());
            }
            Err(JobError::usage(format!("`{location}` is there already and holds something else"))
                .with_hint("choose another name, or give --replace"))
        }
        Err(source) => Err(failed(source)),
    }
}
