//! Durations as people write them.

use std::time::Duration;

/// Reads a duration such as `30d`, `12h`, `90m`, `500ms` or `0s`; a day has 24 hours.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no duration, expected one such as `30d`, `12h`, `90m` or `0s`");
    let span: jiff::Span = text.parse().map_err(|_| refused())?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| refused())?;
    Duration::try_from(span).map_err(|_| refused())
}
