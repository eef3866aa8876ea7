//! From a ring record's bytes to owned values.

use thiserror::Error;
use whodunit_common::{
    ABI_VERSION, ChangeRecord, ConnectRecord, ExecRecord, ExecRecordOf, ExitRecord, FileFacts,
    Header, Kind, ManagedExecRecord, MessageRecord, MessageRecordOf, PathBytes, ProcessKey,
    ShortExecRecord, ShortMessageRecord, SignalRecord, SocketFacts, TaskFacts, Verb, path_state,
};

use super::record::{
    ChangeSeen, ConnectSeen, ExecSeen, ExitSeen, ManagedSeen, MessageSeen, PathSeen, Record,
    SignalSeen, SocketSeen, TaskSeen,
};
use crate::event::{Executable, FileIdentity, Tier};

/// Why bytes from a ring are not a record.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the record has.
    #[error("a record of {got} bytes, expected {expected}")]
    Short {
        /// What came.
        got: usize,
        /// What its kind has.
        expected: usize,
    },
    /// Another version of the kernel side.
    #[error("a record of layout version {0}, this agent speaks {ABI_VERSION}")]
    Version(u16),
    /// A kind or verb that is not known.
    #[error("a record with unknown {what} {value}")]
    Unknown {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u16,
    },
    /// The bytes do not start at an 8-byte boundary, as ring records do.
    #[error("a record that is not aligned")]
    Unaligned,
}

/// Types that a ring record may be viewed as.
///
/// # Safety
///
/// `repr(C)`, and every bit pattern is a value.
unsafe trait Plain {}
// SAFETY: integers and arrays of integers alone; sensor-common checks the layouts.
unsafe impl Plain for Header {}
// SAFETY: as above.
unsafe impl<const ARGS: usize> Plain for ExecRecordOf<ARGS> {}
// SAFETY: as above.
unsafe impl Plain for ManagedExecRecord {}
// SAFETY: as above.
unsafe impl Plain for ExitRecord {}
// SAFETY: as above.
unsafe impl Plain for ChangeRecord {}
// SAFETY: as above.
unsafe impl<const ROOM: usize> Plain for MessageRecordOf<ROOM> {}
// SAFETY: as above.
unsafe impl Plain for ConnectRecord {}
// SAFETY: as above.
unsafe impl Plain for SignalRecord {}

/// Views `bytes` as a `T`, without copying: records are large and mostly empty.
fn view<T: Plain>(bytes: &[u8]) -> Result<&T, DecodeError> {
    if bytes.len() < size_of::<T>() {
        return Err(DecodeError::Short {
            got: bytes.len(),
            expected: size_of::<T>(),
        });
    }
    let start = bytes.as_ptr().cast::<T>();
    if !start.is_aligned() {
        return Err(DecodeError::Unaligned);
    }
    // SAFETY: long enough, aligned, borrowed as long as `bytes`, and `T` has no invalid values.
    Ok(unsafe { &*start })
}

/// Decodes one record. `tier` is how this run sees file changes.
pub fn decode(bytes: &[u8], tier: Tier) -> Result<Record, DecodeError> {
    let header: &Header = view(bytes)?;
    if header.version != ABI_VERSION {
        return Err(DecodeError::Version(header.version));
    }
    let kind = Kind::from_raw(header.kind).ok_or(DecodeError::Unknown {
        what: "kind",
        value: header.kind,
    })?;
    Ok(match kind {
        Kind::Exec if header.size as usize == size_of::<ShortExecRecord>() => {
            Record::Exec(Box::new(exec(view::<ShortExecRecord>(bytes)?)))
        }
        Kind::Exec => Record::Exec(Box::new(exec(view::<ExecRecord>(bytes)?))),
        Kind::ManagedExec => Record::Exec(Box::new(managed_exec(view(bytes)?))),
        Kind::Exit => Record::Exit(exit(view(bytes)?)),
        Kind::Change => Record::Change(Box::new(change(view(bytes)?, tier)?)),
        Kind::Message if header.size as usize == size_of::<ShortMessageRecord>() => {
            Record::Message(Box::new(message(view::<ShortMessageRecord>(bytes)?)))
        }
        Kind::Message => Record::Message(Box::new(message(view::<MessageRecord>(bytes)?))),
        Kind::Connect => Record::Connect(Box::new(connect(view(bytes)?))),
        Kind::Signal => Record::Signal(Box::new(signal(view(bytes)?))),
    })
}

fn exec<const ARGS: usize>(record: &ExecRecordOf<ARGS>) -> ExecSeen {
    let ExecRecordOf {
        header,
        task: facts,
        exe,
        args_total,
        args_len,
        exe_path,
        cwd,
        args,
    } = record;
    let path = components(exe_path);
    let known = exe_path.state & path_state::UNAVAILABLE == 0 || exe.inode != 0;
    ExecSeen {
        time: header.time,
        task: task(facts),
        exe: known.then(|| Executable {
            path: absolute(&path),
            truncated: path.truncated,
            device: exe.device,
            inode: exe.inode,
            nlink: exe.nlink,
            mode: exe.mode,
            size: exe.size,
        }),
        argv: strings(used(args, *args_len)),
        argv_truncated: args_len < args_total,
        cwd: (cwd.state & path_state::UNAVAILABLE == 0).then(|| absolute(&components(cwd))),
        managed: None,
    }
}

