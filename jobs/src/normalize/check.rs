//! What must hold before a run is committed: nothing was lost or invented, and not too much is broken.

use cambist_engine::exact_sum::ExactSum;
use cambist_engine::task::TaskCounts;

use super::config::NormalizeConfig;
use crate::error::{ErrorKind, JobError, Result};

/// Every record is in exactly one place, and every currency's amounts add up on both sides.
pub(super) fn check_balance(counts: &TaskCounts) -> Result<()> {
    let whole = counts.records_in.checked_sub(counts.broken);
    let quarantined_late = counts.quarantined().checked_sub(counts.broken);
    let rows_tie = quarantined_late.is_some_and(|late| counts.rows_from_sql == counts.converted + late);
    if whole.is_none() || !rows_tie {
        return Err(out_of_balance(format!(
            "{} records were read and {} rows came from the SQL, but {} were converted and {} quarantined",
            counts.records_in,
            counts.rows_from_sql,
            counts.converted,
            counts.quarantined()
        )));
    }
    for (code, sum) in &counts.source_in {
        let mut out = ExactSum::zero(0);
        for side in [&counts.source_converted, &counts.source_quarantined] {
            if let Some(part) = side.get(code) {
                out.merge(part);
            }
        }
        if !out.equals(sum) {
            return Err(out_of_balance(format!(
                "{code} {sum} went into the conversion, but {code} {out} came out"
            )));
        }
    }
    Ok(())
}

fn out_of_balance(detail: String) -> JobError {
    JobError::new(
        ErrorKind::Infrastructure,
        format!("the run does not balance, nothing was committed: {detail}"),
    )
    .with_hint("this is a defect of Cambist: please report it with the job's spec")
}

pub(super) fn check_quality(config: &NormalizeConfig, counts: &TaskCounts) -> Result<()> {
    if counts.repeated > 0 && !config.allow_fan_out {
        return Err(JobError::new(
            ErrorKind::Quality,
            format!(
                "the source SQL repeats {} rows: {} records gave {} rows; nothing was committed",
                counts.repeated,
                counts.records_in - counts.broken,
                counts.rows_from_sql
            ),
        )
        .with_hint(
            "a join matches several rows of a small table; make its key unique, or set quality.allow_fan_out",
        ));
    }
    let (quarantined, records) = (counts.quarantined(), counts.records_in);
    let limit = config.max_quarantine_ratio;
    // Counts and a ratio of them, not money.
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_arithmetic,
        reason = "a ratio of counts is compared, no amount"
    )]
    let is_above = quarantined as f64 > limit * records as f64;
    if is_above {
        let reasons: Vec<String> =
            counts.quarantined_by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        return Err(JobError::new(
            ErrorKind::Quality,
            format!(
                "{quarantined} of {records} records would be quarantined ({}), above the limit of {limit}; nothing was committed",
                reasons.join(", ")
            ),
        )
        .with_hint("mend the source, or raise quality.max_quarantine_ratio (--max-quarantine-ratio)"));
    }
    Ok(())
}
