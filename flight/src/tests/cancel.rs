//! Work that nobody wants any more ends.

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt as _};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tonic::Code;

use super::lab::{Client, Lab, PATIENCE, ask, fetch, status, ticket_of};
use crate::client::ClientErrorKind;

/// More rows than anybody reads.
const ENDLESS: &str = "SELECT * FROM generate_series(1, 1000000000000) AS t(n)";

pub(super) async fn cancel(client: &mut Client, info: &FlightInfo) -> CancelStatus {
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let mut answer = client.do_action(Action::new("CancelFlightInfo", body)).await.unwrap();
    let body = answer.message().await.unwrap().unwrap().body;
    CancelFlightInfoResult::decode(body).unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_flows_is_cancelled() {
    let mut lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(ticket_of(&info)).await.unwrap();
    rows.next().await.unwrap().unwrap();
    assert_eq!(*lab.live.borrow(), 1);

    for stranger in ["ada", "ana"] {
        let mut stranger = lab.client(stranger).await;
        assert_eq!(cancel(&mut stranger, &info).await, CancelStatus::NotCancellable);
    }
    rows.next().await.unwrap().unwrap();

    assert_eq!(cancel(&mut client, &info).await, CancelStatus::Cancelled);
    let ended = async {
        while rows.try_next().await?.is_some() {}
        Ok(())
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it flows on");
    assert_eq!(status(ended.unwrap_err()).code(), Code::Cancelled);
    lab.all_work_has_ended().await;
    assert_eq!(cancel(&mut client, &info).await, CancelStatus::NotCancellable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_cancelled_before_it_is_fetched_is_gone() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let info = client.execute("SELECT 1".to_owned(), None).await.unwrap();
    let request = ActionCancelQueryRequest { info: info.encode_to_vec().into() };
    let action = Action::new("CancelQuery", request.as_any().encode_to_vec());
    let mut answer = client.do_action(action).await.unwrap();
    let body = answer.message().await.unwrap().unwrap().body;
    let result: ActionCancelQueryResult = Any::decode(&*body).unwrap().unpack().unwrap().unwrap();
    assert_eq!(result.result, 1);
    assert_eq!(status(fetch(&mut client, ticket_of(&info)).await.unwrap_err()).code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_the_work() {
    let mut lab = Lab::start().await;
    let mut connection = lab.connect("ana").await;
    let mut result = connection.query(ENDLESS).await.unwrap();
    result.stream.next().await.unwrap().unwrap();
    assert_eq!(*lab.live.borrow(), 1);
    drop(result);
    lab.all_work_has_ended().await;
    ask(&mut lab.client("ana").await, "SELECT 1").await.unwrap();

    let mut other = lab.connect("ana").await;
    let mut result = other.query(ENDLESS).await.unwrap();
    result.stream.next().await.unwrap().unwrap();
    drop((other, result, connection));
    lab.all_work_has_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_waits_for_a_reader_who_stops_reading() {
    /// 8 bytes each: the client's window, and what lies in buffers on the way.
    const ROWS_AHEAD_MAX: i64 = (64 << 20) / 8;
    let lab = Lab::start().await;
    let mut connection = lab.connect("ana").await;
    let mut result = connection.query(ENDLESS).await.unwrap();
    result.stream.next().await.unwrap().unwrap();
    // While others are served, the plan could make far more rows than these.
    let mut other = lab.client("ana").await;
    for _ in 0..20 {
        let sql = "SELECT sum(n) FROM generate_series(1, 1000000) AS t(n)";
        ask(&mut other, sql).await.unwrap();
    }
    assert!(lab.produced() < ROWS_AHEAD_MAX, "{} rows", lab.produced());
    result.stream.next().await.unwrap().unwrap();
    assert_eq!(*lab.live.borrow(), 1, "it waits, and is not over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_tells_those_whose_results_flow() {
    let mut lab = Lab::start_with(|settings| settings.grace = std::time::Duration::from_millis(200)).await;
    let mut connection = lab.connect("ana").await;
    let mut result = connection.query(ENDLESS).await.unwrap();
    result.stream.next().await.unwrap().unwrap();
    lab.begin_stop();
    let ended = async {
        while result.stream.try_next().await?.is_some() {}
        Ok(())
    };
    let ended: Result<(), crate::client::ClientError> =
        tokio::time::timeout(PATIENCE, ended).await.expect("it flows on");
    let ended = ended.unwrap_err();
    assert_eq!(
        (ended.kind, ended.message.as_str()),
        (ClientErrorKind::Unavailable, "the server is being stopped")
    );
    lab.all_work_has_ended().await;
    drop((connection, result));
    lab.stopped().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_lets_short_results_end() {
    let mut lab = Lab::start().await;
    let mut connection = lab.connect("ana").await;
    let mut result = connection.query("SELECT * FROM generate_series(1, 1000000) AS t(n)").await.unwrap();
    let mut rows = result.stream.next().await.unwrap().unwrap().num_rows();
    lab.begin_stop();
    while let Some(batch) = result.stream.try_next().await.unwrap() {
        rows += batch.num_rows();
    }
    assert_eq!(rows, 1_000_000);
    drop((connection, result));
    lab.stopped().await.unwrap();
}
