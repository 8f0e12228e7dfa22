//! `CREATE EXTERNAL TABLE`: the declaration of a table by a statement.
//!
//! | written | is |
//! |---|---|
//! | `STORED AS CAMBIST` | a table that a job of ours commits to |
//! | `STORED AS RATES` | snapshots of exchange rates: a ledger, or a plain folder |
//! | `STORED AS CSV`, `PARQUET`, `JSON`, `NDJSON` | raw files; `JSON` is one object a line, as `NDJSON` |
//! | `OPTIONS ('encoding' 'latin1', 'delimiter' ';')` | how text files are read |
//!
//! Columns that are declared give the types of raw files' columns; others are found in the files.

use std::collections::BTreeMap;

use cambist_engine::record::ColumnType;
use datafusion::sql::parser::CreateExternalTable;
use datafusion::sql::sqlparser::ast::{ColumnDef, DataType, ExactNumberInfo, TimezoneInfo, Value};

use super::action::public_name;
use super::redact::is_secret_name;
use crate::catalog::{TableKind, TableSettings};
use crate::error::{Result, SqlError};

const FORMATS: &str = "CAMBIST, RATES, CSV, PARQUET, JSON or NDJSON";
const OPTIONS: &str = "`encoding` or `delimiter`";
const TYPES: &str =
    "TEXT, BIGINT, DECIMAL(precision,scale), BOOLEAN, DATE, TIMESTAMP, TIMESTAMP WITH TIME ZONE or DOUBLE";

/// A table that is to be declared.
#[derive(Debug)]
pub(crate) struct NewTable {
    pub(crate) name: String,
    pub(crate) settings: TableSettings,
    pub(crate) if_not_exists: bool,
}

/// Reads the declaration.
pub(super) fn read(table: CreateExternalTable) -> Result<NewTable> {
    refuse_clauses(&table)?;
    let name = public_name(&table.name)?;
    let [url] = &table.locations[..] else {
        return Err(SqlError::invalid(format!(
            "LOCATION names {} places, expected one",
            table.locations.len()
        )));
    };
    let (kind, format) = match table.file_type.to_ascii_uppercase().as_str() {
        "CAMBIST" => (TableKind::Cambist, None),
        "RATES" => (TableKind::Rates, None),
        "CSV" => (TableKind::Raw, Some("csv")),
        "PARQUET" => (TableKind::Raw, Some("parquet")),
        "JSON" | "NDJSON" => (TableKind::Raw, Some("ndjson")),
        other => {
            return Err(SqlError::invalid(format!("STORED AS `{other}` is not known, expected {FORMATS}")));
        }
    };
    let mut settings = TableSettings {
        url: url.clone(),
        kind,
        format: format.map(str::to_owned),
        encoding: None,
        delimiter: None,
        types: types(&table.columns)?,
    };
    for (key, value) in &table.options {
        set_option(&mut settings, key, value)?;
    }
    if kind != TableKind::Raw && !(table.options.is_empty() && table.columns.is_empty()) {
        return Err(SqlError::invalid(format!(
            "a table that is STORED AS {} knows its own columns and options, expected neither",
            table.file_type
        )));
    }
    Ok(NewTable { name, settings, if_not_exists: table.if_not_exists })
}

fn refuse_clauses(table: &CreateExternalTable) -> Result<()> {
    let clauses = [
        (table.or_replace, "OR REPLACE", "DROP TABLE first"),
        (table.temporary, "TEMPORARY", "leave it out: what is declared is there for everybody"),
        (table.unbounded, "UNBOUNDED", "leave it out: files have an end"),
        (
            !table.table_partition_cols.is_empty(),
            "PARTITIONED BY",
            "leave it out: our tables know their partitions",
        ),
        (!table.order_exprs.is_empty(), "WITH ORDER", "leave it out, and write ORDER BY in the query"),
        (!table.constraints.is_empty(), "a constraint", "leave it out: files are read as they are"),
    ];
    match clauses.into_iter().find(|(is_given, ..)| *is_given) {
        Some((_, clause, hint)) => {
            Err(SqlError::invalid(format!("{clause} is not supported in CREATE EXTERNAL TABLE"))
                .with_hint(hint))
        }
        None => Ok(()),
    }
}

fn set_option(settings: &mut TableSettings, key: &str, value: &Value) -> Result<()> {
    if is_secret_name(key) || key.to_lowercase().starts_with("aws.") {
        let error =
            SqlError::invalid(format!("the option `{key}` is not taken: statements hold no credentials"));
        return Err(error.with_hint("the server has them from its environment or its instance profile"));
    }
    let folded = key.to_lowercase();
    let place = match folded.strip_prefix("format.").unwrap_or(&folded) {
        "encoding" => &mut settings.encoding,
        "delimiter" => &mut settings.delimiter,
        _ => {
            return Err(SqlError::invalid(format!("the option `{key}` is not known, expected {OPTIONS}")));
        }
    };
    let (Value::SingleQuotedString(text) | Value::DoubleQuotedString(text)) = value else {
        return Err(SqlError::invalid(format!("the option `{key}` is not given as text, expected '…'")));
    };
    *place = Some(text.clone());
    Ok(())
}

fn types(columns: &[ColumnDef]) -> Result<BTreeMap<String, String>> {
    let mut types = BTreeMap::new();
    for column in columns {
        let name = &column.name.value;
        if !column.options.is_empty() {
            let error = SqlError::invalid(format!("the column `{name}` has a constraint or a default"));
            return Err(error.with_hint("leave it out: files are read as they are"));
        }
        let Some(column_type) = column_type(&column.data_type) else {
            return Err(SqlError::invalid(format!(
                "the column `{name}` is of type {}, expected {TYPES}",
                column.data_type
            )));
        };
        if types.insert(name.clone(), column_type.to_string()).is_some() {
            return Err(SqlError::invalid(format!("the column `{name}` is declared twice")));
        }
    }
    Ok(types)
}

fn column_type(written: &DataType) -> Option<ColumnType> {
    let decimal = |number: &ExactNumberInfo| {
        let (precision, scale) = match number {
            ExactNumberInfo::None => return None,
            ExactNumberInfo::Precision(precision) => (*precision, 0),
            ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
        };
        // Its bounds are those of the reader's own type.
        format!("decimal({precision},{scale})").parse().ok()
    };
    match written {
        DataType::Text
        | DataType::String(_)
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::CharVarying(_)
        | DataType::CharacterVarying(_) => Some(ColumnType::Text),
        DataType::BigInt(_)
        | DataType::Int(_)
        | DataType::Integer(_)
        | DataType::SmallInt(_)
        | DataType::Int64
        | DataType::Int8(_) => Some(ColumnType::Int64),
        DataType::Decimal(number) | DataType::Numeric(number) | DataType::Dec(number) => decimal(number),
        DataType::Boolean | DataType::Bool => Some(ColumnType::Bool),
        DataType::Date => Some(ColumnType::Date),
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Some(ColumnType::Timestamp)
        }
        DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            Some(ColumnType::TimestampTz)
        }
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float64 | DataType::Real => {
            Some(ColumnType::Float64)
        }
        _ => None,
    }
}
