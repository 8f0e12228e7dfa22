//! Decompression of a stream that comes in chunks: gzip of one or many members, zstd of one or many
//! frames.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use zstd::stream::raw::{Decoder as ZstdContext, InBuffer, Operation, OutBuffer};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How much is decoded at a time. A gzip decoder that meets corruption loses what it decoded in the
/// same step, so the step is short.
const STEP_BYTES: usize = 32 << 10;

/// What one step of a decoder did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Output,
    NeedInput,
    End,
}

pub(super) enum Decoder {
    Plain,
    Gzip(Box<MultiGzDecoder<Feed>>),
    Zstd(Box<Zstd>),
    /// Nothing can be decoded, for the reason given.
    Unreadable(String),
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
            Self::Unreadable(_) => "Unreadable",
        })
    }
}

impl Decoder {
    pub(super) const fn plain() -> Self {
        Self::Plain
    }

    pub(super) fn is_compressed(head: &[u8]) -> bool {
        head.starts_with(GZIP) || head.starts_with(ZSTD)
    }

    /// Chooses the decoder for an object by its first bytes. Only an object that is too short to show
    /// what it is, as an upload that was cut at once, is told by its name.
    pub(super) fn new(head: &[u8], file: &str) -> Self {
        if head.starts_with(GZIP) {
            return Self::Gzip(Box::new(MultiGzDecoder::new(Feed::default())));
        }
        if head.starts_with(ZSTD) {
            return match ZstdContext::new() {
                Ok(context) => Self::Zstd(Box::new(Zstd::new(context))),
                Err(error) => Self::Unreadable(error.to_string()),
            };
        }
        let cut_short = (GZIP.starts_with(head) && file.ends_with(".gz"))
            || (ZSTD.starts_with(head) && (file.ends_with(".zst") || file.ends_with(".zstd")));
        if cut_short || (!head.is_empty() && head == GZIP.get(..1).unwrap_or_default()) {
            let length = head.len();
            return Self::Unreadable(format!("a compressed file of {length} bytes is cut short"));
        }
        Self::Plain
    }

    pub(super) const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Hands in the next compressed bytes, once the last ones are used up.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        match self {
            Self::Plain | Self::Unreadable(_) => {}
            Self::Gzip(gzip) => gzip.get_mut().bytes = bytes,
            Self::Zstd(zstd) => zstd.input = bytes,
        }
    }

    /// Says that no more compressed bytes will come.
    pub(super) fn feed_end(&mut self) {
        match self {
            Self::Plain | Self::Unreadable(_) => {}
            Self::Gzip(gzip) => gzip.get_mut().is_at_end = true,
            Self::Zstd(zstd) => zstd.is_at_end = true,
        }
    }

    /// Appends decoded bytes to `out`, which does not grow beyond `target` bytes.
    ///
    /// # Errors
    /// What is wrong with the stream, where it is damaged.
    pub(super) fn decode(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Step, String> {
        let before = out.len();
        out.resize(target.min(before + STEP_BYTES), 0);
        let space = out.get_mut(before..).unwrap_or_default();
        let (written, outcome) = match self {
            Self::Plain => (0, Ok(Step::End)),
            Self::Unreadable(reason) => (0, Err(reason.clone())),
            Self::Gzip(gzip) => decode_gzip(gzip, space),
            Self::Zstd(zstd) => zstd.decode(space),
        };
        out.truncate(before + written);
        outcome
    }
}

fn decode_gzip(gzip: &mut MultiGzDecoder<Feed>, space: &mut [u8]) -> (usize, Result<Step, String>) {
    match gzip.read(space) {
        Ok(0) => (0, Ok(Step::End)),
        Ok(written) => (written, Ok(Step::Output)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => (0, Ok(Step::NeedInput)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            (0, Err("the gzip stream is cut short".into()))
        }
        Err(error) => (0, Err(format!("the gzip stream is corrupt: {error}"))),
    }
}

/// Compressed bytes as they come in; a reader of them that is too early is told to wait.
#[derive(Debug, Default)]
pub(super) struct Feed {
    bytes: Bytes,
    is_at_end: bool,
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.len().min(into.len());
        self.bytes.copy_to_slice(into.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes.is_empty() && !self.is_at_end {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(&self.bytes)
    }

    fn consume(&mut self, length: usize) {
        self.bytes.advance(length);
    }
}

pub(super) struct Zstd {
    context: ZstdContext<'static>,
    input: Bytes,
    is_at_end: bool,
    is_between_frames: bool,
    /// The last step filled its space, so that there may be output without more input.
    is_output_pending: bool,
}

impl Zstd {
    fn new(context: ZstdContext<'static>) -> Self {
        Self {
            context,
            input: Bytes::new(),
            is_at_end: false,
            is_between_frames: true,
            is_output_pending: false,
        }
    }

    fn decode(&mut self, space: &mut [u8]) -> (usize, Result<Step, String>) {
        if self.input.is_empty() && !self.is_output_pending {
            return match (self.is_at_end, self.is_between_frames) {
                (false, _) => (0, Ok(Step::NeedInput)),
                (true, true) => (0, Ok(Step::End)),
                (true, false) => (0, Err("the zstd stream is cut short".into())),
            };
        }
        let space_bytes = space.len();
        let mut output = OutBuffer::around(space);
        let mut input = InBuffer::around(&self.input);
        let outcome = self.context.run(&mut input, &mut output);
        let (read, written) = (input.pos(), output.pos());
        self.input.advance(read);
        match outcome {
            Ok(hint) => {
                self.is_between_frames = hint == 0;
                self.is_output_pending = written == space_bytes && hint != 0;
                (written, Ok(Step::Output))
            }
            Err(error) => (written, Err(format!("the zstd stream is corrupt: {error}"))),
        }
    }
}
