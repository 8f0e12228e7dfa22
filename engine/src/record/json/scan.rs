//! Finds where objects that follow one another begin and end, in bytes that may be broken.

use serde::de::IgnoredAny;

use crate::record::text::Skipped;

/// What begins at the beginning of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    Object {
        end: usize,
    },
    /// An object that is right so far.
    Unended,
    /// Something that no object can begin with.
    Malformed(String),
}

/// Looks for one object at the beginning of `bytes`.
pub(super) fn scan_object(bytes: &[u8]) -> Scanned {
    if bytes.first() != Some(&b'{') {
        return Scanned::Malformed("the record is not a JSON object".to_owned());
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Scanned::Object { end: values.byte_offset() },
        Some(Err(error)) if !error.is_eof() => Scanned::Malformed(error.to_string()),
        Some(Err(_)) | None => Scanned::Unended,
    }
}

/// Tells where, after something malformed, the next object is taken to begin: at a brace that begins a
/// line or directly follows a closing one.
pub(super) fn resume_point(bytes: &[u8]) -> Option<usize> {
    let begins = |brace: &usize| {
        let before = brace.checked_sub(1).and_then(|before| bytes.get(before));
        matches!(before, Some(b'\n' | b'}'))
    };
    memchr::memchr_iter(b'{', bytes).find(begins)
}

/// The way through a record that is too long to be held.
#[derive(Debug)]
pub(super) enum SkipScan {
    /// To the brace that closes the object.
    Object { depth: u64, is_in_string: bool, is_escaped: bool },
    /// To where an object begins again.
    Malformed { last_byte: u8 },
}

impl SkipScan {
    /// Chooses the way by what the record, of which `head` is the beginning, looks like.
    pub(super) fn new(head: &[u8]) -> Self {
        match scan_object(head) {
            Scanned::Malformed(_) => Self::Malformed { last_byte: 0 },
            Scanned::Object { .. } | Scanned::Unended => {
                Self::Object { depth: 0, is_in_string: false, is_escaped: false }
            }
        }
    }

    /// Goes on through `bytes`.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<Skipped> {
        match self {
            Self::Object { depth, is_in_string, is_escaped } => {
                let end = object_end(bytes, depth, is_in_string, is_escaped)?;
                Some(Skipped { end, next: end })
            }
            Self::Malformed { last_byte } => {
                let is_at_brace = matches!(last_byte, b'\n' | b'}') && bytes.first() == Some(&b'{');
                *last_byte = bytes.last().copied().unwrap_or(*last_byte);
                let next = if is_at_brace { Some(0) } else { resume_point(bytes) };
                next.map(|next| Skipped { end: next, next })
            }
        }
    }
}

fn object_end(
    bytes: &[u8],
    depth: &mut u64,
    is_in_string: &mut bool,
    is_escaped: &mut bool,
) -> Option<usize> {
    for (index, byte) in bytes.iter().enumerate() {
        if *is_escaped {
            *is_escaped = false;
            continue;
        }
        match (byte, *is_in_string) {
            (b'\\', true) => *is_escaped = true,
            (b'"', _) => *is_in_string = !*is_in_string,
            (b'{', false) => *depth += 1,
            (b'}', false) => {
                *depth = depth.saturating_sub(1);
                if *depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}
