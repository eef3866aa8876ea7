//! The agent's own heap.

/// Gives the kernel back what was freed. What the start and each burst need for a moment (the kernel's
/// types, lists of packages, long batches) would otherwise stay with the agent for good, because
/// something that lives on lies behind it.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes the allocator's own locks, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
