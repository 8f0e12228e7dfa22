//! The books that are kept of executors.

use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata, ExecutorSpecification};
use ballista_scheduler::cluster::ClusterState;
use cambist_engine::executor_id::executor_id;

use super::super::executors::WatchedExecutors;
use super::{Lab, settings, until};

async fn join(executors: &WatchedExecutors, id: &str, vcores: u32) -> Result<(), String> {
    let metadata = ExecutorMetadata {
        id: id.to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 1,
        grpc_port: 2,
        specification: ExecutorSpecification::default().with_vcores(vcores),
        os_info: Default::default(),
    };
    let spec = ExecutorData { executor_id: id.to_owned(), total_vcores: vcores, available_vcores: vcores };
    executors.register_executor(metadata, spec).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_executor_of_another_version_is_refused_with_both_versions() {
    let executors = WatchedExecutors::new(45);
    let error = join(&executors, "a@0.0.1", 2).await.unwrap_err();
    assert!(error.contains("the executor runs cambist 0.0.1, the scheduler "), "{error}");
    assert!(executors.views().await.is_empty());
}

#[tokio::test]
async fn late_results_free_no_vcores_that_were_never_taken() {
    let executors = WatchedExecutors::new(45);
    let id = executor_id("a");
    join(&executors, &id, 2).await.unwrap();
    executors.unbind_tasks(vec![(id, 5)]).await.unwrap();
    let views = executors.views().await;
    assert_eq!((views[0].vcores_free, views[0].vcores_total), (2, 2));
}

#[tokio::test]
async fn a_loss_is_counted_once_and_again_after_a_return() {
    let executors = WatchedExecutors::new(45);
    let losses = executors.losses();
    let id = executor_id("a");
    join(&executors, &id, 1).await.unwrap();
    executors.remove_executor(&id).await.unwrap();
    executors.remove_executor(&id).await.unwrap();
    assert_eq!(*losses.borrow(), 1);
    join(&executors, &id, 1).await.unwrap();
    executors.remove_executor(&id).await.unwrap();
    assert_eq!(*losses.borrow(), 2);
}

#[tokio::test]
async fn an_executor_that_was_told_to_stop_does_not_come_back() {
    let executors = WatchedExecutors::new(45);
    let id = executor_id("a");
    join(&executors, &id, 1).await.unwrap();
    executors.refuse(&id).await;
    executors.remove_executor(&id).await.unwrap();
    assert!(join(&executors, &id, 1).await.is_err());
}

/// Ballista loses count of vcores when it rolls a stage back; such an executor would never work again.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_whose_vcores_leaked_is_restarted() {
    let lab = Lab::start(settings()).await;
    let _executor = lab.executor(2).await;
    let id = lab.cluster.executors().await[0].id.clone();
    lab.cluster.executors.leak(&id);
    until("it is told to restart", async || lab.cluster.metrics().await.restarts == 1).await;
    until("it has left", async || lab.cluster.executors().await.is_empty()).await;
}
