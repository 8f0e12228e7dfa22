//! The bytes of an object as they are stored.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{GetOptions, GetRange, GetResultPayload};

use super::Object;
use crate::record::error::RecordError;

/// A range is read this far beyond its end at first, since its last record usually ends there.
const OVERRUN_BYTES: u64 = 64 << 10;

enum Payload {
    /// A local file, at its position. Read in whole chunks, since the store's own stream goes by 8 KiB.
    Local(File),
    Stream(BoxStream<'static, object_store::Result<Bytes>>),
}

pub(super) struct Chunks {
    object: Object,
    /// What was read but is not used up.
    front: Bytes,
    /// The byte that comes after `front`.
    position: u64,
    /// Where the current request ends.
    requested: u64,
    /// Where the range that we are responsible for ends.
    end: u64,
    payload: Option<Payload>,
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Chunks {
    pub(super) fn new(object: &Object, range: Range<u64>) -> Self {
        Self {
            object: object.clone(),
            front: Bytes::new(),
            position: range.start,
            requested: range.start,
            end: range.end,
            payload: None,
        }
    }

    /// Gives bytes back, to be read first.
    pub(super) fn put_back(&mut self, mut bytes: BytesMut) {
        bytes.extend_from_slice(&self.front);
        self.front = bytes.freeze();
    }

    /// Reads at most `bytes_max` bytes; none at the end of the object.
    pub(super) async fn next(&mut self, bytes_max: usize) -> Result<Option<Bytes>, RecordError> {
        while self.front.is_empty() {
            if self.position >= self.object.meta.size {
                return Ok(None);
            }
            if self.payload.is_none() {
                self.request(bytes_max).await?;
            }
            self.front = self.read(bytes_max).await?;
            if self.front.is_empty() && self.position < self.requested {
                return Err(self.changed(self.position));
            }
            self.advance(self.front.len() as u64);
        }
        Ok(Some(self.front.split_to(bytes_max.min(self.front.len()))))
    }

    fn advance(&mut self, bytes: u64) {
        let counted = self.end.saturating_sub(self.position).min(bytes);
        self.object.progress.add_bytes(counted);
        self.position += bytes;
        if self.position >= self.requested {
            self.payload = None;
        }
    }

    async fn request(&mut self, bytes_max: usize) -> Result<(), RecordError> {
        let meta = &self.object.meta;
        let planned = if self.end < meta.size { self.end + OVERRUN_BYTES } else { self.end };
        self.requested =
            planned.max(self.position + OVERRUN_BYTES).max(self.position + bytes_max as u64).min(meta.size);
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.position..self.requested)),
            if_match: meta.e_tag.clone(),
            ..GetOptions::default()
        };
        let result = self.object.store.get_opts(&meta.location, options).await;
        let result = result.map_err(|source| self.store_error(source))?;
        if result.meta.size != meta.size {
            return Err(self.changed(result.meta.size));
        }
        self.payload = Some(match result.payload {
            GetResultPayload::File(mut file, _) => {
                file.seek(SeekFrom::Start(self.position)).map_err(|source| self.io_error(source))?;
                Payload::Local(file)
            }
            GetResultPayload::Stream(stream) => Payload::Stream(stream),
        });
        Ok(())
    }

    async fn read(&mut self, bytes_max: usize) -> Result<Bytes, RecordError> {
        match self.payload.take() {
            None => Ok(Bytes::new()),
            Some(Payload::Stream(mut stream)) => match stream.next().await {
                None => Ok(Bytes::new()),
                Some(bytes) => {
                    self.payload = Some(Payload::Stream(stream));
                    bytes.map_err(|source| self.store_error(source))
                }
            },
            Some(Payload::Local(file)) => {
                let length = (self.requested - self.position).min(bytes_max as u64);
                let (file, bytes) = tokio::task::spawn_blocking(move || read_local(file, length))
                    .await
                    .map_err(|error| self.io_error(io::Error::other(error)))?
                    .map_err(|source| self.io_error(source))?;
                self.payload = Some(Payload::Local(file));
                Ok(Bytes::from(bytes))
            }
        }
    }

    fn changed(&self, found: u64) -> RecordError {
        let detail = format!("it had {} bytes and now has {found}", self.object.meta.size);
        RecordError::Changed { file: self.object.file().to_owned(), detail }
    }

    fn store_error(&self, source: object_store::Error) -> RecordError {
        let file = self.object.file().to_owned();
        match source {
            object_store::Error::Precondition { .. } => {
                RecordError::Changed { file, detail: "it has another version".to_owned() }
            }
            source => RecordError::Store { file, source },
        }
    }

    fn io_error(&self, source: io::Error) -> RecordError {
        RecordError::Io { file: self.object.file().to_owned(), source }
    }
}

fn read_local(file: File, length: u64) -> io::Result<(File, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    let mut part = file.take(length);
    part.read_to_end(&mut bytes)?;
    Ok((part.into_inner(), bytes))
}
