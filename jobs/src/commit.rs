//! From a draft to what readers see: append to the log, publish, clear away.

use cambist_engine::table::{CommitDraft, CommitOutcome, Table, TableError};

use crate::context::{RunContext, RunPhase};
use crate::error::{ErrorKind, JobError, Result};
use crate::input::of_table;
use crate::staged::{StagingGuard, discard};

/// Commits what a run has staged and publishes it.
///
/// # Errors
/// Where the table refuses the draft, the store fails, or the observer stops the run.
pub(crate) async fn commit(
    table: &mut Table,
    context: &RunContext,
    staged: StagingGuard,
    draft: CommitDraft,
) -> Result<CommitOutcome> {
    // From here on the files may belong to a commit: they are no longer ours to remove.
    let staging = staged.release();
    let outcome = match table.append(draft).await {
        Ok(outcome) => outcome,
        Err(refused) => {
            if is_refused_unwritten(&refused) {
                discard(&staging).await;
            }
            return Err(of_table(&refused));
        }
    };
    if let CommitOutcome::Committed { number } = outcome {
        context.observer.reached(RunPhase::Committed { commit: number }).await?;
        table.publish(number).await.map_err(|error| of_table(&error))?;
        // No earlier attempt can commit any more: its inputs are done.
        for name in context.earlier_staging_names() {
            discard(&table.staging(&name)).await;
        }
    }
    Ok(outcome)
}

/// What a run's work up to its commit came to.
pub(crate) enum Worked<R> {
    /// A commit of equal inputs stands: this is its report.
    AlreadyDone(Box<R>),
    /// What is to be committed, and the report as far as it is known.
    Commit(Box<R>, Box<CommitDraft>),
}

/// Commits what a run's work came to, or removes what it had staged; returns the report, to which `committed` adds
/// the commit's number. `already_done` returns the report of a commit of inputs with the given digest.
///
/// # Errors
/// That of the work, and as [`commit`].
pub(crate) async fn conclude<R>(
    table: &mut Table,
    context: &RunContext,
    staged: StagingGuard,
    worked: Result<Worked<R>>,
    committed: impl FnOnce(&mut R, u64),
    already_done: impl Fn(&Table, &str) -> Result<Option<R>>,
) -> Result<R> {
    let (mut report, draft) = match worked {
        Ok(Worked::Commit(report, draft)) => (*report, *draft),
        Ok(Worked::AlreadyDone(report)) => {
            staged.discard().await;
            return Ok(*report);
        }
        Err(failed) => {
            staged.discard().await;
            return Err(failed);
        }
    };
    let digest = draft.input_digest.clone();
    match commit(table, context, staged, draft).await? {
        CommitOutcome::Committed { number } => {
            committed(&mut report, number);
            Ok(report)
        }
        CommitOutcome::AlreadyDone { .. } => already_done(table, &digest)?.ok_or_else(|| {
            JobError::new(ErrorKind::Infrastructure, "a commit of equal inputs has vanished from the log")
        }),
    }
}

/// Tells whether the table refused a draft before anything of it could be written.
fn is_refused_unwritten(error: &TableError) -> bool {
    matches!(
        error,
        TableError::SchemaMismatch { .. }
            | TableError::StagedFileMissing { .. }
            | TableError::DuplicatePath { .. }
    )
}
