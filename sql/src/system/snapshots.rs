//! `system.snapshots`: the snapshots of every declared table of rates.

use std::sync::Arc;

use cambist_udfs::rate::{AsOfMode, Snapshot};
use datafusion::arrow::array::{Date32Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as PlanResult;

use super::rows::{batch, counts, instant, micros, schema, texts};
use crate::rates::{RateShelf, Rule};

pub(super) fn columns() -> SchemaRef {
    schema([
        ("table", DataType::Utf8),
        ("provider", DataType::Utf8),
        ("base", DataType::Utf8),
        ("rate_date", DataType::Date32),
        ("valid_at", instant()),
        ("known_at", instant()),
        ("snapshot", DataType::Utf8),
        ("currencies", DataType::Int64),
    ])
}

/// Tells of all that are known, by whatever rule they are chosen.
const EVERY: Rule = Rule { mode: AsOfMode::Date, max_age_days: None, known_as_of: None };

pub(super) async fn rows(shelf: &RateShelf) -> PlanResult<RecordBatch> {
    let mut books = Vec::new();
    for table in shelf.tables() {
        match shelf.book(&table, EVERY).await {
            Ok(book) => books.push((table, book)),
            Err(error) => {
                tracing::warn!(%table, %error, "rates cannot be read, their snapshots are not told")
            }
        }
    }
    let mut all: Vec<(&String, &Snapshot)> = Vec::new();
    for (table, book) in &books {
        all.extend(book.book.snapshots().iter().map(|snapshot| (table, snapshot)));
    }
    batch(
        &columns(),
        vec![
            texts(all.iter().map(|(table, _)| Some(table))),
            texts(all.iter().map(|(_, one)| Some(&one.provider))),
            texts(all.iter().map(|(_, one)| Some(one.base.to_string()))),
            Arc::new(Date32Array::from_iter_values(all.iter().map(|(_, one)| one.rate_date.0))),
            micros(all.iter().map(|(_, one)| one.valid_at.map(|at| at.0))),
            micros(all.iter().map(|(_, one)| Some(one.known_at.0))),
            texts(all.iter().map(|(_, one)| Some(one.id.to_string()))),
            counts(all.iter().map(|(_, one)| one.rates.len() as u64 + 1)),
        ],
    )
}
