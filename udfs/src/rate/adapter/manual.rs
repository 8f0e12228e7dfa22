//! Rates that people entered: `{"entered_by", "reason", "base", "date", "expires", "rates"}`.
//!
//! Whether somebody else has approved them is not the document's to say.

use super::dating::{DocumentTimes, stated_date};
use super::excerpt::excerpt;
use super::intake::Intake;
use super::json::{Members, is_object, is_string, scalar_text};
use super::rate_list::RateList;
use super::shape::base_of;
use super::{Refusal, SnapshotReason};
use crate::rate::snapshot::MANUAL;

/// Tells whether a document says who entered its rates.
pub(super) fn is_manual(body: &Members<'_>) -> bool {
    body.has("entered_by") && body.has("reason")
}

/// Reads a document that people entered.
///
/// # Errors
/// Where its maker, its reason, its base, its date or its rates are missing, or it expires before it begins.
pub(super) fn read(intake: &mut Intake<'_>, body: &Members<'_>) -> Result<(), Refusal> {
    for key in ["entered_by", "reason"] {
        let text = body.get(key)?.filter(|value| is_string(value)).map(scalar_text);
        if text.is_none_or(|text| text.trim().is_empty()) {
            return Err(Refusal::malformed(format!("`{key}` is empty; expected a text")));
        }
    }
    let times = DocumentTimes { date: body.get("date")?, timestamp: None };
    let (rate_date, _) = times.resolve(intake)?;
    let expires = body.get("expires")?.filter(|value| *value != "null");
    let expires = expires.map(|value| stated_date(&scalar_text(value))).transpose()?;
    if let Some(last) = expires.filter(|last| *last < rate_date) {
        let detail = format!("the rates of {rate_date} expire on {last}; expected that day or a later one");
        return Err(Refusal::new(SnapshotReason::SnapshotDateInvalid, detail));
    }
    let table = body.get("rates")?.filter(|table| is_object(table)).ok_or_else(|| {
        Refusal::malformed("the document has no `rates`; expected an object of one figure per code")
    })?;
    let table = Members::parse(table)?;
    let mut list = RateList::new(base_of(body, "base")?, rate_date);
    let mut codes: Vec<String> = Vec::new();
    for (key, value) in table.iter() {
        if list.add(intake, key, &scalar_text(value))? {
            codes.push(excerpt(&key.to_ascii_uppercase()));
        }
    }
    codes.sort_unstable();
    intake.expire(expires);
    intake.publish(&format!("{MANUAL}{}", codes.join("+")), list, Some(rate_date.start()));
    Ok(())
}
