//! The tables that there are, for calls about metadata.

use cambist_engine::record::GroupPlan;
use datafusion::arrow::datatypes::SchemaRef;
use futures::StreamExt;

use super::{Inner, SqlService};
use crate::catalog::{Catalog, Opening};
use crate::error::Result;
use crate::planning::output;
use crate::prepared::StatementKind;
use crate::session::Session;
use crate::statement::PUBLIC;
use crate::system;

/// A table as metadata calls tell of it.
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// `public` or `system`.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `TABLE` or `SYSTEM TABLE`.
    pub table_type: &'static str,
    /// Its columns, of types that every client can read; none where they were not asked for or are not known.
    pub columns: Option<SchemaRef>,
}

/// Tables that a metadata call opens at once.
const OPENED_AT_ONCE: usize = 8;

const SYSTEM: &str = "system";

impl SqlService {
    /// Returns the tables that the session's user may read: the declared ones in schema `public`, ours in
    /// `system`. Those for whose schema and name `with_columns` says so are opened, and told with their columns.
    ///
    /// It counts as a statement of the user: it has the same limits, can be cancelled, and is noted.
    ///
    /// # Errors
    /// Where a limit of the user is reached. Never for one table that cannot be opened: it is told without
    /// columns.
    pub async fn tables(
        &self,
        session: &Session,
        with_columns: impl Fn(&str, &str) -> bool,
    ) -> Result<Vec<TableEntry>> {
        let inner = &self.inner;
        let principal = session.principal();
        let limits = inner.settings.limits_of(principal.role);
        let running = inner.queries.begin(principal, "metadata", "tables".to_owned(), limits)?;
        let listed = running.bounded(async { Ok(list(inner, session, with_columns).await) }).await;
        running.end(&listed.as_ref().map(|_| ()).map_err(Clone::clone));
        listed
    }
}

async fn list(
    inner: &Inner,
    session: &Session,
    with_columns: impl Fn(&str, &str) -> bool,
) -> Vec<TableEntry> {
    if !session.principal().role.may(StatementKind::Select) {
        return Vec::new();
    }
    let groups = GroupPlan { slots: 1, task_bytes: None };
    let opening = Opening { groups, now: (inner.environment.clock)() };
    let declared: Vec<(String, bool)> = inner
        .catalog
        .declared()
        .into_keys()
        .map(|name| {
            let is_opened = with_columns(PUBLIC, &name);
            (name, is_opened)
        })
        .collect();
    let entry = |(name, is_opened): (String, bool)| {
        let (catalog, opening) = (&inner.catalog, &opening);
        async move {
            let columns = if is_opened { columns_of(catalog, &name, opening).await } else { None };
            TableEntry { schema: PUBLIC.to_owned(), name, table_type: "TABLE", columns }
        }
    };
    let mut tables: Vec<TableEntry> =
        futures::stream::iter(declared.into_iter().map(entry)).buffered(OPENED_AT_ONCE).collect().await;
    tables.extend(system::NAMES.iter().map(|name| TableEntry {
        schema: SYSTEM.to_owned(),
        name: (*name).to_owned(),
        table_type: "SYSTEM TABLE",
        columns: system::columns(name).filter(|_| with_columns(SYSTEM, name)),
    }));
    tables
}

async fn columns_of(catalog: &Catalog, name: &str, opening: &Opening) -> Option<SchemaRef> {
    match catalog.open(name, opening).await {
        Ok(opened) => opened.map(|table| output::readable(&table.schema())),
        Err(error) => {
            tracing::warn!(table = name, %error, "a table cannot be opened, its columns are not told");
            None
        }
    }
}
