//! The memory allocator's habits.
#![allow(unsafe_code)]

/// Free memory at the end of a heap, in bytes, that is kept for the next buffer. Each thread
/// that moves data may keep as much.
#[cfg(target_env = "gnu")]
const KEPT: i32 = 4 * 1024 * 1024;
/// Pieces of at least this size, in bytes, come from the kernel and go back to it.
#[cfg(target_env = "gnu")]
const MAPPED: i32 = 2 * 1024 * 1024;

/// Keeps freed buffers for reuse: glibc gives 128 KiB and more at the end of a heap back to
/// the kernel with every free, and a bulk transfer then faults in each page that it writes.
///
/// Call it first of all. `false` if the allocator does not take the settings.
#[cfg(target_env = "gnu")]
pub fn keep_buffers() -> bool {
    let settings = [(libc::M_TRIM_THRESHOLD, KEPT), (libc::M_MMAP_THRESHOLD, MAPPED)];
    settings.into_iter().all(|(parameter, bytes)| {
        // SAFETY: mallopt(3) takes two numbers and changes only the allocator's settings,
        // under its own lock. It refuses what it does not know, which then stays as it was.
        let taken = unsafe { libc::mallopt(parameter, bytes) };
        taken == 1
    })
}

/// Other allocators keep buffers by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn keep_buffers() -> bool {
    true
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_allocator_takes_the_settings() {
        assert!(super::keep_buffers());
    }
}
