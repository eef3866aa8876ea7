//! The bytes of a message: copied, and read as far as it takes to know whether they matter.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user},
};
use whodunit_common::{
    MISSING, MessageRecordOf, SEGMENTS_MAX, Stream, message_flags, socket_flags, stream_mode,
};

use crate::{
    kernel::{self, field, offset},
    maps::STREAMS,
};

/// What kind of memory an `iov_iter` describes.
#[inline(always)]
fn kind_of(iter: u64) -> u32 {
    let kind = u32::from(kernel::read_at::<u8>(iter, offset!(iter_type)));
    // Before 5.14 the lowest bit says in which direction.
    kind & !u32::from(offset!(is_iovec) == 4)
}

/// Copies what an `iov_iter` describes, up to `MAX` bytes and the first byte that cannot be read.
///
/// How far it came is kept in the record: see `path::begin`. The memory is the sender's, and another
/// thread of it may change the bytes after this look; who sends is not in them.
#[inline(always)]
pub(crate) fn copy<const MAX: usize, const ROOM: usize>(
    record: *mut MessageRecordOf<ROOM>,
    iter: u64,
) {
    if iter == 0 || offset!(iter_segments) == MISSING {
        return;
    }
    let kind = kind_of(iter);
    let skipped: u64 = field!(iter, iter_offset);
    if kind == offset!(is_ubuf) {
        let at: u64 = field!(iter, iter_buffer);
        let len: u64 = field!(iter, iter_count);
        append::<MAX, ROOM>(record, at + skipped, len, true);
        return;
    }
    let user = kind == offset!(is_iovec);
    if !user && kind != offset!(is_kvec) {
        return; // pages
    }
    let segments: u64 = field!(iter, iter_segments);
    let number: u64 = field!(iter, iter_number);
    for index in 0..SEGMENTS_MAX {
        if u64::from(index) >= number {
            break;
        }
        let [at, len] = kernel::read::<[u64; 2]>(segments + u64::from(index) * 16);
        let (at, len) = if index == 0 {
            (at + skipped, len.wrapping_sub(skipped))
        } else {
            (at, len)
        };
        if !append::<MAX, ROOM>(record, at, len, user) {
            break;
        }
    }
}

/// Appends bytes at `from`. Says whether there is room for more.
#[inline(always)]
fn append<const MAX: usize, const ROOM: usize>(
    record: *mut MessageRecordOf<ROOM>,
    from: u64,
    len: u64,
    user: bool,
) -> bool {
    // SAFETY: `at` < MAX, `wanted` <= MAX, and there is room for twice that; the helpers check the
    // source.
    unsafe {
        let at = u64::from((*record).len);
        if at >= MAX as u64 {
            return false;
        }
        let wanted = if len > MAX as u64 { MAX as u64 } else { len };
        let to = (&raw mut (*record).data).cast::<u8>().add(at as usize);
        let failed = if user {
            bpf_probe_read_user(to.cast(), wanted as u32, from as *const _)
        } else {
            bpf_probe_read_kernel(to.cast(), wanted as u32, from as *const _)
        } != 0;
        if failed {
            return false;
        }
        let end = at + wanted;
        (*record).len = if end > MAX as u64 {
            MAX as u32
        } else {
            end as u32
        };
        end < MAX as u64
    }
}

/// The first buffer of a send, where nearly all headers are whole.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    at: u64,
    len: u64,
    user: bool,
}

/// Where the first buffer of an `iov_iter` is. Nothing of it is read yet.
#[inline(always)]
pub(crate) fn head(iter: u64) -> Head {
    let kind = kind_of(iter);
    let skipped: u64 = field!(iter, iter_offset);
    if kind == offset!(is_ubuf) {
        let at: u64 = field!(iter, iter_buffer);
        return Head {
            at: at + skipped,
            len: field!(iter, iter_count),
            user: true,
        };
    }
    let segments: u64 = field!(iter, iter_segments);
    let [at, len] = kernel::read::<[u64; 2]>(segments);
    let user = kind == offset!(is_iovec);
    let readable = user || kind == offset!(is_kvec);
    Head {
        at: at + skipped,
        len: if readable {
            len.wrapping_sub(skipped)
        } else {
            0
        },
        user,
    }
}

