//! Logs of versions: one JSON object a line, with `known_at`, `op` (`A` added, `M` modified, `D` deleted), `file` and
//! `payload`, the exact text; also `commit` and `payload_sha256`.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use cambist_engine::rates::ledger::Received;
use cambist_engine::store::StoreError;
use cambist_udfs::rate::InstantMicros;
use cambist_udfs::reason::SnapshotReason;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::chunk::Chunk;
use super::{ImportError, Source};

const NAMES: [&str; 6] = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst"];
/// One request of a reader, small against the memory of a process and large against a request's latency.
const READ_BYTES: u64 = 4 << 20;
/// A line holds one payload, which is a few KiB as a rule.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Lines that are read ahead, so that unpacking and judging overlap.
const LINES_AHEAD: usize = 16;

/// Tells whether a file is a log, by its name.
pub(super) fn is_log(name: &str) -> bool {
    NAMES.iter().any(|ending| name.ends_with(ending))
}

#[derive(Debug, Deserialize)]
struct Line {
    known_at: Timestamp,
    op: String,
    file: String,
    #[serde(default)]
    payload: Option<String>,
    #[serde(default)]
    payload_sha256: Option<String>,
    #[serde(default)]
    commit: Option<String>,
}

type Sender = mpsc::Sender<io::Result<Vec<u8>>>;

/// Brings in the payloads of a log in its order.
pub(super) async fn import(source: &Source<'_>, chunk: &mut Chunk<'_>) -> Result<(), ImportError> {
    let (sender, mut lines) = mpsc::channel(LINES_AHEAD);
    let reader = RangeReader {
        runtime: Handle::current(),
        store: Arc::clone(&source.files.store),
        path: source.object.location.clone(),
        at: Arc::default(),
        size: source.object.size,
        read: Bytes::new(),
        failure: None,
    };
    let position = Arc::clone(&reader.at);
    let reading = tokio::task::spawn_blocking(move || send_lines(reader, &sender));
    let (begin, mut number) = (chunk.read, 0_u64);
    while let Some(line) = lines.recv().await {
        number += 1;
        chunk.read = begin + position.load(Ordering::Relaxed);
        let origin = format!("{}:{number}", source.display);
        match line {
            Ok(line) if line.trim_ascii().is_empty() => {}
            Ok(line) => take(&line, &origin, chunk).await?,
            Err(error) => chunk.refuse(&origin, SnapshotReason::SnapshotMalformed, error.to_string()),
        }
    }
    match reading.await {
        Ok(None) => Ok(()),
        Ok(Some(failure)) => Err(StoreError::request("read", &source.display)(failure).into()),
        Err(stopped) => {
            let failure = object_store::Error::Generic { store: "log", source: stopped.into() };
            Err(StoreError::request("read", &source.display)(failure).into())
        }
    }
}

async fn take(line: &[u8], origin: &str, chunk: &mut Chunk<'_>) -> Result<(), ImportError> {
    let malformed = SnapshotReason::SnapshotMalformed;
    let line: Line = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => {
            chunk.refuse(origin, malformed, format!("the line is no version: {error}"));
            return Ok(());
        }
    };
    if line.op == "D" {
        chunk.ignore_deletion();
        return Ok(());
    }
    let origin = format!("{origin}:{}", line.file);
    let Some(payload) = line.payload else {
        chunk.refuse(&origin, malformed, "the line has no payload".to_owned());
        return Ok(());
    };
    if let Some(sha256) = &line.payload_sha256 {
        let found: String = Sha256::digest(&payload).iter().map(|byte| format!("{byte:02x}")).collect();
        if found != *sha256 {
            let detail = format!("the sha256 of the payload is {found}; the line says {sha256}");
            chunk.refuse(&origin, malformed, detail);
            return Ok(());
        }
    }
    let file_name = line.file.rsplit('/').next().unwrap_or(&line.file).to_owned();
    let known_at = InstantMicros(line.known_at.as_microsecond());
    let received = chunk.import.received(payload.into(), file_name, known_at, origin);
    let metadata = line.commit.map(|commit| ("commit".to_owned(), commit)).into_iter().collect();
    chunk.add(Received { metadata, ..received }).await
}

/// Sends every line, and returns what the store said where it failed.
fn send_lines(mut reader: RangeReader, sender: &Sender) -> Option<object_store::Error> {
    let mut head = [0; 4];
    let length = match fill(&mut reader, &mut head) {
        Ok(length) => length,
        Err(_) => return reader.failure,
    };
    let head = &head[..length];
    let whole = Read::chain(io::Cursor::new(head.to_vec()), &mut reader);
    let sent = match head {
        [0x1f, 0x8b, ..] => send_unpacked(flate2::read::MultiGzDecoder::new(whole), sender),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            zstd::stream::read::Decoder::new(whole).and_then(|unpacked| send_unpacked(unpacked, sender))
        }
        _ => send_unpacked(whole, sender),
    };
    if let (Err(error), None) = (sent, &reader.failure) {
        // Nobody listens where the import has failed.
        let _ = sender.blocking_send(Err(error));
    }
    reader.failure
}

fn send_unpacked(reader: impl Read, sender: &Sender) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let length = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        if length as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(io::Error::other(format!(
                "a line of more than {LINE_BYTES_MAX} bytes; the rest is not read"
            )));
        }
        if sender.blocking_send(Ok(line)).is_err() {
            return Ok(());
        }
    }
}

/// Reads an object part by part, from a thread that may wait.
struct RangeReader {
    runtime: Handle,
    store: Arc<dyn ObjectStore>,
    path: Path,
    at: Arc<AtomicU64>,
    size: u64,
    read: Bytes,
    failure: Option<object_store::Error>,
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at.load(Ordering::Relaxed);
        if self.read.is_empty() && at < self.size {
            let end = self.size.min(at + READ_BYTES);
            match self.runtime.block_on(self.store.get_range(&self.path, at..end)) {
                Ok(read) => self.read = read,
                Err(error) => {
                    let text = error.to_string();
                    self.failure = Some(error);
                    return Err(io::Error::other(text));
                }
            }
            self.at.store(end, Ordering::Relaxed);
        }
        let length = buffer.len().min(self.read.len());
        self.read.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}
