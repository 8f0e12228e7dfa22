//! The records' store has a bad moment.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use cambist_engine::location::Place;
use cambist_engine::store::StoreHandle;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::bench::{Bench, over, submit, until};
use crate::service::{RunState, ServiceError};

/// Fails so many writes of records; each may have happened all the same.
#[derive(Debug)]
struct Failing {
    inner: InMemory,
    failures_left: AtomicI64,
    writes_all_the_same: bool,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_record = key.as_ref().contains("runs/");
        if is_record && self.failures_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            if self.writes_all_the_same {
                let _ = self.inner.put_opts(key, payload, options).await;
            }
            return Err(Error::Generic { store: "S3", source: "connection reset".into() });
        }
        self.inner.put_opts(key, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn bench(writes_all_the_same: bool) -> (Bench, Arc<Failing>) {
    let mut bench = Bench::new();
    let store =
        Arc::new(Failing { inner: InMemory::new(), failures_left: AtomicI64::new(0), writes_all_the_same });
    let handle = StoreHandle::without_multipart(Arc::clone(&store) as Arc<dyn ObjectStore>);
    bench.stores.register(Place::Bucket("state".to_owned()), handle);
    bench.settings.state_url = "s3://state/cambist".to_owned();
    (bench, store)
}

#[tokio::test]
async fn a_record_is_tried_again_and_a_lost_answer_is_not_taken_for_another_scheduler() {
    for writes_all_the_same in [false, true] {
        let (bench, store) = bench(writes_all_the_same);
        let service = bench.start().await;
        bench.world.hold("a", 1, "running");
        submit(&service, "a").await;
        bench.world.reached("a", 1, "running").await;
        store.failures_left.store(1, Ordering::SeqCst);
        bench.world.let_go();
        let view = over(&service, "a").await;
        assert_eq!((view.state, view.attempt), (RunState::Published, 1));
        assert_eq!(service.metrics().fenced.get(), 0);
    }
}

#[tokio::test]
async fn a_run_whose_record_cannot_be_written_is_suspended_and_taken_up_again() {
    let (bench, store) = bench(false);
    let service = bench.start().await;
    bench.world.hold("a", 1, "committed");
    submit(&service, "a").await;
    bench.world.reached("a", 1, "committed").await;
    store.failures_left.store(i64::MAX, Ordering::SeqCst);
    bench.world.let_go();
    let suspended = |waiting: &Option<String>| {
        waiting.as_deref().is_some_and(|waiting| waiting.starts_with("suspended: "))
    };
    until(&service, "a", |view| suspended(&view.waiting)).await;
    store.failures_left.store(0, Ordering::SeqCst);
    let view = over(&service, "a").await;
    assert_eq!(view.state, RunState::Published);
    assert!(view.attempt > 1);
    assert_eq!(bench.world.table.lock().unwrap()["a"], 1, "the commit of the first attempt is found");
}

#[tokio::test]
async fn a_submission_that_cannot_be_put_on_record_is_refused_and_can_be_repeated() {
    for writes_all_the_same in [false, true] {
        let (bench, store) = bench(writes_all_the_same);
        let service = bench.start().await;
        store.failures_left.store(i64::MAX, Ordering::SeqCst);
        let refused = service.submit("test", super::bench::options(""), Some("a".into())).await.unwrap_err();
        assert!(matches!(refused, ServiceError::Store(_)), "{refused}");
        store.failures_left.store(0, Ordering::SeqCst);
        submit(&service, "a").await;
        assert_eq!(over(&service, "a").await.state, RunState::Published);
        assert_eq!(bench.world.begun.lock().unwrap().len(), 1);
    }
}
