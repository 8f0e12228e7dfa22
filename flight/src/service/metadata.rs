//! What the server tells of itself: catalogs, tables, keys, types.

use std::sync::Arc;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfoData};
use arrow_flight::sql::{Command, CommandGetTables};
use arrow_flight::{IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use cambist_sql::{CATALOG, Session, SqlService};
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::compute::like;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use tonic::Status;

use super::info::unsupported;
use super::sql_info::{sql_infos, types};
use crate::error::{FlightServerError, Result};
use crate::status::{internal, status_of};

/// The schemas of the one catalog.
const SCHEMAS: [&str; 2] = ["public", "system"];
const TABLE_TYPES: [&str; 2] = ["TABLE", "SYSTEM TABLE"];

/// What does not change while the server runs.
pub(super) struct Facts {
    infos: SqlInfoData,
    types: XdbcTypeInfoData,
    primary_keys: SchemaRef,
    foreign_keys: SchemaRef,
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Facts")
    }
}

impl Facts {
    pub(super) fn new() -> Result<Self> {
        let defect =
            |error: arrow_flight::error::FlightError| FlightServerError::Serve { reason: error.to_string() };
        Ok(Self {
            infos: sql_infos()
                .build()
                .map_err(|error| FlightServerError::Serve { reason: error.to_string() })?,
            types: types().map_err(defect)?,
            primary_keys: primary_keys(),
            foreign_keys: foreign_keys(),
        })
    }

    /// Returns the columns that a command returns; none for one that is not about metadata.
    pub(super) fn schema(&self, command: &Command) -> Option<SchemaRef> {
        Some(match command.clone() {
            Command::CommandGetCatalogs(command) => command.into_builder().schema(),
            Command::CommandGetDbSchemas(command) => command.into_builder().schema(),
            Command::CommandGetTables(command) => command.into_builder().schema(),
            Command::CommandGetTableTypes(command) => command.into_builder().schema(),
            Command::CommandGetPrimaryKeys(_) => Arc::clone(&self.primary_keys),
            Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => Arc::clone(&self.foreign_keys),
            Command::CommandGetSqlInfo(_) => Arc::new(SqlInfoDataBuilder::schema().clone()),
            Command::CommandGetXdbcTypeInfo(_) => self.types.schema(),
            _ => return None,
        })
    }

    /// Returns the rows of a command.
    pub(super) async fn rows(
        &self,
        sql: &SqlService,
        session: &Session,
        command: Command,
    ) -> Result<RecordBatch, Status> {
        let rows = match command {
            Command::CommandGetCatalogs(command) => {
                let mut rows = command.into_builder();
                rows.append(CATALOG);
                rows.build()
            }
            Command::CommandGetDbSchemas(command) => {
                let mut rows = command.into_builder();
                for schema in SCHEMAS {
                    rows.append(CATALOG, schema);
                }
                rows.build()
            }
            Command::CommandGetTables(command) => return tables(sql, session, command).await,
            Command::CommandGetTableTypes(command) => {
                let mut rows = command.into_builder();
                for table_type in TABLE_TYPES {
                    rows.append(table_type);
                }
                rows.build()
            }
            Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(Arc::clone(&self.primary_keys))),
            Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => {
                Ok(RecordBatch::new_empty(Arc::clone(&self.foreign_keys)))
            }
            Command::CommandGetSqlInfo(command) => command.into_builder(&self.infos).build(),
            Command::CommandGetXdbcTypeInfo(command) => command.into_builder(&self.types).build(),
            other => return Err(unsupported(other.type_url())),
        };
        rows.map_err(internal)
    }
}

async fn tables(
    sql: &SqlService,
    session: &Session,
    command: CommandGetTables,
) -> Result<RecordBatch, Status> {
    // Opening a table takes reads; the builder applies the same filters to all that it is given.
    let (schema, name) = (&command.db_schema_filter_pattern, &command.table_name_filter_pattern);
    let of_schema = |found: &str| schema.as_deref().is_none_or(|pattern| is_like(found, pattern));
    let of_name = |found: &str| name.as_deref().is_none_or(|pattern| is_like(found, pattern));
    let is_opened = |schema: &str, name: &str| command.include_schema && of_schema(schema) && of_name(name);
    let tables = sql.tables(session, is_opened).await.map_err(status_of)?;
    let mut rows = command.into_builder();
    for table in tables {
        let columns = table.columns.unwrap_or_else(|| Arc::new(Schema::empty()));
        rows.append(CATALOG, table.schema, table.name, table.table_type, &columns).map_err(internal)?;
    }
    rows.build().map_err(internal)
}

/// Tells whether a text is as a pattern of `LIKE` says.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (StringArray::new_scalar(text), StringArray::new_scalar(pattern));
    like(&text, &pattern).is_ok_and(|found| found.value(0))
}

/// As `CommandGetPrimaryKeys` in `FlightSql.proto` has them.
fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// As `CommandGetExportedKeys`, `CommandGetImportedKeys` and `CommandGetCrossReference` have them.
fn foreign_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// Encodes a schema as an Arrow IPC message.
pub(super) fn ipc_schema(schema: &Schema) -> Result<Bytes, Status> {
    let message: IpcMessage =
        SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(internal)?;
    Ok(message.0)
}
