//! What the planner sees of the catalog: each table that a statement names is opened once, as it is then.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemTable, MemoryCatalogProviderList, SchemaProvider, TableProvider,
};
use datafusion::common::Result as PlanResult;
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;
use tokio::sync::Mutex;

use super::failure::{base_name, carried};
use crate::catalog::{Catalog, Opening};
use crate::service::CATALOG;
use crate::statement::PUBLIC;
use crate::system::SystemTables;

/// The schema of our own tables.
pub(crate) const SYSTEM: &str = "system";

/// The schema that tells of tables.
pub(crate) const INFORMATION: &str = "information_schema";

/// Its tables.
pub(crate) const INFORMATION_TABLES: [&str; 3] = ["tables", "columns", "schemata"];

/// Makes the list of catalogs of one statement.
pub(crate) fn catalogs(
    catalog: Arc<Catalog>,
    opening: Opening,
    system: Arc<SystemTables>,
) -> Arc<dyn CatalogProviderList> {
    let public = Arc::new(PublicSchema { catalog, opening, opened: Mutex::default() });
    let schemas = Schemas { public, system: Arc::new(SystemSchema(system)) };
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG.to_owned(), Arc::new(schemas));
    Arc::new(list)
}

#[derive(Clone, Debug)]
struct Schemas {
    public: Arc<PublicSchema>,
    system: Arc<SystemSchema>,
}

impl CatalogProvider for Schemas {
    fn schema_names(&self) -> Vec<String> {
        [PUBLIC, SYSTEM, INFORMATION].map(str::to_owned).to_vec()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            PUBLIC => Some(Arc::clone(&self.public) as _),
            SYSTEM => Some(Arc::clone(&self.system) as _),
            INFORMATION => Some(Arc::new(InformationSchema(self.clone()))),
            _ => None,
        }
    }
}

/// The declared tables.
#[derive(Debug)]
struct PublicSchema {
    catalog: Arc<Catalog>,
    opening: Opening,
    opened: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

#[async_trait]
impl SchemaProvider for PublicSchema {
    fn table_names(&self) -> Vec<String> {
        self.catalog.declared().into_keys().collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let mut opened = self.opened.lock().await;
        if let Some(table) = opened.get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        let table = self.catalog.open(name, &self.opening).await.map_err(carried)?;
        if let Some(table) = &table {
            opened.insert(name.to_owned(), Arc::clone(table));
        }
        Ok(table)
    }

    async fn table_type(&self, name: &str) -> PlanResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.catalog.declared().contains_key(base_name(name))
    }
}

/// Our own tables.
#[derive(Debug)]
struct SystemSchema(Arc<SystemTables>);

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        crate::system::NAMES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        self.0.open(name).await
    }

    async fn table_type(&self, name: &str) -> PlanResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        crate::system::NAMES.contains(&name)
    }
}

/// What DataFusion tells of tables, as rows: its own tables cannot travel to other processes, and fail where one
/// of the tables that they tell of does.
#[derive(Debug)]
struct InformationSchema(Schemas);

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        INFORMATION_TABLES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        if !self.table_exist(name) {
            return Ok(None);
        }
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG.to_owned(), Arc::new(Lenient(self.0.clone())));
        let Some(table) = InformationSchemaProvider::new(Arc::new(list)).table(name).await? else {
            return Ok(None);
        };
        let context = SessionContext::new();
        let columns = table.schema();
        let rows = context.read_table(table)?.collect().await?;
        Ok(Some(Arc::new(MemTable::try_new(columns, vec![rows])?)))
    }

    async fn table_type(&self, name: &str) -> PlanResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::View))
    }

    fn table_exist(&self, name: &str) -> bool {
        INFORMATION_TABLES.contains(&name)
    }
}

/// The same schemas; a table that cannot be opened has no columns.
#[derive(Debug)]
struct Lenient(Schemas);

impl CatalogProvider for Lenient {
    fn schema_names(&self) -> Vec<String> {
        [PUBLIC, SYSTEM].map(str::to_owned).to_vec()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            PUBLIC => Some(Arc::new(LenientSchema(Arc::clone(&self.0.public)))),
            SYSTEM => Some(Arc::new(SystemColumns)),
            _ => None,
        }
    }
}

/// Our own tables without their rows.
#[derive(Debug)]
struct SystemColumns;

#[async_trait]
impl SchemaProvider for SystemColumns {
    fn table_names(&self) -> Vec<String> {
        crate::system::NAMES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        Ok(crate::system::columns(name).map(|columns| Arc::new(EmptyTable::new(columns)) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        crate::system::NAMES.contains(&name)
    }
}

#[derive(Debug)]
struct LenientSchema(Arc<PublicSchema>);

#[async_trait]
impl SchemaProvider for LenientSchema {
    fn table_names(&self) -> Vec<String> {
        self.0.table_names()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        Ok(self.0.table(name).await.unwrap_or_else(|error| {
            tracing::warn!(table = name, %error, "a table cannot be opened, its columns are not told");
            None
        }))
    }

    async fn table_type(&self, name: &str) -> PlanResult<Option<TableType>> {
        self.0.table_type(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.table_exist(name)
    }
}
