//! What is done with a ledger of rates besides converting with it: looking at it, comparing, checking, approving,
//! entering, exporting.
//!
//! A plain folder of snapshots is a ledger whose payloads all stand, known since their files were last modified.

mod check;
mod diff;
mod enter;
mod export;
mod known;
mod limits;
mod list;
mod show;

use cambist_engine::rates::ledger;
use cambist_engine::store::Stores;
use jiff::Timestamp;

pub use cambist_engine::rates::ledger::{Approval, ApprovalRequest, GateMode, Held, Indexed, WriterOptions};
pub use cambist_udfs::currency::CurrencyCode;
pub use cambist_udfs::decimal::Decimal;
pub use check::{CheckLine, CheckReport, CheckRequest, Suspicion, check};
pub use diff::{Change, DiffLine, DiffReport, DiffRequest, DiffSides, diff};
pub use enter::{EnterReport, EnterRequest, enter};
pub use export::{ExportReport, ExportRequest, export};
pub use limits::parse_limits;
pub use list::{ListLine, ListReport, ListRequest, list};
pub use show::{ShowReport, ShowRequest, VersionView, payload, show};

use crate::error::Result;
pub use crate::input::{of_files, of_ledger, of_store};
pub use crate::query::FileFormat;

/// Days from one on to another, both included; either may be open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Days {
    /// The first.
    pub from: Option<jiff::civil::Date>,
    /// The last.
    pub until: Option<jiff::civil::Date>,
}

/// Approves what is held of a ledger, and returns the approvals with their objects' paths.
///
/// # Errors
/// A usage error where nothing of the kind is held or the same person entered it.
pub async fn approve(
    stores: &Stores,
    url: &str,
    request: &ApprovalRequest,
) -> Result<Vec<(String, Approval)>> {
    ledger::approve(stores, url, request).await.map_err(|error| of_ledger(&error))
}

/// Makes the index of a ledger or a plain folder anew where it is stale.
///
/// # Errors
/// Where the store fails or an object of the ledger's own is damaged.
pub async fn index(stores: &Stores, url: &str, now: Timestamp) -> Result<Indexed> {
    ledger::index(stores, url, now).await.map_err(|error| of_ledger(&error))
}
