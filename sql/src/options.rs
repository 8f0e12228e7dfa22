//! The options of a session by their SQL names: `SET cambist.rates = 'oxr'`.

use cambist_udfs::rate::{AsOfMode, InstantMicros};

use crate::error::{Result, SqlError};
use crate::near;
use crate::session::SessionOptions;

/// What an option's name begins with.
const PREFIX: &str = "cambist.";

/// A century; beyond it a limit is none.
const MAX_AGE_DAYS_LIMIT: i64 = 36_500;

/// Names and instants are shorter, and a session keeps its options for long.
const TEXT_BYTES_MAX: usize = 1024;

/// An option of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionOption {
    Rates,
    RatesMode,
    RatesMaxAgeDays,
    RatesKnownAsOf,
}

impl SessionOption {
    pub(crate) const ALL: [Self; 4] =
        [Self::Rates, Self::RatesMode, Self::RatesMaxAgeDays, Self::RatesKnownAsOf];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rates => "cambist.rates",
            Self::RatesMode => "cambist.rates_mode",
            Self::RatesMaxAgeDays => "cambist.rates_max_age_days",
            Self::RatesKnownAsOf => "cambist.rates_known_as_of",
        }
    }

    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Rates => "the declared table of rates that fx_convert and its like use",
            Self::RatesMode => "whether an event uses the rate of its `date` or of its `instant`",
            Self::RatesMaxAgeDays => "the age in days above which a snapshot is too old",
            Self::RatesKnownAsOf => "only snapshots that were known by this instant count",
        }
    }

    /// Returns the option of that name.
    ///
    /// # Errors
    /// For any other name, with those that there are.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let folded = name.to_lowercase();
        if let Some(option) = Self::ALL.into_iter().find(|option| option.name() == folded) {
            return Ok(option);
        }
        let all: Vec<String> = Self::ALL.iter().map(|option| option.name().to_owned()).collect();
        let expected = near::listed(all.iter().map(String::as_str));
        let error =
            SqlError::invalid(format!("`{name}` is no option of a session, expected one of {expected}"));
        let wanted = if folded.starts_with(PREFIX) { folded } else { format!("{PREFIX}{folded}") };
        Err(match near::near(&wanted, all.iter().map(String::as_str)).first() {
            Some(meant) => error.with_hint(format!("did you mean `{meant}`?")),
            None => error,
        })
    }

    /// Returns the option's value as text.
    pub(crate) fn read(self, options: &SessionOptions) -> Option<String> {
        match self {
            Self::Rates => options.rates.clone(),
            Self::RatesMode => options.rates_mode.clone(),
            Self::RatesMaxAgeDays => options.rates_max_age_days.map(|days| days.to_string()),
            Self::RatesKnownAsOf => options.rates_known_as_of.clone(),
        }
    }

    /// Sets the option, or unsets it.
    ///
    /// # Errors
    /// Where the value is not of the option's type, or is too long.
    pub(crate) fn write(self, options: &mut SessionOptions, value: Option<String>) -> Result<()> {
        if let Some(bytes) = value.as_ref().map(String::len).filter(|bytes| *bytes > TEXT_BYTES_MAX) {
            let name = self.name();
            return Err(SqlError::invalid(format!(
                "{name} is a text of {bytes} bytes, expected at most {TEXT_BYTES_MAX}"
            )));
        }
        match self {
            Self::Rates => options.rates = value,
            Self::RatesMode => {
                value.as_deref().map(mode).transpose()?;
                options.rates_mode = value;
            }
            Self::RatesMaxAgeDays => {
                let days = value.as_deref().map(|text| {
                    let days = text.parse().map_err(|_| not_days(text))?;
                    max_age_days(days).map(|_| days)
                });
                options.rates_max_age_days = days.transpose()?;
            }
            Self::RatesKnownAsOf => {
                value.as_deref().map(known_as_of).transpose()?;
                options.rates_known_as_of = value;
            }
        }
        Ok(())
    }
}

/// Reads `cambist.rates_mode`.
pub(crate) fn mode(text: &str) -> Result<AsOfMode> {
    let found = AsOfMode::ALL.into_iter().find(|mode| mode.name() == text);
    found.ok_or_else(|| {
        SqlError::invalid(format!(
            "{} is `{text}`, expected `date` or `instant`",
            SessionOption::RatesMode.name()
        ))
    })
}

/// Reads `cambist.rates_max_age_days`.
pub(crate) fn max_age_days(days: i64) -> Result<u32> {
    let in_range = (0..=MAX_AGE_DAYS_LIMIT).contains(&days).then(|| u32::try_from(days).ok()).flatten();
    in_range.ok_or_else(|| not_days(&days.to_string()))
}

fn not_days(text: &str) -> SqlError {
    let name = SessionOption::RatesMaxAgeDays.name();
    SqlError::invalid(format!("{name} is `{text}`, expected days from 0 to {MAX_AGE_DAYS_LIMIT}"))
}

/// Reads `cambist.rates_known_as_of`.
pub(crate) fn known_as_of(text: &str) -> Result<InstantMicros> {
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        let name = SessionOption::RatesKnownAsOf.name();
        SqlError::invalid(format!("{name} is `{text}`, expected an instant such as `2024-05-01T00:00:00Z`"))
    })?;
    Ok(InstantMicros(instant.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_by_name_and_others_are_refused_with_the_list() {
        assert_eq!(SessionOption::named("CAMBIST.rates").unwrap(), SessionOption::Rates);
        let error = SessionOption::named("cambist.rate_mode").unwrap_err();
        assert!(error.message.contains("`cambist.rates_max_age_days`"), "{error}");
        assert_eq!(error.hint.unwrap(), "did you mean `cambist.rates_mode`?");
        assert!(SessionOption::named("datafusion.execution.batch_size").is_err());
    }

    #[test]
    fn values_are_checked_and_read_back() {
        let mut options = SessionOptions::default();
        for (option, good, bad) in [
            (SessionOption::RatesMode, "instant", "sometime"),
            (SessionOption::RatesMaxAgeDays, "30", "-1"),
            (SessionOption::RatesMaxAgeDays, "31", "many"),
            (SessionOption::RatesKnownAsOf, "2024-05-01T00:00:00Z", "2024-05-01"),
        ] {
            option.write(&mut options, Some(good.to_owned())).unwrap();
            let error = option.write(&mut options, Some(bad.to_owned())).unwrap_err();
            assert!(error.message.starts_with(&format!("{} is `{bad}`, expected", option.name())), "{error}");
            assert_eq!(option.read(&options).as_deref(), Some(good));
        }
        SessionOption::RatesMode.write(&mut options, None).unwrap();
        assert_eq!(SessionOption::RatesMode.read(&options), None);
    }
}
