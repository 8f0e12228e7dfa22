//! Random secrets, and the digests by which they are known here.
//!
//! A table holds digests only: a look-up compares no secret byte by byte, and a copy of the memory's tables opens
//! nothing.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::error::{FlightServerError, Result};

const SECRET_BYTES: usize = 32;

/// 32 random bytes that whoever knows them may use.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Makes a new one.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| FlightServerError::Random { reason: error.to_string() })?;
        Ok(Self(bytes))
    }

    /// Returns its bytes, for who shall have it.
    pub(crate) fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// Returns it as text, for who shall have it.
    pub(crate) fn reveal_text(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a secret of high entropy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of a secret as its bearer presents it.
    pub(crate) fn of(secret: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(secret.as_ref()).into())
    }

    /// Returns it in hexadecimal digits.
    pub(crate) fn text(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
