//! The providers: how each is asked, where its key goes, and what its errors mean.

mod currencylayer;
mod ecb;
mod exchangerate_host;
mod frankfurter;
mod openexchangerates;
mod resource;
mod target_days;
mod template;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::Date;

pub use self::resource::{Header, InvalidBaseUrl, Resource, check_url};
pub use self::template::{InvalidTemplate, Template};
use crate::question::Question;

/// What stands in a resource's URL for the key.
pub(crate) const KEY_MARK: &str = "{key}";

/// What is fixed about a provider.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// Where it is, unless the caller says otherwise.
    pub base_url: &'static str,
    /// The shapes of its answers, by the names under which their snapshots are kept.
    pub shapes: &'static [&'static str],
    /// The variable that holds its key; nothing where it wants none.
    pub key_variable: Option<&'static str>,
    /// The most days that one series holds; nothing where it has no series.
    pub series_days_max: Option<i32>,
    /// Each answer is a file of many days, whatever is asked for.
    pub answers_with_files: bool,
    /// A day without a publication is answered with an earlier one, or left out.
    pub skips_days: bool,
    /// Tells the days on which it certainly publishes nothing.
    pub is_closed: fn(Date) -> bool,
    /// Codes and types of its error answers that mean a wrong, missing or blocked key.
    pub key_errors: &'static [&'static str],
    /// Codes and types of its error answers that mean too many requests.
    pub limit_errors: &'static [&'static str],
}

/// Somebody who publishes rates over HTTP.
pub trait Provider: fmt::Debug + Send + Sync {
    /// What is fixed about it.
    fn profile(&self) -> &Profile;

    /// Returns what is to be requested.
    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource;
}

impl<P: Provider + ?Sized> Provider for &P {
    fn profile(&self) -> &Profile {
        (**self).profile()
    }

    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource {
        (**self).resource(question, asking)
    }
}

/// What a request depends on besides its question.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Where the provider is, without a slash at the end.
    pub base_url: &'a str,
    /// The currency in which the rates are wanted; the provider's own where none is given.
    pub base: Option<&'a str>,
    /// Today's date in UTC.
    pub today: Date,
}

/// The providers that are known by name, in the order of the documentation.
pub const KNOWN: [&dyn Provider; 5] = [
    &openexchangerates::OpenExchangeRates,
    &currencylayer::Currencylayer,
    &exchangerate_host::ExchangerateHost,
    &frankfurter::Frankfurter,
    &ecb::Ecb,
];

/// Returns the provider of this name.
pub fn find(name: &str) -> Option<&'static dyn Provider> {
    KNOWN.into_iter().find(|provider| provider.profile().name == name)
}

fn never_closed(_: Date) -> bool {
    false
}
