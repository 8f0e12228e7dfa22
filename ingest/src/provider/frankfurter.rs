//! Frankfurter: the European Central Bank's rates as JSON, without a key.

use super::target_days::is_closing_day;
use super::{Asking, Profile, Provider, Resource};
use crate::question::Question;

/// <https://frankfurter.dev>, version 1.
#[derive(Debug)]
pub(super) struct Frankfurter;

const PROFILE: Profile = Profile {
    name: "frankfurter",
    base_url: "https://api.frankfurter.dev/v1",
    shapes: &["frankfurter"],
    key_variable: None,
    // Ours: longer series are answered too, thinned out or slowly.
    series_days_max: Some(366),
    answers_with_files: false,
    // A Sunday is answered with Friday's rates under Friday's date.
    skips_days: true,
    is_closed: is_closing_day,
    key_errors: &[],
    limit_errors: &[],
};

impl Provider for Frankfurter {
    fn profile(&self) -> &Profile {
        &PROFILE
    }

    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource {
        let (path, file_name) = match question {
            Question::Latest => ("latest".to_owned(), "latest.json".to_owned()),
            // The name bears no date: the document does, and it may be an earlier one.
            Question::Day(day) => (day.to_string(), "day.json".to_owned()),
            Question::Span(first, last) => (format!("{first}..{last}"), "series.json".to_owned()),
        };
        let base = asking.base.map(|base| format!("?base={base}")).unwrap_or_default();
        Resource { url: format!("{}/{path}{base}", asking.base_url), header: None, file_name }
    }
}
