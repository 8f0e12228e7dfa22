//! The statement that makes a hive or Athena table of what is here.

use super::Table;
use super::error::TableError;
use super::names;
use super::record::TableKind;
use super::schema::{Column, TableSchema};
use crate::location::Location;

/// Who will read the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdlDialect {
    /// Athena and Trino: reads the manifests, so that a commit appears at once; partitions are projected.
    Athena,
    /// Spark and Hive: reads the folders; partitions are found by `MSCK REPAIR TABLE`.
    Hive,
}

/// What the statement is to make.
#[derive(Clone, Debug)]
pub struct DdlOptions {
    /// Who will read the table.
    pub dialect: DdlDialect,
    /// The table's name, with its database if wanted: `lake.processed_data`.
    pub table_name: String,
    /// Which of the two tables.
    pub table: TableKind,
    /// The first day that Athena looks for, such as `2020-01-01`.
    pub first_day: String,
}

impl Table {
    /// Returns `CREATE EXTERNAL TABLE` for one of the tables, with the types that its files were written with.
    ///
    /// # Errors
    /// [`TableError::NoTable`] before the first commit.
    pub fn ddl(&self, options: &DdlOptions) -> Result<String, TableError> {
        let location = self.location(options.table);
        let no_table = || TableError::NoTable { root: location.to_string() };
        let schema = self.state().schema(options.table).ok_or_else(no_table)?;
        Ok(match options.dialect {
            DdlDialect::Athena => athena(schema, location, options),
            DdlDialect::Hive => hive(schema, location, options),
        })
    }
}

fn athena(schema: &TableSchema, location: &Location, options: &DdlOptions) -> String {
    let manifests = format!("{}/{}", location.uri(), names::MANIFESTS);
    let properties = schema.partition_column.as_ref().map_or_else(String::new, |column| {
        format!(
            "\nTBLPROPERTIES (\n  \
             'projection.enabled'='true',\n  \
             'projection.{column}.type'='date',\n  \
             'projection.{column}.format'='yyyy-MM-dd',\n  \
             'projection.{column}.range'='{first_day},NOW+1DAY',\n  \
             'projection.{column}.interval'='1',\n  \
             'projection.{column}.interval.unit'='DAYS',\n  \
             'storage.location.template'='{manifests}/{column}=${{{column}}}/'\n)",
            first_day = options.first_day,
            manifests = quoted(&manifests),
        )
    });
    format!(
        "{head}ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'\n\
         STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'\n\
         OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'\n\
         LOCATION '{location}/'{properties};\n",
        head = head(schema, options),
        location = quoted(&manifests),
    )
}

fn hive(schema: &TableSchema, location: &Location, options: &DdlOptions) -> String {
    let repair = match schema.partition_column {
        Some(_) => format!("MSCK REPAIR TABLE {};\n", options.table_name),
        None => String::new(),
    };
    format!(
        "{head}STORED AS PARQUET\nLOCATION '{location}/';\n{repair}",
        head = head(schema, options),
        location = quoted(&location.uri()),
    )
}

/// Both dialects take the same names, types and quotes up to here.
fn head(schema: &TableSchema, options: &DdlOptions) -> String {
    let column = |column: &Column| format!("  `{}` {}", column.name, column.hive_type);
    let columns: Vec<_> = schema.columns.iter().map(column).collect();
    let partitioned = schema.partition_column.as_ref();
    let partitioned =
        partitioned.map_or_else(String::new, |column| format!("PARTITIONED BY (`{column}` string)\n"));
    format!("CREATE EXTERNAL TABLE {} (\n{}\n)\n{partitioned}", options.table_name, columns.join(",\n"))
}

fn quoted(text: &str) -> String {
    text.replace('\'', "\\'")
}