fn managed_exec(record: &ManagedExecRecord) -> ExecSeen {
    let ManagedExecRecord {
        exec: inner,
        env_total,
        env_len,
        cgroup,
        env,
    } = record;
    let path = components(cgroup);
    ExecSeen {
        managed: Some(ManagedSeen {
            cgroup: (cgroup.state & path_state::UNAVAILABLE == 0).then(|| absolute(&path)),
            environment: used(env, *env_len).to_vec(),
            environment_truncated: env_len < env_total,
        }),
        ..exec(inner)
    }
}

fn exit(record: &ExitRecord) -> ExitSeen {
    let ExitRecord {
        header,
        key,
        status,
        reserved: _,
    } = record;
    ExitSeen {
        time: header.time,
        key: *key,
        status: *status,
    }
}

fn change(record: &ChangeRecord, tier: Tier) -> Result<ChangeSeen, DecodeError> {
    let ChangeRecord {
        header,
        task: facts,
        verb,
        flags,
        watch_id,
        watch_depth,
        attributes,
        object,
        replaced: _,
        path,
        from,
    } = record;
    let is_text = from.state & path_state::TEXT != 0;
    let has_from = from.state & path_state::UNAVAILABLE == 0;
    Ok(ChangeSeen {
        time: header.time,
        task: task(facts),
        verb: Verb::from_raw(*verb).ok_or(DecodeError::Unknown {
            what: "verb",
            value: *verb,
        })?,
        flags: *flags,
        watch: *watch_id,
        depth: *watch_depth,
        attributes: *attributes,
        object: identity(object),
        path: components(path),
        from: (has_from && !is_text).then(|| components(from)),
        target: (has_from && is_text).then(|| text(until_nul(used(&from.bytes, from.len)))),
        tier,
    })
}

fn message<const ROOM: usize>(record: &MessageRecordOf<ROOM>) -> MessageSeen {
    let MessageRecordOf {
        header,
        task: facts,
        socket: to,
        total,
        skip,
        flags,
        len,
        data,
    } = record;
    MessageSeen {
        time: header.time,
        task: task(facts),
        socket: socket(to),
        total: *total,
        skip: *skip,
        flags: *flags,
        data: used(data, *len).to_vec(),
    }
}

fn connect(record: &ConnectRecord) -> ConnectSeen {
    let ConnectRecord {
        header,
        task: facts,
        socket: to,
        path,
    } = record;
    ConnectSeen {
        time: header.time,
        task: task(facts),
        socket: socket(to),
        path: components(path),
    }
}

fn signal(record: &SignalRecord) -> SignalSeen {
    let SignalRecord {
        header,
        task: facts,
        target,
        signal,
        target_uid,
    } = record;
    SignalSeen {
        time: header.time,
        task: task(facts),
        target: ProcessKey::new(target.tgid, target.start),
        target_uid: (*target_uid != u32::MAX).then_some(*target_uid),
        signal: *signal,
    }
}

fn socket(facts: &SocketFacts) -> SocketSeen {
    let SocketFacts {
        address,
        inode,
        listener,
        id,
        flags,
    } = facts;
    SocketSeen {
        address: *address,
        inode: *inode,
        listener: (listener.device, listener.inode),
        id: *id,
        flags: *flags,
    }
}

fn task(facts: &TaskFacts) -> TaskSeen {
    let TaskFacts {
        key,
        tid: _,
        uid,
        euid,
        gid,
        auid,
        session,
        mount_ns,
        pid_ns,
        cgroup,
        comm,
        flags,
        ancestor_count,
        ancestors,
    } = facts;
    let set = |value: u32| (value != u32::MAX).then_some(value);
    TaskSeen {
        key: *key,
        uid: set(*uid),
        euid: set(*euid),
        gid: set(*gid),
        auid: set(*auid),
        session: set(*session),
        mount_ns: *mount_ns,
        pid_ns: *pid_ns,
        cgroup: *cgroup,
        comm: text(until_nul(comm)),
        flags: *flags,
        ancestors: ancestors
            .iter()
            .take(*ancestor_count as usize)
            .map(|key| ProcessKey::new(key.tgid, key.start))
            .collect(),
    }
}

fn identity(facts: &FileFacts) -> FileIdentity {
    let FileFacts {
        inode,
        size,
        device,
        nlink,
        mode,
        uid,
    } = *facts;
    FileIdentity {
        device,
        inode,
        size,
        mode,
        nlink,
        uid,
    }
}

/// The part of a buffer that was filled, whatever the record claims.
fn used(buffer: &[u8], len: u32) -> &[u8] {
    &buffer[..buffer.len().min(len as usize)]
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Strings that are each ended by a NUL; the last one may have lost its NUL by truncation.
fn strings(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let parts = || bytes.split(|&byte| byte == 0);
    // They are kept for as long as their process is known: no room for more.
    let mut found = Vec::with_capacity(parts().count());
    found.extend(parts().map(text));
    found
}

fn components<const N: usize>(path: &PathBytes<N>) -> PathSeen {
    let mut components = strings(used(&path.bytes, path.len));
    components.reverse();
    PathSeen {
        components,
        truncated: path.state & path_state::TRUNCATED != 0,
    }
}

/// As a path from the root; `…/` in front when the root's side is missing.
fn absolute(path: &PathSeen) -> String {
    let start = if path.truncated { "…/" } else { "/" };
    format!("{start}{}", path.components.join("/"))
}
