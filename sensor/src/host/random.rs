//! Random bytes of the kernel.

use std::fs::File;
use std::io::{self, Read as _};

/// So many random bytes, from `/dev/urandom`, which never waits once the host has booted.
///
/// # Errors
///
/// When the device cannot be read, as in a root without devices.
pub fn bytes<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A name that nobody else has: `count` random bytes in hex, 32 at most.
///
/// # Errors
///
/// As [`bytes`].
pub fn hex(count: usize) -> io::Result<String> {
    let random = bytes::<32>()?;
    Ok(random
        .iter()
        .take(count)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
