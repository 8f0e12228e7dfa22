//! Currencies: their codes, what ISO 4217 says of them, and how a cell of text becomes one.
//!
//! A [`CurrencyCode`] is the text; a [`Currency`] is its index in a [`CurrencyTable`], which is what
//! rows are looked up by. Symbols and names are never guessed at.

mod code;
mod iso_4217;
mod table;
#[cfg(test)]
mod tests;

pub use code::CurrencyCode;
pub use iso_4217::{EDITION, HISTORIC_EDITION};
pub use table::{Currency, CurrencyEntry, CurrencyStatus, CurrencyTable, ParsedCurrency};
