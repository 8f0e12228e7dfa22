//! Spreads the files of a source over partitions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use object_store::ObjectMeta;

use super::batch::signed;
use super::config::RecordConfig;

/// A file is not cut into pieces smaller than this: below, opening it costs more than it saves.
const PIECE_BYTES_MIN: u64 = 1 << 20;

/// What compressed files are commonly called. A name is a hint here and nothing more: where it misleads,
/// the range that begins a compressed file reads all of it and the others nothing.
const COMPRESSED_SUFFIXES: [&str; 4] = [".gz", ".gzip", ".zst", ".zstd"];

/// The most files of one task. A file takes some 200 bytes of the task's plan, which must stay far below the
/// 16 MiB that a scheduler may send in one message.
const TASK_FILES_MAX: usize = 10_000;

/// How the files of a source are to be spread over tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPlan {
    /// Tasks that can run at once.
    pub slots: usize,
    /// Bytes that a task should read, as stored; without it there are as many tasks as slots.
    ///
    /// Small tasks lose little when a machine is lost, large ones write fewer files.
    pub task_bytes: Option<u64>,
}

impl GroupPlan {
    /// One task for each of `slots` slots: the fewest files.
    pub fn per_slot(slots: usize) -> Self {
        Self { slots, task_bytes: None }
    }

    /// Returns how many tasks are to read `files` of `bytes` bytes in all.
    ///
    /// A source worth sharing (1 MiB a slot) occupies all slots, in rounds that are all full.
    pub fn tasks(&self, files: usize, bytes: u64) -> usize {
        let slots = self.slots.max(1);
        let Some(task_bytes) = self.task_bytes else { return slots };
        let by_bytes = usize::try_from(bytes.div_ceil(task_bytes.max(PIECE_BYTES_MIN))).unwrap_or(usize::MAX);
        let by_files = files.div_ceil(TASK_FILES_MAX);
        let tasks = by_bytes.max(by_files).max(1);
        if bytes < PIECE_BYTES_MIN.saturating_mul(slots as u64) {
            return tasks;
        }
        tasks.checked_next_multiple_of(slots).unwrap_or(tasks)
    }
}

/// Spreads `files` over as many groups of about equal bytes as `plan` asks for, or fewer.
///
/// Files that cannot be split go whole, the largest first, each to the group that has the least; the
/// others fill the groups up in byte ranges. The result depends on the arguments alone, not on the
/// order of `files`, and each group is in the order of path and offset. Empty files and groups are left
/// out.
pub fn plan_groups(files: &[ObjectMeta], config: &RecordConfig, plan: &GroupPlan) -> Vec<FileGroup> {
    let mut files: Vec<&ObjectMeta> = files.iter().filter(|file| file.size > 0).collect();
    let partitions = plan.tasks(files.len(), files.iter().map(|file| file.size).sum());
    files.sort_by(|a, b| a.location.cmp(&b.location));
    let (splittable, mut whole): (Vec<&ObjectMeta>, Vec<&ObjectMeta>) =
        files.into_iter().partition(|file| config.is_splittable() && !looks_compressed(file));
    whole.sort_by_key(|file| Reverse(file.size));

    // No more groups than can get anything: `partitions` may be far above the number of files.
    let pieces = splittable.iter().map(|file| file.size.div_ceil(PIECE_BYTES_MIN)).sum::<u64>();
    let pieces = whole.len().saturating_add(usize::try_from(pieces).unwrap_or(usize::MAX));
    let mut groups: Vec<Group> = (0..partitions.min(pieces)).map(|_| Group::default()).collect();
    deal_out(&mut groups, &whole);
    fill_up(&mut groups, &splittable);
    groups.into_iter().filter(|group| !group.files.is_empty()).map(Group::into_file_group).collect()
}

/// Gives each of `files` to the group that has the least, the first of several.
fn deal_out(groups: &mut [Group], files: &[&ObjectMeta]) {
    let mut least: BinaryHeap<Reverse<(u64, usize)>> =
        (0..groups.len()).map(|index| Reverse((0, index))).collect();
    for file in files {
        let Some(Reverse((_, index))) = least.pop() else { return };
        if let Some(group) = groups.get_mut(index) {
            group.push(file, 0, file.size);
            least.push(Reverse((group.bytes, index)));
        }
    }
}

fn looks_compressed(file: &ObjectMeta) -> bool {
    COMPRESSED_SUFFIXES.iter().any(|suffix| file.location.as_ref().ends_with(suffix))
}

#[derive(Debug, Default)]
struct Group {
    bytes: u64,
    files: Vec<PartitionedFile>,
}

impl Group {
    fn push(&mut self, file: &ObjectMeta, start: u64, end: u64) {
        self.bytes += end - start;
        let whole = PartitionedFile::new_from_meta(file.clone());
        let is_whole = start == 0 && end == file.size;
        self.files.push(if is_whole { whole } else { whole.with_range(signed(start), signed(end)) });
    }

    fn into_file_group(mut self) -> FileGroup {
        self.files.sort_by(|a, b| {
            let start = |file: &PartitionedFile| file.range.as_ref().map_or(0, |range| range.start);
            a.object_meta.location.cmp(&b.object_meta.location).then(start(a).cmp(&start(b)))
        });
        FileGroup::new(self.files)
    }
}

/// Fills the groups up to one level with ranges of `files`.
fn fill_up(groups: &mut [Group], files: &[&ObjectMeta]) {
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let level = common_level(groups, bytes);
    let mut rest: VecDeque<(&ObjectMeta, u64)> = files.iter().map(|file| (*file, 0)).collect();
    let count = groups.len();
    for (index, group) in groups.iter_mut().enumerate() {
        let is_last = index + 1 == count;
        while let Some((file, start)) = rest.pop_front() {
            let room = if is_last { u64::MAX } else { level.saturating_sub(group.bytes) };
            let left = file.size - start;
            if room == 0 || (room < PIECE_BYTES_MIN && left > room && !group.files.is_empty()) {
                rest.push_front((file, start));
                break;
            }
            // Neither the piece nor what is left of the file is to be a sliver.
            let piece = room.max(PIECE_BYTES_MIN).min(left);
            let piece = if left - piece < PIECE_BYTES_MIN { left } else { piece };
            group.push(file, start, start + piece);
            if piece < left {
                rest.push_front((file, start + piece));
            }
        }
    }
}

/// The level to which `bytes` more fill the groups, as water would.
fn common_level(groups: &[Group], bytes: u64) -> u64 {
    let mut loads: Vec<u64> = groups.iter().map(|group| group.bytes).collect();
    loads.sort_unstable();
    let mut below = 0;
    let mut level = 0;
    for (index, load) in loads.iter().enumerate() {
        below += load;
        let groups_below = index as u64 + 1;
        level = (below + bytes).div_ceil(groups_below);
        if loads.get(index + 1).is_none_or(|next| level <= *next) {
            break;
        }
    }
    level
}
