//! The clock and the randomness that are passed to what talks to other services.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use cambist_ingest::fetch::Surroundings;

use crate::clock;

/// What fetching and storing take from outside.
pub(crate) const SURROUNDINGS: Surroundings = Surroundings { now: clock::now, random };

/// Good enough to keep clients apart; decides nothing else.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
