//! Prepared statements: parameters, and the state of tables at each execution.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::DataType;
use futures::TryStreamExt;

use super::bench::{Bench, texts};
use crate::access::Role;
use crate::error::{Result, SqlErrorKind};
use crate::prepared::Prepared;

async fn prepare(bench: &Bench, sql: &str) -> Prepared {
    bench.service.prepare(&bench.session(Role::Reader), sql).await.unwrap()
}

async fn execute(bench: &Bench, prepared: &Prepared, row: Option<&RecordBatch>) -> Result<Vec<String>> {
    let executed = bench.service.execute(prepared, row).await?;
    let batches: Vec<RecordBatch> = executed.rows.try_collect().await?;
    Ok(batches.iter().flat_map(texts).collect())
}

fn row<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn number(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

#[tokio::test]
async fn values_are_bound_by_position_or_name() {
    let bench = Bench::new().await;
    for sql in [
        "SELECT id FROM sales WHERE currency = ? AND id > ?",
        "SELECT id FROM sales WHERE currency = $1 AND id > $2",
        "SELECT id FROM sales WHERE currency = $code AND id > $least",
    ] {
        let prepared = prepare(&bench, sql).await;
        let types: Vec<DataType> =
            prepared.parameter_schema().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Int64], "{sql}");
        for _ in 0..2 {
            let values = row([("a", text("USD")), ("b", number(1))]);
            assert_eq!(execute(&bench, &prepared, Some(&values)).await.unwrap(), ["3"], "{sql}");
        }
    }
    let named = prepare(&bench, "SELECT id FROM sales WHERE currency = $code AND id > $least").await;
    let values = row([("least", number(0)), ("$code", text("EUR"))]);
    assert_eq!(execute(&bench, &named, Some(&values)).await.unwrap(), ["2"]);
    assert_eq!(named.parameter_schema().field(0).name(), "code");
}

#[tokio::test]
async fn text_is_read_as_the_type_that_the_statement_asks_for() {
    let bench = Bench::new().await;
    let prepared = prepare(&bench, "SELECT count(*) FROM sales WHERE day = $1 AND amount >= $2").await;
    let day: ArrayRef = Arc::new(Date32Array::from(vec![19_844]));
    let values = row([("1", day), ("2", text("10"))]);
    assert_eq!(execute(&bench, &prepared, Some(&values)).await.unwrap(), ["2"]);
    let values = row([("1", text("2024-05-02")), ("2", text("0.5"))]);
    assert_eq!(execute(&bench, &prepared, Some(&values)).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn values_that_do_not_fit_are_refused() {
    let bench = Bench::new().await;
    let prepared = prepare(&bench, "SELECT id FROM sales WHERE day = $1").await;
    let two_rows: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
    let flag: ArrayRef = Arc::new(datafusion::arrow::array::BooleanArray::from(vec![true]));
    for (values, said) in [
        (None, "no values are given, the statement has 1 parameters"),
        (
            Some(row([("1", number(1)), ("2", number(1))])),
            "2 values are given, the statement has 1 parameters: 1",
        ),
        (Some(row([("1", two_rows)])), "2 rows of parameters are given, expected one"),
        (Some(row([("1", flag)])), "parameter `1` is given a value of type Boolean, expected Date32"),
        (Some(row([("1", text("someday"))])), "parameter `1` is given a value of type Utf8, expected Date32"),
    ] {
        let error = execute(&bench, &prepared, values.as_ref()).await.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (SqlErrorKind::Invalid, said));
    }
    let without = prepare(&bench, "SELECT 1").await;
    let error = execute(&bench, &without, Some(&row([("1", number(1))]))).await.unwrap_err();
    assert_eq!(error.message, "1 values are given, the statement has 0 parameters");
}

#[tokio::test]
async fn a_bound_statement_knows_the_types_that_its_values_give() {
    let bench = Bench::new().await;
    let prepared = prepare(&bench, "SELECT $1 AS a").await;
    assert_eq!(prepared.parameter_schema().field(0).data_type(), &DataType::Null);
    let bound = bench.service.bind(&prepared, &row([("1", number(7))])).await.unwrap();
    assert_eq!(bound.result_schema().field(0).data_type(), &DataType::Int64);
    let executed = bench.service.execute(&bound, None).await.unwrap();
    assert_eq!(&executed.schema, bound.result_schema());
    for _ in 0..2 {
        assert_eq!(execute(&bench, &bound, None).await.unwrap(), ["7"]);
    }
}

#[tokio::test]
async fn a_statement_that_is_executed_again_sees_the_present_state() {
    let bench = Bench::new().await;
    let prepared = prepare(&bench, "SELECT count(*) FROM sales").await;
    assert_eq!(execute(&bench, &prepared, None).await.unwrap(), ["3"]);
    let place = bench.path("raw/sales.csv");
    let more = std::fs::read_to_string(&place).unwrap() + "9,1,USD,2024-05-02\n";
    std::fs::write(&place, more).unwrap();
    assert_eq!(execute(&bench, &prepared, None).await.unwrap(), ["4"]);

    let all = prepare(&bench, "SELECT * FROM sales").await;
    assert_eq!(execute(&bench, &all, None).await.unwrap().len(), 4);
    std::fs::write(&place, "id,amount,currency,day,more\n1,1.00,USD,2024-05-01,x\n").unwrap();
    let error = execute(&bench, &all, None).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Conflict);
}

/// Also where its plan is new.
#[tokio::test]
async fn a_change_that_was_made_since_is_seen_at_once() {
    let bench = Bench::new().await;
    let admin = bench.session(Role::Admin);
    std::fs::write(bench.path("raw/other.csv"), "id\n1\n").unwrap();
    let create = |file: &str| {
        format!("CREATE EXTERNAL TABLE t (id BIGINT) STORED AS CSV LOCATION '{}'", bench.path(file))
    };
    std::fs::write(bench.path("raw/one.csv"), "id\n1\n2\n").unwrap();
    bench.rows(&admin, &create("raw/one.csv")).await.unwrap();
    let counted = bench.service.prepare(&admin, "SELECT count(*) FROM t").await.unwrap();
    bench.rows(&admin, "DROP TABLE t").await.unwrap();
    bench.rows(&admin, &create("raw/other.csv")).await.unwrap();
    assert_eq!(execute(&bench, &counted, None).await.unwrap(), ["1"]);

    let converted = "SELECT fx_convert(amount, currency, day, 'INR') FROM sales WHERE id = 1";
    let converted = bench.service.prepare(&admin, converted).await.unwrap();
    bench.rows(&admin, "SET cambist.rates_known_as_of = '2000-01-01T00:00:00Z'").await.unwrap();
    assert!(execute(&bench, &converted, None).await.is_err(), "nothing was known then");
}

/// A plan holds the files of its tables and its rates.
#[tokio::test]
async fn a_plan_goes_as_soon_as_it_is_too_old() {
    let bench = Bench::new().await;
    let prepared = prepare(&bench, "SELECT count(*) FROM sales").await;
    while prepared.planned.is_there() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(execute(&bench, &prepared, None).await.unwrap(), ["3"]);
}
