//! Rate books: loaded from a ledger or a plain folder of snapshots, pinned as one object where other processes need them,
//! and loaded once per process.

mod books;
pub mod ledger;
mod load;
mod pinned;
mod reference;
#[cfg(test)]
mod tests;

pub use books::{RateBookCounts, RateBooks};
pub use load::{LoadedRates, RateFolder, RatesError, RefusedSnapshot, load};
pub use pinned::{PinnedRatesError, bind, pin};
pub use reference::{PinnedBook, RateBookRef};
