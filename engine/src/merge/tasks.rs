//! Which files are merged by which task.

use object_store::path::Path;

/// A task whose files have fewer bytes is hardly worth its start.
const TASK_BYTES_MIN: u64 = 1 << 20;

/// The most files of one task: its plan must stay far below the 16 MiB of a scheduler's message.
const TASK_FILES_MAX: usize = 10_000;

/// A file that is merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeFile {
    /// Where it lies in its store.
    pub location: Path,
    /// Its size.
    pub bytes: u64,
}

/// The files of one partition that become fewer; rows never change their owner, such as a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeSet {
    /// Whose rows they are.
    pub owner: String,
    /// Their hive partition such as `dt=2024-05-01`.
    pub partition: String,
    /// The files, in the order that their rows are to keep.
    pub files: Vec<MergeFile>,
    /// How many files they should become, at least 1.
    pub outputs: usize,
}

/// What one task merges: of one owner, each partition into one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeTask {
    /// Whose rows it merges.
    pub owner: String,
    /// Partitions, each with its files.
    pub parts: Vec<(String, Vec<MergeFile>)>,
}

impl MergeTask {
    /// Returns the sum of its files' sizes.
    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }

    fn files(&self) -> impl Iterator<Item = &MergeFile> {
        self.parts.iter().flat_map(|(_, files)| files)
    }

    /// Tells whether a part of `owner`'s fits in: a partition comes once, or it would become one file.
    fn takes(&self, owner: &str, partition: &str, files: &[MergeFile], bytes_max: u64) -> bool {
        self.owner == owner
            && self.parts.iter().all(|(other, _)| other != partition)
            && self.bytes() + bytes_of(files) <= bytes_max
            && self.files().count() + files.len() <= TASK_FILES_MAX
    }
}

/// Spreads `sets` over tasks of about `task_bytes`, smaller ones where that occupies all `slots`.
///
/// Neighbouring partitions come together. The result depends on the arguments alone.
pub fn plan_tasks(mut sets: Vec<MergeSet>, task_bytes: u64, slots: usize) -> Vec<MergeTask> {
    sets.sort_by(|a, b| (&a.owner, &a.partition).cmp(&(&b.owner, &b.partition)));
    let bytes: u64 = sets.iter().map(|set| bytes_of(&set.files)).sum();
    let share = bytes.div_ceil(slots.max(1) as u64);
    let bytes_max = task_bytes.min(share).max(TASK_BYTES_MIN);
    let mut tasks: Vec<MergeTask> = Vec::new();
    for set in sets {
        for files in chunks(set.files, set.outputs) {
            match tasks.last_mut() {
                Some(task) if task.takes(&set.owner, &set.partition, &files, bytes_max) => {
                    task.parts.push((set.partition.clone(), files));
                }
                _ => tasks.push(MergeTask {
                    owner: set.owner.clone(),
                    parts: vec![(set.partition.clone(), files)],
                }),
            }
        }
    }
    tasks
}

/// Cuts files, in their order, into at most `count` runs of about equal bytes.
fn chunks(files: Vec<MergeFile>, count: usize) -> Vec<Vec<MergeFile>> {
    let share = bytes_of(&files).div_ceil(count.max(1) as u64).max(1);
    let mut chunks: Vec<Vec<MergeFile>> = Vec::new();
    let mut before = 0;
    let mut last = None;
    for file in files {
        // By its middle, so that no chunk is far above or below its share.
        let place = (before + file.bytes / 2) / share;
        before += file.bytes;
        match chunks.last_mut() {
            Some(chunk) if last == Some(place) => chunk.push(file),
            _ => chunks.push(vec![file]),
        }
        last = Some(place);
    }
    chunks
}

fn bytes_of(files: &[MergeFile]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}
