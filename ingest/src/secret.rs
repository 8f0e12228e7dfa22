//! A provider's key, which nobody ever sees.

use std::fmt;

use url::form_urlencoded;

/// Shorter texts are passwords of nobody, and would be struck out of words that they happen to be part of.
const KEY_BYTES_MIN: usize = 8;

/// Keys are some dozens of characters; whatever is longer is another file.
const KEY_BYTES_MAX: usize = 4096;

/// What stands for a key wherever it would be seen.
pub const REDACTED: &str = "***";

/// A provider's key. Its `Debug` form does not show it, and it has no `Display` form.
#[derive(Clone)]
pub struct ApiKey {
    text: String,
    encoded: String,
}

/// A text that is no key. The text is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// Nothing is there; the caller should set it.
    #[error("it is empty")]
    Empty,
    /// The length is not that of a key.
    #[error("it is {0} bytes long, expected {KEY_BYTES_MIN} to {KEY_BYTES_MAX}")]
    Length(usize),
    /// A character that no key has: a blank or a line break in the midst, or something beyond ASCII.
    #[error("it holds a blank, a line break or a character beyond ASCII, expected the key alone")]
    Character,
}

impl ApiKey {
    /// Reads a key; blanks and line breaks around it are not part of it.
    ///
    /// # Errors
    /// [`InvalidKey`], which does not show the text.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&text.len()) {
            return Err(InvalidKey::Length(text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidKey::Character);
        }
        let encoded = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        Ok(Self { text: text.to_owned(), encoded })
    }

    /// The key itself, for the one place where a request is made.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    /// The key as it stands in a URL.
    pub(crate) fn reveal_encoded(&self) -> &str {
        &self.encoded
    }

    /// Strikes the key out of a text that came from elsewhere.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&self.text, REDACTED).replace(&self.encoded, REDACTED)
    }

    /// Tells whether a document repeats the key.
    pub(crate) fn is_in(&self, document: &[u8]) -> bool {
        [&self.text, &self.encoded]
            .into_iter()
            .any(|form| document.windows(form.len()).any(|window| window == form.as_bytes()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKey({REDACTED})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = ApiKey::parse(" s3cret/key+1\n").unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        assert_eq!(key.reveal(), "s3cret/key+1");
        assert_eq!(key.reveal_encoded(), "s3cret%2Fkey%2B1");
        assert_eq!(key.scrub("no such app: s3cret/key+1"), "no such app: ***");
        assert_eq!(key.scrub("http://x/?k=s3cret%2Fkey%2B1&d=1"), "http://x/?k=***&d=1");
        assert!(key.is_in(b"{\"you\":\"s3cret/key+1\"}"));
        assert!(!key.is_in(b"{\"you\":\"s3cret/key\"}"));
        assert!(!key.is_in(b""));
    }

    #[test]
    fn a_refused_key_is_not_shown_either() {
        assert_eq!(ApiKey::parse(" \n").unwrap_err(), InvalidKey::Empty);
        assert_eq!(ApiKey::parse("short").unwrap_err(), InvalidKey::Length(5));
        for text in ["two words of it", "key\nanother key", "schlüssel-1234"] {
            let error = ApiKey::parse(text).unwrap_err();
            assert_eq!(error, InvalidKey::Character);
            assert!(!error.to_string().contains(text));
        }
    }
}
