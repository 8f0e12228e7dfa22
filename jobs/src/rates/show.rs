//! `rates show`: one day with all its versions, and which of them counts.

use bytes::Bytes;
use cambist_engine::rates::ledger::{Approval, Channel, Held, Ledger, Version};
use cambist_engine::store::Stores;
use cambist_udfs::rate::{InstantMicros, RateDate, Snapshot};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::known::{counting, micros, read};
use super::of_ledger;
use crate::error::{JobError, Result};

/// What is shown.
#[derive(Clone, Debug)]
pub struct ShowRequest {
    /// The day.
    pub date: Date,
    /// Only what this provider published.
    pub provider: Option<String>,
    /// Only the payload whose sha256 begins so.
    pub version: Option<String>,
    /// As it was known then.
    pub known_as_of: Timestamp,
}

/// One version of a day.
#[derive(Clone, Debug, Serialize)]
pub struct VersionView {
    /// Who published it.
    pub provider: String,
    /// The hex sha256 of the payload.
    pub sha256: String,
    /// When it became known.
    pub known_at: String,
    /// Whether that was in time.
    pub is_known: bool,
    /// Whether it is the one that counts.
    pub counts: bool,
    /// Where the payload lies.
    pub object: String,
    /// Its entry in the ledger; none in a plain folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// How it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Who entered it, where a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered_by: Option<String>,
    /// When the entry was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<String>,
    /// What the currencies are rates of one unit of.
    pub base: String,
    /// The instant from which the rates hold.
    pub valid_at: Option<String>,
    /// The last day on which they may be used, where whoever entered them set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Currencies as published, without the base.
    pub currencies: u64,
    /// The payload's size.
    pub bytes: u64,
    /// What is held back.
    pub held: Vec<Held>,
    /// What the gates found and is used all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Held>,
    /// What people decided about it by then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
}

/// A day.
#[derive(Clone, Debug, Serialize)]
pub struct ShowReport {
    /// The day.
    pub rate_date: String,
    /// As of when.
    pub known_as_of: String,
    /// All versions in the order in which they became known, later ones too.
    pub versions: Vec<VersionView>,
}

/// Shows a day of the ledger at `url`.
///
/// # Errors
/// Where nothing is there for that day, or it cannot be read.
pub async fn show(stores: &Stores, url: &str, request: &ShowRequest) -> Result<ShowReport> {
    let ledger = read(stores, url).await?;
    let found = find(&ledger, request)?;
    let versions = found.into_iter().map(|(version, snapshot, counts)| {
        let entry = version.entry.map(|(_, entry)| entry);
        let as_of = micros(request.known_as_of);
        VersionView {
            provider: snapshot.provider.clone(),
            sha256: version.sha256.to_owned(),
            known_at: version.known_at.to_string(),
            is_known: version.known_at <= as_of,
            counts,
            object: version.location.to_owned(),
            entry: version.entry.map(|(path, _)| path.to_owned()),
            channel: entry.map(|entry| entry.channel),
            origin: entry.map(|entry| entry.origin.clone()),
            entered_by: entry.and_then(|entry| entry.entered_by.clone()),
            recorded_at: entry.map(|entry| entry.recorded_at.to_string()),
            base: snapshot.base.to_string(),
            valid_at: snapshot.valid_at.map(|at| at.to_string()),
            expires: snapshot.expires.map(|day| day.to_string()),
            currencies: snapshot.rates.len() as u64,
            bytes: version.bytes,
            held: version.held(snapshot, as_of).into_iter().cloned().collect(),
            findings: version.findings(snapshot).into_iter().cloned().collect(),
            approvals: approvals(&version, as_of),
        }
    });
    Ok(ShowReport {
        rate_date: request.date.to_string(),
        known_as_of: request.known_as_of.to_string(),
        versions: versions.collect(),
    })
}

/// Returns the payload that counts, or the version that is asked for, byte for byte as it was received.
///
/// # Errors
/// A usage error where there are none or several; otherwise where it cannot be read.
pub async fn payload(stores: &Stores, url: &str, request: &ShowRequest) -> Result<Bytes> {
    let ledger = read(stores, url).await?;
    let found = find(&ledger, request)?;
    let mut payloads: Vec<(Version<'_>, &Snapshot)> = found
        .into_iter()
        .filter(|(_, _, counts)| *counts || request.version.is_some())
        .map(|(version, snapshot, _)| (version, snapshot))
        .collect();
    payloads.dedup_by(|left, right| left.0.sha256 == right.0.sha256);
    match &payloads[..] {
        [(version, _)] => version.payload(stores).await.map_err(|error| of_ledger(&error)),
        [] => Err(JobError::usage(format!(
            "no version of {} counted at {}; name one with --version",
            request.date, request.known_as_of
        ))),
        several => {
            let found: Vec<String> = several
                .iter()
                .map(|(version, snapshot)| format!("{} of {}", &version.sha256[..12], snapshot.provider))
                .collect();
            Err(JobError::usage(format!(
                "{} payloads of {} fit: {}; name one with --provider or --version",
                several.len(),
                request.date,
                found.join(", ")
            )))
        }
    }
}

/// Finds what is asked for: each version with its snapshot of the day, and whether that is the one that counts.
fn find<'a>(ledger: &'a Ledger, request: &ShowRequest) -> Result<Vec<(Version<'a>, &'a Snapshot, bool)>> {
    let nothing = || JobError::usage(format!("nothing of the kind is there for {}", request.date));
    let day = RateDate::of(request.date);
    let versions = ledger.versions();
    let mut of_day = versions.clone();
    of_day.retain(|version| version.snapshots.iter().any(|snapshot| snapshot.rate_date == day));
    let counting = counting(&of_day, micros(request.known_as_of))?;
    let counts = |version: &Version<'_>, snapshot: &Snapshot| {
        counting.iter().any(|counting| {
            counting.rate_date == day
                && counting.provider == snapshot.provider
                && counting.id == snapshot.id
                && counting.known_at == version.known_at
        })
    };
    let is_asked = |version: &Version<'_>, snapshot: &Snapshot| {
        snapshot.rate_date == day
            && request.provider.as_ref().is_none_or(|provider| *provider == snapshot.provider)
            && request.version.as_ref().is_none_or(|sha256| version.sha256.starts_with(sha256.as_str()))
    };
    let mut found = Vec::new();
    for version in of_day {
        for snapshot in version.snapshots.iter().filter(|snapshot| is_asked(&version, snapshot)) {
            let counts = counts(&version, snapshot);
            found.push((version.clone(), snapshot, counts));
        }
    }
    if found.is_empty() { Err(nothing()) } else { Ok(found) }
}

fn approvals(version: &Version<'_>, as_of: InstantMicros) -> Vec<Approval> {
    let given = version.approvals.iter().filter(|given| given.at.as_microsecond() <= as_of.0);
    given.map(|given| (*given).clone()).collect()
}
