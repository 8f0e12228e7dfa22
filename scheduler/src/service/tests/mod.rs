pub(crate) mod bench;
mod cancel;
mod fencing;
mod lists;
mod normalize;
mod queue;
mod records;
mod restarts;
mod stores;
