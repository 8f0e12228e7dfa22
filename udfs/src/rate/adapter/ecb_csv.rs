//! The CSV files of the European Central Bank: a column per currency, a row per day, units per euro.
//!
//! The whole history and the one-day file differ in blanks and in how they write the date. `N/A` means that
//! the currency was not quoted that day, so it is no entry at all, and no refused one either.

use csv::{ReaderBuilder, StringRecord, Trim};

use super::Refusal;
use super::dating::spelled_date;
use super::ecb_xml::{ECB_PROVIDER, euro};
use super::excerpt::{excerpt, message_excerpt};
use super::intake::Intake;
use super::rate_list::RateList;
use crate::currency::CurrencyCode;

/// What the bank writes where it quoted no rate.
const NOT_QUOTED: &str = "N/A";

/// True if the document begins as these files do, with the column `Date`.
pub(super) fn is_header(text: &str) -> bool {
    let first = text.split([',', '\n']).next().unwrap_or_default();
    first.trim().trim_matches('"').eq_ignore_ascii_case("date") && text.contains(',')
}

/// Reads a table, one snapshot per row.
pub(super) fn read_table(intake: &mut Intake<'_>, text: &str) -> Result<(), Refusal> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| unreadable(&error))?.clone();
    check_header(&header)?;
    let closed_by_comma = header.iter().next_back() == Some("");
    if !closed_by_comma && !text.ends_with('\n') {
        return Err(Refusal::malformed("the last line does not end; the table may be cut short"));
    }
    let mut row = StringRecord::new();
    let mut row_count = 0_usize;
    let mut only_date = None;
    while reader.read_record(&mut row).map_err(|error| unreadable(&error))? {
        let list = read_row(intake, &header, &row)?;
        row_count += 1;
        only_date = (row_count == 1).then(|| list.rate_date());
        intake.publish(ECB_PROVIDER, list, None);
    }
    intake.compare_with_name(only_date);
    Ok(())
}

fn check_header(header: &StringRecord) -> Result<(), Refusal> {
    let wrong = header.iter().skip(1).find(|name| !name.is_empty() && CurrencyCode::parse(name).is_none());
    match wrong {
        Some(name) => Err(Refusal::malformed(format!(
            "the column `{}` is headed by no currency code; expected `Date,USD,JPY,…`",
            excerpt(name)
        ))),
        None => Ok(()),
    }
}

fn read_row(intake: &mut Intake<'_>, header: &StringRecord, row: &StringRecord) -> Result<RateList, Refusal> {
    let rate_date = spelled_date(row.get(0).unwrap_or_default())?;
    let mut list = RateList::new(euro()?, rate_date);
    for (code, figure) in header.iter().zip(row.iter()).skip(1) {
        match (code, figure) {
            (_, NOT_QUOTED) | ("", "") => {}
            ("", _) => {
                let detail =
                    format!("the row of {rate_date} holds `{}` in a column without a name", excerpt(figure));
                return Err(Refusal::malformed(detail));
            }
            _ => {
                list.add(intake, code, figure)?;
            }
        }
    }
    Ok(list)
}

fn unreadable(error: &csv::Error) -> Refusal {
    Refusal::malformed(format!("not a whole table: {}", message_excerpt(&error.to_string())))
}
