//! SQL on what a deployment declares: raw files, tables, rates, runs.
//!
//! One [`SqlService`] belongs to a server or to a command that embeds it. A [`Session`] is one connection: who
//! asks, and the options that were set. A statement is prepared, which checks and plans it, and then executed,
//! which yields a stream of rows. Where the plan runs, in this process or on a cluster, is the matter of the
//! service's [`StreamExecution`](cambist_engine::execution::StreamExecution).

pub mod access;
pub mod audit;
mod call;
pub mod catalog;
mod error;
mod near;
mod options;
pub mod output;
mod places;
mod planning;
mod prepared;
mod preparing;
mod queries;
mod rates;
mod runs;
mod service;
mod session;
mod settings;
mod statement;
mod stream;
mod system;
#[cfg(test)]
mod tests;

pub use error::{Result, SqlError, SqlErrorKind};
pub use prepared::{Prepared, StatementKind};
pub use queries::{QueryState, QueryView};
pub use runs::{ExecutorRow, Executors, NoExecutors, RunRow, Runs};
pub use service::{CATALOG, Clock, Environment, RefusedOption, SqlService, TableEntry};
pub use session::{Session, SessionOptions};
pub use settings::{Limits, RatesSettings, SqlSettings};
pub use stream::{Executed, Rows};
