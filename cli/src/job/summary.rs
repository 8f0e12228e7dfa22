//! A job's report for a person.

use cambist_jobs::normalize::{RunReport, RunStatus};
use cambist_jobs::restate::RestateReport;
use serde_json::Value;

use super::restatement;

/// Returns the report as text: in words where the job is known, else its figures one by one.
pub(crate) fn of(report: &Value) -> String {
    if let Ok(report) = serde_json::from_value::<RunReport>(report.clone()) {
        return of_normalize(&report);
    }
    match serde_json::from_value::<RestateReport>(report.clone()) {
        Ok(report) => restatement::text(&report),
        Err(_) => figures(report),
    }
}

fn figures(report: &Value) -> String {
    let Value::Object(members) = report else { return report.to_string() };
    let line = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Some(format!("  {key:<20}{text}")),
        Value::Number(number) => Some(format!("  {key:<20}{number}")),
        Value::Bool(is_so) => Some(format!("  {key:<20}{is_so}")),
        // Lists and tables are in the JSON.
        _ => None,
    };
    members.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn of_normalize(report: &RunReport) -> String {
    let status = match report.status {
        RunStatus::Committed => "committed",
        RunStatus::AlreadyDone => "already done: the same inputs were committed before; nothing was written",
    };
    let mut text = format!(
        "{status}\n  records in    {}\n  converted     {}\n  quarantined   {}\n",
        report.records_in, report.converted, report.quarantined
    );
    for (reason, count) in &report.quarantined_by_reason {
        text.push_str(&format!("    {count:>8}  {reason}\n"));
    }
    if report.filtered > 0 {
        text.push_str(&format!("  filtered      {}\n", report.filtered));
    }
    for (code, total) in &report.totals {
        text.push_str(&format!("  total {code:<8}{total}\n"));
    }
    text.push_str(&format!(
        "  {} files in {} partitions, {} bytes, {} s, commit {} of batch `{}`",
        report.files, report.partitions, report.bytes, report.seconds, report.commit, report.batch
    ));
    for refused in report.snapshots_refused.iter().take(10) {
        text.push_str(&format!(
            "\n  snapshot not used: {}: {}: {}",
            refused.file, refused.reason, refused.detail
        ));
    }
    for damaged in &report.damaged_files {
        text.push_str(&format!(
            "\n  damaged file, its whole records were used: {}: {}",
            damaged.file, damaged.detail
        ));
    }
    if report.superseded_files > 0 && report.status == RunStatus::Committed {
        text.push_str(&format!(
            "\n  {} files of earlier runs of the batch were superseded and are kept in its history",
            report.superseded_files
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_is_not_known_shows_its_figures() {
        let report = json!({"status": "committed", "rows": 7, "files": ["a"], "output": "s3://b/x.csv"});
        let lines = [
            "  status              committed",
            "  rows                7",
            "  output              s3://b/x.csv",
        ];
        assert_eq!(of(&report), lines.join("\n"));
    }
}
