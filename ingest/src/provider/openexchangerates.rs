//! Open Exchange Rates: one document a day, the latest, and time series of a month.

use super::{Asking, Header, Profile, Provider, Resource, never_closed};
use crate::question::Question;

/// <https://docs.openexchangerates.org/reference/api-introduction>
#[derive(Debug)]
pub(super) struct OpenExchangeRates;

const PROFILE: Profile = Profile {
    name: "openexchangerates",
    base_url: "https://openexchangerates.org/api",
    shapes: &["openexchangerates"],
    key_variable: Some("OPENEXCHANGERATES_APP_ID"),
    // "The period requested must be no more than one month."
    series_days_max: Some(31),
    answers_with_files: false,
    skips_days: false,
    is_closed: never_closed,
    key_errors: &["missing_app_id", "invalid_app_id", "app_id_inactive", "not_allowed"],
    limit_errors: &["access_restricted"],
};

impl Provider for OpenExchangeRates {
    fn profile(&self) -> &Profile {
        &PROFILE
    }

    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource {
        let root = asking.base_url;
        let (mut url, file_name) = match question {
            Question::Latest => (format!("{root}/latest.json"), "latest.json".to_owned()),
            Question::Day(day) => (format!("{root}/historical/{day}.json"), format!("{day}.json")),
            Question::Span(first, last) => {
                (format!("{root}/time-series.json?start={first}&end={last}"), "time-series.json".to_owned())
            }
        };
        if let Some(base) = asking.base {
            let sign = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{sign}base={base}"));
        }
        // The header keeps the key out of the logs of whoever passes the request on.
        let header = Header { name: "authorization".to_owned(), prefix: "Token " };
        Resource { url, header: Some(header), file_name }
    }
}
