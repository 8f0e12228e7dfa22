//! The options of a session as Arrow Flight's own actions have them.
//!
//! The messages are those of `Flight.proto` in Apache Arrow 15 and later, which arrow-flight does not have.

use std::collections::HashMap;

use cambist_sql::{Session, SqlService};
use tonic::Status;

use crate::status::status_of;

const RATES: &str = "cambist.rates";
const RATES_MODE: &str = "cambist.rates_mode";
const RATES_MAX_AGE_DAYS: &str = "cambist.rates_max_age_days";
const RATES_KNOWN_AS_OF: &str = "cambist.rates_known_as_of";

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) session_options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub(crate) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, OptionError>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OptionError {
    #[prost(enumeration = "ErrorValue", tag = "1")]
    pub(crate) value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetSessionOptionsRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) session_options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseSessionRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseSessionResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    pub(crate) status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

/// Sets options: all of them, or none where one is not valid. An option without a value is unset.
pub(crate) fn set_options(
    sql: &SqlService,
    session: &Session,
    request: SetSessionOptionsRequest,
) -> Result<SetSessionOptionsResult, Status> {
    if !session.is_lasting() {
        return Err(Status::failed_precondition(
            "options cannot be set in a session of one call\nhint: log in, keep cookies, or send the headers \
             `x-cambist-rates…` with each call",
        ));
    }
    let mut errors = HashMap::new();
    let mut changes = Vec::new();
    for (name, value) in request.session_options {
        match text(value.value) {
            Ok(text) => changes.push((name, text)),
            Err(error) => {
                errors.insert(name, OptionError { value: error as i32 });
            }
        }
    }
    if !changes.is_empty() && errors.is_empty() {
        for refused in sql.set_options(session, &changes).map_err(status_of)? {
            let error = if refused.is_known { ErrorValue::InvalidValue } else { ErrorValue::InvalidName };
            errors.insert(refused.name, OptionError { value: error as i32 });
        }
    }
    Ok(SetSessionOptionsResult { errors })
}

/// Returns the text that a statement would set.
fn text(value: Option<Value>) -> Result<Option<String>, ErrorValue> {
    match value {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(Value::Whole(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(ErrorValue::InvalidValue),
    }
}

/// Returns the options that are set.
pub(crate) fn get_options(session: &Session) -> GetSessionOptionsResult {
    let options = session.options();
    let texts = [
        (RATES, options.rates),
        (RATES_MODE, options.rates_mode),
        (RATES_KNOWN_AS_OF, options.rates_known_as_of),
    ];
    let texts = texts.into_iter().filter_map(|(name, value)| Some((name, Value::Text(value?))));
    let days = options.rates_max_age_days.map(|days| (RATES_MAX_AGE_DAYS, Value::Whole(days)));
    let session_options = texts
        .chain(days)
        .map(|(name, value)| (name.to_owned(), OptionValue { value: Some(value) }))
        .collect();
    GetSessionOptionsResult { session_options }
}

/// Tells how closing went.
pub(crate) fn closed(was_open: bool) -> CloseSessionResult {
    let status = if was_open { CloseStatus::Closed } else { CloseStatus::NotCloseable };
    CloseSessionResult { status: status as i32 }
}
