//! The cluster's executors as rows.

use std::sync::Arc;

use async_trait::async_trait;
use cambist_sql::{ExecutorRow, Executors};

use crate::ballista::Cluster;

/// Knows the executors of a cluster.
#[derive(Debug)]
pub struct ClusterExecutors(Arc<Cluster>);

impl ClusterExecutors {
    /// Makes it of `cluster`.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self(cluster)
    }
}

#[async_trait]
impl Executors for ClusterExecutors {
    async fn list(&self) -> Vec<ExecutorRow> {
        let views = self.0.executors().await.into_iter();
        let row = views.map(|view| ExecutorRow {
            executor_id: view.id,
            host: view.host,
            status: view.status.as_str().to_owned(),
            vcores_total: view.vcores_total,
            vcores_free: view.vcores_free,
        });
        row.collect()
    }
}
