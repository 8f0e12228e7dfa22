//! The code of a currency, kept inline.

use std::fmt;

/// As many bytes as a code may have: the longest that rate providers use for coins is well below.
const LENGTH_MAX: usize = 12;

/// As few bytes as a code may have.
const LENGTH_MIN: usize = 2;

/// The code of a currency: 2 to 12 of `A`–`Z`, `0`–`9` and `_`. Ordered as text.
///
/// ```
/// use cambist_udfs::currency::CurrencyCode;
///
/// assert_eq!(CurrencyCode::parse(" eur ").map(|code| code.to_string()).as_deref(), Some("EUR"));
/// assert_eq!(CurrencyCode::parse("€"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CurrencyCode {
    /// Padded with zeros, which come before every other byte, so that the derived order is that of texts.
    bytes: [u8; LENGTH_MAX],
    length: u8,
}

impl CurrencyCode {
    /// Trims ASCII white space, upper-cases, and returns the code if it is of the right form. Whether
    /// such a currency exists is for a table to say.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    /// Does the same as [`parse`](Self::parse) for a text that may not be UTF-8.
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&text.len()) {
            return None;
        }
        let mut bytes = [0; LENGTH_MAX];
        for (byte, written) in bytes.iter_mut().zip(text) {
            *byte = written.to_ascii_uppercase();
            if !matches!(*byte, b'A'..=b'Z' | b'0'..=b'9' | b'_') {
                return None;
            }
        }
        Some(Self { bytes, length: u8::try_from(text.len()).ok()? })
    }

    /// Returns the code as text.
    pub fn as_str(&self) -> &str {
        // The bytes are ASCII by construction, so the text is never empty.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Returns the code as bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl From<CurrencyCode> for String {
    fn from(code: CurrencyCode) -> Self {
        code.to_string()
    }
}

impl TryFrom<String> for CurrencyCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
            .ok_or_else(|| format!("`{text}` is no currency code, expected 2 to 12 of A-Z, 0-9 and _"))
    }
}

impl fmt::Display for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CurrencyCode({self})")
    }
}
