//! The clock and the randomness of a fetch, passed in.

use jiff::Timestamp;

/// What a fetch takes from outside besides answers.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Returns the present instant.
    pub now: fn() -> Timestamp,
    /// Returns any number; keeps clients that failed together apart.
    pub random: fn() -> u64,
}
