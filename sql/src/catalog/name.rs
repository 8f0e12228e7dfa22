//! What a table may be called and declared as, and what a query asks of it with its name.

use cambist_engine::failure::TaskFailure;
use cambist_engine::location::Location;
use cambist_engine::table::TableError;
use cambist_jobs::query::{QueryTableSpec, TableConfig};
use jiff::Timestamp;

use super::settings::{TableKind, TableSettings};
use crate::error::{Result, SqlError, SqlErrorKind};

/// Stands between a table's name and what is asked of it.
const MARK: char = '@';

/// Asks for the quarantine of a table.
const QUARANTINE: &str = "quarantine";

/// The schema of our own tables.
const SYSTEM: &str = "system";

const NAME_BYTES_MAX: usize = 128;

/// What is asked of a table besides its rows as they are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// As they were then.
    pub(super) instant: Option<Timestamp>,
    /// Those that were set aside.
    pub(super) is_quarantine: bool,
}

/// Splits a name as a query writes it into the table's and what is asked of it.
pub(super) fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once(MARK) {
        Some((table, rest)) => (table, Some(rest)),
        None => (name, None),
    }
}

impl Asked {
    /// Reads what is asked of the table `table`.
    ///
    /// # Errors
    /// Where it is no instant, or a table of that kind has no such thing.
    pub(super) fn parse(table: &str, kind: TableKind, rest: Option<&str>) -> Result<Self> {
        let Some(rest) = rest else { return Ok(Self::default()) };
        let (instant, is_quarantine) = match rest.split_once(MARK) {
            Some((instant, QUARANTINE)) => (Some(instant), true),
            Some((_, other)) => {
                return Err(SqlError::invalid(format!(
                    "`{other}` was found after the instant of `{table}`, expected `{QUARANTINE}`"
                )));
            }
            None if rest == QUARANTINE => (None, true),
            None => (Some(rest), false),
        };
        let instant = instant.map(|text| parse_instant(table, text)).transpose()?;
        match kind {
            TableKind::Raw => Err(SqlError::invalid(format!(
                "the table `{table}` is of raw files, which have neither a past nor a quarantine"
            ))),
            TableKind::Rates if is_quarantine => {
                Err(SqlError::invalid(format!("the table `{table}` is of rates, which have no quarantine")))
            }
            _ => Ok(Self { instant, is_quarantine }),
        }
    }
}

fn parse_instant(table: &str, text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        SqlError::invalid(format!(
            "`{text}` was found as the instant of `{table}`, expected one with its offset, such as \
             `2024-05-01T00:00:00Z`"
        ))
    })
}

/// Checks the name of a table that is to be declared.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    let is_identifier = name.starts_with(is_letter)
        && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit());
    if !is_identifier || name.len() > NAME_BYTES_MAX {
        let mut shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        if shown.len() < name.len() {
            shown.push('…');
        }
        return Err(SqlError::invalid(format!(
            "`{shown}` is no name for a table, expected at most {NAME_BYTES_MAX} of the letters a to z, digits \
             and `_`, a digit not first"
        )));
    }
    if name.eq_ignore_ascii_case(SYSTEM) {
        return Err(SqlError::invalid(format!(
            "`{name}` is the name of the schema of our own tables, expected another one"
        )));
    }
    Ok(())
}

/// Checks the settings of the table `name`, without looking at its place.
pub(super) fn check_settings(name: &str, settings: &TableSettings) -> Result<()> {
    match settings.kind {
        TableKind::Raw => records(name, settings).map(drop),
        TableKind::Cambist | TableKind::Rates => {
            if settings.format.is_some()
                || settings.encoding.is_some()
                || settings.delimiter.is_some()
                || !settings.types.is_empty()
            {
                return Err(SqlError::invalid(format!(
                    "the table `{name}` is of kind {}, which has no format, encoding, delimiter or types of its own",
                    settings.kind
                )));
            }
            if settings.kind == TableKind::Cambist {
                return place(name, settings).map(drop);
            }
            if settings.url.is_empty() {
                return Err(SqlError::invalid(format!("tables.{name}.url is not given")));
            }
            Ok(())
        }
    }
}

/// Returns how a table of raw files is read.
pub(super) fn records(name: &str, settings: &TableSettings) -> Result<TableConfig> {
    let config = TableConfig::of(
        name,
        QueryTableSpec {
            url: settings.url.clone(),
            format: settings.format.clone(),
            encoding: settings.encoding.clone(),
            delimiter: settings.delimiter.clone(),
            types: settings.types.clone(),
        },
    )?;
    if config.records.is_none() {
        return Err(SqlError::invalid(format!(
            "tables.{name}.format is not one of raw files, expected csv, ndjson, json or parquet"
        ))
        .with_hint("kind = \"cambist\" is for a table that a job commits to"));
    }
    Ok(config)
}

/// Returns the folder of a table of ours.
pub(super) fn place(name: &str, settings: &TableSettings) -> Result<Location> {
    Location::parse(&settings.url).map_err(|error| SqlError::invalid(format!("tables.{name}.url: {error}")))
}

/// Tells why a table of ours could not be opened.
pub(super) fn table_error(name: &str, error: &TableError) -> SqlError {
    let mut failed = SqlError::from(TaskFailure::of_table(error));
    if matches!(error, TableError::NoTable { .. }) {
        failed.kind = SqlErrorKind::NotFound;
    }
    failed.message = format!("tables.{name}: {}", failed.message);
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        let longest = "a".repeat(128);
        for name in ["t", "_t", "Retail_2011", "systems", &longest] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let too_long = "a".repeat(129);
        for name in ["", "1t", "a b", "a@b", "a.b", "a/b", "ä", "system", "SYSTEM", "..", &too_long] {
            let refused = check_name(name).unwrap_err();
            assert_eq!(refused.kind, SqlErrorKind::Invalid, "{name}");
        }
        assert_eq!(
            check_name("a b").unwrap_err().message,
            "`a b` is no name for a table, expected at most 128 of the letters a to z, digits and `_`, a digit not first"
        );
    }

    #[test]
    fn what_is_asked_stands_behind_the_name() {
        let instant = |text: &str| Some(text.parse().unwrap());
        for (name, expected) in [
            ("t", Asked::default()),
            ("t@quarantine", Asked { instant: None, is_quarantine: true }),
            (
                "t@2024-05-01T00:00:00Z",
                Asked { instant: instant("2024-05-01T00:00:00Z"), is_quarantine: false },
            ),
            (
                "t@2024-05-01T02:00:00.5+02:00@quarantine",
                Asked { instant: instant("2024-05-01T00:00:00.5Z"), is_quarantine: true },
            ),
        ] {
            let (table, rest) = split(name);
            assert_eq!(table, "t");
            assert_eq!(Asked::parse(table, TableKind::Cambist, rest).unwrap(), expected, "{name}");
        }
        for (name, kind, expected) in [
            (
                "t@2024-05-01",
                TableKind::Cambist,
                "`2024-05-01` was found as the instant of `t`, expected one",
            ),
            ("t@", TableKind::Cambist, "`` was found as the instant of `t`"),
            ("t@quarantine@x", TableKind::Cambist, "`x` was found after the instant of `t`"),
            ("t@quarantine", TableKind::Rates, "the table `t` is of rates, which have no quarantine"),
            ("t@2024-05-01T00:00:00Z", TableKind::Raw, "the table `t` is of raw files, which have neither"),
        ] {
            let refused = Asked::parse("t", kind, split(name).1).unwrap_err();
            assert!(refused.message.starts_with(expected), "{name}: {refused}");
        }
    }
}
