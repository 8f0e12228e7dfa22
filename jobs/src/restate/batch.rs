//! One batch done again: what comes out is compared with what the log says was there, partition by partition,
//! and only what differs is replaced.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::merge::figures_of_live;
use cambist_engine::partition_writer::{ContentHash, Figures, TallySpec, WrittenFile};
use cambist_engine::rates::LoadedRates;
use cambist_engine::table::{BatchRestatement, DataFile, LiveFile, Staging, TableKind};

use super::delta::{Deltas, read_by_source};
use super::report::BatchDelta;
use super::survey::SurveyedBatch;
use super::touch::day_of;
use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::normalize::{FoundInputs, Recomputation, Recomputed, RunInputs, data_file, recompute};
use crate::table_reader::TableReader;

/// What becomes of a batch.
pub(super) struct RestatedBatch {
    /// What is to be committed.
    pub(super) change: BatchRestatement,
    /// Its new files.
    pub(super) written: Vec<WrittenFile>,
    /// What is told of it.
    pub(super) delta: BatchDelta,
    /// Partitions that it had and that are replaced.
    pub(super) partitions_replaced: u64,
}

/// What is done again, and where.
pub(super) struct Work<'a> {
    pub(super) reader: &'a TableReader,
    pub(super) context: &'a RunContext,
    pub(super) batch: &'a SurveyedBatch,
    pub(super) staging: &'a Staging,
    pub(super) is_dry: bool,
}

