//! A restatement's report for a person.

use cambist_jobs::restate::{RestateReport, RestateStatus};

/// Days that are shown; all are in the JSON.
const DAYS_SHOWN: usize = 20;

pub(super) fn text(report: &RestateReport) -> String {
    let mut lines = vec![status(report)];
    lines.push(format!(
        "  {} of {} batches restated, {} partitions rewritten, {} untouched",
        report.batches_restated,
        report.batches_compared,
        report.partitions_rewritten,
        report.partitions_untouched
    ));
    if report.batches_ahead > 0 {
        lines.push(format!("  {} batches know more already and were left alone", report.batches_ahead));
    }
    if report.batches_restated > 0 {
        lines.push(format!(
            "  converted     {} before, {} after\n  quarantined   {} before, {} after",
            report.converted_before,
            report.converted_after,
            report.quarantined_before,
            report.quarantined_after
        ));
        lines.extend(totals(report));
        lines.extend(days(report));
        let keys = report.keys_changed.len() as u64 + report.keys_left_out;
        lines.push(format!("  {keys} rates of a pair and snapshot have changed; they are in the JSON"));
    }
    lines.push(format!("  {} s, commit {}", report.seconds, report.commit));
    lines.join("\n")
}

fn status(report: &RestateReport) -> String {
    let known = &report.known_to;
    match report.status {
        RestateStatus::Committed => format!("restated to the rates as known at {known}"),
        RestateStatus::DryRun => {
            format!(
                "dry run: what a restatement to the rates as known at {known} would change; nothing was committed"
            )
        }
        RestateStatus::NothingToDo => {
            format!("nothing to do: no row comes out otherwise by the rates as known at {known}")
        }
    }
}

fn totals(report: &RestateReport) -> Vec<String> {
    let judged = |material: Option<bool>| match material {
        Some(true) => "  material",
        Some(false) => "  not material",
        None => "",
    };
    let line = |cells: [&str; 5], judged: &str| {
        let [target, old, new, delta, day] = cells;
        format!("  {target:<8}{old:>24}{new:>24}{delta:>20}{day:>20}{judged}")
    };
    let mut lines = vec![line(["target", "old total", "new total", "delta", "largest day"], "")];
    for one in &report.targets {
        let cells = [&one.target, &one.old_total, &one.new_total, &one.delta, &one.largest_day_delta];
        lines.push(line(cells.map(String::as_str), judged(one.material)));
    }
    lines
}

fn days(report: &RestateReport) -> Vec<String> {
    let line = |cells: [&str; 6]| {
        let [day, pair, rows, old, new, delta] = cells;
        format!("  {day:<12}{pair:<10}{rows:>10}{old:>20}{new:>20}{delta:>20}")
    };
    let mut lines = vec![line(["day", "pair", "rows", "old total", "new total", "delta"])];
    for one in report.deltas.iter().take(DAYS_SHOWN) {
        let pair = &one.pair;
        let rows = if pair.rows_before == pair.rows_after {
            pair.rows_after.to_string()
        } else {
            format!("{}→{}", pair.rows_before, pair.rows_after)
        };
        let name = format!("{}→{}", pair.source, pair.target);
        lines.push(line([&one.day, &name, &rows, &pair.old_total, &pair.new_total, &pair.delta]));
    }
    let more = report.deltas.len().saturating_sub(DAYS_SHOWN) as u64 + report.deltas_left_out;
    if more > 0 {
        lines.push(format!("  … and {more} more"));
    }
    lines
}
