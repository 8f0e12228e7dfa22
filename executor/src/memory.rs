//! How much memory tasks may take for their rows when nobody says it.

use sysinfo::System;

/// Of the machine's or the cgroup's memory, the part that rows may take. The rest is for what the pool does
/// not see: decoded pages, Parquet encoders, messages, the allocator.
const SHARE_PERCENT: u64 = 60;

/// What is left to the rate books that the process holds, at most; a small machine leaves a tenth.
const RATE_BOOK_BYTES: u64 = 256 << 20;

/// Less than this would let tasks fail for nothing.
const BYTES_MIN: u64 = 64 << 20;

/// Returns what the rows of all tasks of one executor may take, in bytes, where `executors` of them share
/// the machine: 60 % of its part of the memory of the cgroup or the machine, less 256 MiB for rate books.
pub fn default_bytes(executors: u16) -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map(|limits| limits.total_memory).filter(|bytes| *bytes > 0);
    let machine = system.total_memory();
    pool_bytes(limit.map_or(machine, |limit| limit.min(machine)) / u64::from(executors.max(1)))
}

fn pool_bytes(memory_bytes: u64) -> u64 {
    let share = memory_bytes / 100 * SHARE_PERCENT;
    share.saturating_sub(RATE_BOOK_BYTES.min(memory_bytes / 10)).max(BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_books_are_left_their_part() {
        assert_eq!(pool_bytes(10 << 30), (10 << 30) / 100 * 60 - (256 << 20));
        // Of 1000 MiB, 600 are the share and a tenth is left to rate books.
        assert_eq!(pool_bytes(1000 << 20), 500 << 20);
        assert_eq!(pool_bytes(1 << 20), BYTES_MIN);
    }

    #[test]
    fn executors_share_a_machine() {
        assert!(default_bytes(1) >= default_bytes(4));
    }
}
