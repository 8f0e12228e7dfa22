//! A store in the cloud that is asked again when it has a bad moment.
//!
//! Each request is signed anew when it is sent again. What can be sent twice is; a create-only write whose
//! answer got lost meets itself and is recognised by its bytes, so **an object that decides between writers
//! must name its writer**. Reads that break off go on where they broke, listings after the last name.
//! Not tried again: the parts of a `put_multipart` upload, which nothing of ours uses, and conditional
//! updates and copies.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use super::refusal::Operation;
use super::resume;
use super::retry::{Attempts, Request, RetryPolicy};

/// Keys in one request of S3.
const DELETE_KEYS_MAX: usize = 1_000;
const DELETES_AT_ONCE: usize = 4;

/// A store whose requests are retried.
#[derive(Debug)]
pub(super) struct RetryingStore<S> {
    pub(super) inner: Arc<S>,
    bucket: Arc<str>,
    policy: RetryPolicy,
}

impl<S> Clone for RetryingStore<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), bucket: Arc::clone(&self.bucket), policy: self.policy }
    }
}

impl<S> RetryingStore<S> {
    pub(super) fn new(inner: Arc<S>, bucket: &str, policy: RetryPolicy) -> Self {
        Self { inner, bucket: bucket.into(), policy }
    }

    pub(super) fn attempts(&self, operation: Operation, path: Option<&Path>) -> Attempts {
        let path = path.map_or_else(String::new, ToString::to_string);
        Attempts::new(self.policy, Request { operation, bucket: Arc::clone(&self.bucket), path })
    }

    /// Sends a request once, for it must not be sent twice.
    async fn once<T>(
        &self,
        operation: Operation,
        path: &Path,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let attempts = self.attempts(operation, Some(path));
        request.await.map_err(|error| attempts.end(error))
    }
}

impl<S: ObjectStore> RetryingStore<S> {
    /// Creates an object, or finds that an earlier attempt of ours has.
    async fn create(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let mut attempts = self.attempts(Operation::Write, Some(path));
        loop {
            match self.inner.put_opts(path, payload.clone(), options.clone()).await {
                Ok(created) => return Ok(created),
                Err(error @ Error::AlreadyExists { .. }) if attempts.has_failed() => {
                    let Ok(found) = self.get(path).await else { return Err(error) };
                    let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
                    let is_ours = found.meta.size == payload.content_length() as u64
                        && found.bytes().await? == bytes::Bytes::from(payload);
                    return if is_ours { Ok(PutResult { e_tag, version }) } else { Err(error) };
                }
                Err(error) => attempts.pause_after(error).await?,
            }
        }
    }

    /// Deletes at most [`DELETE_KEYS_MAX`] objects. Those that are gone may be deleted again.
    async fn delete_some(self, paths: Vec<Path>) -> Result<Vec<Result<Path>>> {
        let mut attempts = self.attempts(Operation::Delete, paths.first());
        attempts
            .run(|| async {
                let wanted = futures::stream::iter(paths.clone()).map(Ok).boxed();
                let results: Vec<Result<Path>> = self.inner.delete_stream(wanted).collect().await;
                // "Not found" is an answer about one object, anything else spoils the request.
                let is_answer = |result: &Result<Path>| matches!(result, Ok(_) | Err(Error::NotFound { .. }));
                let (answers, mut spoiled): (Vec<_>, Vec<_>) = results.into_iter().partition(is_answer);
                match spoiled.pop() {
                    Some(Err(error)) => Err(error),
                    _ => Ok(answers),
                }
            })
            .await
    }
}

impl<S: ObjectStore> fmt::Display for RetryingStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for RetryingStore<S> {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Create => self.create(path, payload, options).await,
            PutMode::Overwrite => {
                let mut attempts = self.attempts(Operation::Write, Some(path));
                attempts.run(|| self.inner.put_opts(path, payload.clone(), options.clone())).await
            }
            PutMode::Update(_) => {
                self.once(Operation::Write, path, self.inner.put_opts(path, payload, options)).await
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let mut attempts = self.attempts(Operation::Upload, Some(path));
        attempts.run(|| self.inner.put_multipart_opts(path, options.clone())).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let mut attempts = self.attempts(Operation::Read, Some(path));
        let result = attempts.run(|| self.inner.get_opts(path, options.clone())).await?;
        Ok(resume::resuming(self, path, options, result))
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let some = paths.try_chunks(DELETE_KEYS_MAX).map(move |paths| {
            let store = store.clone();
            async move { store.delete_some(paths.map_err(|error| error.1)?).await.map(futures::stream::iter) }
        });
        some.buffered(DELETES_AT_ONCE).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        resume::listing(self, prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        resume::listing(self, prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut attempts = self.attempts(Operation::List, prefix);
        attempts.run(|| self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if options.mode != CopyMode::Overwrite {
            return self.once(Operation::Copy, to, self.inner.copy_opts(from, to, options)).await;
        }
        let mut attempts = self.attempts(Operation::Copy, Some(to));
        attempts.run(|| self.inner.copy_opts(from, to, options.clone())).await
    }
}

#[async_trait]
impl<S: ObjectStore + MultipartStore> MultipartStore for RetryingStore<S> {
    /// An upload whose creation was answered into the void stays open, until the bucket's own rule ends it.
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let mut attempts = self.attempts(Operation::Upload, Some(path));
        attempts.run(|| self.inner.create_multipart(path)).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part: usize, data: PutPayload) -> Result<PartId> {
        let mut attempts = self.attempts(Operation::Upload, Some(path));
        attempts.run(|| self.inner.put_part(path, id, part, data.clone())).await
    }

    /// `NotFound` may mean that an earlier attempt completed the upload; the caller should look for the object.
    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let mut attempts = self.attempts(Operation::Upload, Some(path));
        attempts.run(|| self.inner.complete_multipart(path, id, parts.clone())).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let mut attempts = self.attempts(Operation::AbortUpload, Some(path));
        let aborted = attempts.run(|| self.inner.abort_multipart(path, id)).await;
        match aborted {
            Err(Error::NotFound { .. }) if attempts.has_failed() => Ok(()),
            aborted => aborted,
        }
    }
}
