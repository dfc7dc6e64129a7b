//! The tile instructions that the kernel uses.
use super::super::PANEL;
use std::arch::asm;
use std::marker::PhantomData;

/// Bytes of a row of a tile.
pub(super) const ROW_BYTES: usize = 64;

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
pub(in crate::bf16) struct Config {
    pub(super) palette: u8,
    pub(super) start_row: u8,
    pub(super) reserved: [u8; 14],
    pub(super) row_bytes: [u16; 16],
    pub(super) rows: [u8; 16],
}

/// Eight tiles of 16 rows of 64 bytes.
pub(super) static WHOLE: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};
const _: () = assert!(size_of::<Config>() == 64 && PANEL == 16);

/// The tile registers of the current thread: configured when the value is made, released when it is dropped.
///
/// Pointers are to bytes, strides in bytes; neither has to be aligned.
pub(in crate::bf16) trait Tiles {
    /// `ldtilecfg`: sets the tiles' sizes and fills them with zeros.
    ///
    /// # Safety
    /// The processor must have the instructions, the process the right to use them, and the thread no other value of
    /// this type.
    unsafe fn configure(config: &Config) -> Self;

    /// `tilezero`.
    fn zero<const T: usize>(&mut self);

    /// `tileloadd`: row i from `from + i stride`.
    ///
    /// # Safety
    /// All rows must be readable.
    unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize);

    /// `tilestored`: row i to `to + i stride`.
    ///
    /// # Safety
    /// All rows must be writable, and nobody else may touch them meanwhile.
    unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize);

    /// `tdpbf16ps`: `c[i][j] += sum over k of a[i][2k] b[k][2j] + a[i][2k + 1] b[k][2j + 1]`, bf16 numbers added up in f32.
    fn multiply<const C: usize, const A: usize, const B: usize>(&mut self);
}

/// The processor's tiles.
///
/// The compiler gives tile registers to nobody (the crate is not compiled for AMX), so they keep what they hold from one
/// statement to the next. The statements are volatile, hence stay in order, and only those that touch no memory say so.
pub(in crate::bf16) struct Hardware {
    /// belongs to one thread
    thread: PhantomData<*const ()>,
}

impl Tiles for Hardware {
    #[inline(always)]
    unsafe fn configure(config: &Config) -> Self {
        // SAFETY: 64 readable bytes of a valid configuration; the instruction exists by the caller's promise
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) config, options(nostack, readonly, preserves_flags),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
        }
        Hardware { thread: PhantomData }
    }

    #[inline(always)]
    fn zero<const T: usize>(&mut self) {
        // SAFETY: the value's existence shows that tiles are configured; no memory is touched
        unsafe { asm!("tilezero tmm{t}", t = const T, options(nostack, nomem, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize) {
        // SAFETY: tiles are configured; the rows are readable by the caller's promise
        unsafe {
            asm!("tileloadd tmm{t}, [{p} + {s}]", t = const T, p = in(reg) from, s = in(reg) stride,
                options(nostack, readonly, preserves_flags));
        }
    }

    #[inline(always)]
    unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize) {
        // SAFETY: tiles are configured; the rows are writable by the caller's promise
        unsafe {
            asm!("tilestored [{p} + {s}], tmm{t}", t = const T, p = in(reg) to, s = in(reg) stride,
                options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn multiply<const C: usize, const A: usize, const B: usize>(&mut self) {
        const { assert!(C != A && C != B && A != B) };
        // SAFETY: tiles are configured, three different ones of equal sizes; no memory is touched
        unsafe {
            asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                options(nostack, nomem, preserves_flags));
        }
    }
}

impl Drop for Hardware {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the value's existence shows that the instruction exists
        unsafe {
            asm!("tilerelease", options(nostack, nomem, preserves_flags),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
        }
    }
}
