//! Letting pass what is held back: a decision of somebody who did not enter it.

use std::collections::BTreeSet;

use bytes::Bytes;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{InstantMicros, RateDate};
use jiff::Timestamp;
use jiff::civil::Date;

use super::contents::Contents;
use super::entry::{Approval, Entry, FORMAT_VERSION, Held};
use super::error::LedgerError;
use super::folder::Folder;
use super::names;
use crate::location::Location;
use crate::store::Stores;

/// What somebody approves.
#[derive(Clone, Debug)]
pub struct ApprovalRequest {
    /// Only what this provider published.
    pub provider: Option<String>,
    /// Only the payload whose sha256 begins so.
    pub sha256: Option<String>,
    /// The days; all where there are none.
    pub rate_dates: Vec<Date>,
    /// The currencies; everything that is held where there are none.
    pub currencies: Vec<CurrencyCode>,
    /// Who approves.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Approves what is held back of the entries that `request` names, and returns the approvals with their
/// objects' paths.
///
/// # Errors
/// [`LedgerError::Approval`] where nothing of the kind is held, or the same person entered it; otherwise where
/// the store fails.
pub async fn approve(
    stores: &Stores,
    url: &str,
    request: &ApprovalRequest,
) -> Result<Vec<(String, Approval)>, LedgerError> {
    let refused = |detail: String| LedgerError::Approval { detail };
    if request.by.trim().is_empty() || request.reason.trim().is_empty() {
        return Err(refused("an approval without a name or a reason, expected both".to_owned()));
    }
    let folder = Folder::open(stores, Location::parse(url)?)?;
    let contents = Contents::read(&folder).await?;
    let mut approvals = Vec::new();
    for (path, entry) in &contents.entries {
        let open = open_of(&contents, path, entry, request);
        if open.is_empty() {
            continue;
        }
        if entry.entered_by.as_deref().is_some_and(|maker| same_person(maker, &request.by)) {
            let found = format!("`{}` entered `{path}` and cannot approve it", request.by);
            return Err(refused(format!("{found}, expected somebody else")));
        }
        approvals.push((path.clone(), open));
    }
    if approvals.is_empty() {
        return Err(refused("nothing of the kind is held; `cambist rates check` lists what is".to_owned()));
    }
    let mut written = Vec::with_capacity(approvals.len());
    for (entry, open) in approvals {
        let approval = Approval {
            version: FORMAT_VERSION,
            entry,
            rate_dates: request.rate_dates.clone(),
            currencies: approved_currencies(&open),
            by: request.by.clone(),
            reason: request.reason.clone(),
            at: request.at,
        };
        let document = serde_json::to_vec_pretty(&approval)
            .map_err(|error| LedgerError::Index { action: "written", source: error.into() })?;
        let path = names::approval(InstantMicros(request.at.as_microsecond()), &document);
        if !folder.create(&path, Bytes::from(document)).await? {
            return Err(LedgerError::NameTaken { path: folder.display(&path) });
        }
        written.push((path, approval));
    }
    super::reindex(&folder, request.at).await?;
    Ok(written)
}

/// What an entry holds back of what the request names, and nobody has approved yet.
fn open_of(contents: &Contents, path: &str, entry: &Entry, request: &ApprovalRequest) -> Vec<Held> {
    let is_asked = request.provider.as_ref().is_none_or(|provider| *provider == entry.provider)
        && request.sha256.as_ref().is_none_or(|sha256| entry.sha256.starts_with(sha256.as_str()));
    if !is_asked {
        return Vec::new();
    }
    let is_asked_day = |day: Date| request.rate_dates.is_empty() || request.rate_dates.contains(&day);
    let is_asked_currency = |currency: Option<CurrencyCode>| {
        request.currencies.is_empty()
            || currency.is_some_and(|currency| request.currencies.contains(&currency))
    };
    let given: Vec<&Approval> =
        contents.approvals.iter().map(|(_, approval)| approval).filter(|given| given.entry == path).collect();
    let is_open = |held: &&Held| {
        let days = held.rate_date.map_or_else(|| vec![entry.first_date, entry.last_date], |day| vec![day]);
        let is_given = |day: Date| given.iter().any(|given| given.covers(held, RateDate::of(day)));
        days.iter().any(|day| is_asked_day(*day) && !is_given(*day)) && is_asked_currency(held.currency)
    };
    entry.held.iter().filter(is_open).cloned().collect()
}

/// The currencies of what is approved; none, which means all, where a whole snapshot is.
fn approved_currencies(open: &[Held]) -> Vec<CurrencyCode> {
    let currencies: Option<BTreeSet<CurrencyCode>> = open.iter().map(|held| held.currency).collect();
    currencies.map(|currencies| currencies.into_iter().collect()).unwrap_or_default()
}

/// Names are compared as people read them.
fn same_person(maker: &str, checker: &str) -> bool {
    maker.trim().eq_ignore_ascii_case(checker.trim())
}
