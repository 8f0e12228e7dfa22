//! Retries, against a store in memory whose requests fail by a script.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{Error, GetResultPayload};

use super::*;
use crate::store::answer::Answer;
use crate::store::retry::RetryPolicy;
use crate::store::retrying::RetryingStore;

const HASTY: RetryPolicy = RetryPolicy {
    attempts_max: 5,
    total_max: Duration::from_secs(10),
    pause_min: Duration::from_micros(10),
    pause_max: Duration::from_micros(100),
};

/// What happens to a request.
#[derive(Clone)]
enum Fault {
    /// It fails, and does nothing.
    Before(u16, &'static str),
    /// It does its work, and fails.
    After(u16, &'static str),
    /// Its body, or list, ends with an error after so many chunks.
    Inside(usize),
    /// Its body ends early without an error.
    Short(usize),
}

fn answer(status: u16, code: &str) -> Error {
    let body = format!("<Error><Code>{code}</Code><Message>said so</Message></Error>");
    let answer = Answer::of(status, body.as_bytes()).expect("an error");
    Error::Generic { store: "S3", source: Box::new(answer) }
}

/// The faults of the coming requests, in order; none of those after them.
#[derive(Debug)]
struct Flaky {
    inner: InMemory,
    faults: Arc<Mutex<VecDeque<Option<Fault>>>>,
    requests: Mutex<u32>,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fault")
    }
}

impl Flaky {
    fn next(&self) -> Option<Fault> {
        *self.requests.lock().unwrap() += 1;
        self.faults.lock().unwrap().pop_front().flatten()
    }

    async fn request<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next() {
            Some(Fault::Before(status, code)) => Err(answer(status, code)),
            Some(Fault::After(status, code)) => {
                request.await?;
                Err(answer(status, code))
            }
            _ => request.await,
        }
    }

    fn names(&self, names: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.next() {
            Some(Fault::Before(status, code)) => {
                futures::stream::once(async move { Err(answer(status, code)) }).boxed()
            }
            Some(Fault::Inside(count)) => {
                names.take(count).chain(futures::stream::once(async { Err(answer(503, "SlowDown")) })).boxed()
            }
            _ => names,
        }
    }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flaky")
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.request(self.inner.put_opts(path, payload, options)).await
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.request(self.inner.put_multipart_opts(path, options)).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let (chunks, error) = match self.next() {
            Some(Fault::Inside(chunks)) => (chunks, Some(answer(500, "InternalError"))),
            Some(Fault::Short(chunks)) => (chunks, None),
            Some(Fault::Before(status, code) | Fault::After(status, code)) => {
                return Err(answer(status, code));
            }
            None => return self.inner.get_opts(path, options).await,
        };
        let result = self.inner.get_opts(path, options).await?;
        let (meta, range, attributes) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let whole = result.bytes().await?;
        let bytes: Vec<_> = whole.chunks(1).map(|byte| Ok(Bytes::copy_from_slice(byte))).collect();
        let bytes = futures::stream::iter(bytes).take(chunks).chain(futures::stream::iter(error.map(Err)));
        Ok(GetResult { payload: GetResultPayload::Stream(bytes.boxed()), meta, range, attributes })
    }
    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.next() {
            Some(Fault::Before(status, code) | Fault::After(status, code)) => {
                futures::stream::once(async move { Err(answer(status, code)) }).boxed()
            }
            _ => self.inner.delete_stream(paths),
        }
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.names(self.inner.list(prefix))
    }
    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.names(self.inner.list_with_offset(prefix, offset))
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.request(self.inner.list_with_delimiter(prefix)).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.request(self.inner.copy_opts(from, to, options)).await
    }
}

/// Makes a store whose next requests fail as told.
fn flaky(faults: impl IntoIterator<Item = Option<Fault>>) -> RetryingStore<Flaky> {
    let faults = Arc::new(Mutex::new(faults.into_iter().collect()));
    let inner = Flaky { inner: InMemory::new(), faults, requests: Mutex::default() };
    RetryingStore::new(Arc::new(inner), "lake", HASTY)
}

fn script(store: &RetryingStore<Flaky>, faults: impl IntoIterator<Item = Option<Fault>>) {
    *store.inner.faults.lock().unwrap() = faults.into_iter().collect();
    *store.inner.requests.lock().unwrap() = 0;
}

