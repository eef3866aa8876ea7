//! Paths as the kernel side ships them.

/// Longest path kept, in bytes.
pub const PATH_MAX: usize = 1024;
/// Room for one more name than [`PATH_MAX`]: the verifier wants the worst case to fit.
pub const NAME_MAX: usize = 256;
/// Most components walked.
pub const COMPONENTS_MAX: u32 = 40;

/// What [`PathBytes::state`] says. Zero means complete.
pub mod path_state {
    /// The path is longer than what was kept: the root's side is missing.
    pub const TRUNCATED: u32 = 1 << 0;
    /// The struct offsets needed are not in this kernel's BTF.
    pub const UNAVAILABLE: u32 = 1 << 1;
    /// The bytes are a plain string (a symbolic link's text), not components.
    pub const TEXT: u32 = 1 << 2;
    /// The walk ended at the root of the file system, not of the mount namespace.
    pub const IN_FILESYSTEM: u32 = 1 << 3;
}

/// Components of a path, leaf first, each ended by a NUL; `N` is the room in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PathBytes<const N: usize> {
    /// How many of `bytes` are set.
    pub len: u32,
    /// [`path_state`].
    pub state: u32,
    /// The components.
    pub bytes: [u8; N],
}
