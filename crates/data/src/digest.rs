//! SHA-256 digests as lower-case hexadecimal text.
//!
//! ```
//! use tropism_data::digest::Content;
//! let mut content = Content::default();
//! content.part(b"weights");
//! assert_eq!(content.hex().len(), 64);
//! ```

use sha2::{Digest, Sha256};

/// Digest of several parts, each preceded by its length so that parts cannot run into one another.
pub(crate) fn of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut content = Content::default();
    parts.iter().for_each(|part| content.part(part));
    content.0.finalize().into()
}

/// Digest of parts that come one after the other, each with its length, so that parts cannot run into one another.
#[derive(Clone, Debug, Default)]
pub struct Content(Sha256);

impl Content {
    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The digest of all parts so far.
    pub fn hex(&self) -> String {
        hex(&self.0.clone().finalize())
    }
}

/// Hexadecimal form of a digest.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(of_parts(&[b"ab", b"c"]), of_parts(&[b"a", b"bc"]));
        assert_eq!(of_parts(&[b"ab"]), of_parts(&[b"ab"]));
    }

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