impl Head {
    /// Reads at `offset`. Zeroes if that fails; says whether it did not.
    #[inline(always)]
    fn read<T: kernel::Word>(&self, offset: u32) -> (T, bool) {
        let mut value = MaybeUninit::<T>::uninit();
        let from = (self.at + u64::from(offset)) as *const _;
        let (to, size) = (value.as_mut_ptr().cast(), size_of::<T>() as u32);
        // SAFETY: the helpers check the address, and write all of `value` in any case.
        unsafe {
            let failed = if self.user {
                bpf_probe_read_user(to, size, from)
            } else {
                bpf_probe_read_kernel(to, size, from)
            };
            (value.assume_init(), failed == 0)
        }
    }
}

/// Whether a send is told, and what its record says of it.
pub(crate) struct Verdict {
    pub(crate) told: bool,
    /// [`message_flags`].
    pub(crate) flags: u32,
    pub(crate) skip: u64,
}

impl Verdict {
    #[inline(always)]
    fn tell(flags: u32) -> Self {
        Self {
            told: true,
            flags,
            skip: 0,
        }
    }
}

/// Decides whether a send is told, and follows where messages begin.
#[inline(always)]
pub(crate) fn judge(head: &Head, total: u64, sock: u64, socket: u32) -> Verdict {
    if socket & socket_flags::VARLINK != 0 {
        return Verdict::tell(message_flags::UNFRAMED);
    }
    let Some(stream) = STREAMS.get_ptr_mut(sock) else {
        return begin(head, sock, socket, total);
    };
    // SAFETY: preallocated; who sends by one socket from two threads has no order anyway.
    unsafe {
        let Stream { remaining, mode } = *stream;
        if mode == stream_mode::UNFRAMED {
            return Verdict::tell(message_flags::UNFRAMED);
        }
        if total > remaining {
            // The next message begins in the same buffer.
            (*stream).mode = stream_mode::UNFRAMED;
            return Verdict {
                told: true,
                flags: message_flags::CONTINUED | message_flags::UNFRAMED,
                skip: if mode == stream_mode::SKIPPED {
                    remaining
                } else {
                    0
                },
            };
        }
        if total == remaining {
            let _ = STREAMS.remove(sock);
        } else {
            (*stream).remaining = remaining - total;
        }
        Verdict {
            told: mode != stream_mode::SKIPPED,
            flags: message_flags::CONTINUED,
            skip: 0,
        }
    }
}

/// What cannot be read at all: where the next message begins is not known then.
#[inline(always)]
pub(crate) fn unreadable(sock: u64) -> Verdict {
    set(sock, stream_mode::UNFRAMED, 0);
    Verdict::tell(message_flags::UNFRAMED)
}

/// Where a header's fields begin.
const FIELDS: u32 = 16;
/// Longer than any header; the sum with what comes before stays in 32 bits.
const SIZE_MAX: u32 = (1 << 27) - 1;
/// Most header fields that are looked at; D-Bus defines nine.
const FIELDS_MAX: u32 = 12;

#[inline(always)]
fn number(raw: u32, big: bool) -> u32 {
    if big { raw.swap_bytes() } else { raw }
}

/// A send on a stream where a message should begin.
#[inline(always)]
fn begin(head: &Head, sock: u64, socket: u32, total: u64) -> Verdict {
    let (start, readable) = head.read::<u32>(0);
    let [endian, kind, _, version] = start.to_le_bytes();
    let whole = head.len >= u64::from(FIELDS);
    let (rest, _) = head.read::<[u32; 2]>(4);
    let (last, _) = head.read::<u32>(12);
    let big = endian == b'B';
    let body = number(rest[0], big);
    let fields = number(last, big);
    let message = readable
        && whole
        && (endian == b'l' || big)
        && version == 1
        && (1..=4).contains(&kind)
        && fields <= 1 << 26
        && body <= 1 << 27;
    if !message {
        // SASL is lines of capitals after a NUL byte, none of which looks like a header.
        let line = head.len >= 4 && endian.is_ascii_uppercase() && version >= b' ';
        let nul = endian == 0 && (readable || head.len < 4) && head.len > 0;
        if nul || readable && line {
            return Verdict::tell(message_flags::PREAMBLE);
        }
        set(sock, stream_mode::UNFRAMED, 0);
        return Verdict::tell(message_flags::UNFRAMED);
    }
    let length = u64::from(FIELDS) + ((u64::from(fields) + 7) & !7) + u64::from(body);
    let told = kind == 1 && matters(head, socket, fields, big);
    if total > length {
        // Several in one buffer: the agent takes them apart.
        set(sock, stream_mode::UNFRAMED, 0);
        return Verdict::tell(message_flags::START | message_flags::UNFRAMED);
    }
    if total < length {
        let mode = if told {
            stream_mode::TOLD
        } else {
            stream_mode::SKIPPED
        };
        set(sock, mode, length - total);
    }
    Verdict {
        told,
        flags: message_flags::START,
        skip: 0,
    }
}

