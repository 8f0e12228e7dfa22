//! Rates as a table: its rows, and which of them a query has to look at.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};
use datafusion::common::Result;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::prelude::SessionContext;

use super::{RatesTable, RatesTravel};
use crate::failure::{FailureKind, TaskFailure};
use crate::rates::RateBooks;
use crate::session::{query_session_config, session};
use crate::store::Stores;

/// Snapshots of `days` days from 2024-05-01 on, each with so many currencies `C0000`, `C0001`, ….
fn book(days: u16, currencies: usize) -> Arc<RateBook> {
    let code = |text: &str| CurrencyCode::parse(text).unwrap();
    let snapshot = |day: u16| Snapshot {
        id: SnapshotId([day as u8; 32]),
        provider: "ecb".to_owned(),
        base: code("EUR"),
        rate_date: RateDate(19_844 + i32::from(day)),
        valid_at: (day % 2 == 1).then_some(InstantMicros(1_714_564_800_000_000)),
        known_at: InstantMicros(1_714_564_800_000_000),
        location: "rates".to_owned(),
        rates: (0..currencies)
            .map(|currency| (code(&format!("C{currency:04}")), format!("{day}.5{currency}").parse().unwrap()))
            .collect(),
        expires: None,
        held: Vec::new(),
    };
    let known_as_of = InstantMicros(i64::MAX);
    let options = BookOptions { mode: AsOfMode::Date, max_age_days: None, known_as_of };
    Arc::new(RateBook::build((0..days).map(snapshot).collect(), &options).unwrap())
}

fn session_with(book: &Arc<RateBook>, travel: RatesTravel) -> SessionContext {
    let session = session(query_session_config(2, Arc::new(RateBooks::default())), &Stores::new()).unwrap();
    session.register_table("rates", Arc::new(RatesTable::new(Arc::clone(book), travel))).unwrap();
    session
}

async fn ask(session: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>> {
    session.sql(sql).await?.collect().await
}

async fn number(session: &SessionContext, sql: &str) -> i64 {
    ask(session, sql).await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn a_rate_is_a_row_with_its_origin() {
    let book = book(2, 2);
    for travel in [RatesTravel::Here, RatesTravel::InPlan] {
        let found =
            ask(&session_with(&book, travel), "SELECT * FROM rates ORDER BY rate_date, currency").await;
        let shown = pretty_format_batches(&found.unwrap()).unwrap().to_string();
        let expected = "\
+----------+------+------------+----------------------+----------------------+--------------+----------+----------------------+
| provider | base | rate_date  | valid_at             | known_at             | snapshot     | currency | rate                 |
+----------+------+------------+----------------------+----------------------+--------------+----------+----------------------+
| ecb      | EUR  | 2024-05-01 |                      | 2024-05-01T12:00:00Z | 000000000000 | C0000    | 0.500000000000000000 |
| ecb      | EUR  | 2024-05-01 |                      | 2024-05-01T12:00:00Z | 000000000000 | C0001    | 0.510000000000000000 |
| ecb      | EUR  | 2024-05-02 | 2024-05-01T12:00:00Z | 2024-05-01T12:00:00Z | 010101010101 | C0000    | 1.500000000000000000 |
| ecb      | EUR  | 2024-05-02 | 2024-05-01T12:00:00Z | 2024-05-01T12:00:00Z | 010101010101 | C0001    | 1.510000000000000000 |
+----------+------+------------+----------------------+----------------------+--------------+----------+----------------------+";
        assert_eq!(shown, expected, "{travel:?}");
    }
}

#[tokio::test]
async fn conditions_choose_snapshots_and_currencies_before_rows_are_made() {
    let book = book(200, 100);
    for travel in [RatesTravel::Here, RatesTravel::InPlan] {
        let session = session_with(&book, travel);
        for (condition, expected) in [
            ("true", 20_000),
            ("rate_date = DATE '2024-05-03'", 100),
            ("currency = 'C0007'", 200),
            ("rate_date <= DATE '2024-05-03' AND currency IN ('C0001', 'C0002', 'USD')", 6),
            ("valid_at IS NULL AND currency = 'C0001'", 100),
            ("rate > 199", 100),
            ("rate > 199 AND currency < 'C0010'", 10),
            ("currency = 'USD'", 0),
        ] {
            let sql = format!("SELECT count(*) AS n FROM rates WHERE {condition}");
            assert_eq!(number(&session, &sql).await, expected, "{condition}");
            let plan = session.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let text = DisplayableExecutionPlan::new(plan.as_ref()).indent(false).to_string();
            assert_eq!(text.contains("FilterExec"), condition.contains("rate >"), "{condition}: {text}");
        }
        assert_eq!(
            number(&session, "SELECT count(*) AS n FROM (SELECT * FROM rates LIMIT 9000)").await,
            9000
        );
    }
}

#[tokio::test]
async fn rows_come_in_batches_and_too_many_do_not_travel() {
    let book = book(300, 2000);
    let here = ask(&session_with(&book, RatesTravel::Here), "SELECT currency FROM rates").await.unwrap();
    assert_eq!(here.iter().map(RecordBatch::num_rows).sum::<usize>(), 600_000);
    assert!(here.iter().all(|batch| batch.num_rows() <= crate::session::BATCH_ROWS));

    let session = session_with(&book, RatesTravel::InPlan);
    let refused = TaskFailure::of(&ask(&session, "SELECT currency FROM rates").await.unwrap_err());
    assert_eq!(refused.kind, FailureKind::Usage);
    assert!(refused.message.starts_with("the query reads more than 500000 rates"), "{refused}");
    let narrower = "SELECT count(*) AS n FROM rates WHERE rate_date < DATE '2024-06-01'";
    assert_eq!(number(&session, narrower).await, 62_000);
}
