//! A file's identity, in the bytes that fanotify uses for it.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// `MAX_HANDLE_SZ` of the kernel's `include/linux/exportfs.h`.
const HANDLE_MAX: usize = 128;
/// Linux 6.5: a handle that identifies, and need not be openable. fanotify uses that kind, and for
/// overlayfs it is the only one.
const AT_HANDLE_FID: libc::c_int = 0x200;
/// Length of the file system id, which comes first.
const FSID: usize = 8;

#[repr(C)]
struct Handle {
    head: libc::file_handle,
    bytes: [u8; HANDLE_MAX],
}

/// File system id, handle length, handle type and handle: the layout of
/// `struct fanotify_event_info_fid` after its header.
pub(super) fn of(object: BorrowedFd<'_>) -> nix::Result<Box<[u8]>> {
    let id = nix::sys::statfs::fstatfs(object)?.filesystem_id();
    // SAFETY: `fsid_t` is `struct { int val[2]; }`, whose field libc keeps private; any bits are
    // a valid byte array.
    let id: [u8; FSID] = unsafe { std::mem::transmute(id) };
    let handle = handle(object)?;
    Ok([&id[..], &handle[..]].concat().into())
}

/// Whether `identity` (as of an event) is that of the open `object`. The file system ids aren't
/// compared: the directory of the event settles that one.
pub(super) fn is(identity: &[u8], object: BorrowedFd<'_>) -> nix::Result<bool> {
    Ok(identity.get(FSID..) == Some(&handle(object)?[..]))
}

fn handle(object: BorrowedFd<'_>) -> nix::Result<Vec<u8>> {
    match handle_with(object, libc::AT_EMPTY_PATH | AT_HANDLE_FID) {
        Err(Errno::EINVAL) => handle_with(object, libc::AT_EMPTY_PATH),
        other => other,
    }
}

fn handle_with(object: BorrowedFd<'_>, flags: libc::c_int) -> nix::Result<Vec<u8>> {
    let mut handle = Handle {
        head: libc::file_handle {
            handle_bytes: HANDLE_MAX as libc::c_uint,
            handle_type: 0,
            f_handle: [],
        },
        bytes: [0; HANDLE_MAX],
    };
    let mut mount = 0;
    // SAFETY: the path is a C string; `handle` has the room after its head that `handle_bytes`
    // promises, and the pointer is to the whole of it; `mount` outlives the call.
    Errno::result(unsafe {
        libc::name_to_handle_at(
            object.as_raw_fd(),
            c"".as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount,
            flags,
        )
    })?;
    let length = handle.head.handle_bytes;
    let bytes = usize::try_from(length)
        .ok()
        .and_then(|length| handle.bytes.get(..length))
        .ok_or(Errno::EOVERFLOW)?;
    Ok([
        &length.to_ne_bytes()[..],
        &handle.head.handle_type.to_ne_bytes()[..],
        bytes,
    ]
    .concat())
}
