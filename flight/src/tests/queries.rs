//! What works: queries, prepared statements, metadata.

use std::sync::Arc;

use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, CommandStatementQuery,
    ProstMessageExt as _, SqlInfo,
};
use arrow_flight::{FlightDescriptor, FlightInfo};
use datafusion::arrow::array::{AsArray as _, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt as _;
use prost::Message as _;
use tonic::{Code, Request};

use super::lab::{Client, Lab, ask, fetch, rows, status, ticket_of};
use crate::client::ClientErrorKind;

const MANY: &str = "SELECT * FROM generate_series(1, 1000000) AS t(n)";

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_query_arrive_over_tls() {
    let lab = Lab::start().await;
    let mut connection = lab.connect("ana").await;
    let result =
        connection.query("SELECT 1 AS one, 'two' AS two, CAST(1.50 AS DECIMAL(9, 2)) AS sum").await.unwrap();
    let schema = Arc::clone(&result.schema);
    let batches: Vec<RecordBatch> = result.stream.try_collect().await.unwrap();
    assert_eq!(batches[0].schema(), schema);
    let shown = pretty_format_batches(&batches).unwrap().to_string();
    assert!(shown.contains("| 1   | two | 1.50 |"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_result_arrives_whole_and_in_batches() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let info = client.execute(MANY.to_owned(), None).await.unwrap();
    let promised = info.clone().try_decode_schema().unwrap();
    let batches = fetch(&mut client, ticket_of(&info)).await.unwrap();
    assert!(batches.len() > 1);
    assert_eq!(*batches[0].schema(), promised);
    let sum: i64 =
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).sum();
    assert_eq!(sum, 1_000_000 * 1_000_001 / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_rows_has_its_columns() {
    let lab = Lab::start().await;
    let mut connection = lab.connect("ana").await;
    let result = connection.query("SELECT 1 AS one WHERE 1 = 2").await.unwrap();
    assert_eq!(result.schema.field(0).name(), "one");
    assert_eq!(rows(&result.stream.try_collect::<Vec<_>>().await.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_executed_again_and_again() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let mut statement = client.prepare("SELECT 7 AS seven".to_owned(), None).await.unwrap();
    assert_eq!(statement.dataset_schema().unwrap().field(0).name(), "seven");
    for _ in 0..2 {
        let info = statement.execute().await.unwrap();
        assert_eq!(rows(&fetch(&mut client, ticket_of(&info)).await.unwrap()), 1);
    }
    statement.close().await.unwrap();
    assert_eq!(lab.endpoint.kept(), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_that_are_promised_are_those_that_the_values_give() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let mut statement = client.prepare("SELECT $1 AS a".to_owned(), None).await.unwrap();
    let one = RecordBatch::try_from_iter([("1", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
    statement.set_parameters(one).unwrap();
    let info = statement.execute().await.unwrap();
    assert_eq!(info.clone().try_decode_schema().unwrap().field(0).data_type(), &DataType::Int64);
    assert_eq!(rows(&rows_as_promised(&mut client, info).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_tables_is_a_statement_as_others_are() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let info = client.get_tables(CommandGetTables::default()).await.unwrap();
    fetch(&mut client, ticket_of(&info)).await.unwrap();
    let noted = lab.audited().into_iter().find(|entry| entry.action == "metadata").unwrap();
    assert_eq!((noted.user.as_str(), noted.outcome.as_str()), ("ana", "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rows_of_parameters_are_refused() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let mut statement = client.prepare("SELECT 1".to_owned(), None).await.unwrap();
    let two = RecordBatch::try_from_iter([("1", Arc::new(Int64Array::from(vec![1, 2])) as _)]).unwrap();
    statement.set_parameters(two).unwrap();
    let refused = status(statement.execute().await.unwrap_err());
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("more than one row of values"), "{}", refused.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_refused_as_an_update() {
    let lab = Lab::start().await;
    let mut connection = lab.connect("ana").await;
    let refused = connection.update("SELECT 1").await.unwrap_err();
    assert_eq!(refused.kind, ClientErrorKind::Invalid);
    assert_eq!(
        refused.message,
        "a select returns rows and changes nothing, expected a statement with effects"
    );
    assert_eq!(refused.hint.as_deref(), Some("send it as a query"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_cannot_be_read_is_the_senders_fault() {
    let lab = Lab::start().await;
    let mut connection = lab.connect("ana").await;
    for (sql, kind) in [
        ("SELEKT 1", ClientErrorKind::Invalid),
        ("", ClientErrorKind::Invalid),
        ("SELECT 1 +", ClientErrorKind::Invalid),
        ("SELECT nothing_of_that_name", ClientErrorKind::NotFound),
    ] {
        assert_eq!(connection.query(sql).await.unwrap_err().kind, kind, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_and_the_poll_tell_what_the_result_has() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let command = CommandStatementQuery { query: "SELECT 1 AS one".to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let bearer = format!("Bearer {}", client.token().unwrap());
    let request = |descriptor: &FlightDescriptor| {
        let mut request = Request::new(descriptor.clone());
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        request
    };
    let schema = client.inner_mut().get_schema(request(&descriptor)).await.unwrap().into_inner();
    let schema = Schema::try_from(&schema).unwrap();
    let poll = client.inner_mut().poll_flight_info(request(&descriptor)).await.unwrap().into_inner();
    assert!(poll.flight_descriptor.is_none(), "it is complete");
    let info = poll.info.unwrap();
    assert_eq!(info.clone().try_decode_schema().unwrap(), schema);
    assert_eq!(*fetch(&mut client, ticket_of(&info)).await.unwrap()[0].schema(), schema);
}

async fn rows_as_promised(client: &mut Client, info: FlightInfo) -> Vec<RecordBatch> {
    let promised = info.clone().try_decode_schema().unwrap();
    let batches = fetch(client, ticket_of(&info)).await.unwrap();
    for batch in &batches {
        assert_eq!(*batch.schema(), promised);
    }
    batches
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_of_catalogs_schemas_tables_and_keys() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;

    let info = client.get_catalogs().await.unwrap();
    let catalogs = rows_as_promised(&mut client, info).await;
    assert_eq!(catalogs[0].column(0).as_string::<i32>().value(0), "cambist");

    let filter = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: Some("sys%".to_owned()) };
    let info = client.get_db_schemas(filter).await.unwrap();
    let schemas = rows_as_promised(&mut client, info).await;
    assert_eq!(rows(&schemas), 1);
    assert_eq!(schemas[0].column(1).as_string::<i32>().value(0), "system");

    for include_schema in [false, true] {
        let filter = CommandGetTables { include_schema, ..CommandGetTables::default() };
        let info = client.get_tables(filter).await.unwrap();
        rows_as_promised(&mut client, info).await;
    }
    let info = client.get_table_types().await.unwrap();
    assert_eq!(rows(&rows_as_promised(&mut client, info).await), 2);

    let table = || "any".to_owned();
    let infos = [
        client.get_primary_keys(CommandGetPrimaryKeys { table: table(), ..Default::default() }).await,
        client.get_exported_keys(CommandGetExportedKeys { table: table(), ..Default::default() }).await,
        client.get_imported_keys(CommandGetImportedKeys { table: table(), ..Default::default() }).await,
        client.get_cross_reference(CommandGetCrossReference::default()).await,
    ];
    for info in infos {
        assert_eq!(rows(&rows_as_promised(&mut client, info.unwrap()).await), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_of_its_abilities_and_types() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let asked = vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerCancel, SqlInfo::SqlKeywords];
    let info = client.get_sql_info(asked).await.unwrap();
    assert_eq!(rows(&rows_as_promised(&mut client, info).await), 3);
    let info = client.get_sql_info(Vec::new()).await.unwrap();
    assert!(rows(&rows_as_promised(&mut client, info).await) > 40);
    // 3 is the number of DECIMAL.
    for (data_type, expected) in [(None, 12), (Some(3), 1), (Some(4711), 0)] {
        let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type }).await.unwrap();
        assert_eq!(rows(&rows_as_promised(&mut client, info).await), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_clients_at_once_are_served() {
    let lab = Arc::new(Lab::start().await);
    let asked = (0..64).map(|number| {
        let lab = Arc::clone(&lab);
        tokio::spawn(async move {
            let mut client = lab.bearer().await;
            rows(&ask(&mut client, &format!("SELECT {number} AS n")).await.unwrap())
        })
    });
    for answer in asked.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), 1);
    }
}
