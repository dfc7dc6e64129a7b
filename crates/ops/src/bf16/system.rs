//! Whether processor and system let this process use AMX tiles.
#[cfg(target_os = "linux")]
use std::arch::asm;
#[cfg(target_os = "linux")]
use std::arch::x86_64::{__cpuid, __cpuid_count};

/// False where the processor has no AMX with bf16 products; an error, with the reason, where the system withholds them.
#[cfg(target_os = "linux")]
pub(super) fn amx() -> Result<bool, String> {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    const OSXSAVE: u32 = 1 << 27;
    const TILE_STATE: u32 = 1 << 17 | 1 << 18;
    if leaf(0, 0)[0] < 7 || leaf(7, 0)[3] & (AMX_BF16 | AMX_TILE) != AMX_BF16 | AMX_TILE {
        return Ok(false);
    }
    if leaf(1, 0)[2] & OSXSAVE == 0 || enabled() & TILE_STATE != TILE_STATE {
        return Err("the system does not keep the state of tiles (XCR0 bits 17 and 18)".into());
    }
    match request() {
        0 => Ok(true),
        error => Err(format!("the system refuses the state of tiles (arch_prctl gives {error})")),
    }
}

/// Asking for the state of tiles is written for Linux only.
#[cfg(not(target_os = "linux"))]
pub(super) fn amx() -> Result<bool, String> {
    Ok(false)
}

/// Registers a, b, c and d of CPUID.
#[cfg(target_os = "linux")]
#[allow(unused_unsafe)] // safe since Rust 1.94
fn leaf(leaf: u32, sub: u32) -> [u32; 4] {
    // SAFETY: every x86-64 processor has the instruction
    let r = unsafe { if sub == 0 && leaf < 2 { __cpuid(leaf) } else { __cpuid_count(leaf, sub) } };
    [r.eax, r.ebx, r.ecx, r.edx]
}

/// XCR0: the states that the system keeps per thread.
#[cfg(target_os = "linux")]
fn enabled() -> u32 {
    let low: u32;
    // SAFETY: the caller has seen OSXSAVE
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags)) };
    low
}

/// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`: all threads of the process may use tiles from now on; 0, or an
/// error's number with its sign turned.
#[cfg(target_os = "linux")]
fn request() -> i64 {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let result: i64;
    // SAFETY: the call touches no memory of the process; the system changes rcx and r11
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST, in("rsi") TILE_DATA,
            out("rcx") _, out("r11") _, options(nostack));
    }
    result
}
