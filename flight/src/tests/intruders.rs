//! Who does not get in, and what they learn.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use prost::Message as _;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::lab::{Lab, PASSWORD, TOKEN, ask, basic, status, with_header};
use crate::client::{ClientErrorKind, Connection, Login};
use crate::{FlightServerError, FlightSettings};

fn query() -> FlightDescriptor {
    let command = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

/// Everything that a client can see of a refusal, but for the date.
fn seen(status: &Status) -> (Code, String, Vec<String>) {
    let names = status.metadata().keys().map(|key| format!("{key:?}")).collect();
    (status.code(), status.message().to_owned(), names)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_credentials_are_refused_alike() {
    let lab = Lab::start().await;
    let mut client = lab.raw().await;
    let wrong = [
        basic("ana", "wrong horse"),
        basic("ana", ""),
        basic("nobody", PASSWORD),
        basic("", PASSWORD),
        "Basic".to_owned(),
        "Basic !!!".to_owned(),
        "Basic YW5h".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer of news".to_owned(),
        format!("Bearer {TOKEN}0"),
        format!("Digest {TOKEN}"),
        String::new(),
    ];
    let mut refusals = Vec::new();
    for header in &wrong {
        let hello = futures::stream::iter([HandshakeRequest::default()]);
        let handshake = client.handshake(with_header(hello, "authorization", header)).await;
        refusals.push((header.clone(), handshake.map(|_| ()).unwrap_err()));
        let info = client.get_flight_info(with_header(query(), "authorization", header)).await;
        refusals.push((header.clone(), info.map(|_| ()).unwrap_err()));
    }
    let mut twice = with_header(query(), "authorization", &format!("Bearer {TOKEN}"));
    twice.metadata_mut().append("authorization", basic("ana", PASSWORD).parse().unwrap());
    refusals.push(("two".to_owned(), client.get_flight_info(twice).await.map(|_| ()).unwrap_err()));

    let expected = seen(&client.get_flight_info(query()).await.unwrap_err());
    assert_eq!(expected.0, Code::Unauthenticated);
    for (header, refusal) in &refusals {
        assert_eq!(seen(refusal), expected, "{header}");
    }
}

async fn every_call(client: &mut FlightServiceClient<Channel>) -> Vec<(&'static str, Result<(), Status>)> {
    let data = || futures::stream::iter([FlightData::new().with_descriptor(query())]);
    let hello = futures::stream::iter([HandshakeRequest::default()]);
    vec![
        ("handshake", client.handshake(hello).await.map(|_| ())),
        ("list_flights", client.list_flights(Criteria::default()).await.map(|_| ())),
        ("get_flight_info", client.get_flight_info(query()).await.map(|_| ())),
        ("poll_flight_info", client.poll_flight_info(query()).await.map(|_| ())),
        ("get_schema", client.get_schema(query()).await.map(|_| ())),
        ("do_get", client.do_get(Ticket::new("ticket")).await.map(|_| ())),
        ("do_put", client.do_put(Request::new(data())).await.map(|_| ())),
        ("do_action", client.do_action(Action::new("GetSessionOptions", "")).await.map(|_| ())),
        ("list_actions", client.list_actions(Empty {}).await.map(|_| ())),
        ("do_exchange", client.do_exchange(Request::new(data())).await.map(|_| ())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_answered_to_strangers() {
    let lab = Lab::start().await;
    let calls = every_call(&mut lab.raw().await).await;
    assert_eq!(calls.len(), 10);
    for (name, answer) in calls {
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{name}");
    }
    assert_eq!(lab.endpoint.kept(), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_removed_is_out_at_once() {
    let lab = Lab::start().await;
    let mut logged_in = lab.client("otto").await;
    let mut bearer = lab.bearer().await;
    ask(&mut logged_in, "SELECT 1").await.unwrap();
    ask(&mut bearer, "SELECT 1").await.unwrap();
    lab.credentials().remove_user("otto").unwrap();
    assert_eq!(lab.credentials().remove_tokens("ana").unwrap(), 1);
    for client in [&mut logged_in, &mut bearer] {
        assert_eq!(status(ask(client, "SELECT 1").await.unwrap_err()).code(), Code::Unauthenticated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_role_ends_the_sessions_of_the_one_before() {
    let lab = Lab::start().await;
    let mut client = lab.client("ada").await;
    lab.credentials().set_user("ada", cambist_sql::access::Role::Reader).unwrap();
    assert_eq!(status(ask(&mut client, "SELECT 1").await.unwrap_err()).code(), Code::Unauthenticated);
    ask(&mut lab.client("ada").await, "SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_leaves_the_users_before_in_force_for_some_minutes() {
    let lab = Lab::start().await;
    let path = lab.folder.path().join("credentials.toml");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "[users.ana]\nrole = \"queen\"\n").unwrap();
    ask(&mut lab.client("ana").await, "SELECT 1").await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut session = lab.client("ana").await;
    ask(&mut session, "SELECT 1").await.unwrap();

    lab.pass(5 * 60);
    assert!(
        lab.stranger().await.handshake("ana", PASSWORD).await.is_err(),
        "it is not known who was removed"
    );
    for client in [&mut session, &mut lab.bearer().await] {
        assert_eq!(status(ask(client, "SELECT 1").await.unwrap_err()).code(), Code::Unauthenticated);
    }
    std::fs::write(&path, good).unwrap();
    ask(&mut lab.client("ana").await, "SELECT 1").await.unwrap();
    lab.credentials().remove_user("ana").unwrap();
    assert!(lab.stranger().await.handshake("ana", PASSWORD).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_audited_without_secrets() {
    let lab = Lab::start().await;
    let wrong = lab.settings(super::lab::password("ana", "wrong horse"));
    let refused = Connection::open(&wrong).await.unwrap_err();
    assert_eq!(refused.kind, ClientErrorKind::NotAuthenticated);
    let nobody = lab.settings(super::lab::password("wrong horse", "wrong horse"));
    Connection::open(&nobody).await.unwrap_err();
    let opened = Connection::open(&lab.settings(Login::Token(TOKEN.to_owned()))).await.unwrap();
    let told: Vec<_> = lab
        .audited()
        .into_iter()
        .filter(|entry| entry.action == "authenticate")
        .map(|entry| (entry.user, entry.outcome, entry.peer.is_some(), entry.at))
        .collect();
    let at = "2024-05-01T00:00:00Z";
    let expected = [("ana", "refused"), ("", "refused"), ("ana", "ok")]
        .map(|(user, outcome)| (user.to_owned(), outcome.to_owned(), true, at.to_owned()));
    assert_eq!(told, expected);

    let shown =
        format!("{:?} {:?} {:?} {wrong:?} {opened:?}", lab.endpoint, lab.audited(), lab.credentials());
    for secret in ["horse\", ", "wrong horse\" }", PASSWORD, TOKEN, "argon2id"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_is_audited_once_for_each_connection() {
    let lab = Lab::start().await;
    let mut client = lab.bearer().await;
    for _ in 0..3 {
        ask(&mut client, "SELECT 1").await.unwrap();
    }
    ask(&mut lab.bearer().await, "SELECT 1").await.unwrap();
    assert_eq!(lab.audited().iter().filter(|entry| entry.action == "authenticate").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_only_loopback_is_listened_on() {
    let mut settings = FlightSettings::on_loopback(0, "credentials.toml".into());
    settings.listen = "0.0.0.0:0".parse().unwrap();
    let refused = settings.check().unwrap_err();
    assert!(matches!(refused, FlightServerError::Unprotected { .. }), "{refused}");

    let lab = Lab::start_with(|settings| settings.tls = crate::Tls::Off).await;
    let mut connect = lab.settings(super::lab::password("ana", PASSWORD));
    connect.is_insecure_allowed = false;
    assert_eq!(Connection::open(&connect).await.unwrap_err().kind, ClientErrorKind::Invalid);
    connect.is_insecure_allowed = true;
    Connection::open(&connect).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_certificate_is_not_trusted() {
    let (lab, other) = (Lab::start().await, Lab::start().await);
    let mut connect = lab.settings(super::lab::password("ana", PASSWORD));
    connect.authority = Some(other.authority());
    assert_eq!(Connection::open(&connect).await.unwrap_err().kind, ClientErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_a_password_are_slowed_for_known_and_unknown_names_alike() {
    let lab = Lab::start().await;
    let guess = async |user: &str, password: &str| {
        let mut client = lab.raw().await;
        let hello = futures::stream::iter([HandshakeRequest::default()]);
        let handshake = client.handshake(with_header(hello, "authorization", &basic(user, password))).await;
        handshake.map(|_| ()).map_err(|status| (status.code(), status.message().to_owned()))
    };
    for user in ["ana", "nobody"] {
        for _ in 0..5 {
            assert_eq!(guess(user, "wrong horse").await.unwrap_err().0, Code::Unauthenticated);
        }
        let paused =
            (Code::ResourceExhausted, "too many wrong passwords, the next is looked at in 1 s".into());
        assert_eq!(guess(user, PASSWORD).await.unwrap_err(), paused, "{user}");
    }
    guess("otto", PASSWORD).await.expect("others come in");
    lab.pass(1);
    guess("ana", "wrong horse").await.unwrap_err();
    assert!(guess("ana", PASSWORD).await.unwrap_err().1.ends_with("in 2 s"));
    lab.pass(2);
    guess("ana", PASSWORD).await.unwrap();
    guess("ana", "wrong horse").await.unwrap_err();
    guess("ana", PASSWORD).await.expect("the count has begun anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refusals_are_few_lines_of_the_audit_log() {
    const CALLS: u64 = 200;
    let lab = Lab::start().await;
    let mut client = lab.raw().await;
    for _ in 0..CALLS {
        client.get_flight_info(query()).await.unwrap_err();
    }
    let refusals = |error: &str| match error.strip_prefix("refused, ") {
        Some(more) => more.split(' ').next().unwrap().parse().unwrap(),
        None => 1,
    };
    lab.until_audited(|entries| {
        let told: u64 = entries.iter().filter_map(|entry| entry.error.as_deref()).map(refusals).sum();
        assert!(told <= CALLS, "{entries:?}");
        told == CALLS
    })
    .await;
    let lines = lab.audited().len() as u64;
    assert!(lines < CALLS / 2, "{lines} lines");
}
