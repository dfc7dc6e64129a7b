//! Content keys.
use sha2::{Digest, Sha256};

/// SHA-256 of parts, each with its length in front so that parts cannot run into one another, in hexadecimal.
pub(crate) fn content_key(parts: &[&str]) -> String {
    use std::fmt::Write;
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::content_key;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(content_key(&["ab", "c"]), content_key(&["a", "bc"]));
        // of the length 0 alone, from another implementation
        assert_eq!(content_key(&[""]), "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc");
    }
}
