//! What is bounded.

use arrow_flight::FlightDescriptor;
use arrow_flight::Ticket;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tonic::Code;

use super::lab::{Lab, PATIENCE, TOKEN, ask, fetch, status, ticket_of, with_header};

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_of_too_many_results_goes() {
    let lab = Lab::start_with(|settings| settings.tickets_per_user = 2).await;
    let mut ana = lab.client("ana").await;
    let mut ada = lab.client("ada").await;
    let other = ticket_of(&ada.execute("SELECT 1".to_owned(), None).await.unwrap());
    let mut tickets: Vec<Ticket> = Vec::new();
    for _ in 0..3 {
        tickets.push(ticket_of(&ana.execute("SELECT 1".to_owned(), None).await.unwrap()));
        lab.pass(1);
    }
    let first = tickets.remove(0);
    assert_eq!(status(fetch(&mut ana, first).await.unwrap_err()).code(), Code::NotFound);
    for ticket in tickets {
        fetch(&mut ana, ticket).await.unwrap();
    }
    fetch(&mut ada, other).await.expect("another user's results stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_idle_of_too_many_sessions_and_statements_goes() {
    let lab = Lab::start_with(|settings| {
        settings.sessions_per_user = 2;
        settings.statements_per_user = 1;
    })
    .await;
    let mut first = lab.client("ana").await;
    lab.pass(1);
    let mut second = lab.client("ana").await;
    lab.pass(1);
    ask(&mut first, "SELECT 1").await.unwrap();
    lab.pass(1);
    let _third = lab.client("ana").await;
    assert_eq!(status(ask(&mut second, "SELECT 1").await.unwrap_err()).code(), Code::Unauthenticated);
    ask(&mut first, "SELECT 1").await.unwrap();

    let mut older = first.prepare("SELECT 1".to_owned(), None).await.unwrap();
    lab.pass(1);
    let mut newer = first.prepare("SELECT 1".to_owned(), None).await.unwrap();
    assert_eq!(status(older.execute().await.unwrap_err()).code(), Code::NotFound);
    newer.execute().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_and_the_next_is_answered() {
    let lab = Lab::start_with(|settings| settings.request_bytes_max = 64 << 10).await;
    let mut client = lab.bearer().await;
    let long = format!("SELECT '{}'", "x".repeat(100 << 10));
    let refused = status(client.execute(long.clone(), None).await.unwrap_err());
    assert_eq!(refused.code(), Code::OutOfRange);
    ask(&mut client, "SELECT 1").await.unwrap();

    // From somebody who is not known it is not even read.
    let command = CommandStatementQuery { query: long, transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let refused = lab.raw().await.get_flight_info(descriptor).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_large_are_refused() {
    let lab = Lab::start().await;
    let mut client = lab.raw().await;
    let bearer = format!("Bearer {}", "x".repeat(100 << 10));
    client
        .get_flight_info(with_header(FlightDescriptor::default(), "authorization", &bearer))
        .await
        .unwrap_err();
    ask(&mut lab.bearer().await, "SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed() {
    let lab = Lab::start_with(|settings| settings.connections_max = 2).await;
    let first = tokio::net::TcpStream::connect(("127.0.0.1", lab.port())).await.unwrap();
    let _second = tokio::net::TcpStream::connect(("127.0.0.1", lab.port())).await.unwrap();
    let mut third = tokio::net::TcpStream::connect(("127.0.0.1", lab.port())).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, third.read(&mut [0; 1])).await.expect("it stays open");
    assert_eq!(end.unwrap_or(0), 0);
    drop(first);
    // The place is free as soon as the server has seen it.
    let mut settings = lab.settings(crate::client::Login::Token(TOKEN.to_owned()));
    settings.options = cambist_sql::SessionOptions::default();
    let connected = async {
        while crate::client::Connection::open(&settings).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.expect("no place becomes free");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_comes_in_is_put_out() {
    let short = std::time::Duration::from_millis(300);
    let lab = Lab::start_with(|settings| settings.admission_time = short).await;
    // One says nothing at all; one completes the handshake, and then presents nothing that is valid.
    let mut silent = tokio::net::TcpStream::connect(("127.0.0.1", lab.port())).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 1])).await.expect("it stays open");
    assert_eq!(end.unwrap_or(0), 0);

    let plain = Lab::start_with(|settings| {
        settings.tls = crate::Tls::Off;
        settings.admission_time = short;
    })
    .await;
    let mut silent = tokio::net::TcpStream::connect(("127.0.0.1", plain.port())).await.unwrap();
    let mut seen = Vec::new();
    let end = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut seen)).await;
    assert!(end.is_ok(), "it stays open");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_a_part_of_the_connections_before_it_comes_in() {
    let lab = Lab::start_with(|settings| settings.connections_max = 80).await;
    let connect = || tokio::net::TcpStream::connect(("127.0.0.1", lab.port()));
    let mut known = lab.bearer().await;
    ask(&mut known, "SELECT 1").await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect().await.unwrap());
    }
    let mut beyond = connect().await.unwrap();
    let end = tokio::time::timeout(PATIENCE, beyond.read(&mut [0; 1])).await.expect("it stays open");
    assert_eq!(end.unwrap_or(0), 0);
    for stream in &silent {
        let error = stream.try_read(&mut [0; 1]).expect_err("it was closed");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    ask(&mut known, "SELECT 1").await.expect("who has come in stays");
}
