//! Running a merge.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::check::{Mismatch, check, figures_of_written};
use super::scan::{merge_columns, scan};
use super::staged::staged_layout;
use super::tasks::{MergeTask, plan_tasks};
use crate::execution::{Execution, ExecutionError};
use crate::partition_writer::{
    PartitionWriter, PartitionWriterSpec, TaskManifest, WrittenFile, read_manifests,
};
use crate::progress::RunProgress;
use crate::table::{Staging, TableError};
use crate::task_input::planned_inputs;

/// Why a merge failed; nothing of it is visible then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// It cannot be planned, or its tasks' reports cannot be used.
    #[error(transparent)]
    Plan(#[from] DataFusionError),
    /// A task failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// A path is not valid.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The rows are not the same: a defect.
    #[error(transparent)]
    Changed(#[from] Mismatch),
}

/// Where and how a merge runs.
#[derive(Clone, Copy)]
pub struct MergePass<'a> {
    /// What status pages call it.
    pub name: &'a str,
    /// Who runs its tasks.
    pub execution: &'a dyn Execution,
    /// The session of its plans.
    pub session: &'a SessionContext,
    /// Who is told how it gets on.
    pub progress: &'a RunProgress,
    /// How its files are written.
    pub spec: &'a PartitionWriterSpec,
    /// Where they are staged.
    pub staging: &'a Staging,
}

impl MergePass<'_> {
    /// Merges the files of a run's first pass, in task order, wherever a partition has more than `files_max`
    /// of them, into such of about `task_bytes`; returns all files that are to be committed.
    ///
    /// `columns` are those that the first pass has written, the event date last.
    ///
    /// # Errors
    /// [`MergeError`].
    pub async fn merge_staged(
        &self,
        columns: &SchemaRef,
        files: Vec<WrittenFile>,
        files_max: usize,
        task_bytes: u64,
    ) -> Result<Vec<WrittenFile>, MergeError> {
        let layout = staged_layout(files, self.staging, files_max, task_bytes)?;
        if layout.sets.is_empty() {
            return Ok(layout.kept);
        }
        let tasks = plan_tasks(layout.sets, task_bytes, self.execution.slots().await?);
        self.progress.begin(tasks.iter().map(MergeTask::bytes).sum(), tasks.len() as u64);
        let written: Vec<usize> = (0..columns.fields().len().saturating_sub(1)).collect();
        let columns = merge_columns(&columns.project(&written).map_err(DataFusionError::from)?);
        let manifests = self.run(&columns, &tasks).await?;
        let merged: Vec<WrittenFile> = manifests.into_iter().flat_map(|manifest| manifest.files).collect();
        let figures = |files: &[WrittenFile]| figures_of_written(files.iter().map(|file| ("", file)));
        check(&figures(&layout.merged), &figures(&merged))?;
        Ok(layout.kept.into_iter().chain(merged).collect())
    }

    /// Runs `tasks` over files with `columns`; returns their manifests in the order of the tasks.
    ///
    /// # Errors
    /// [`MergeError::Plan`] and [`MergeError::Execution`].
    pub async fn run(
        &self,
        columns: &SchemaRef,
        tasks: &[MergeTask],
    ) -> Result<Vec<TaskManifest>, MergeError> {
        // In one process all tasks of a plan run at once, whatever the number of cores; a cluster has a queue.
        let at_once = if self.execution.is_remote() { tasks.len() } else { self.execution.slots().await? };
        let store = ObjectStoreUrl::parse(self.staging.root().store_url())?;
        let mut manifests = Vec::with_capacity(tasks.len());
        for tasks in tasks.chunks(at_once.max(1)) {
            let scan = scan(store.clone(), Arc::clone(columns), tasks)?;
            let planned = planned_inputs(&scan)?;
            let writer = PartitionWriter::new(scan, Arc::new(self.spec.clone()), self.staging.clone());
            let writer: Arc<dyn ExecutionPlan> = Arc::new(writer);
            let rows = self.execution.collect(self.name, writer, self.session, self.progress).await?;
            let base = manifests.len();
            let done = read_manifests(&rows, &planned)?;
            let place = |task: u32| u32::try_from(base + task as usize).unwrap_or(u32::MAX);
            manifests.extend(done.into_iter().map(|one| TaskManifest { task: place(one.task), ..one }));
            if !self.execution.is_remote() {
                self.progress.add_bytes(tasks.iter().map(MergeTask::bytes).sum());
            }
        }
        Ok(manifests)
    }
}
