//! A committed run done again with other rates: every row is converted, counted and compared, and only the
//! rows of some days are written.

use std::collections::BTreeMap;

use cambist_engine::partition_writer::{TalliedPartition, TallySpec, WrittenFile, merge_by_source};
use cambist_engine::rates::LoadedRates;
use cambist_engine::table::{Staging, TableKind, TableState};
use cambist_engine::task::TaskCounts;

use super::config::NormalizeConfig;
use super::draft::details;
use super::inputs::{FoundInputs, RunInputs};
use super::pass::Pass;
use super::plan::{NormalizePlan, plan_over};
use super::report::RunReport;
use crate::context::RunContext;
use crate::error::Result;
use crate::input::{of_execution, of_table};

/// What is done again.
pub(crate) struct Recomputation<'a> {
    /// The options of the run, with the instant as of which rates are known now.
    pub(crate) config: &'a NormalizeConfig,
    /// The files it reads.
    pub(crate) inputs: FoundInputs,
    /// The account of these files, with the new rates' digest.
    pub(crate) record: RunInputs,
    /// The rates as they are known now.
    pub(crate) rates: LoadedRates,
    /// Which rows are written.
    pub(crate) tally: TallySpec,
}

/// What came of it.
pub(crate) struct Recomputed {
    /// The staged files.
    pub(crate) files: Vec<WrittenFile>,
    /// Every partition's rows, written or not.
    pub(crate) tallied: BTreeMap<String, TalliedPartition>,
    /// The run's report; what it says of files is still to be filled in.
    pub(crate) report: RunReport,
    /// The digest of all that determined the result.
    pub(crate) input_digest: String,
    counts: TaskCounts,
    plan: NormalizePlan,
}

impl Recomputed {
    /// Returns the account that the commit keeps of the batch.
    pub(crate) fn details(
        &self,
        config: &NormalizeConfig,
        context: &RunContext,
    ) -> Result<serde_json::Value> {
        details(config, context, &self.plan, &self.report, &self.counts)
    }
}

/// Does a run again, and stages at `staging` what is to be written.
///
/// # Errors
/// Those of a run; nothing was committed.
pub(crate) async fn recompute(
    state: &TableState,
    context: &RunContext,
    staging: &Staging,
    what: Recomputation<'_>,
) -> Result<Recomputed> {
    let Recomputation { config, inputs, record, rates, tally } = what;
    let slots = context.execution.slots().await.map_err(of_execution)?;
    let plan = plan_over(config, context, staging, slots, inputs, Some(record), rates).await?;
    state.check_schema(TableKind::Main, &plan.schema).map_err(|error| of_table(&error))?;
    let tasks = plan.converted.properties().partitioning.partition_count() as u64;
    context.progress.begin(plan.input_bytes, tasks);
    let pass = Pass { config, context, plan: &plan, staging, tally: Some(tally) };
    let result = pass.run().await?;
    let report =
        RunReport::of_counts(&context.run_id, &config.batch, &result.counts, &plan.targets, &plan.rates);
    let mut tallied: BTreeMap<String, TalliedPartition> = BTreeMap::new();
    for one in result.tallied {
        let of_partition = tallied.entry(one.partition.clone()).or_default();
        of_partition.partition = one.partition;
        of_partition.figures.merge(&one.figures);
        merge_by_source(&mut of_partition.by_source, &one.by_source);
    }
    context.progress.set_done(plan.input_bytes, result.counts.records_in, tasks);
    let input_digest = plan.input_digest.clone();
    Ok(Recomputed { files: result.files, tallied, report, input_digest, counts: result.counts, plan })
}
