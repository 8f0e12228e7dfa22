//! The rate book that the functions of a session look rates up in.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::currency::CurrencyTable;
use crate::rate::RateBook;

/// A rate book as the functions of one session hold it.
///
/// Two are equal if they answer alike: the same snapshots, chosen by the same rule. Plans compare
/// functions, so this must not depend on where a book lies in memory.
#[derive(Clone)]
pub struct SessionRates(pub Arc<RateBook>);

impl PartialEq for SessionRates {
    fn eq(&self, other: &Self) -> bool {
        let (options, others) = (self.0.options(), other.0.options());
        self.0.digest() == other.0.digest()
            && options.mode == others.mode
            && options.max_age_days == others.max_age_days
    }
}

impl Eq for SessionRates {}

impl Hash for SessionRates {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest().hash(state);
    }
}

impl fmt::Debug for SessionRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A book is megabytes, and plans are printed.
        write!(f, "SessionRates({} snapshots)", self.0.snapshots().len())
    }
}

/// Returns the currencies that a session knows: those of its book, else those of ISO 4217.
pub(super) fn known_currencies(rates: Option<&SessionRates>) -> &CurrencyTable {
    match rates {
        Some(rates) => rates.0.currencies(),
        None => CurrencyTable::iso(),
    }
}
