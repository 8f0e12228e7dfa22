//! The bytes of one object, decompressed, in chunks of bounded size.
//!
//! Compression is told by the first bytes of the object, never by its name. Damage to a compressed
//! stream is an outcome, not an error: what was decoded before it is handed out first.

mod chunks;
mod decoder;

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::error::RecordError;
use crate::progress::RunProgress;
use chunks::Chunks;
use decoder::{Decoder, Step};

/// As many bytes as the longest signature that is looked for.
const HEAD_BYTES: usize = 4;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// An object to read and where from.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) meta: ObjectMeta,
    pub(crate) progress: RunProgress,
    pub(crate) chunk_bytes: usize,
}

impl Object {
    pub(crate) fn file(&self) -> &str {
        self.meta.location.as_ref()
    }

    /// Reads the first bytes of the object, to tell what it is before part of it is read.
    pub(crate) async fn head(&self) -> Result<Head, RecordError> {
        if self.meta.size == 0 {
            return Ok(Head::default());
        }
        let range = 0..self.meta.size.min(HEAD_BYTES as u64);
        let bytes = self.store.get_range(&self.meta.location, range).await;
        let bytes = bytes.map_err(|source| RecordError::Store { file: self.file().to_owned(), source })?;
        Ok(Head::of(&bytes))
    }
}

/// What the first bytes of an object tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    pub(crate) is_compressed: bool,
    pub(crate) has_bom: bool,
}

impl Head {
    fn of(bytes: &[u8]) -> Self {
        Self { is_compressed: Decoder::is_compressed(bytes), has_bom: bytes.starts_with(BOM) }
    }
}

/// What became of a request for more bytes.
#[derive(Debug)]
pub(crate) enum Filled {
    /// There may be more.
    More,
    /// That was all.
    End,
    /// The stream cannot be decoded beyond this.
    Damaged(String),
}

#[derive(Debug)]
pub(crate) struct Input {
    chunks: Chunks,
    decoder: Decoder,
    chunk_bytes: usize,
}

impl Input {
    /// Opens a whole object.
    pub(crate) async fn open(object: &Object) -> Result<Self, RecordError> {
        let size = object.meta.size;
        let mut chunks = Chunks::new(object, 0..size);
        let mut head = BytesMut::new();
        while head.len() < HEAD_BYTES {
            match chunks.next(object.chunk_bytes).await? {
                Some(chunk) => head.extend_from_slice(&chunk),
                None => break,
            }
        }
        let decoder = Decoder::new(&head, object.file());
        chunks.put_back(head);
        Ok(Self { chunks, decoder, chunk_bytes: object.chunk_bytes })
    }

    /// Opens a plain object from the byte `range.start` on. The range is a hint for the requests to
    /// the store: reading on past its end is possible, and slow.
    pub(crate) fn open_plain(object: &Object, range: Range<u64>) -> Self {
        Self {
            chunks: Chunks::new(object, range),
            decoder: Decoder::plain(),
            chunk_bytes: object.chunk_bytes,
        }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        !self.decoder.is_plain()
    }

    /// Makes a buffer that begins with `carried` and has room for one chunk more.
    pub(crate) fn buffer_for(&self, carried: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(carried.len() + self.chunk_bytes);
        bytes.extend_from_slice(carried);
        bytes
    }

    /// Appends about one chunk of decompressed bytes to `out`.
    pub(crate) async fn fill(&mut self, out: &mut Vec<u8>) -> Result<Filled, RecordError> {
        let target = out.len() + self.chunk_bytes;
        while out.len() < target {
            if self.decoder.is_plain() {
                match self.chunks.next(target - out.len()).await? {
                    Some(chunk) => out.extend_from_slice(&chunk),
                    None => return Ok(Filled::End),
                }
                continue;
            }
            match self.decoder.decode(out, target) {
                Ok(Step::Output) => {}
                Ok(Step::NeedInput) => match self.chunks.next(self.chunk_bytes).await? {
                    Some(chunk) => self.decoder.feed(chunk),
                    None => self.decoder.feed_end(),
                },
                Ok(Step::End) => return Ok(Filled::End),
                Err(damage) => return Ok(Filled::Damaged(damage)),
            }
        }
        Ok(Filled::More)
    }

    /// The byte order mark of UTF-8.
    pub(crate) const fn bom() -> &'static [u8] {
        BOM
    }
}
