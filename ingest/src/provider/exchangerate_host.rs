//! exchangerate.host, which speaks as currencylayer does; what it answered in earlier years is read too.

use super::currencylayer::{self, KEY_ERRORS, LIMIT_ERRORS};
use super::{Asking, Profile, Provider, Resource, never_closed};
use crate::question::Question;

/// <https://exchangerate.host/documentation>
#[derive(Debug)]
pub(super) struct ExchangerateHost;

const PROFILE: Profile = Profile {
    name: "exchangerate.host",
    base_url: "https://api.exchangerate.host",
    shapes: &["currencylayer", "fixer"],
    key_variable: Some("EXCHANGERATE_HOST_ACCESS_KEY"),
    series_days_max: Some(365),
    answers_with_files: false,
    skips_days: false,
    is_closed: never_closed,
    key_errors: KEY_ERRORS,
    limit_errors: LIMIT_ERRORS,
};

impl Provider for ExchangerateHost {
    fn profile(&self) -> &Profile {
        &PROFILE
    }

    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource {
        currencylayer::resource(question, asking)
    }
}
