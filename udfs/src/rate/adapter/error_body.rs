//! Answers in which a provider says that it has no rates to give.

use super::Refusal;
use super::excerpt::{excerpt, message_excerpt};
use super::json::{Members, is_object, is_string, scalar_text};
use crate::reason::SnapshotReason;

/// The members under which providers explain themselves, most telling first.
const MESSAGE_KEYS: [&str; 6] = ["status", "code", "type", "message", "info", "description"];

/// Refuses an answer that reports failure: `error` in any form but false, `success` false, or a bare
/// `message` in place of rates.
pub(super) fn refuse_error_body(body: &Members<'_>) -> Result<(), Refusal> {
    let error = body.get("error")?.filter(|value| !is_false(value));
    let failed = body.get("success")?.is_some_and(is_false);
    let has_rates = ["rates", "quotes", "exchange_rates"].into_iter().any(|key| body.has(key));
    let message_only = body.has("message") && !has_rates;
    if error.is_none() && !failed && !message_only {
        return Ok(());
    }
    Err(Refusal::new(SnapshotReason::SnapshotErrorBody, said(body, error)))
}

/// Refuses a document that is one JSON string: a message, or something else that holds no rates.
pub(super) fn refuse_string(text: &str) -> Refusal {
    let Ok(message) = serde_json::from_str::<String>(text) else {
        return Refusal::malformed(format!("not a whole JSON document: `{}`", excerpt(text)));
    };
    let shown = message_excerpt(&message);
    if message.to_lowercase().contains("error") {
        let detail = format!("the provider answered `{shown}`");
        return Refusal::new(SnapshotReason::SnapshotErrorBody, detail);
    }
    Refusal::malformed(format!("the document is the JSON string `{shown}`; expected an object with rates"))
}

fn is_false(value: &str) -> bool {
    matches!(scalar_text(value).as_ref(), "false" | "0" | "")
}

fn said(body: &Members<'_>, error: Option<&str>) -> String {
    let mut parts = Vec::new();
    if let Some(text) = error.filter(|value| is_string(value)) {
        parts.push(scalar_text(text).into_owned());
    }
    collect_messages(body, &mut parts);
    if let Some(Ok(inner)) = error.filter(|value| is_object(value)).map(Members::parse) {
        collect_messages(&inner, &mut parts);
    }
    parts.dedup();
    if parts.is_empty() {
        return "the provider reports failure and does not say why".to_owned();
    }
    format!("the provider answered `{}`", message_excerpt(&parts.join(": ")))
}

fn collect_messages(members: &Members<'_>, parts: &mut Vec<String>) {
    for key in MESSAGE_KEYS {
        // A key that is given twice does not matter in a message.
        let Ok(Some(value)) = members.get(key) else {
            continue;
        };
        if !is_object(value) {
            parts.push(message_excerpt(&scalar_text(value)));
        }
    }
}
