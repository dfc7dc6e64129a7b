//! How the allocator treats freed activations.

/// Keeps freed memory in the process for the next operation instead of handing it back to the system.
///
/// Activations are allocated and freed many times a second; above glibc's threshold each one is mapped, faulted in page by
/// page and unmapped again, which costs a small model more than its arithmetic. A program calls this once, first thing.
/// Does nothing where the allocator is not glibc's.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn mallopt(param: i32, value: i32) -> i32;
        }
        const TRIM_THRESHOLD: i32 = -1;
        const MMAP_THRESHOLD: i32 = -3;
        // SAFETY: mallopt takes plain numbers and only sets thresholds; 32 MiB is the largest that it accepts for the second
        unsafe {
            mallopt(MMAP_THRESHOLD, 32 << 20);
            mallopt(TRIM_THRESHOLD, 1 << 30);
        }
    }
}
