//! Restarts executors whose vcores Ballista has lost count of: they would never get a task again.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::Cluster;

/// How often the books are compared.
const INTERVAL: Duration = Duration::from_secs(1);

/// Compares what Ballista believes to be free with what runs, until `stop` turns true.
pub(super) async fn run(cluster: Weak<Cluster>, mut stop: watch::Receiver<bool>) {
    let mut leaking: HashMap<String, Instant> = HashMap::new();
    while tokio::time::timeout(INTERVAL, stop.wait_for(|stop| *stop)).await.is_err() {
        let Some(cluster) = cluster.upgrade() else { return };
        let leaks = leaks(&cluster).await;
        leaking.retain(|executor, _| leaks.contains(executor));
        for executor in leaks {
            let since = *leaking.entry(executor.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= cluster.settings.leak_patience {
                cluster.restart_executor(&executor, "its vcores have leaked").await;
                leaking.remove(&executor);
            }
        }
    }
}

/// Returns the executors on which nothing runs although not all vcores are free.
async fn leaks(cluster: &Cluster) -> Vec<String> {
    let busy = cluster.busy_vcores().await;
    let views = cluster.active_executors().await;
    let leaks = views.into_iter().filter(|view| view.vcores_free < view.vcores_total);
    leaks.map(|view| view.id).filter(|id| !busy.contains_key(id)).collect()
}
