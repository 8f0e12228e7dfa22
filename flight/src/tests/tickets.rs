//! Tickets and handles: once, in time, by their owner.

use arrow_flight::FlightDescriptor;
use arrow_flight::Ticket;
use arrow_flight::sql::{Any, CommandPreparedStatementQuery, ProstMessageExt as _, TicketStatementQuery};
use prost::Message as _;
use tonic::{Code, Status};

use super::lab::{Client, Lab, ask, fetch, rows, status, ticket_of};

const SQL: &str = "SELECT 1 AS one";

async fn ticket(client: &mut Client) -> Ticket {
    ticket_of(&client.execute(SQL.to_owned(), None).await.unwrap())
}

async fn refusal(client: &mut Client, ticket: Ticket) -> Status {
    status(fetch(client, ticket).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_works_once_for_its_owner_and_refusals_are_alike() {
    let lab = Lab::start().await;
    let mut owner = lab.client("ana").await;
    let mut refusals = Vec::new();

    let stolen = ticket(&mut owner).await;
    refusals.push(("of another user", refusal(&mut lab.client("ada").await, stolen.clone()).await));
    refusals.push(("of another session", refusal(&mut lab.client("ana").await, stolen.clone()).await));
    refusals.push(("of no session", refusal(&mut lab.bearer().await, stolen.clone()).await));
    assert_eq!(rows(&fetch(&mut owner, stolen.clone()).await.unwrap()), 1, "thieves do not spoil it");
    refusals.push(("used", refusal(&mut owner, stolen).await));

    let stale = ticket(&mut owner).await;
    lab.pass(5 * 60);
    refusals.push(("stale", refusal(&mut owner, stale).await));

    let forged = TicketStatementQuery { statement_handle: vec![7; 32].into() };
    refusals.push(("forged", refusal(&mut owner, Ticket::new(forged.as_any().encode_to_vec())).await));
    refusals.push(("empty", refusal(&mut owner, Ticket::new("")).await));
    refusals.push(("text", refusal(&mut owner, Ticket::new("SELECT 1")).await));

    for (name, refusal) in &refusals {
        assert_eq!(refusal.code(), Code::NotFound, "{name}");
        assert_eq!(refusal.message(), refusals[0].1.message(), "{name}");
    }
    assert_eq!(lab.endpoint.kept().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_ticket_is_refused() {
    let lab = Lab::start().await;
    let mut owner = lab.client("ana").await;
    let good = ticket(&mut owner).await;
    let handle: TicketStatementQuery = Any::decode(&*good.ticket).unwrap().unpack().unwrap().unwrap();
    for bit in 0..handle.statement_handle.len() * 8 {
        let mut changed = handle.statement_handle.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = TicketStatementQuery { statement_handle: changed.into() };
        let refused = refusal(&mut owner, Ticket::new(changed.as_any().encode_to_vec())).await;
        assert_eq!(refused.code(), Code::NotFound);
    }
    assert_eq!(rows(&fetch(&mut owner, good).await.unwrap()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_not_the_query() {
    let lab = Lab::start().await;
    let ticket = ticket(&mut lab.client("ana").await).await;
    assert!(!ticket.ticket.windows(6).any(|window| window == b"SELECT"));
}

async fn execute(client: &mut Client, handle: &[u8]) -> Result<(), Status> {
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.to_vec().into() };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let mut request = tonic::Request::new(descriptor);
    let bearer = format!("Bearer {}", client.token().unwrap());
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    client.inner_mut().get_flight_info(request).await.map(|_| ())
}

async fn prepare(client: &mut Client) -> Vec<u8> {
    prepare_sql(client, SQL).await
}

async fn prepare_sql(client: &mut Client, sql: &str) -> Vec<u8> {
    let request = arrow_flight::sql::ActionCreatePreparedStatementRequest {
        query: sql.to_owned(),
        transaction_id: None,
    };
    let action = arrow_flight::Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
    let mut answer = client.do_action(action).await.unwrap();
    let body = answer.message().await.unwrap().unwrap().body;
    let made: arrow_flight::sql::ActionCreatePreparedStatementResult =
        Any::decode(&*body).unwrap().unpack().unwrap().unwrap();
    made.prepared_statement_handle.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_works_for_its_owner_until_it_is_closed_or_idle() {
    let lab = Lab::start().await;
    let mut owner = lab.client("ana").await;
    let handle = prepare(&mut owner).await;
    execute(&mut owner, &handle).await.unwrap();
    let mut refusals = vec![
        execute(&mut lab.client("ada").await, &handle).await.unwrap_err(),
        execute(&mut lab.client("ana").await, &handle).await.unwrap_err(),
        execute(&mut lab.bearer().await, &handle).await.unwrap_err(),
        execute(&mut owner, &[0; 32]).await.unwrap_err(),
        execute(&mut owner, &[]).await.unwrap_err(),
    ];
    let close = arrow_flight::sql::ActionClosePreparedStatementRequest {
        prepared_statement_handle: handle.clone().into(),
    };
    let close = arrow_flight::Action::new("ClosePreparedStatement", close.as_any().encode_to_vec());
    let mut thief = lab.client("ada").await;
    thief.do_action(close.clone()).await.unwrap();
    execute(&mut owner, &handle).await.expect("somebody else cannot close it");
    owner.do_action(close).await.unwrap();
    refusals.push(execute(&mut owner, &handle).await.unwrap_err());

    let idle = prepare(&mut owner).await;
    // In two steps, so that the session stays.
    lab.pass(40 * 60);
    ask(&mut owner, SQL).await.unwrap();
    lab.pass(40 * 60);
    refusals.push(execute(&mut owner, &idle).await.unwrap_err());
    for refusal in &refusals {
        assert_eq!((refusal.code(), refusal.message()), (Code::NotFound, refusals[0].message()));
    }
}

/// Without a session that ends with it, nothing else keeps what was prepared or promised from working on.
#[tokio::test(flavor = "multi_thread")]
async fn handles_and_tickets_end_with_the_role() {
    let lab = Lab::start().await;
    let token = lab.credentials().make_token("ada").unwrap();
    let mut ada = lab.bearer_of(token.reveal()).await;
    let mut handles = Vec::new();
    let location = lab.folder.path().join("lake/x.csv");
    for sql in [
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{}'", location.display()),
        format!("CALL compact(output => '{}')", location.display()),
        "SELECT * FROM system.queries".to_owned(),
    ] {
        handles.push(prepare_sql(&mut ada, &sql).await);
    }
    let promised = ticket(&mut ada).await;
    lab.credentials().set_user("ada", cambist_sql::access::Role::Reader).unwrap();
    for handle in &handles {
        assert_eq!(execute(&mut ada, handle).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(refusal(&mut ada, promised).await.code(), Code::NotFound);
    assert!(lab.runs.states().is_empty());
    ask(&mut ada, SQL).await.expect("a reader reads");

    lab.credentials().set_user("ada", cambist_sql::access::Role::Admin).unwrap();
    execute(&mut ada, &handles[2]).await.expect("it is still that role's");
}
