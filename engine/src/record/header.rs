//! The header of a delimited file: which field is which column.

use std::collections::HashSet;

use super::config::{Format, RecordConfig};
use super::csv::{Csv, is_encoding_fault};
use super::error::RecordError;
use super::input::{Input, Object};
use super::schema::{FAULT_COLUMN, RECORD_COLUMN};
use super::text::{Dialect, Frame};
use super::window::Window;

/// Where a file has no header: how many broken records are passed over to find one with fields.
const BROKEN_RECORDS_MAX: usize = 100;

/// The columns of a file, in its own order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) names: Vec<String>,
    /// Where the records begin in the decompressed file.
    pub(crate) end: u64,
}

impl Header {
    /// Reads the header of a file of its own; none where the file is empty.
    ///
    /// # Errors
    /// [`RecordError::DamagedFile`] where the file is damaged before the end of its header.
    pub(crate) async fn of_file(object: &Object, config: &RecordConfig) -> Result<Option<Self>, RecordError> {
        let mut window = Window::over_file(Input::open(object).await?).await?;
        let header = Self::read(&mut window, object.file(), config).await?;
        match (header, window.damage) {
            (None, Some(detail)) => Err(RecordError::DamagedFile { file: object.file().to_owned(), detail }),
            (header, _) => Ok(header),
        }
    }

    /// Reads the header at the beginning of a window, which then begins behind it. Where files have no
    /// header the columns are numbered as the first whole record has them.
    pub(crate) async fn read(
        window: &mut Window,
        file: &str,
        config: &RecordConfig,
    ) -> Result<Option<Self>, RecordError> {
        debug_assert_eq!(config.format, Format::Csv, "only delimited files have a header");
        let mut csv = Csv::new(config);
        let mut broken_records = 0;
        let unusable = |detail: String| RecordError::Header { file: file.to_owned(), detail };
        loop {
            let is_last = window.is_last && window.damage.is_none();
            let unread = window.unread();
            match csv.frame(unread, is_last) {
                Frame::More if window.is_last => return Ok(None),
                Frame::More => window.refill().await?,
                Frame::Blank { next } => window.position += next,
                Frame::Record { end, next } => {
                    let fields = csv.fields(unread.get(..end).unwrap_or_default());
                    if !config.header {
                        let count = fields.map_or_else(|_| csv.field_count(), |fields| fields.len());
                        let names = (1..=count).map(|number| format!("column_{number}")).collect();
                        return Ok(Some(Self { names, end: window.offset() }));
                    }
                    let names = fields.map_err(|fault| {
                        let hint = if is_encoding_fault(&fault) { "; set the encoding" } else { "" };
                        unusable(format!("{}{hint}", fault.detail))
                    })?;
                    window.position += next;
                    return Ok(Some(Self { names: checked(names, file)?, end: window.offset() }));
                }
                Frame::Broken { next, .. } if !config.header && broken_records < BROKEN_RECORDS_MAX => {
                    broken_records += 1;
                    window.position += next;
                }
                Frame::Broken { fault, .. } => return Err(unusable(fault.detail)),
                Frame::TooLong => {
                    let limit = config.max_record_bytes;
                    return Err(unusable(format!("it has more than {limit} bytes")));
                }
            }
        }
    }

    /// Returns the field of each of the columns `wanted`, which are all the columns of the file.
    pub(crate) fn order(&self, wanted: &[&str], file: &str, origin: &str) -> Result<Vec<usize>, RecordError> {
        let extra = self.names.iter().find(|name| !wanted.contains(&name.as_str()));
        let field = |column: &&str| {
            self.names.iter().position(|name| name == column).ok_or_else(|| RecordError::MissingColumn {
                file: file.to_owned(),
                column: (*column).to_owned(),
                origin: origin.to_owned(),
            })
        };
        let order = wanted.iter().map(field).collect::<Result<Vec<usize>, RecordError>>()?;
        match extra {
            None => Ok(order),
            Some(column) => Err(RecordError::ExtraColumn {
                file: file.to_owned(),
                column: column.clone(),
                origin: origin.to_owned(),
            }),
        }
    }
}

fn checked(names: Vec<String>, file: &str) -> Result<Vec<String>, RecordError> {
    let unusable = |detail: String| RecordError::Header { file: file.to_owned(), detail };
    let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
    let mut seen = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(unusable(format!("column {} has no name", index + 1)));
        }
        if name == RECORD_COLUMN || name == FAULT_COLUMN {
            return Err(RecordError::ReservedColumn { file: file.to_owned(), column: name.clone() });
        }
        if !seen.insert(name) {
            return Err(unusable(format!("two columns are named `{name}`")));
        }
    }
    Ok(names)
}
