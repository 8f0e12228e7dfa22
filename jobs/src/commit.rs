//! From a draft to what readers see: append to the log, publish, clear away.

use cambist_engine::table::{CommitDraft, CommitOutcome, Table, TableError};

use crate::context::{RunContext, RunPhase};
use crate::error::Result;
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

/// Tells whether the table refused a draft before anything of it could be written.
fn is_refused_unwritten(error: &TableError) -> bool {
    matches!(
        error,
        TableError::SchemaMismatch { .. }
            | TableError::StagedFileMissing { .. }
            | TableError::DuplicatePath { .. }
    )
}