fn requests(store: &RetryingStore<Flaky>) -> u32 {
    *store.inner.requests.lock().unwrap()
}

const DOWN: Option<Fault> = Some(Fault::Before(503, "SlowDown"));
const LOST: Option<Fault> = Some(Fault::After(500, "InternalError"));

fn path(path: &str) -> Path {
    Path::from(path)
}

#[tokio::test]
async fn every_request_outlasts_a_bad_moment() {
    let store = flaky([DOWN, LOST]);
    store.put(&path("a/1"), "one".into()).await.unwrap();
    script(&store, [DOWN, DOWN]);
    assert_eq!(store.get(&path("a/1")).await.unwrap().bytes().await.unwrap(), "one");
    script(&store, [DOWN]);
    assert_eq!(store.head(&path("a/1")).await.unwrap().size, 3);
    script(&store, [DOWN, LOST]);
    store.copy(&path("a/1"), &path("b/2")).await.unwrap();
    script(&store, [DOWN]);
    assert_eq!(store.list_with_delimiter(None).await.unwrap().common_prefixes.len(), 2);
    script(&store, [DOWN, DOWN, DOWN, DOWN]);
    store.delete(&path("a/1")).await.unwrap();
    assert_eq!(requests(&store), 5);
    assert!(matches!(store.get(&path("a/1")).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn what_is_refused_for_good_is_said_at_once() {
    let refused =
        async |status, code, request: &dyn Fn(RetryingStore<Flaky>) -> BoxFuture<'static, Error>| {
            let store = flaky([Some(Fault::Before(status, code))]);
            let error = request(store.clone()).await;
            assert_eq!(requests(&store), 1, "{error}");
            let refusal = find_refusal(&error).unwrap_or_else(|| panic!("{error}")).to_string();
            assert!(!is_retryable(&error), "{refusal}");
            refusal
        };
    let get = |store: RetryingStore<Flaky>| async move { store.get(&path("k")).await.unwrap_err() }.boxed();
    let put = |store: RetryingStore<Flaky>| {
        async move { store.put(&path("k"), "".into()).await.unwrap_err() }.boxed()
    };
    let list =
        |store: RetryingStore<Flaky>| async move { store.list(None).try_next().await.unwrap_err() }.boxed();
    let delete =
        |store: RetryingStore<Flaky>| async move { store.delete(&path("k")).await.unwrap_err() }.boxed();
    assert_eq!(
        refused(403, "AccessDenied", &get).await,
        "`s3:GetObject` on `s3://lake/k`, or if that does not exist `s3:ListBucket` on `s3://lake`, is not \
         allowed: 403 AccessDenied: said so"
    );
    assert_eq!(
        refused(403, "AccessDenied", &put).await,
        "`s3:PutObject` on `s3://lake/k` is not allowed: 403 AccessDenied: said so"
    );
    assert_eq!(
        refused(403, "AccessDenied", &delete).await,
        "`s3:DeleteObject` on `s3://lake/k` is not allowed: 403 AccessDenied: said so"
    );
    assert_eq!(refused(404, "NoSuchBucket", &get).await, "bucket `lake` does not exist");
    assert_eq!(
        refused(403, "InvalidAccessKeyId", &put).await,
        "the store does not accept the credentials: 403 InvalidAccessKeyId: said so; expected valid ones in \
         the AWS_ environment variables, or an instance role"
    );
    assert_eq!(
        refused(301, "PermanentRedirect", &get).await,
        "the store refuses to read `s3://lake/k`: 301 PermanentRedirect: said so"
    );
    assert_eq!(
        refused(403, "AccessDenied", &list).await,
        "`s3:ListBucket` on `s3://lake` is not allowed: 403 AccessDenied: said so"
    );
}

#[tokio::test]
async fn a_service_that_stays_down_is_given_up() {
    let store = flaky(std::iter::repeat_n(DOWN, 100));
    let error = store.get(&path("k")).await.unwrap_err();
    assert_eq!(requests(&store), HASTY.attempts_max);
    assert!(is_retryable(&error));
    let text = error.to_string();
    // How long it took is the machine's matter.
    assert!(text.contains("gave up after 5 attempts to read `s3://lake/k` in "), "{text}");
    assert!(text.contains(" s: 503 SlowDown: said so"), "{text}");
}

#[tokio::test]
async fn a_created_object_whose_answer_got_lost_is_known_as_ours() {
    let create = async |store: &RetryingStore<Flaky>, bytes: &'static str| {
        store.put_opts(&path("k"), bytes.into(), PutMode::Create.into()).await
    };
    let store = flaky([LOST]);
    let created = create(&store, "ours").await.unwrap();
    assert_eq!(created.e_tag, store.head(&path("k")).await.unwrap().e_tag);
    // Without a failure before, the answer is what it says, even for the same bytes.
    assert!(matches!(create(&store, "ours").await, Err(Error::AlreadyExists { .. })));
    // Another writer's object is not ours, however often we had to ask.
    script(&store, [DOWN, DOWN]);
    assert!(matches!(create(&store, "mine").await, Err(Error::AlreadyExists { .. })));
}

#[tokio::test]
async fn a_store_that_creates_once_is_seen_to_do_so_through_failures() {
    let folder = Location::parse("s3://lake/table").unwrap();
    for faults in [[LOST, None, None], [None, LOST, DOWN], [DOWN, LOST, LOST]] {
        let store = flaky(faults);
        probe_create_only(&store, &folder).await.unwrap();
        assert!(list_objects(&store, &folder).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_read_goes_on_where_it_broke() {
    let text = "0123456789";
    let breaks = [Some(Fault::Inside(3)), DOWN, Some(Fault::Short(2)), DOWN, DOWN, Some(Fault::Inside(0))];
    let store = flaky([]);
    store.put(&path("k"), text.into()).await.unwrap();
    script(&store, breaks.clone());
    assert_eq!(store.get(&path("k")).await.unwrap().bytes().await.unwrap(), text);
    assert_eq!(requests(&store), 7);
    script(&store, breaks);
    assert_eq!(store.get_range(&path("k"), 1..9).await.unwrap(), &text[1..9]);
    assert_eq!(requests(&store), 7);
}

#[tokio::test]
async fn the_rest_of_a_read_is_of_the_same_version() {
    let store = flaky([]);
    store.put(&path("k"), "0123456789".into()).await.unwrap();
    script(&store, [Some(Fault::Inside(4))]);
    let mut body = store.get(&path("k")).await.unwrap().into_stream();
    store.inner.inner.put(&path("k"), "changed".into()).await.unwrap();
    let error = loop {
        match body.try_next().await {
            Ok(bytes) => assert!(bytes.is_some(), "the end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Precondition { .. }), "{error}");
}

#[tokio::test]
async fn a_list_goes_on_after_the_last_name() {
    let store = flaky([]);
    for number in 0..6 {
        store.put(&path(&format!("k/{number}")), "".into()).await.unwrap();
    }
    script(&store, [Some(Fault::Inside(2)), DOWN, Some(Fault::Inside(3)), Some(Fault::Inside(1))]);
    let names: Vec<_> =
        store.list(Some(&path("k"))).map_ok(|object| object.location).try_collect().await.unwrap();
    let expected: Vec<_> = (0..6).map(|number| path(&format!("k/{number}"))).collect();
    assert_eq!(names, expected);
    script(&store, [DOWN, Some(Fault::Inside(1))]);
    let after = store.list_with_offset(Some(&path("k")), &path("k/2"));
    let names: Vec<_> = after.map_ok(|object| object.location).try_collect().await.unwrap();
    assert_eq!(names, expected[3..]);
}

#[tokio::test]
async fn thousands_are_deleted_through_failures() {
    let store = flaky([]);
    let paths: Vec<_> = (0..2_500).map(|number| path(&format!("k/{number}"))).collect();
    for path in &paths {
        store.put(path, "".into()).await.unwrap();
    }
    script(&store, [DOWN, None, DOWN]);
    let wanted = futures::stream::iter(paths.clone()).map(Ok).boxed();
    let deleted: Vec<Path> = store.delete_stream(wanted).try_collect().await.unwrap();
    assert_eq!(deleted, paths);
    assert_eq!(requests(&store), 5);
    assert!(list_objects(&store, &Location::parse("s3://lake/k").unwrap()).await.unwrap().is_empty());
}
