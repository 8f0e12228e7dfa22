//! Runs that go on until a test ends them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cambist_sql::{Result, RunRow, Runs, SqlError, SqlErrorKind};
use serde_json::{Map, Value};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct StandingRuns {
    states: watch::Sender<BTreeMap<String, &'static str>>,
}

impl Default for StandingRuns {
    fn default() -> Self {
        Self { states: watch::Sender::new(BTreeMap::new()) }
    }
}

impl StandingRuns {
    pub(super) fn states(&self) -> Vec<&'static str> {
        self.states.borrow().values().copied().collect()
    }

    pub(super) fn set(&self, run_id: &str, state: &'static str) {
        self.states.send_modify(|states| {
            states.insert(run_id.to_owned(), state);
        });
    }

    fn row(run_id: &str, state: &str) -> RunRow {
        RunRow {
            run_id: run_id.to_owned(),
            job: "compact".to_owned(),
            state: state.to_owned(),
            is_over: is_over(state),
            submitted_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: None,
            attempts: 1,
            records: 0,
            seconds: 0.0,
            options: Value::Null,
            report: None,
            error: None,
        }
    }
}

fn is_over(state: &str) -> bool {
    ["published", "failed", "cancelled"].contains(&state)
}

#[async_trait]
impl Runs for StandingRuns {
    async fn submit(&self, _: &str, _: Map<String, Value>) -> Result<RunRow> {
        let run_id = format!("r{}", self.states().len() + 1);
        self.set(&run_id, "submitted");
        Ok(Self::row(&run_id, "submitted"))
    }

    async fn wait(&self, run_id: &str) -> Result<RunRow> {
        let mut states = self.states.subscribe();
        let states = states.wait_for(|states| is_over(states[run_id])).await.unwrap();
        Ok(Self::row(run_id, states[run_id]))
    }

    async fn cancel(&self, run_id: &str) -> Result<RunRow> {
        if self.states.borrow()[run_id] == "committed" {
            return Err(SqlError::new(SqlErrorKind::Conflict, format!("the commit of `{run_id}` has begun")));
        }
        self.set(run_id, "cancelled");
        Ok(Self::row(run_id, "cancelled"))
    }

    async fn list(&self, _: usize) -> Result<Vec<RunRow>> {
        Ok(self.states.borrow().iter().map(|(run_id, state)| Self::row(run_id, state)).collect())
    }
}
