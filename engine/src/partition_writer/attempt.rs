//! One attempt at a task: take over what an earlier one left, or do the work and leave the manifest.

use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

use super::exec::PartitionWriterSpec;
use super::figures::TalliedPartition;
use super::file_names::FileNames;
use super::manifest::{TaskManifest, WrittenFile};
use super::open_file::{external, remove_staged};
use super::quarantine_file::write_quarantine;
use super::row_memory::RowMemory;
use super::table_files::TableFiles;
use crate::exact_sum::{CurrencySums, merge_sums};
use crate::failure::{FailureKind, TaskFailure};
use crate::fault;
use crate::metrics::{CountedTask, task_metrics};
use crate::table::{PutNew, Staging};
use crate::task::{TaskLedger, with_extension};
use crate::task_input::{InputRange, input_of_place, inputs_of_scan, task_key};

/// What an attempt needs.
#[derive(Clone, Debug)]
pub(super) struct TaskAttempt {
    pub(super) spec: Arc<PartitionWriterSpec>,
    pub(super) staging: Staging,
    pub(super) input: Arc<dyn ExecutionPlan>,
    pub(super) partition: usize,
    pub(super) context: Arc<TaskContext>,
}

impl TaskAttempt {
    /// Returns the task's manifest.
    ///
    /// # Errors
    /// Always a classified failure ([`TaskFailure`]), also where the task panicked.
    pub(super) async fn run(self) -> Result<TaskManifest> {
        let counted = CountedTask::begin(task_metrics());
        // On a task of its own, so that a panic ends nothing else.
        let ended = SpawnedTask::spawn(self.manifest()).join().await;
        let failure = match ended {
            Ok(Ok(manifest)) => {
                counted.finished();
                return Ok(manifest);
            }
            Ok(Err(error)) => TaskFailure::of(&error),
            Err(join) => TaskFailure::of_join(join),
        };
        counted.failed();
        let kind = failure.kind;
        if matches!(kind, FailureKind::Panic | FailureKind::Internal) {
            tracing::error!(?kind, message = failure.message, "a task failed");
        } else {
            tracing::warn!(?kind, message = failure.message, "a task failed");
        }
        Err(failure.into_error())
    }

    async fn manifest(self) -> Result<TaskManifest> {
        let inputs = if self.spec.by_place {
            input_of_place(self.partition)
        } else {
            inputs_of_scan(&self.input, self.partition)?
        };
        if !self.spec.resumable {
            let names = FileNames::of_place(self.partition, &self.spec.run_id);
            let manifest = self.work(&inputs, names).await?;
            pass("task.before_manifest")?;
            pass("task.after_manifest")?;
            return Ok(manifest);
        }
        let key = task_key(&inputs);
        let object = format!("manifests/{key}.json");
        if let Some(left) = self.staging.get(&object).await.map_err(external)? {
            return taken_over(&left, &inputs);
        }
        let manifest = self.work(&inputs, FileNames::of_attempt(&key, &self.spec.run_id)).await?;
        pass("task.before_manifest")?;
        let json = bytes::Bytes::from(manifest.to_json()?);
        let put = self.staging.put_new(&object, json.clone()).await.map_err(external)?;
        pass("task.after_manifest")?;
        match put {
            PutNew::Exists(winner) if winner != json => {
                remove_staged(&self.staging, &manifest.files).await;
                taken_over(&winner, &inputs)
            }
            // One's own, also where the store's first answer got lost.
            _ => Ok(manifest),
        }
    }

