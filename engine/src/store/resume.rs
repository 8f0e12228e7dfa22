//! Streams from a store that go on where they broke.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, ObjectStore, Result,
};

use super::answer::Answer;
use super::counters::store_metrics;
use super::refusal::Operation;
use super::retry::Attempts;
use super::retrying::RetryingStore;

/// A connection that brings nothing for so long is dead. The time in which nobody asks does not count.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The rest of an object that is being read.
struct Reading<S> {
    store: RetryingStore<S>,
    path: Path,
    options: GetOptions,
    /// What identifies the object: all parts must be of one version.
    e_tag: Option<String>,
    /// What is still to come.
    range: Range<u64>,
    has_begun: bool,
    stream: BoxStream<'static, Result<Bytes>>,
    attempts: Attempts,
}

/// Makes the body of `result` one that is read on after it broke off.
pub(super) fn resuming<S: ObjectStore>(
    store: &RetryingStore<S>,
    path: &Path,
    options: GetOptions,
    result: GetResult,
) -> GetResult {
    if options.head {
        return result;
    }
    let GetResultPayload::Stream(stream) = result.payload else { return result };
    let reading = Reading {
        store: store.clone(),
        path: path.clone(),
        options,
        e_tag: result.meta.e_tag.clone(),
        range: result.range.clone(),
        has_begun: false,
        stream,
        attempts: store.attempts(Operation::Read, Some(path)),
    };
    let stream = stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|bytes| (bytes, reading)))
    });
    GetResult { payload: GetResultPayload::Stream(stream.boxed()), ..result }
}

impl<S: ObjectStore> Reading<S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let error = match tokio::time::timeout(SILENCE_MAX, self.stream.next()).await {
                Ok(Some(Ok(bytes))) => {
                    self.range.start += bytes.len() as u64;
                    self.has_begun = true;
                    self.attempts.reset();
                    return Ok(Some(bytes));
                }
                Ok(None) if self.range.is_empty() => return Ok(None),
                Ok(None) => broken(self.short()),
                Ok(Some(Err(error))) => error,
                Err(_) => broken(Answer::silence()),
            };
            self.attempts.pause_after(error).await?;
            self.reopen().await?;
        }
    }

    async fn reopen(&mut self) -> Result<()> {
        if self.has_begun && self.e_tag.is_none() {
            return Err(self.attempts.end(broken(self.short())));
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.range.clone())),
            if_match: self.e_tag.clone(),
            version: self.options.version.clone(),
            extensions: self.options.extensions.clone(),
            ..GetOptions::default()
        };
        let result = loop {
            match self.store.inner.get_opts(&self.path, options.clone()).await {
                Ok(result) => break result,
                Err(error) => self.attempts.pause_after(error).await?,
            }
        };
        store_metrics().resumed_reads.add(1);
        self.stream = result.into_stream();
        Ok(())
    }

    fn short(&self) -> Answer {
        let message =
            format!("the answer broke off {} bytes before its end", self.range.end - self.range.start);
        Answer { message, ..Answer::silence() }
    }
}

fn broken(answer: Answer) -> Error {
    Error::Generic { store: "S3", source: Box::new(answer) }
}

struct Listing<S> {
    store: RetryingStore<S>,
    prefix: Option<Path>,
    /// The last name that came, or before the first one where to begin.
    after: Option<Path>,
    stream: BoxStream<'static, Result<ObjectMeta>>,
    attempts: Attempts,
}

/// Lists what is below `prefix` and after `offset`; a service lists in order, so it can go on after any name.
pub(super) fn listing<S: ObjectStore>(
    store: &RetryingStore<S>,
    prefix: Option<&Path>,
    offset: Option<&Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let mut listing = Listing {
        store: store.clone(),
        prefix: prefix.cloned(),
        after: offset.cloned(),
        stream: stream::empty().boxed(),
        attempts: store.attempts(Operation::List, prefix),
    };
    listing.open();
    let names = stream::try_unfold(listing, |mut listing| async move {
        Ok(listing.next().await?.map(|object| (object, listing)))
    });
    names.boxed()
}

impl<S: ObjectStore> Listing<S> {
    fn open(&mut self) {
        let (inner, prefix) = (&self.store.inner, self.prefix.as_ref());
        self.stream = match &self.after {
            Some(after) => inner.list_with_offset(prefix, after),
            None => inner.list(prefix),
        };
    }

    async fn next(&mut self) -> Result<Option<ObjectMeta>> {
        loop {
            match self.stream.next().await.transpose() {
                Ok(None) => return Ok(None),
                Ok(Some(object)) => {
                    self.attempts.reset();
                    self.after = Some(object.location.clone());
                    return Ok(Some(object));
                }
                Err(error) => {
                    self.attempts.pause_after(error).await?;
                    self.open();
                }
            }
        }
    }
}
