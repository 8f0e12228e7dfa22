//! `query` as the registry runs it.

use async_trait::async_trait;
use serde_json::Value;

use super::{QueryConfig, QuerySpec, query};
use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::options;
use crate::registry::PreparedJob;

/// Checked options, beside those that were given.
#[derive(Debug)]
pub(crate) struct Prepared {
    options: Value,
    config: QueryConfig,
}

impl Prepared {
    pub(crate) fn try_new(options: Value) -> Result<Self> {
        let spec: QuerySpec = options::from_json("query", &options)?;
        Ok(Self { config: QueryConfig::try_from(spec)?, options })
    }
}

#[async_trait]
impl PreparedJob for Prepared {
    fn name(&self) -> &str {
        "query"
    }

    fn options(&self) -> &Value {
        &self.options
    }

    async fn run(&self, context: &RunContext) -> Result<Value> {
        let report = query(&self.config, context).await?;
        serde_json::to_value(report)
            .map_err(|error| JobError::data("the report is not JSON").caused_by(error))
    }
}