#[inline(always)]
fn set(sock: u64, mode: u64, remaining: u64) {
    let stream = Stream { remaining, mode };
    let _ = STREAMS.insert(sock, stream, u64::from(BPF_ANY));
}

/// What a walk over the fields found.
mod found {
    /// The path of the object is a manager's.
    pub(super) const MANAGED: u32 = 1 << 0;
    /// The path is somebody else's.
    pub(super) const FOREIGN: u32 = 1 << 1;
    /// The method only asks.
    pub(super) const READING: u32 = 1 << 2;
    /// There is more than was looked at, or it is not as it should be.
    pub(super) const UNCLEAR: u32 = 1 << 3;
    /// The method may do something.
    pub(super) const OTHER: u32 = 1 << 4;
}

/// The same value, of which the verifier knows nothing: read back by a helper. Else it would tell
/// every way through the loop below from all others.
#[inline(always)]
fn forget(value: [u32; 2]) -> [u32; 2] {
    let mut back = MaybeUninit::<[u32; 2]>::uninit();
    // SAFETY: the source is on this program's stack, and the helper writes all of `back`.
    unsafe {
        bpf_probe_read_kernel(
            back.as_mut_ptr().cast(),
            size_of::<[u32; 2]>() as u32,
            (&raw const value).cast(),
        );
        back.assume_init()
    }
}

/// Whether a method call may ask a manager to do something: by the path of the object, without which
/// no call gets anywhere, and by the method's name.
#[inline(always)]
fn matters(head: &Head, socket: u32, fields: u32, big: bool) -> bool {
    let end = FIELDS + fields;
    let mut state = [FIELDS, 0];
    for _ in 0..FIELDS_MAX {
        let [at, seen] = forget(state);
        let at = (at + 7) & !7;
        state = [at, seen];
        if at >= end {
            break;
        }
        if u64::from(at) + 8 > head.len {
            state = [at, seen | found::UNCLEAR];
            break;
        }
        let ([start, raw], _) = head.read::<[u32; 2]>(at);
        let [code, length, kind, _] = start.to_le_bytes();
        let next = match kind {
            b's' | b'o' => at + 9 + (number(raw, big) & SIZE_MAX),
            b'g' => at + 6 + (raw & 0xff),
            b'u' => at + 8,
            _ => 0,
        };
        // What lies behind the end of the buffer is no part of the message.
        if length != 1 || next == 0 || u64::from(next) > head.len {
            state = [at, seen | found::UNCLEAR];
            break;
        }
        let text = at + 8;
        let ([first, second], _) = head.read::<[u64; 2]>(text);
        let (third, _) = head.read::<u64>(text + 16);
        let found = match code {
            1 => of_path(first, second, third),
            3 => of_method(first),
            _ => 0,
        };
        state = [next, seen | found];
    }
    let [at, seen] = forget(state);
    let unclear = seen & found::UNCLEAR != 0 || at < end;
    let manager = socket & socket_flags::PRIVATE != 0 || seen & found::MANAGED != 0;
    if unclear {
        return manager || seen & found::FOREIGN == 0;
    }
    // A method that is named twice is no message at all, but that is not for us to say.
    manager && (seen & found::READING == 0 || seen & found::OTHER != 0)
}

/// What the path of an object tells: `/org/freedesktop/` and `systemd1`, `login1`, `portable1` or
/// `machine1`, as far as they differ.
#[inline(always)]
fn of_path(first: u64, second: u64, third: u64) -> u32 {
    let managed = first == u64::from_le_bytes(*b"/org/fre")
        && second == u64::from_le_bytes(*b"edesktop")
        && (third == u64::from_le_bytes(*b"/systemd")
            || third & 0x00ff_ffff_ffff_ffff == u64::from_le_bytes(*b"/login1\0")
            || third == u64::from_le_bytes(*b"/portabl")
            || third == u64::from_le_bytes(*b"/machine"));
    if managed {
        found::MANAGED
    } else {
        found::FOREIGN
    }
}

/// What the name of a method tells: `Get…` and `List…` only ask.
#[inline(always)]
fn of_method(name: u64) -> u32 {
    let reading = name & 0x00ff_ffff == u64::from_le_bytes(*b"Get\0\0\0\0\0")
        || name & 0xffff_ffff == u64::from_le_bytes(*b"List\0\0\0\0");
    if reading {
        found::READING
    } else {
        found::OTHER
    }
}
