//! The work on a plan: its tasks write, what they report is checked, and files that are too many are merged.

use std::sync::Arc;

use cambist_engine::merge::MergePass;
use cambist_engine::partition_writer::{
    PartitionWriter, PartitionWriterSpec, TalliedPartition, TallySpec, TaskManifest, WriterLimits,
    WrittenFile, read_manifests,
};
use cambist_engine::quarantine::RawEncoding;
use cambist_engine::record::Encoding;
use cambist_engine::table::Staging;
use cambist_engine::task::TaskCounts;
use cambist_engine::task_input::planned_inputs;
use datafusion::physical_plan::ExecutionPlan;

use super::check::{check_balance, check_quality};
use super::config::NormalizeConfig;
use super::plan::NormalizePlan;
use crate::context::RunContext;
use crate::error::Result;
use crate::input::{of_execution, of_merge, running};

/// One pass over a plan.
pub(super) struct Pass<'a> {
    pub(super) config: &'a NormalizeConfig,
    pub(super) context: &'a RunContext,
    pub(super) plan: &'a NormalizePlan,
    pub(super) staging: &'a Staging,
    /// Counts all and writes a part, where it is given.
    pub(super) tally: Option<TallySpec>,
}

/// What came of it.
pub(super) struct PassResult {
    pub(super) counts: TaskCounts,
    pub(super) files: Vec<WrittenFile>,
    /// The rows of each partition by task, written or not, where they were to be counted.
    pub(super) tallied: Vec<TalliedPartition>,
}

impl Pass<'_> {
    /// Runs the tasks; nothing goes on that does not balance.
    pub(super) async fn run(&self) -> Result<PassResult> {
        let mut result = self.check(self.execute().await?)?;
        result.files = self.merge(result.files).await?;
        Ok(result)
    }

    async fn execute(&self) -> Result<Vec<TaskManifest>> {
        let (context, plan) = (self.context, self.plan);
        let spec = self.writer_spec();
        let writer = PartitionWriter::new(Arc::clone(&plan.converted), Arc::new(spec), self.staging.clone());
        let planned = planned_inputs(&plan.converted).map_err(running)?;
        let writer: Arc<dyn ExecutionPlan> = Arc::new(writer);
        let batches = context
            .execution
            .collect(&context.run_id, writer, &plan.session, &context.progress)
            .await
            .map_err(of_execution)?;
        read_manifests(&batches, &planned).map_err(running)
    }

    /// Brings the tasks' accounts together.
    fn check(&self, manifests: Vec<TaskManifest>) -> Result<PassResult> {
        let mut result = PassResult { counts: TaskCounts::default(), files: Vec::new(), tallied: Vec::new() };
        manifests.iter().for_each(|manifest| result.counts.merge(&manifest.counts));
        check_balance(&result.counts)?;
        check_quality(self.config, &result.counts)?;
        for manifest in manifests {
            result.files.extend(manifest.files);
            result.tallied.extend(manifest.tallied.into_iter().flatten());
        }
        Ok(result)
    }

    /// Merges what the tasks wrote, wherever a partition got too many files.
    async fn merge(&self, files: Vec<WrittenFile>) -> Result<Vec<WrittenFile>> {
        // Tasks of the second pass have names of their own beside those of the first.
        let spec =
            PartitionWriterSpec { resumable: true, is_readable: false, tally: None, ..self.writer_spec() };
        let pass = MergePass {
            name: &self.context.run_id,
            execution: self.context.execution.as_ref(),
            session: &self.plan.session,
            progress: &self.context.progress,
            spec: &spec,
            staging: self.staging,
        };
        let config = self.config;
        pass.merge_staged(&self.plan.converted.schema(), files, config.files_per_partition, config.task_bytes)
            .await
            .map_err(of_merge)
    }

    fn writer_spec(&self) -> PartitionWriterSpec {
        let tasks = self.plan.converted.properties().partitioning.partition_count();
        PartitionWriterSpec {
            run_id: self.context.run_id.clone(),
            partition_column: self.config.partition_by.clone(),
            targets: self.plan.targets.clone(),
            raw_encoding: match self.config.source.records.encoding {
                Encoding::Utf8 => RawEncoding::Utf8,
                Encoding::Latin1 => RawEncoding::Latin1,
            },
            limits: WriterLimits::default(),
            // Several batches may be restated by one run: their files' names must be told apart by more than
            // the task's place.
            resumable: self.context.execution.is_remote() || self.tally.is_some(),
            // Each task may write every partition; which they did is known when it is too late to choose.
            is_readable: tasks > self.config.files_per_partition,
            by_place: false,
            tally: self.tally.clone(),
        }
    }
}
