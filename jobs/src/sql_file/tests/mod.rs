//! Files as jobs, and their runs in this process.

mod definitions;
mod runs;
