//! The names of a task's files: unique to the attempt at the task, or a zombie could write into the files
//! of the attempt that took its place.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Digits of a task's key that are shown in its files' names.
const KEY_DIGITS: usize = 16;

/// Names the files of one attempt at a task.
#[derive(Clone, Debug)]
pub(super) struct FileNames {
    stem: String,
    run_id: String,
}

impl FileNames {
    /// Names for a task that runs once: by its place in the plan.
    pub(super) fn of_place(partition: usize, run_id: &str) -> Self {
        Self { stem: format!("{partition:05}"), run_id: run_id.to_owned() }
    }

    /// Names for one of perhaps many attempts at the task with `key`. The attempt's number is drawn: there
    /// is nobody who could count attempts.
    pub(super) fn of_attempt(key: &str, run_id: &str) -> Self {
        let drawn = RandomState::new().build_hasher().finish();
        let key = key.get(..KEY_DIGITS).unwrap_or(key);
        Self { stem: format!("{key}-{drawn:016x}"), run_id: run_id.to_owned() }
    }

    /// The name of the task's `number`th file in one partition.
    pub(super) fn table_file(&self, number: u32) -> String {
        let suffix = if number == 0 { String::new() } else { format!("-{number:03}") };
        format!("part-{}{suffix}-{}.zstd.parquet", self.stem, self.run_id)
    }

    /// The name of its file in the quarantine.
    pub(super) fn quarantine_file(&self) -> String {
        self.table_file(0)
    }
}
