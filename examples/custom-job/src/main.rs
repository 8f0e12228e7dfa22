//! `cambist` with a job (`audit_totals`) and a SQL function (`fx_margin`) of one's own.

use std::process::ExitCode;
use std::sync::Arc;

use cambist_jobs::registry::{self, Job, JobDescription, OptionDescription, OptionType, PreparedJob};
use cambist_jobs::{context::RunContext, error::Result};
use datafusion::arrow::{compute::kernels::numeric::sub, datatypes::DataType::Decimal128};
use datafusion::logical_expr::{ColumnarValue, Volatility::Immutable, create_udf};
use datafusion::physical_expr_common::datum::apply;
use serde_json::{Value, json};

const TOTALS: &str = "SELECT source_currency, count(*) AS transactions, sum(source_amount) AS amount
    FROM audited GROUP BY source_currency ORDER BY source_currency";

/// Adds a table's amounts up by currency, into a file.
#[derive(Debug)]
struct AuditTotals;

impl Job for AuditTotals {
    fn describe(&self) -> JobDescription {
        let place = |key, doc| OptionDescription::new(key, OptionType::Place, "place", "required", doc);
        let options = vec![place("table.url", "The table"), place("output.url", "The file")];
        JobDescription::new("audit_totals", "Adds a table's amounts up by currency", options)
    }

    fn prepare(&self, options: Value) -> Result<Box<dyn PreparedJob>> {
        let tables = json!({"audited": {"url": options["table"]["url"], "format": "cambist"}});
        let spec =
            json!({"query": {"sql": TOTALS}, "tables": tables, "output": {"url": options["output"]["url"]}});
        Ok(Box::new(Audit(registry::prepare("query", spec)?, options)))
    }
}

#[derive(Debug)]
struct Audit(Box<dyn PreparedJob>, Value);

#[async_trait::async_trait]
impl PreparedJob for Audit {
    fn name(&self) -> &str {
        "audit_totals"
    }
    fn options(&self) -> &Value {
        &self.1
    }
    async fn run(&self, context: &RunContext) -> Result<Value> {
        self.0.run(context).await
    }
}

fn main() -> ExitCode {
    let money = || Decimal128(38, 18);
    // What a conversion cost: what was paid beyond the fair amount.
    let cost = Arc::new(|values: &[ColumnarValue]| apply(&values[0], &values[1], sub));
    let margin = create_udf("fx_margin", vec![money(), money()], money(), Immutable, cost);
    cambist::run(cambist::Extensions::new().with_job(AuditTotals).with_function(margin))
}
