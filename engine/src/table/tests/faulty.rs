//! A store that dies: after so many changes every request fails, as for a process that was killed.

use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::*;

type Hook = (&'static str, Pin<Box<dyn Future<Output = ()> + Send>>);

pub(super) struct Faulty<S> {
    inner: Arc<S>,
    /// Changes left before the end.
    changes_left: AtomicI64,
    /// Whether the last change happens although its answer never comes.
    last_one_happens: bool,
    /// Runs once, right before a write to a path that contains the text.
    before_put: Mutex<Option<Hook>>,
    /// Whether a rename is one change, as on a disk, or a copy and a delete.
    renames: bool,
}

impl<S> Faulty<S> {
    pub(super) fn new(inner: &Arc<S>, changes: i64, last_one_happens: bool) -> Self {
        let inner = Arc::clone(inner);
        Self {
            inner,
            changes_left: AtomicI64::new(changes),
            last_one_happens,
            before_put: Mutex::new(None),
            renames: false,
        }
    }

    pub(super) fn renaming(self) -> Self {
        Self { renames: true, ..self }
    }

    pub(super) fn before_put(
        self,
        text: &'static str,
        hook: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        *self.before_put.lock().unwrap() = Some((text, Box::pin(hook)));
        self
    }

    pub(super) fn is_dead(&self) -> bool {
        self.changes_left.load(Ordering::SeqCst) < 0
    }

    fn dead() -> Error {
        Error::Generic { store: "faulty", source: "the process is dead".into() }
    }

    fn alive(&self) -> Result<()> {
        if self.is_dead() { Err(Self::dead()) } else { Ok(()) }
    }

    /// Counts one change, and makes it unless this is the end.
    async fn change<T>(&self, change: impl Future<Output = Result<T>>) -> Result<T> {
        match self.changes_left.fetch_sub(1, Ordering::SeqCst) {
            1.. => change.await,
            0 if self.last_one_happens => {
                change.await?;
                Err(Self::dead())
            }
            _ => Err(Self::dead()),
        }
    }
}

impl<S> fmt::Debug for Faulty<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("faulty")
    }
}

impl<S> fmt::Display for Faulty<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("faulty")
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Faulty<S> {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let hook = {
            let mut hook = self.before_put.lock().unwrap();
            let is_due = hook.as_ref().is_some_and(|(text, _)| path.as_ref().contains(text));
            if is_due { hook.take() } else { None }
        };
        if let Some((_, hook)) = hook {
            hook.await;
        }
        self.change(self.inner.put_opts(path, payload, options)).await
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.inner.get_opts(path, options).await
    }
    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // Each deletion counts by itself, and those beyond the end must not reach the store.
        let lives = self.changes_left.load(Ordering::SeqCst).max(0);
        let last = i64::from(self.last_one_happens);
        self.changes_left.fetch_sub(1, Ordering::SeqCst);
        if lives == 0 && last == 0 {
            return futures::stream::once(async { Err(Self::dead()) }).boxed();
        }
        self.inner.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.alive() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.alive()?;
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.change(self.inner.copy_opts(from, to, options)).await
    }
    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        if self.renames {
            return self.change(self.inner.rename_opts(from, to, options)).await;
        }
        self.copy_opts(from, to, CopyOptions::new()).await?;
        self.delete(from).await
    }
}

#[async_trait]
impl<S: ObjectStore + MultipartStore> MultipartStore for Faulty<S> {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.change(self.inner.create_multipart(path)).await
    }
    async fn put_part(&self, path: &Path, id: &MultipartId, part: usize, data: PutPayload) -> Result<PartId> {
        self.change(self.inner.put_part(path, id, part, data)).await
    }
    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.change(self.inner.complete_multipart(path, id, parts)).await
    }
    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.change(self.inner.abort_multipart(path, id)).await
    }
}