impl Work<'_> {
    /// Does the batch again with `rates`; nothing where every row came out as it was.
    ///
    /// # Errors
    /// Those of a run, and a data error where rows came out otherwise that no correction touches.
    pub(super) async fn restate(
        &self,
        inputs: FoundInputs,
        rates: LoadedRates,
        deltas: &mut Deltas,
    ) -> Result<Option<RestatedBatch>> {
        let batch = self.batch;
        let record = RunInputs { rates_digest: rates.reference.digest.clone(), ..batch.inputs.clone() };
        let written_days = if self.is_dry { Vec::new() } else { batch.touch.days.clone() };
        let what =
            Recomputation { config: &batch.config, inputs, record, rates, tally: TallySpec { written_days } };
        let mut new = recompute(self.reader.table.state(), self.context, self.staging, what).await?;
        let old = self.old_figures()?;
        let changed = self.changed_partitions(&old, &new)?;
        let replaces_quarantine = self.replaces_quarantine(&new)?;
        if changed.is_empty() && !replaces_quarantine {
            return Ok(None);
        }
        self.add_deltas(&changed, &new, deltas).await?;
        let written = std::mem::take(&mut new.files);
        let is_new = |file: &WrittenFile| match file.staged.table {
            TableKind::Main => changed.contains(&file.partition),
            TableKind::Quarantine => replaces_quarantine,
        };
        let written: Vec<WrittenFile> = written.into_iter().filter(is_new).collect();
        self.fill_report(&changed, &written, &mut new);
        let partitions_replaced = old.keys().filter(|partition| changed.contains(*partition)).count() as u64;
        let before = &batch.details.report;
        let delta = BatchDelta {
            batch: batch.name.clone(),
            known_from: batch.known.to_string(),
            partitions_untouched: old.len() as u64 - partitions_replaced,
            partitions_rewritten: changed.iter().cloned().collect(),
            converted_before: before.converted,
            converted_after: new.report.converted,
            quarantined_before: before.quarantined,
            quarantined_after: new.report.quarantined,
        };
        let change = BatchRestatement {
            batch: batch.name.clone(),
            base: batch.base,
            staging: self.staging.run_id().to_owned(),
            input_digest: new.input_digest.clone(),
            partitions: changed,
            replaces_quarantine,
            files: written.iter().map(data_file).collect::<Vec<DataFile>>(),
            details: new.details(&batch.config, self.context)?,
        };
        Ok(Some(RestatedBatch { change, written, delta, partitions_replaced }))
    }

    fn live(&self, kind: TableKind) -> impl Iterator<Item = &LiveFile> {
        self.reader.table.state().files(kind).filter(|file| file.batch == self.batch.name)
    }

    /// What the log says of the batch's partitions.
    fn old_figures(&self) -> Result<BTreeMap<String, Figures>> {
        let figures = figures_of_live(self.live(TableKind::Main))
            .ok_or_else(|| JobError::data("the commit log holds a hash or a sum that is none"))?;
        Ok(figures.into_iter().map(|((_, partition), figures)| (partition, figures)).collect())
    }

    /// The partitions whose rows are others now; all of them must be such that a correction touches.
    fn changed_partitions(
        &self,
        old: &BTreeMap<String, Figures>,
        new: &Recomputed,
    ) -> Result<BTreeSet<String>> {
        let nothing = Figures::default();
        let mut changed = BTreeSet::new();
        for partition in old.keys().chain(new.tallied.keys()) {
            let was = old.get(partition).unwrap_or(&nothing);
            let is = new.tallied.get(partition).map_or(&nothing, |one| &one.figures);
            if was == is {
                continue;
            }
            if !day_of(partition).is_some_and(|day| self.batch.touch.contains(day)) {
                return Err(self.unexplained(partition, was, is));
            }
            changed.insert(partition.clone());
        }
        Ok(changed)
    }

    fn unexplained(&self, partition: &str, was: &Figures, is: &Figures) -> JobError {
        JobError::data(format!(
            "`{partition}` of batch `{}` came out with {} rows and the content hash {}, the log says {} and {}, and no \
             corrected rate touches it; nothing was committed",
            self.batch.name, is.rows, is.content_hash, was.rows, was.content_hash
        ))
        .with_hint(
            "the batch was written by a program or from inputs that differ in a way its record does not tell: \
             run it again with `cambist normalize`",
        )
    }

    /// Tells whether the rows set aside are others now.
    fn replaces_quarantine(&self, new: &Recomputed) -> Result<bool> {
        let (mut was, mut is) = ((0, ContentHash::default()), (0, ContentHash::default()));
        for file in self.live(TableKind::Quarantine) {
            let hash = ContentHash::parse(&file.content_hash)
                .ok_or_else(|| JobError::data("the commit log holds a hash that is none"))?;
            was.0 += file.rows;
            was.1.merge(hash);
        }
        for file in new.files.iter().filter(|file| file.staged.table == TableKind::Quarantine) {
            is.0 += file.rows;
            is.1.merge(file.content_hash);
        }
        Ok(was != is)
    }

    async fn add_deltas(
        &self,
        changed: &BTreeSet<String>,
        new: &Recomputed,
        deltas: &mut Deltas,
    ) -> Result<()> {
        let targets = &self.batch.details.targets;
        for partition in changed {
            let files: Vec<&LiveFile> =
                self.live(TableKind::Main).filter(|file| file.partition() == partition).collect();
            let old = read_by_source(self.reader, &files, targets).await?;
            let none = Default::default();
            deltas.add(partition, &old, new.tallied.get(partition).map_or(&none, |one| &one.by_source));
        }
        Ok(())
    }

    /// The batch's report is that of a run of the whole batch: files that stay are its files too.
    fn fill_report(&self, changed: &BTreeSet<String>, written: &[WrittenFile], new: &mut Recomputed) {
        let (replaced, kept): (Vec<&LiveFile>, Vec<&LiveFile>) =
            self.live(TableKind::Main).partition(|file| changed.contains(file.partition()));
        let main = || written.iter().filter(|file| file.staged.table == TableKind::Main);
        let mut hash = ContentHash::default();
        new.tallied.values().for_each(|one| hash.merge(one.figures.content_hash));
        let report = &mut new.report;
        report.partitions = new.tallied.len() as u64;
        report.files = (kept.len() + main().count()) as u64;
        report.bytes = kept.iter().map(|file| file.bytes).sum::<u64>()
            + main().map(|file| file.staged.bytes).sum::<u64>();
        report.content_hash = hash.to_string();
        report.superseded_files = replaced.len() as u64;
    }
}
