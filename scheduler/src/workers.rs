//! Who does the work: a cluster, or this process.

use std::sync::Arc;

use async_trait::async_trait;
use cambist_engine::distributed::PLAN_VERSION;
use cambist_engine::execution::{InProcess, StreamExecution};
use cambist_engine::executor_id::VERSION;
use cambist_engine::store::Stores;
use cambist_sql::{Executors, NoExecutors};

use crate::ballista::{Cluster, ClusterError, ClusterSettings, ExecutorView};
use crate::http::{ClusterInfo, ClusterView, Measure};
use crate::sql::ClusterExecutors;

/// Who is to do the work.
#[derive(Clone, Debug)]
pub enum WorkerSettings {
    /// Executors that join.
    Cluster(ClusterSettings),
    /// This process, so many tasks at once.
    InProcess {
        /// Tasks at once.
        cores: usize,
    },
}

/// Who does the work.
#[derive(Clone, Debug)]
pub(crate) enum Workers {
    Cluster(Arc<Cluster>),
    InProcess(InProcess),
}

impl Workers {
    pub(crate) async fn start(settings: WorkerSettings, stores: Stores) -> Result<Self, ClusterError> {
        Ok(match settings {
            WorkerSettings::Cluster(settings) => Self::Cluster(Cluster::start(settings, stores).await?),
            WorkerSettings::InProcess { cores } => Self::InProcess(InProcess { cores }),
        })
    }

    pub(crate) fn execution(&self) -> Arc<dyn StreamExecution> {
        match self {
            Self::Cluster(cluster) => cluster.execution(),
            Self::InProcess(process) => Arc::new(*process),
        }
    }

    pub(crate) fn executors(&self) -> Arc<dyn Executors> {
        match self {
            Self::Cluster(cluster) => Arc::new(ClusterExecutors::new(Arc::clone(cluster))),
            Self::InProcess(_) => Arc::new(NoExecutors),
        }
    }

    pub(crate) async fn shutdown(&self) {
        if let Self::Cluster(cluster) = self {
            cluster.shutdown().await;
        }
    }
}

#[async_trait]
impl ClusterView for Workers {
    fn info(&self) -> Option<ClusterInfo> {
        let Self::Cluster(cluster) = self else { return None };
        Some(ClusterInfo {
            version: VERSION.to_owned(),
            plan_version: PLAN_VERSION,
            rpc_host: cluster.rpc_external_host().to_owned(),
            rpc_port: cluster.rpc_addr().port(),
        })
    }

    async fn executors(&self) -> Vec<ExecutorView> {
        match self {
            Self::Cluster(cluster) => cluster.executors().await,
            Self::InProcess(_) => Vec::new(),
        }
    }

    async fn measures(&self) -> Vec<Measure> {
        let Self::Cluster(cluster) = self else { return Vec::new() };
        let counted = cluster.metrics().await;
        let measure = |name, help, value| Measure { name, help, value };
        vec![
            measure("cambist_executors", "Executors that take tasks", counted.executors),
            measure("cambist_vcores", "Tasks that the executors can run at once", counted.vcores_total),
            measure("cambist_vcores_free", "Of these, free ones", counted.vcores_free),
            measure("cambist_tasks_running", "Tasks that run", counted.tasks_running),
            measure("cambist_tasks_ended_total", "Tasks that have ended, well or badly", counted.tasks_ended),
            measure("cambist_plans_running", "Plans that run", counted.plans_running),
            measure(
                "cambist_plan_submissions_total",
                "Plans submitted, repeats included",
                counted.submissions,
            ),
            measure("cambist_plan_resubmissions_total", "Plans submitted again", counted.resubmissions),
            measure("cambist_plan_stalls_total", "Plans in which nothing moved for too long", counted.stalls),
            measure("cambist_executor_restarts_total", "Executors told to restart", counted.restarts),
        ]
    }
}
