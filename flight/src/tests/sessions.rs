//! Sessions: of a log-in, of a cookie, of one call.

use std::collections::HashMap;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Empty, FlightDescriptor};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::lab::{Client, Lab, PASSWORD, TOKEN, ask, basic, status};
use crate::service::session_options::{
    CloseSessionResult, GetSessionOptionsResult, OptionValue, SetSessionOptionsRequest,
    SetSessionOptionsResult, Value,
};

async fn act<M: Message + Default>(client: &mut Client, action: &str, body: Vec<u8>) -> Result<M, Status> {
    let mut answers = client.do_action(Action::new(action, body)).await.map_err(status)?;
    let answer = answers.message().await?.unwrap();
    Ok(M::decode(answer.body).unwrap())
}

fn setting(options: &[(&str, Option<Value>)]) -> Vec<u8> {
    let options =
        options.iter().map(|(name, value)| ((*name).to_owned(), OptionValue { value: value.clone() }));
    SetSessionOptionsRequest { session_options: options.collect() }.encode_to_vec()
}

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

async fn options(client: &mut Client) -> HashMap<String, OptionValue> {
    act::<GetSessionOptionsResult>(client, "GetSessionOptions", Vec::new()).await.unwrap().session_options
}

#[tokio::test(flavor = "multi_thread")]
async fn options_last_as_long_as_the_session() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let body = setting(&[
        ("cambist.rates", text("ecb")),
        ("cambist.rates_mode", text("instant")),
        ("cambist.rates_max_age_days", Some(Value::Whole(3))),
        ("cambist.rates_known_as_of", text("2024-05-01T00:00:00Z")),
    ]);
    let set: SetSessionOptionsResult = act(&mut client, "SetSessionOptions", body).await.unwrap();
    assert!(set.errors.is_empty());
    let set = options(&mut client).await;
    assert_eq!(set.len(), 4);
    assert_eq!(set["cambist.rates"].value, text("ecb"));
    assert_eq!(set["cambist.rates_max_age_days"].value, Some(Value::Whole(3)));
    assert!(options(&mut lab.client("ana").await).await.is_empty(), "another session has its own");

    let unset: SetSessionOptionsResult =
        act(&mut client, "SetSessionOptions", setting(&[("cambist.rates", None)])).await.unwrap();
    assert!(unset.errors.is_empty());
    assert_eq!(options(&mut client).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_option_that_is_not_valid_leaves_all_as_they_were() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let body = setting(&[
        ("cambist.rates", text("ecb")),
        ("cambist.rates_mode", text("yearly")),
        ("cambist.rates_max_age_days", text("many")),
        ("datafusion.execution.batch_size", Some(Value::Whole(1))),
    ]);
    let set: SetSessionOptionsResult = act(&mut client, "SetSessionOptions", body).await.unwrap();
    let mut errors: Vec<_> = set.errors.into_iter().map(|(name, error)| (name, error.value)).collect();
    errors.sort();
    let expected = [
        ("cambist.rates_max_age_days", 2),
        ("cambist.rates_mode", 2),
        ("datafusion.execution.batch_size", 1),
    ];
    assert_eq!(errors, expected.map(|(name, error)| (name.to_owned(), error)));
    assert!(options(&mut client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_is_closed_or_idle() {
    let lab = Lab::start().await;
    let mut closing = lab.client("ana").await;
    let closed: CloseSessionResult = act(&mut closing, "CloseSession", Vec::new()).await.unwrap();
    assert_eq!(closed.status, 1);
    assert_eq!(status(ask(&mut closing, "SELECT 1").await.unwrap_err()).code(), Code::Unauthenticated);

    let mut idle = lab.client("ana").await;
    lab.pass(59 * 60);
    ask(&mut idle, "SELECT 1").await.unwrap();
    lab.pass(59 * 60);
    ask(&mut idle, "SELECT 1").await.unwrap();
    lab.pass(60 * 60);
    assert_eq!(status(ask(&mut idle, "SELECT 1").await.unwrap_err()).code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_without_cookies_has_the_options_of_its_headers() {
    let lab = Lab::start().await;
    let mut client = lab.bearer().await;
    client.set_header("x-cambist-rates", "ecb");
    client.set_header("x-cambist-rates-max-age-days", "7");
    let set = options(&mut client).await;
    assert_eq!(set["cambist.rates"].value, text("ecb"));
    assert_eq!(set["cambist.rates_max_age_days"].value, Some(Value::Whole(7)));
    let refused =
        act::<SetSessionOptionsResult>(&mut client, "SetSessionOptions", setting(&[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);

    client.set_header("x-cambist-rates-max-age-days", "a week");
    let refused = status(ask(&mut client, "SELECT 1").await.unwrap_err());
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(lab.endpoint.kept().2, 0, "no session is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_credentials_work_with_any_call() {
    let lab = Lab::start().await;
    let mut client = lab.stranger().await;
    client.set_header("authorization", basic("otto", PASSWORD));
    ask(&mut client, "SELECT 1").await.unwrap();
    assert_eq!(lab.endpoint.kept().2, 0, "no session is kept");
}

fn cookie_of(metadata: &MetadataMap) -> String {
    let set = metadata.get("set-cookie").unwrap().to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

async fn list(
    client: &mut FlightServiceClient<Channel>,
    authorization: &str,
    cookie: Option<&str>,
) -> Result<MetadataMap, Status> {
    let mut request = Request::new(Empty {});
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    if let Some(cookie) = cookie {
        request.metadata_mut().insert("cookie", cookie.parse().unwrap());
    }
    client.list_actions(request).await.map(|response| response.metadata().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_who_returns_the_cookie_has_a_session_that_lasts() {
    let lab = Lab::start().await;
    let bearer = format!("Bearer {TOKEN}");
    let given = list(&mut lab.raw().await, &bearer, None).await.unwrap();
    let cookie = cookie_of(&given);
    let mut client = lab.bearer().await;
    client.set_header("cookie", format!("other=1; {cookie}"));
    let set: SetSessionOptionsResult =
        act(&mut client, "SetSessionOptions", setting(&[("cambist.rates", text("ecb"))])).await.unwrap();
    assert!(set.errors.is_empty());
    assert_eq!(options(&mut client).await["cambist.rates"].value, text("ecb"));
    assert_eq!(lab.endpoint.kept().2, 1);

    lab.pass(60 * 60);
    let over = list(&mut lab.raw().await, &bearer, Some(&cookie)).await.unwrap_err();
    assert_eq!(over.code(), Code::FailedPrecondition, "options are not lost in silence");
    assert_eq!(cookie_of(over.metadata()), "cambist_session=", "the cookie is taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_worth_nothing_to_others() {
    let lab = Lab::start().await;
    let mut client = lab.raw().await;
    let bearer = format!("Bearer {TOKEN}");
    let cookie = cookie_of(&list(&mut client, &bearer, None).await.unwrap());
    let otto = basic("otto", PASSWORD);
    let stolen = list(&mut client, &otto, Some(&cookie)).await.unwrap_err();
    list(&mut client, &bearer, Some(&cookie)).await.expect("it is still Ana's");
    let used = list(&mut client, &otto, Some(&cookie)).await.unwrap_err();
    let made_up = list(&mut client, &otto, Some("cambist_session=42")).await.unwrap_err();
    for refused in [&stolen, &used, &made_up] {
        assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, stolen.message()));
    }
    let alone = Request::new(FlightDescriptor::default());
    let mut alone = alone;
    alone.metadata_mut().insert("cookie", cookie.parse().unwrap());
    assert_eq!(client.get_flight_info(alone).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_no_token() {
    let lab = Lab::start().await;
    let mut client = lab.raw().await;
    let bearer = format!("Bearer {TOKEN}");
    let given = list(&mut client, &bearer, None).await.unwrap();
    let attributes = given.get("set-cookie").unwrap().to_str().unwrap().to_owned();
    assert!(attributes.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{attributes}");
    let cookie = cookie_of(&given);
    list(&mut client, &bearer, Some(&cookie)).await.expect("it opens its session");
    let value = cookie.split_once('=').unwrap().1;
    for shown in [value.to_owned(), format!("cookie:{value}"), format!("token:{value}")] {
        let refused = list(&mut client, &format!("Bearer {shown}"), None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_refused_as_a_statement_would_refuse_them_and_noted() {
    let lab = Lab::start().await;
    let mut client = lab.client("ana").await;
    let long = "x".repeat(2000);
    for (name, value) in [
        ("cambist.rates", text("nobody")),
        ("cambist.rates", text(&long)),
        ("cambist.rates_known_as_of", text("some day")),
        ("cambist.rates_known_as_of", text(&long)),
        ("cambist.rates_max_age_days", Some(Value::Whole(40_000))),
        ("cambist.rates_mode", Some(Value::Double(1.0))),
    ] {
        let body = setting(&[("cambist.rates_mode", text("instant")), (name, value)]);
        let set: SetSessionOptionsResult = act(&mut client, "SetSessionOptions", body).await.unwrap();
        let refused: Vec<_> = set.errors.into_iter().map(|(name, error)| (name, error.value)).collect();
        assert_eq!(refused, [(name.to_owned(), 2)]);
    }
    assert!(options(&mut client).await.is_empty(), "none is set where one is refused");
    let body = setting(&[("cambist.rates", text("ecb"))]);
    act::<SetSessionOptionsResult>(&mut client, "SetSessionOptions", body).await.unwrap();
    let noted: Vec<_> = lab.audited().into_iter().filter(|entry| entry.action == "set").collect();
    assert_eq!(noted.len(), 6, "one of the wrong type is not looked at");
    let last = noted.last().unwrap();
    assert_eq!((last.user.as_str(), last.outcome.as_str()), ("ana", "ok"));
    assert_eq!(last.statement.as_deref(), Some("SET cambist.rates = 'ecb'"));
    assert!(noted.iter().all(|entry| entry.statement.as_ref().unwrap().len() < 300));
}
