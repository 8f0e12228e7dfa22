//! What an answer's status and body mean, before it is read as rates.

use std::time::Duration;

use reqwest::StatusCode;

use super::error::FetchError;
use super::error_document::{ErrorDocument, bounded};
use crate::provider::Profile;

/// Documents of rates may be large, explanations are not.
pub(super) const EXPLANATION_BYTES_MAX: usize = 64 << 10;

/// Finds out whether an answer is a failure.
///
/// # Errors
/// The failure.
pub(super) fn classify(
    profile: &Profile,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Result<(), FetchError> {
    let is_success = status.is_success();
    let document = match body.len() <= EXPLANATION_BYTES_MAX {
        true => ErrorDocument::read(body, !is_success),
        false => None,
    };
    if is_success && document.is_none() {
        return web_page(body).map_or(Ok(()), |excerpt| Err(FetchError::NotJson { excerpt }));
    }
    let codes = document.as_ref().map_or(&[][..], |document| &document.codes);
    let is_any_of = |known: &[&str]| codes.iter().any(|code| known.contains(&code.as_str()));
    let (is_key_error, is_limit_error) = (is_any_of(profile.key_errors), is_any_of(profile.limit_errors));
    let said = document.map_or_else(|| plain(body), |document| document.said);
    let status = status.as_u16();
    Err(match status {
        _ if is_limit_error => FetchError::RateLimited { status, said, retry_after },
        _ if is_key_error => FetchError::Unauthorized { status, said },
        429 => FetchError::RateLimited { status, said, retry_after },
        401 | 403 => FetchError::Unauthorized { status, said },
        408 | 425 | 500.. => FetchError::ServerError { status, said, retry_after },
        _ => FetchError::ErrorBody { status, said },
    })
}

/// What a body says that is no JSON object.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXPLANATION_BYTES_MAX)]);
    if text.trim().is_empty() { "no explanation".to_owned() } else { bounded(&text) }
}

/// The beginning of a web page.
fn web_page(body: &[u8]) -> Option<String> {
    let head = &body[..body.len().min(512)];
    let text = String::from_utf8_lossy(head);
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let lower = start.to_ascii_lowercase();
    (lower.starts_with("<!doctype html") || lower.starts_with("<html")).then(|| bounded(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::find;

    #[test]
    fn failures_are_told_apart_by_status_and_body() {
        for (provider, status, body, expected) in [
            ("openexchangerates", 200, r#"{"base":"USD","rates":{"EUR":1}}"#, None),
            ("openexchangerates", 401, r#"{"error":true,"message":"invalid_app_id"}"#, Some("unauthorized")),
            (
                "openexchangerates",
                403,
                r#"{"error":true,"message":"access_restricted"}"#,
                Some("rate_limited"),
            ),
            ("openexchangerates", 403, r#"{"error":true,"message":"not_allowed"}"#, Some("unauthorized")),
            ("openexchangerates", 400, r#"{"error":true,"message":"not_available"}"#, Some("error_body")),
            ("openexchangerates", 429, "", Some("rate_limited")),
            ("openexchangerates", 503, "<html>busy</html>", Some("server_error")),
            ("openexchangerates", 200, " <!DOCTYPE html><html>", Some("not_json")),
            ("currencylayer", 200, r#"{"success":false,"error":{"code":101}}"#, Some("unauthorized")),
            ("currencylayer", 200, r#"{"success":false,"error":{"code":104}}"#, Some("rate_limited")),
            ("currencylayer", 200, r#"{"success":false,"error":{"code":302}}"#, Some("error_body")),
            ("exchangerate.host", 200, r#"{"success":false}"#, Some("error_body")),
            ("frankfurter", 404, r#"{"message":"not found"}"#, Some("error_body")),
            ("ecb", 200, "<?xml version='1.0'?><gesmes:Envelope/>", None),
        ] {
            let profile = find(provider).unwrap().profile();
            let status = StatusCode::from_u16(status).unwrap();
            let found = classify(profile, status, None, body.as_bytes()).err().map(|error| error.code());
            assert_eq!(found, expected, "{provider} {status} {body}");
        }
    }
}
