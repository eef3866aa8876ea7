//! The maps: two rings, the process table, the watched directories, and the counters.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, ring_buf::RingBufEntry},
};
use whodunit_common::{
    ABI_VERSION, Author, BULK_WAKE_INTERVAL, Header, Kind, ProcessEntry, ProcessKey, REQUESTS_SIZE,
    SocketValue, Stream, WatchKey, WatchValue,
};

use crate::kernel;

/// Changes and managers' children: what bulk traffic must not drown. The agent says how large this
/// ring and the next one are.
#[map]
pub(crate) static PRIORITY: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// All other execs, exits, and what managers load.
#[map]
pub(crate) static BULK: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Processes by tgid. The least recently used go first: an ancestor in use stays.
#[map]
pub(crate) static PROCESSES: LruHashMap<u32, ProcessEntry> =
    LruHashMap::with_max_entries(32_768, 0);

/// Watched directories and files by identity; the agent fills it.
#[map]
pub(crate) static WATCHES: HashMap<WatchKey, WatchValue> =
    HashMap::with_max_entries(16_384, BPF_F_NO_PREALLOC);

/// Requests: whoever floods managers drowns no change.
#[map]
pub(crate) static REQUESTS: RingBuf = RingBuf::with_byte_size(REQUESTS_SIZE, 0);

/// Listening sockets of managers and buses by identity; the agent fills it.
#[map]
pub(crate) static SOCKETS: HashMap<WatchKey, SocketValue> = HashMap::with_max_entries(1024, 0);

/// Where messages begin in the streams of connections, by the address of the sending socket. Most
/// need no entry: they send a message at a time.
#[map]
pub(crate) static STREAMS: LruHashMap<u64, Stream> = LruHashMap::with_max_entries(4096, 0);

/// How much each process asked lately.
#[map]
pub(crate) static AUTHORS: LruHashMap<ProcessKey, Author> = LruHashMap::with_max_entries(4096, 0);

/// How many requests were not sent because their authors asked too much.
#[map]
pub(crate) static THROTTLED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Executables that are managers, by identity; the agent fills it, and each exec of PID 1.
#[map]
pub(crate) static MANAGERS: HashMap<WatchKey, u32> = HashMap::with_max_entries(64, 0);

/// Records that found their ring full, by [`Kind`].
#[map]
pub(crate) static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(Kind::COUNT, 0);

/// When the agent was woken last for the bulk ring, in nanoseconds since boot. One slot for all CPUs: if each
/// had its own, a large machine would wake the agent all the time.
#[map]
static WOKEN: Array<u64> = Array::with_max_entries(1, 0);

/// Submits a record to the bulk ring, waking the agent now and then only.
///
/// A wakeup is an interrupt to this CPU and costs more than the rest of the program. The agent
/// looks again [`BULK_WAKE_INTERVAL`] after it was woken, so nothing waits for long.
#[inline(always)]
pub(crate) fn submit_bulk<T: 'static>(entry: RingBufEntry<T>, time: u64) {
    let mut flags = u64::from(BPF_RB_NO_WAKEUP);
    if let Some(woken) = WOKEN.get_ptr_mut(0) {
        // SAFETY: the map's one slot, an aligned word; at worst two CPUs wake at the same time.
        unsafe {
            if time.wrapping_sub(*woken) >= BULK_WAKE_INTERVAL {
                *woken = time;
                flags = u64::from(BPF_RB_FORCE_WAKEUP);
            }
        }
    }
    entry.submit(flags);
}

/// Reserves a record in `ring`, or counts the loss.
#[inline(always)]
pub(crate) fn reserve<T: 'static>(ring: &RingBuf, kind: Kind) -> Option<RingBufEntry<T>> {
    let entry = ring.reserve::<T>(0);
    if entry.is_none()
        && let Some(count) = LOST.get_ptr_mut(kind as u32)
    {
        // SAFETY: a per-CPU slot; a program that preempts this one on the same CPU can at worst
        // make the count one too low.
        unsafe { *count += 1 };
    }
    entry
}

/// Fills in the header of a reserved record, and returns the time it bears.
#[inline(always)]
pub(crate) fn head<T>(header: *mut Header, kind: Kind) -> u64 {
    let time = kernel::boot_time();
    // SAFETY: `header` is the beginning of a record that the caller reserved.
    unsafe {
        (*header).kind = kind as u16;
        (*header).version = ABI_VERSION;
        (*header).size = size_of::<T>() as u32;
        (*header).time = time;
    }
    time
}
