//! Who asks a manager for something: messages, connections and signals, in the sender's context.
//!
//! A socket is recognised by the inode that its peer listens at, whatever path led there; one that
//! the agent does not list yet by its name. All other sockets are left after a few reads.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_AVAIL_DATA},
    macros::{btf_tracepoint, fentry, kprobe, lsm},
    programs::{BtfTracePointContext, FEntryContext, LsmContext, ProbeContext},
};
use whodunit_common::{
    AUTHOR_BURST, AUTHOR_REFILL_SHIFT, AUTHOR_RESERVES, Author, ConnectRecord, Kind, MESSAGE_MAX,
    MESSAGE_SHORT, MISSING, MessageRecordOf, ProcessKey, REQUESTS_SIZE, SignalRecord, SocketFacts,
    WatchKey, message_flags, process_flags, socket_flags,
};

use crate::{
    hook::{function, hook},
    kernel::{self, field, offset},
    maps::{self, AUTHORS, REQUESTS, SOCKETS, STREAMS, THROTTLED},
    message::{self, Verdict},
    path::{self, Dentry},
    task,
};

hook!(
    "socket_sendmsg",
    sent,
    lsm_socket_sendmsg,
    fentry_socket_sendmsg,
    kprobe_socket_sendmsg
);
hook!(
    "unix_stream_connect",
    connected,
    lsm_unix_stream_connect,
    fentry_unix_stream_connect,
    kprobe_unix_stream_connect
);
function!(
    "unix_stream_sendpage",
    page_sent,
    fentry_unix_stream_sendpage,
    kprobe_unix_stream_sendpage
);

const AF_UNIX: u16 = 1;
const SOCK_STREAM: u16 = 1;

/// A listening socket that matters.
struct Listener {
    key: WatchKey,
    id: u32,
    flags: u32,
    dentry: u64,
}

/// `socket_sendmsg(sock, msg, size)`. Runs at every send on the host, whatever the protocol.
#[inline(always)]
fn sent(arg: impl Fn(usize) -> u64) {
    let (socket, msg) = (arg(0), arg(1));
    if task::current_tgid() == 1 {
        return; // it is asked, and sends signals to the bus all day
    }
    let sock: u64 = field!(socket, socket_sk);
    let family: u16 = field!(sock, sock_family);
    if family != AF_UNIX {
        return;
    }
    let Some(listener) = peer_of(socket, sock) else {
        return;
    };
    if offset!(msghdr_iter) == MISSING {
        return;
    }
    let iter = msg + u64::from(offset!(msghdr_iter));
    let total: u64 = field!(iter, iter_count);
    // Before there is a record: what is let go must not take up room in the ring.
    let verdict = message::judge(&message::head(iter), total, sock, listener.flags);
    if !verdict.told {
        return;
    }
    if total <= MESSAGE_SHORT as u64 {
        send::<MESSAGE_SHORT, { 2 * MESSAGE_SHORT }>(sock, &listener, iter, total, &verdict);
    } else {
        send::<MESSAGE_MAX, { 2 * MESSAGE_MAX }>(sock, &listener, iter, total, &verdict);
    }
}

/// `unix_stream_sendpage(socket, page, offset, size, flags)`: sendfile and splice before 6.5, which
/// pass by `socket_sendmsg`.
#[inline(always)]
fn page_sent(arg: impl Fn(usize) -> u64) {
    let (socket, total) = (arg(0), arg(3));
    let sock: u64 = field!(socket, socket_sk);
    if let Some(listener) = peer_of(socket, sock) {
        let verdict = message::unreadable(sock);
        send::<MESSAGE_SHORT, { 2 * MESSAGE_SHORT }>(sock, &listener, 0, total, &verdict);
    }
}

/// The listener behind a stream's peer: an accepted socket keeps its path.
#[inline(always)]
fn peer_of(socket: u64, sock: u64) -> Option<Listener> {
    let kind: u16 = field!(socket, socket_type);
    if kind != SOCK_STREAM {
        return None;
    }
    listener(field!(sock, unix_sock_peer))
}