    async fn work(&self, inputs: &[InputRange], names: FileNames) -> Result<TaskManifest> {
        let (ledger, diverted) = TaskLedger::open();
        let context = Arc::new(with_extension(&self.context, Arc::clone(&ledger)));
        let pool = self.context.memory_pool();
        let quarantine_memory = MemoryConsumer::new("PartitionWriter quarantine").register(pool);
        let files = TableFiles::new(
            Arc::clone(&self.spec),
            self.staging.clone(),
            names.clone(),
            RowMemory::of(pool)?,
            &self.input.schema(),
        )?;
        let quarantine = write_quarantine(
            diverted,
            Arc::clone(&self.spec),
            self.staging.clone(),
            names,
            quarantine_memory,
        );
        let rows = self.input.execute(self.partition, context)?;
        let quarantine = SpawnedTask::spawn(quarantine);
        let files = write_rows(rows, files).await;
        ledger.close();
        // Where both failed, the quarantine's own error is the cause: the rows stop when it does.
        let quarantined = match quarantine.join().await {
            Ok(quarantined) => quarantined?,
            Err(join) => return Err(TaskFailure::of_join(join).into_error()),
        };
        let (files, tallied) = match files {
            Ok(written) => written,
            Err(error) => {
                remove_staged(&self.staging, quarantined.as_slice()).await;
                return Err(error);
            }
        };
        if !self.spec.by_place {
            check_inputs(inputs, &ledger)?;
        }
        Ok(manifest(inputs, files, tallied, quarantined, &ledger))
    }
}

fn pass(point: &'static str) -> Result<()> {
    fault::task_point(point).map_err(DataFusionError::IoError)
}

/// The manifest that another attempt at the same task has left.
fn taken_over(json: &[u8], inputs: &[InputRange]) -> Result<TaskManifest> {
    let manifest = TaskManifest::from_json(json)?;
    if manifest.inputs != inputs {
        return internal_err!("the manifest of another task was found under this task's name");
    }
    task_metrics().manifests_reused.add(1);
    Ok(manifest)
}

/// The task was planned over `inputs`; it must have read exactly these.
fn check_inputs(inputs: &[InputRange], ledger: &TaskLedger) -> Result<()> {
    let noted = ledger.inputs();
    // A scan without a gate notes nothing.
    if !noted.is_empty() && noted != inputs {
        return internal_err!("a task over {} parts of files has read {} others", inputs.len(), noted.len());
    }
    Ok(())
}

/// What a task has written and, where it was to, counted.
type Written = (Vec<WrittenFile>, Option<Vec<TalliedPartition>>);

async fn write_rows(mut rows: SendableRecordBatchStream, mut files: TableFiles) -> Result<Written> {
    let written = async {
        while let Some(batch) = rows.next().await {
            files.push(&batch?).await?;
        }
        Ok((files.finish().await?, files.take_tally()))
    };
    let written = written.await;
    if written.is_err() {
        files.abandon().await;
    }
    written
}

fn manifest(
    inputs: &[InputRange],
    mut files: Vec<WrittenFile>,
    tallied: Option<Vec<TalliedPartition>>,
    quarantined: Option<WrittenFile>,
    ledger: &TaskLedger,
) -> TaskManifest {
    let mut counts = ledger.counts();
    let mut arrived = |rows: u64, source_totals: &CurrencySums, totals: &CurrencySums| {
        counts.converted += rows;
        merge_sums(&mut counts.source_converted, source_totals);
        merge_sums(&mut counts.target_totals, totals);
    };
    match &tallied {
        // Some of these are in files too.
        Some(partitions) => partitions
            .iter()
            .for_each(|one| arrived(one.figures.rows, &one.figures.source_totals, &one.figures.totals)),
        None => files.iter().for_each(|file| arrived(file.rows, &file.source_totals, &file.totals)),
    }
    let metrics = task_metrics();
    metrics.rows_written.add(files.iter().map(|file| file.rows).sum());
    metrics.records_quarantined.add(counts.quarantined());
    files.extend(quarantined);
    metrics.files_staged.add(files.len() as u64);
    metrics.bytes_staged.add(files.iter().map(|file| file.staged.bytes).sum());
    TaskManifest { task: 0, inputs: inputs.to_vec(), files, counts, tallied }
}
