//! How a source is to be read: its form, the declared types, the bounds.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::column_type::ColumnType;
use super::error::RecordError;

/// A record may be as long as this at most, whatever the configuration says: a batch of text columns
/// counts its bytes in 31 bits.
const RECORD_BYTES_LIMIT: usize = 64 << 20;

/// The form of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Delimited text, one record per line (quoted values may span lines).
    #[default]
    Csv,
    /// One JSON object per line.
    Ndjson,
    /// JSON objects one after another, with or without white space between them, or one array of them.
    Json,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// Returns the name under which the format is configured.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        [Self::Csv, Self::Ndjson, Self::Json, Self::Parquet]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| RecordError::Option {
                option: "format",
                found: text.to_owned(),
                expected: "csv, ndjson, json or parquet",
            })
    }
}

/// The encoding of a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO-8859-1: every byte is the character of its number.
    #[serde(rename = "latin1")]
    Latin1,
}

impl FromStr for Encoding {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        match text {
            "utf-8" | "utf8" => Ok(Self::Utf8),
            "latin1" | "iso-8859-1" => Ok(Self::Latin1),
            _ => Err(RecordError::Option {
                option: "encoding",
                found: text.to_owned(),
                expected: "utf-8 or latin1",
            }),
        }
    }
}

/// What a column means, where that decides the reason code of a value that contradicts its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnRole {
    /// The amount to convert.
    Amount,
    /// The currency of the amount.
    Currency,
    /// The date or time of the event.
    EventTime,
}

/// How the files of one source are read. All files of a source are read alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordConfig {
    /// The form of the records.
    pub format: Format,
    /// CSV: the ASCII character between fields.
    pub delimiter: u8,
    /// CSV: the ASCII character around fields that hold a delimiter, a quote or a line end.
    pub quote: u8,
    /// CSV: whether the first record of each file names the columns; otherwise they are `column_1`, ….
    pub header: bool,
    /// The encoding of text files. JSON is always UTF-8.
    pub encoding: Encoding,
    /// CSV: whether a quoted field may hold line ends. Where it may, a file cannot be split.
    pub quoted_newlines: bool,
    /// A record of more bytes is a fault; it is kept by its beginning.
    pub max_record_bytes: usize,
    /// Declared types by column. Undeclared columns of text files are text.
    pub types: BTreeMap<String, ColumnType>,
    /// Roles by column.
    pub roles: BTreeMap<String, ColumnRole>,
    /// JSON: values inside other values to read as columns, such as `amount.value` or `lines.0.price`.
    pub paths: Vec<String>,
    /// Whether a damaged file gives its whole records and a marker row instead of an error.
    pub allow_damaged: bool,
    /// JSON: how many records of each sampled file are searched for columns.
    pub sample_records: usize,
    /// How many files, in the order of their names, are looked at to infer the schema.
    pub sample_files: usize,
    /// How many bytes are read at a time; a few times as many are held per open file.
    pub chunk_bytes: usize,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self {
            format: Format::Csv,
            delimiter: b',',
            quote: b'"',
            header: true,
            encoding: Encoding::Utf8,
            quoted_newlines: true,
            max_record_bytes: 1 << 20,
            types: BTreeMap::new(),
            roles: BTreeMap::new(),
            paths: Vec::new(),
            allow_damaged: false,
            sample_records: 1000,
            sample_files: 16,
            chunk_bytes: 1 << 20,
        }
    }
}

impl RecordConfig {
    /// Returns the default configuration of a format.
    pub fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// Checks that the options fit together.
    ///
    /// # Errors
    /// [`RecordError::Option`] for the first one that does not.
    pub fn validate(&self) -> Result<(), RecordError> {
        let option = |option, found: String, expected| Err(RecordError::Option { option, found, expected });
        let character = |byte: u8| char::from(byte).escape_default().to_string();
        for (name, byte) in [("delimiter", self.delimiter), ("quote", self.quote)] {
            if !byte.is_ascii() || matches!(byte, b'\r' | b'\n' | 0) {
                return option(name, character(byte), "one ASCII character other than a line end");
            }
        }
        if self.delimiter == self.quote {
            return option("quote", character(self.quote), "a character other than the delimiter");
        }
        if !(1..=RECORD_BYTES_LIMIT).contains(&self.max_record_bytes) {
            return option("max_record_bytes", self.max_record_bytes.to_string(), "1 to 67108864 (64 MiB)");
        }
        if self.chunk_bytes == 0 || self.chunk_bytes > RECORD_BYTES_LIMIT {
            return option("chunk_bytes", self.chunk_bytes.to_string(), "1 to 67108864 (64 MiB)");
        }
        let json = matches!(self.format, Format::Json | Format::Ndjson);
        if let (Some(path), false) = (self.paths.first(), json) {
            return option("paths", path.clone(), "no path where the format is not json or ndjson");
        }
        if json && self.encoding != Encoding::Utf8 {
            return option("encoding", "latin1".to_owned(), "utf-8 where the format is json or ndjson");
        }
        Ok(())
    }

    /// Tells whether a plain file may be cut into byte ranges that are read apart.
    pub fn is_splittable(&self) -> bool {
        match self.format {
            Format::Csv => !self.quoted_newlines,
            Format::Ndjson | Format::Parquet => true,
            Format::Json => false,
        }
    }
}
