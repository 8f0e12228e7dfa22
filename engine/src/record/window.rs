//! The part of a file that is looked at now: one contiguous buffer, the beginning of which is used up.
//!
//! A window is never changed once batches point into it; its unread rest is carried over into the
//! next one.

use arrow::buffer::Buffer;

use super::error::RecordError;
use super::input::{Filled, Input};

#[derive(Debug)]
pub(crate) struct Window {
    input: Input,
    pub(crate) buffer: Buffer,
    /// How much of the buffer is used up.
    pub(crate) position: usize,
    /// Where the buffer begins in the decompressed file.
    pub(crate) base: u64,
    /// Nothing follows.
    pub(crate) is_last: bool,
    /// Why nothing follows, where that is not the end of the file.
    pub(crate) damage: Option<String>,
}

impl Window {
    /// A window over the whole of a file; a byte order mark is passed over.
    pub(crate) async fn over_file(input: Input) -> Result<Self, RecordError> {
        let mut window = Self::from_offset(input, 0);
        while window.buffer.len() < Input::bom().len() && !window.is_last {
            window.refill().await?;
        }
        if window.unread().starts_with(Input::bom()) {
            window.position = Input::bom().len();
        }
        Ok(window)
    }

    /// A window over a plain file from byte `base` on.
    pub(crate) fn from_offset(input: Input, base: u64) -> Self {
        Self { input, buffer: Buffer::default(), position: 0, base, is_last: false, damage: None }
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.as_slice().get(self.position..).unwrap_or_default()
    }

    /// Returns where the unread bytes begin in the decompressed file.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.position as u64
    }

    /// Reads about one chunk more.
    pub(crate) async fn refill(&mut self) -> Result<(), RecordError> {
        let mut bytes = self.input.buffer_for(self.unread());
        match self.input.fill(&mut bytes).await? {
            Filled::More => {}
            Filled::End => self.is_last = true,
            Filled::Damaged(detail) => {
                self.is_last = true;
                self.damage = Some(detail);
            }
        }
        self.base = self.offset();
        self.position = 0;
        self.buffer = Buffer::from_vec(bytes);
        Ok(())
    }
}
