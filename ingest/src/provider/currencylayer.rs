//! currencylayer, and with other names the services of the same house.

use super::{Asking, KEY_MARK, Profile, Provider, Resource, never_closed};
use crate::question::Question;

/// <https://currencylayer.com/documentation>
#[derive(Debug)]
pub(super) struct Currencylayer;

/// Codes and types of the house's error answers that mean the key.
pub(super) const KEY_ERRORS: &[&str] =
    &["101", "102", "invalid_access_key", "missing_access_key", "inactive_user"];

/// Those that mean that the allowance is used up.
pub(super) const LIMIT_ERRORS: &[&str] =
    &["104", "usage_limit_reached", "monthly_usage_limit_reached", "rate_limit_reached"];

const PROFILE: Profile = Profile {
    name: "currencylayer",
    base_url: "https://api.currencylayer.com",
    shapes: &["currencylayer"],
    key_variable: Some("CURRENCYLAYER_ACCESS_KEY"),
    series_days_max: Some(365),
    answers_with_files: false,
    skips_days: false,
    is_closed: never_closed,
    key_errors: KEY_ERRORS,
    limit_errors: LIMIT_ERRORS,
};

impl Provider for Currencylayer {
    fn profile(&self) -> &Profile {
        &PROFILE
    }

    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource {
        resource(question, asking)
    }
}

/// What is requested of this house: the key is a parameter, there is no header for it.
pub(super) fn resource(question: &Question, asking: &Asking<'_>) -> Resource {
    let (path, file_name) = match question {
        Question::Latest => ("live?".to_owned(), "live.json".to_owned()),
        Question::Day(day) => (format!("historical?date={day}&"), format!("{day}.json")),
        Question::Span(first, last) => {
            (format!("timeframe?start_date={first}&end_date={last}&"), "timeframe.json".to_owned())
        }
    };
    let source = asking.base.map(|base| format!("source={base}&")).unwrap_or_default();
    let url = format!("{}/{path}{source}access_key={KEY_MARK}", asking.base_url);
    Resource { url, header: None, file_name }
}