/// What listens at the path of a socket, if that matters.
#[inline(always)]
fn listener(sock: u64) -> Option<Listener> {
    if offset!(unix_sock_path) == MISSING || sock == 0 {
        return None;
    }
    let dentry: u64 = field!(sock + u64::from(offset!(unix_sock_path)), path_dentry);
    if dentry == 0 {
        return None; // a client, or an abstract name
    }
    let Dentry {
        parent,
        name,
        inode,
    } = path::dentry(dentry);
    let key = WatchKey {
        inode: field!(inode, inode_ino),
        device: kernel::device_of(inode),
        reserved: 0,
    };
    // SAFETY: values are replaced as a whole by the agent alone; a stale one is harmless.
    let known = unsafe { SOCKETS.get(key) };
    let (id, flags) = match known {
        Some(value) => (value.id, value.flags),
        None => (0, by_name(name, parent)?),
    };
    Some(Listener {
        key,
        id,
        flags,
        dentry,
    })
}

/// What a socket of this name is: `…/systemd/private`, `/run/user/N/bus`, `system_bus_socket`,
/// `io.systemd.Manager`.
#[inline(always)]
fn by_name(name: u64, parent: u64) -> Option<u32> {
    const PRIVATE: u64 = u64::from_le_bytes(*b"private\0");
    const SYSTEMD: u64 = u64::from_le_bytes(*b"systemd\0");
    const SYSTEM_BUS: [u64; 2] = [
        u64::from_le_bytes(*b"system_b"),
        u64::from_le_bytes(*b"us_socke"),
    ];
    const MANAGER: [u64; 2] = [
        u64::from_le_bytes(*b"io.syste"),
        u64::from_le_bytes(*b"md.Manag"),
    ];
    const BUS: u64 = u32::from_le_bytes(*b"bus\0") as u64;
    let first = kernel::read::<u64>(name);
    let kind = if first == PRIVATE {
        let above = kernel::read::<u64>(path::dentry_name(parent));
        if above != SYSTEMD {
            return None;
        }
        socket_flags::PRIVATE
    } else if first & 0xffff_ffff == BUS {
        let above = kernel::read::<u8>(path::dentry_name(parent));
        if above != b'/' && !above.is_ascii_digit() {
            return None;
        }
        socket_flags::BUS
    } else if first == SYSTEM_BUS[0] || first == MANAGER[0] {
        match kernel::read::<[u64; 2]>(name) {
            SYSTEM_BUS => socket_flags::BUS,
            MANAGER => socket_flags::VARLINK,
            _ => return None,
        }
    } else {
        return None;
    };
    Some(kind | socket_flags::BY_NAME)
}

/// Fills in where something goes to.
#[inline(always)]
fn socket_facts(facts: *mut SocketFacts, sock: u64, listener: &Listener) {
    let socket: u64 = field!(sock, sock_socket);
    let file: u64 = field!(socket, socket_file);
    let inode: u64 = field!(file, file_inode);
    // SAFETY: `facts` lies in a record that the caller reserved.
    unsafe {
        (*facts).address = sock;
        (*facts).inode = field!(inode, inode_ino);
        (*facts).listener = listener.key;
        (*facts).id = listener.id;
        (*facts).flags = listener.flags;
    }
}

