//! Exchange rates: one publication ([`Snapshot`]), all of them ([`RateBook`]), and the choice of the one
//! that an event is converted with ([`AsOf`]).

pub mod adapter;
mod as_of;
mod book;
pub mod gate;
mod presence;
mod snapshot;
#[cfg(test)]
mod tests;
mod timeline;
mod versions;

pub use as_of::{AsOf, AsOfMode, PairIndex, SnapshotIndex, UnknownAsOfMode};
pub use book::{BookOptions, RateBook};
pub use snapshot::{InstantMicros, RateDate, Snapshot, SnapshotId};
pub use versions::BookError;
