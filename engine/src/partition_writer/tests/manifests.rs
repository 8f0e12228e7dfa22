//! What the driver accepts as the reports of its tasks.

use super::*;
use crate::table::{StagedAs, StagedFile};
use crate::task::TaskCounts;
use crate::task_input::InputRange;

fn range(path: &str, start: u64, end: u64) -> InputRange {
    InputRange { path: path.to_owned(), start, end }
}

fn planned() -> Vec<Vec<InputRange>> {
    vec![vec![range("a", 0, 10)], vec![range("a", 10, 20), range("b", 0, 5)]]
}

fn report(inputs: &[InputRange], path: &str, rows: u64) -> RecordBatch {
    let staged = StagedAs::Local { path: format!("_staging/run/{path}.staged") };
    let file = WrittenFile {
        partition: "dt=2024-05-01".to_owned(),
        staged: StagedFile { table: TableKind::Main, path: path.to_owned(), staged, bytes: 1 },
        rows,
        content_hash: ContentHash::parse("07").unwrap(),
        source_totals: Default::default(),
        totals: Default::default(),
    };
    let counts = TaskCounts { records_in: 3, ..TaskCounts::default() };
    TaskManifest { task: 9, inputs: inputs.to_vec(), files: vec![file], counts, tallied: None }
        .to_batch()
        .unwrap()
}

fn check(reports: &[RecordBatch]) -> Result<Vec<(u32, String)>, String> {
    let read = read_manifests(reports, &planned()).map_err(|error| error.strip_backtrace())?;
    Ok(read.iter().map(|manifest| (manifest.task, manifest.files[0].staged.path.clone())).collect())
}

#[test]
fn every_task_is_found_by_its_inputs_in_whatever_order() {
    let tasks = planned();
    let (first, second) = (&tasks[0], &tasks[1]);
    let read = check(&[report(second, "two", 1), report(first, "one", 1)]).unwrap();
    assert_eq!(read, [(0, "one".to_owned()), (1, "two".to_owned())]);
}

#[test]
fn of_equal_reports_the_first_stands() {
    let tasks = planned();
    let (first, second) = (&tasks[0], &tasks[1]);
    let read = check(&[report(first, "one", 1), report(second, "two", 1), report(first, "again", 1)]);
    assert_eq!(read.unwrap(), [(0, "one".to_owned()), (1, "two".to_owned())]);
}

#[test]
fn missing_unknown_and_contradicting_reports_are_refused() {
    let tasks = planned();
    let (first, second) = (&tasks[0], &tasks[1]);
    let missing = check(&[report(first, "one", 1)]).unwrap_err();
    assert!(missing.contains("task 1 of 2, over `a` bytes 10..20 and 1 more, has reported no"), "{missing}");
    let unknown = check(&[report(&[range("c", 0, 1)], "x", 1)]).unwrap_err();
    assert!(unknown.contains("over `c` bytes 0..1, which was not planned"), "{unknown}");
    let reports = [report(first, "one", 1), report(second, "two", 1), report(first, "again", 2)];
    let contradicting = check(&reports).unwrap_err();
    assert!(contradicting.contains("have given different results"), "{contradicting}");
    let twice = [planned()[0].clone(), planned()[0].clone()];
    assert!(read_manifests(&[], &twice).unwrap_err().to_string().contains("planned over the same input"));
}
