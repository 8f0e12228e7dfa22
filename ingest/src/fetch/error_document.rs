//! What a provider says when it has no rates to give.

use serde_json::Value;

/// Error answers are short; longer ones are cut for people and logs.
const SAID_CHARS_MAX: usize = 300;

/// The members under which providers say which error it is, most telling first.
const CODE_KEYS: [&str; 4] = ["code", "type", "message", "status"];

/// The members under which they explain it.
const TEXT_KEYS: [&str; 6] = ["code", "type", "message", "info", "description", "error"];

/// Members that hold rates.
const RATE_KEYS: [&str; 3] = ["rates", "quotes", "exchange_rates"];

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorDocument {
    /// Every code and type in it.
    pub(super) codes: Vec<String>,
    /// The provider's own words.
    pub(super) said: String,
}

impl ErrorDocument {
    /// Reads a JSON document that reports a failure: `error` in any form but false, `success` false, or a
    /// message in place of rates. With `is_failure`, whatever explains something is taken.
    pub(super) fn read(body: &[u8], is_failure: bool) -> Option<Self> {
        let document: Value = serde_json::from_slice(body).ok()?;
        let members = document.as_object()?;
        let error = members.get("error").filter(|error| !matches!(error, Value::Null | Value::Bool(false)));
        let has_failed = members.get("success") == Some(&Value::Bool(false));
        let has_rates = RATE_KEYS.iter().any(|key| members.contains_key(*key));
        let only_speaks = members.contains_key("message") && !has_rates;
        if !(is_failure || error.is_some() || has_failed || only_speaks) {
            return None;
        }
        let inner = error.filter(|error| error.is_object());
        let levels: Vec<&Value> = inner.into_iter().chain([&document]).collect();
        let collect = |keys: &[&str]| {
            let mut found: Vec<String> = Vec::new();
            for (level, key) in levels.iter().flat_map(|level| keys.iter().map(move |key| (level, *key))) {
                let text = level.get(key).and_then(scalar);
                found.extend(text.filter(|text| !found.contains(text)));
            }
            found
        };
        let said = collect(&TEXT_KEYS).join(": ");
        let said = if said.is_empty() { "no explanation".to_owned() } else { bounded(&said) };
        Some(Self { codes: collect(&CODE_KEYS), said })
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The beginning of a text that came from elsewhere, on one line.
pub(super) fn bounded(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let shown: String =
        line.chars().filter(|character| !character.is_control()).take(SAID_CHARS_MAX).collect();
    if shown.len() < line.len() { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies are those of the providers' documentation.
    #[test]
    fn each_provider_is_understood() {
        for (body, code, said) in [
            (
                r#"{"success":false,"error":{"code":101,"type":"invalid_access_key","info":"No valid key."}}"#,
                "101",
                "101: invalid_access_key: No valid key.",
            ),
            (
                r#"{"error":true,"status":401,"message":"app_id_inactive","description":"Deactivated."}"#,
                "app_id_inactive",
                "app_id_inactive: Deactivated.",
            ),
            (r#"{"message":"not found"}"#, "not found", "not found"),
            (r#"{"error":"quota exceeded"}"#, "", "quota exceeded"),
            (r#"{"success":false}"#, "", "no explanation"),
        ] {
            let document = ErrorDocument::read(body.as_bytes(), false).unwrap();
            assert_eq!(document.said, said);
            assert!(code.is_empty() || document.codes.iter().any(|found| found == code), "{document:?}");
        }
    }

    #[test]
    fn rates_are_no_error() {
        for body in [
            r#"{"success":true,"source":"USD","quotes":{"USDEUR":0.7}}"#,
            r#"{"error":false,"base":"USD","rates":{"EUR":0.7}}"#,
            r#"{"message":"thank you","base":"USD","rates":{"EUR":0.7}}"#,
            "<html>",
            "",
        ] {
            assert_eq!(ErrorDocument::read(body.as_bytes(), false), None, "{body}");
        }
    }

    #[test]
    fn what_is_long_is_cut() {
        let body = format!(r#"{{"error":"{}"}}"#, "x\\n".repeat(1000));
        let said = ErrorDocument::read(body.as_bytes(), true).unwrap().said;
        assert_eq!(said.chars().count(), SAID_CHARS_MAX + 1);
    }
}
