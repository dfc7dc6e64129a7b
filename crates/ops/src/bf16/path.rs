//! Which instructions make products of bf16 numbers.
use std::fmt;
use std::sync::OnceLock;

/// How this processor multiplies bf16 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bf16Path {
    /// tiles of 16 rows by 16 columns (AMX-BF16)
    Amx,
    /// vectors of 16 pairs (AVX-512 BF16)
    Avx512,
    /// not at all
    Missing,
}

impl fmt::Display for Bf16Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bf16Path::Amx => "amx",
            Bf16Path::Avx512 => "avx512",
            Bf16Path::Missing => "missing",
        })
    }
}

/// The path, and why a faster one that the processor has is not taken.
static CHOICE: OnceLock<(Bf16Path, Option<String>)> = OnceLock::new();

/// Found once per process; the first call also checks the tiles.
pub(crate) fn path() -> Bf16Path {
    CHOICE.get_or_init(choose).0
}

/// Why a faster path that the processor has is not taken.
pub(crate) fn note() -> Option<&'static str> {
    CHOICE.get_or_init(choose).1.as_deref()
}

#[cfg(target_arch = "x86_64")]
fn choose() -> (Bf16Path, Option<String>) {
    use std::is_x86_feature_detected as has;
    if !(has!("avx512bf16") && has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq")) {
        return (Bf16Path::Missing, None);
    }
    let usable = match super::system::amx() {
        Ok(false) => return (Bf16Path::Avx512, None),
        Ok(true) => super::trial::amx(),
        Err(problem) => Err(problem),
    };
    match usable {
        Ok(()) => (Bf16Path::Amx, None),
        Err(problem) => (Bf16Path::Avx512, Some(format!("AMX is not used: {problem}"))),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn choose() -> (Bf16Path, Option<String>) {
    (Bf16Path::Missing, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_same_at_every_call() {
        println!("bf16 products: {}, {:?}", path(), note());
        assert_eq!(path(), path());
        assert!(note().is_none_or(|n| n.starts_with("AMX is not used: ") && path() == Bf16Path::Avx512), "{:?}", note());
    }
}
