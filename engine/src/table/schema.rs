//! The columns of a table, as the log records them.

use serde::{Deserialize, Serialize};

use super::error::TableError;
use super::record::TableKind;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, in lower case.
    pub name: String,
    /// Its hive and Athena type, such as `decimal(38,2)`.
    #[serde(rename = "type")]
    pub hive_type: String,
}

/// The columns of one table in their order, and what it is partitioned by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// The columns inside the files.
    pub columns: Vec<Column>,
    /// The column that is only in the folders' names, or nothing for a table without partitions.
    pub partition_column: Option<String>,
}

impl TableSchema {
    /// Checks that `found` is this schema.
    ///
    /// # Errors
    /// [`TableError::SchemaMismatch`] that names the first difference.
    pub(super) fn check(&self, table: TableKind, found: &Self) -> Result<(), TableError> {
        match self.first_difference(found) {
            None => Ok(()),
            Some(difference) => Err(TableError::SchemaMismatch { table, difference }),
        }
    }

    fn first_difference(&self, found: &Self) -> Option<String> {
        let mut expected_columns = self.columns.iter();
        let mut found_columns = found.columns.iter();
        let mut position = 0;
        loop {
            position += 1;
            let difference = match (expected_columns.next(), found_columns.next()) {
                (None, None) => break,
                (Some(expected), Some(found)) if expected == found => continue,
                (Some(expected), Some(found)) => format!(
                    "column {position} is `{}` {} instead of `{}` {}",
                    found.name, found.hive_type, expected.name, expected.hive_type
                ),
                (Some(expected), None) => {
                    format!("column {position}, `{}` {}, is missing", expected.name, expected.hive_type)
                }
                (None, Some(found)) => {
                    format!("column {position}, `{}` {}, is new", found.name, found.hive_type)
                }
            };
            return Some(difference);
        }
        let name = |column: &Option<String>| {
            column.as_ref().map_or_else(|| "nothing".to_owned(), |column| format!("`{column}`"))
        };
        (self.partition_column != found.partition_column).then(|| {
            let (found, expected) = (name(&found.partition_column), name(&self.partition_column));
            format!("the partition column is {found} instead of {expected}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, &str)], partition: Option<&str>) -> TableSchema {
        let column = |(name, hive_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            hive_type: (*hive_type).to_owned(),
        };
        TableSchema {
            columns: columns.iter().map(column).collect(),
            partition_column: partition.map(str::to_owned),
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let table = schema(&[("id", "bigint"), ("amount_inr", "decimal(38,2)")], Some("dt"));
        let difference = |found: TableSchema| table.first_difference(&found);
        assert_eq!(difference(table.clone()), None);
        assert_eq!(
            difference(schema(&[("id", "bigint"), ("amount_jpy", "decimal(38,0)")], Some("dt"))).unwrap(),
            "column 2 is `amount_jpy` decimal(38,0) instead of `amount_inr` decimal(38,2)"
        );
        assert_eq!(
            difference(schema(&[("id", "bigint")], Some("dt"))).unwrap(),
            "column 2, `amount_inr` decimal(38,2), is missing"
        );
        let wider = schema(&[("id", "bigint"), ("amount_inr", "decimal(38,2)"), ("x", "int")], Some("dt"));
        assert_eq!(difference(wider).unwrap(), "column 3, `x` int, is new");
        let flat = TableSchema { partition_column: None, ..table.clone() };
        assert_eq!(difference(flat).unwrap(), "the partition column is nothing instead of `dt`");
    }
}
