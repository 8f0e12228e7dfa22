//! A CALL: submitted at once, waited for by who fetches or polls, cancelled by ticket.

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{CancelStatus, FlightDescriptor, FlightInfo, PollInfo, Ticket};
use datafusion::arrow::array::AsArray as _;
use prost::Message as _;
use tonic::{Code, Request, Status};

use super::cancel::cancel;
use super::lab::{Client, Lab, PATIENCE, fetch, rows, status, ticket_of};

fn call(lab: &Lab) -> String {
    format!("CALL compact(output => '{}')", lab.folder.path().join("lake/table").display())
}

async fn poll(client: &mut Client, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
    let mut request = Request::new(descriptor);
    let bearer = format!("Bearer {}", client.token().unwrap());
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    client.inner_mut().poll_flight_info(request).await.map(tonic::Response::into_inner)
}

async fn begin(lab: &Lab, client: &mut Client) -> FlightInfo {
    let info = client.execute(call(lab), None);
    tokio::time::timeout(PATIENCE, info).await.expect("it waits for the run").unwrap()
}

async fn first_poll(lab: &Lab, client: &mut Client) -> PollInfo {
    let command = CommandStatementQuery { query: call(lab), transaction_id: None };
    let answer = poll(client, FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    tokio::time::timeout(PATIENCE, answer).await.expect("it waits for the run").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_submitted_at_once_and_its_row_is_there_when_it_is_over() {
    let lab = Lab::start().await;
    let mut client = lab.client("otto").await;
    let info = begin(&lab, &mut client).await;
    assert_eq!(lab.runs.states(), ["submitted"]);
    let fetched = tokio::spawn(async move { fetch(&mut client, ticket_of(&info)).await });
    lab.runs.set("r1", "published");
    let batches = fetched.await.unwrap().unwrap();
    assert_eq!(batches[0].column_by_name("state").unwrap().as_string::<i32>().value(0), "published");
    lab.until_audited(|entries| entries.iter().any(|entry| entry.action == "call" && entry.outcome == "ok"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_says_not_yet_until_the_run_is_over() {
    let lab = Lab::start().await;
    let mut client = lab.client("otto").await;
    let begun = first_poll(&lab, &mut client).await;
    let info = begun.info.unwrap();
    assert!(info.endpoint.is_empty(), "nothing can be fetched yet");
    let next = begun.flight_descriptor.expect("it goes on");
    lab.runs.set("r1", "published");
    let mut done = poll(&mut client, next.clone()).await.unwrap();
    while done.flight_descriptor.is_some() {
        done = poll(&mut client, next.clone()).await.unwrap();
    }
    let info = done.info.unwrap();
    let promised = info.clone().try_decode_schema().unwrap();
    let batches = fetch(&mut client, ticket_of(&info)).await.unwrap();
    assert_eq!((*batches[0].schema()).clone(), promised);
    assert_eq!(poll(&mut client, next).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(lab.runs.states(), ["published"], "it was submitted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_it_cancels_the_run() {
    let lab = Lab::start().await;
    let mut client = lab.client("otto").await;

    let info = begin(&lab, &mut client).await;
    assert_eq!(cancel(&mut lab.client("ada").await, &info).await, CancelStatus::NotCancellable);
    assert_eq!(cancel(&mut client, &info).await, CancelStatus::Cancelled);
    assert_eq!(lab.runs.states(), ["cancelled"]);
    assert_eq!(status(fetch(&mut client, ticket_of(&info)).await.unwrap_err()).code(), Code::NotFound);

    let polled = first_poll(&lab, &mut client).await.info.unwrap();
    assert_eq!(cancel(&mut client, &polled).await, CancelStatus::Cancelled);
    assert_eq!(lab.runs.states(), ["cancelled"; 2]);

    let info = begin(&lab, &mut client).await;
    let flow = client.do_get(ticket_of(&info)).await.unwrap();
    assert_eq!(cancel(&mut client, &info).await, CancelStatus::Cancelled);
    let ended: Result<Vec<_>, _> = futures::TryStreamExt::try_collect(flow).await;
    assert_eq!(status(ended.unwrap_err()).code(), Code::Cancelled);
    assert_eq!(lab.runs.states(), ["cancelled"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_commits_is_not_cancelled_and_its_row_arrives() {
    let lab = Lab::start().await;
    let mut client = lab.client("otto").await;
    let info = begin(&lab, &mut client).await;
    lab.runs.set("r1", "committed");
    assert_eq!(cancel(&mut client, &info).await, CancelStatus::NotCancellable);
    let flow = client.do_get(ticket_of(&info)).await.unwrap();
    assert_eq!(cancel(&mut client, &info).await, CancelStatus::NotCancellable);
    lab.runs.set("r1", "published");
    let batches: Vec<_> = futures::TryStreamExt::try_collect(flow).await.unwrap();
    assert_eq!(rows(&batches), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_call_that_is_asked_for_again_is_submitted_once_until_it_is_fetched() {
    let lab = Lab::start().await;
    let mut client = lab.client("otto").await;
    let mut statement = client.prepare(call(&lab), None).await.unwrap();
    let lost: Ticket = ticket_of(&statement.execute().await.unwrap());
    let again = ticket_of(&statement.execute().await.unwrap());
    assert_eq!(lab.runs.states().len(), 1);
    assert_eq!(status(fetch(&mut client, lost).await.unwrap_err()).code(), Code::NotFound);
    lab.runs.set("r1", "published");
    assert_eq!(rows(&fetch(&mut client, again).await.unwrap()), 1);
    statement.execute().await.unwrap();
    assert_eq!(lab.runs.states(), ["published", "submitted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_without_the_client_that_called_it() {
    let lab = Lab::start().await;
    let mut client = lab.client("otto").await;
    let info = begin(&lab, &mut client).await;
    drop(client.do_get(ticket_of(&info)).await.unwrap());
    lab.until_audited(|entries| {
        entries.iter().any(|entry| entry.action == "call" && entry.outcome == "cancelled")
    })
    .await;
    assert_eq!(lab.runs.states(), ["submitted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_waits_for_the_run() {
    let lab = Lab::start().await;
    let mut client = lab.client("otto").await;
    let sql = call(&lab);
    let mut updated = tokio::spawn(async move { client.execute_update(sql, None).await });
    let waited = async {
        while lab.runs.states().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("no run");
    tokio::select! {
        biased;
        ended = &mut updated => panic!("it does not wait: {ended:?}"),
        () = tokio::task::yield_now() => {}
    }
    lab.runs.set("r1", "published");
    assert_eq!(updated.await.unwrap().unwrap(), -1);
}
