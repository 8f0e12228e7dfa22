//! Plans of ours between processes: how their operators and functions are written and read, and what the
//! processes of a cluster must have in common to run them.

mod codec;
mod leaves;
mod node;
mod parts;
mod task_life;
#[cfg(test)]
mod tests;

pub use codec::physical_codec;
pub use leaves::with_lasting_leaves;
pub use node::{PLAN_VERSION, WireError};
pub use parts::ClusterParts;
pub use task_life::TaskLife;

pub(crate) use node::{WireNode, encode_node};