/// Sends the bytes of one send.
#[inline(always)]
fn send<const MAX: usize, const ROOM: usize>(
    sock: u64,
    listener: &Listener,
    iter: u64,
    total: u64,
    verdict: &Verdict,
) {
    let current = kernel::current_task();
    if !may_ask(current, (ROOM / (2 * MESSAGE_SHORT)) as u64) {
        return;
    }
    let Some(mut entry) = maps::reserve::<MessageRecordOf<ROOM>>(&REQUESTS, Kind::Message) else {
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is ours until it is submitted.
    unsafe {
        maps::head::<MessageRecordOf<ROOM>>(&raw mut (*record).header, Kind::Message);
        task::facts(&raw mut (*record).task, current);
        socket_facts(&raw mut (*record).socket, sock, listener);
        (*record).total = total;
        (*record).skip = verdict.skip;
        (*record).flags = verdict.flags;
        (&raw mut (*record).len).write_volatile(0);
        message::copy::<MAX, ROOM>(record, iter);
        if u64::from((*record).len) < total && (*record).len < MAX as u32 {
            (*record).flags |= message_flags::UNREADABLE;
        }
    }
    entry.submit(0);
}

/// How many tokens a process must keep, for the ring's sake.
#[inline(always)]
fn reserve() -> u64 {
    let unread = REQUESTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let size = u64::from(REQUESTS_SIZE);
    let [half, quarter] = AUTHOR_RESERVES;
    if unread > size - size / 4 {
        quarter
    } else if unread > size / 2 {
        half
    } else {
        0
    }
}

/// Takes tokens of the current process. Says whether there were enough.
#[inline(always)]
fn may_ask(current: u64, cost: u64) -> bool {
    let time = kernel::boot_time();
    let key = ProcessKey::new(task::current_tgid(), task::start_of(current));
    if let Some(author) = AUTHORS.get_ptr_mut(key) {
        // SAFETY: preallocated; threads of one process that race here gain or lose a token.
        unsafe {
            let back = time.wrapping_sub((*author).refilled) >> AUTHOR_REFILL_SHIFT;
            let mut tokens = (*author).tokens;
            if back > 0 {
                (*author).refilled = time;
                tokens = tokens.saturating_add(back);
                if tokens > AUTHOR_BURST {
                    tokens = AUTHOR_BURST;
                }
            }
            if tokens < cost + reserve() {
                (*author).tokens = tokens;
                (*author).dropped += 1;
                if let Some(count) = THROTTLED.get_ptr_mut(0) {
                    *count += 1; // at worst one too low, as in `maps::reserve`
                }
                return false;
            }
            (*author).tokens = tokens - cost;
        }
        return true;
    }
    let author = Author {
        refilled: time,
        tokens: AUTHOR_BURST - cost,
        dropped: 0,
    };
    let _ = AUTHORS.insert(key, author, u64::from(BPF_ANY));
    true
}

/// `unix_stream_connect(sock, other, newsk)`.
#[inline(always)]
fn connected(arg: impl Fn(usize) -> u64) {
    let (sock, other) = (arg(0), arg(1));
    let Some(listener) = listener(other) else {
        return;
    };
    // Another connection may have been at this address.
    let _ = STREAMS.remove(sock);
    // Whoever uses a bus connects to it: only one that the agent does not know is news.
    if listener.flags & socket_flags::BUS != 0 && listener.flags & socket_flags::BY_NAME == 0 {
        return;
    }
    tell_connect(sock, &listener);
}

/// Tells of a connection, or of a FIFO that was opened.
#[inline(always)]
fn tell_connect(sock: u64, listener: &Listener) {
    let current = kernel::current_task();
    if !may_ask(current, 1) {
        return;
    }
    let Some(mut entry) = maps::reserve::<ConnectRecord>(&REQUESTS, Kind::Connect) else {
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is ours until it is submitted.
    unsafe {
        maps::head::<ConnectRecord>(&raw mut (*record).header, Kind::Connect);
        task::facts(&raw mut (*record).task, current);
        socket_facts(&raw mut (*record).socket, sock, listener);
        path::in_filesystem(&raw mut (*record).path, listener.dentry);
    }
    entry.submit(0);
}

/// A FIFO is opened for writing: systemd-initctl's is a way to ask until 257.
#[inline(always)]
pub(crate) fn fifo_opened(dentry: u64, inode: u64) {
    let key = WatchKey {
        inode: field!(inode, inode_ino),
        device: kernel::device_of(inode),
        reserved: 0,
    };
    // SAFETY: as in `listener`.
    let Some(value) = (unsafe { SOCKETS.get(key) }) else {
        return;
    };
    let listener = Listener {
        key,
        id: value.id,
        flags: value.flags,
        dentry,
    };
    tell_connect(0, &listener);
}

/// Called for each signal that is sent, in the context of its sender, after the permission checks:
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/signal.c#L1041>.
#[btf_tracepoint(function = "signal_generate")]
pub(crate) fn signal_generate(ctx: BtfTracePointContext) -> i32 {
    let target: u64 = ctx.arg(2);
    let tgid: u32 = field!(target, task_tgid);
    let info: u64 = ctx.arg(1);
    // The kernel's own signals: the end of a child, a timer. 1 stands for them, 0 for a process.
    let code: i32 = field!(info, siginfo_code);
    if info == 1 || code > 0 {
        return 0;
    }
    let key = ProcessKey::new(tgid, task::start_of(target));
    if tgid != 1 {
        let wanted = process_flags::IS_MANAGER | process_flags::IS_AGENT;
        if task::entry(&key).is_none_or(|entry| entry.flags & wanted == 0) {
            return 0;
        }
    }
    let current = kernel::current_task();
    if !may_ask(current, 1) {
        return 0;
    }
    let Some(mut entry) = maps::reserve::<SignalRecord>(&REQUESTS, Kind::Signal) else {
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is ours until it is submitted.
    unsafe {
        maps::head::<SignalRecord>(&raw mut (*record).header, Kind::Signal);
        task::facts(&raw mut (*record).task, current);
        (*record).target = key;
        (*record).signal = ctx.arg::<u64>(0) as u32;
        (*record).target_uid = task::uid_of(target);
    }
    entry.submit(0);
    0
}
