//! Digests as they are written.

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of `bytes` as 64 hex digits.
pub(crate) fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
