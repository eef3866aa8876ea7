//! The bytes that a read of the group yields, as fanotify(7) describes them.
//!
//! Every access is checked against the buffer: nothing in here trusts a length.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::FanotifyError;

/// `struct fanotify_event_metadata`.
const METADATA: usize = 24;
/// `struct fanotify_event_info_header`.
const HEADER: usize = 4;
/// File system id, handle length and handle type, before the handle.
const FID: usize = 16;

/// One event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RawEvent<'a> {
    pub(super) mask: u64,
    pub(super) pid: u32,
    /// The directory and name concerned.
    pub(super) entry: Option<Entry<'a>>,
    /// The old name of a rename.
    pub(super) old: Option<Entry<'a>>,
    /// The new name of a rename.
    pub(super) new: Option<Entry<'a>>,
    /// The identity of the object.
    pub(super) object: Option<&'a [u8]>,
}

/// A directory's identity and a name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Both, as they follow each other in the buffer: equal bytes are the same place.
    pub(super) bytes: &'a [u8],
    split: usize,
}

impl<'a> Entry<'a> {
    pub(super) fn directory(&self) -> &'a [u8] {
        self.bytes.get(..self.split).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &'a OsStr {
        OsStr::from_bytes(self.bytes.get(self.split..).unwrap_or_default())
    }
}

/// The events of a buffer; ends after the first that is malformed.
pub(super) fn events(buffer: &[u8]) -> Events<'_> {
    Events { rest: buffer }
}

/// See [`events`].
#[derive(Debug)]
pub(super) struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<RawEvent<'a>, FanotifyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        Some(match event(rest) {
            Ok((event, after)) => {
                self.rest = after;
                Ok(event)
            }
            Err(what) => Err(FanotifyError::Malformed(what)),
        })
    }
}

fn event(buffer: &[u8]) -> Result<(RawEvent<'_>, &[u8]), &'static str> {
    const SHORT: &str = "metadata cut short";
    let length = u32_at(buffer, 0).ok_or(SHORT)?;
    let version = *buffer.get(4).ok_or(SHORT)?;
    let metadata = usize::from(u16_at(buffer, 6).ok_or(SHORT)?);
    let mask = array_at(buffer, 8).map(u64::from_ne_bytes).ok_or(SHORT)?;
    let pid = array_at(buffer, 20).map(i32::from_ne_bytes).ok_or(SHORT)?;
    if version != libc::FANOTIFY_METADATA_VERSION {
        return Err("another version of the metadata");
    }
    let length = usize::try_from(length).map_err(|_| "event length")?;
    if metadata < METADATA || length < metadata {
        return Err("metadata length");
    }
    let (this, after) = buffer.split_at_checked(length).ok_or("event length")?;
    let mut event = RawEvent {
        mask,
        pid: u32::try_from(pid).unwrap_or(0),
        ..RawEvent::default()
    };
    let mut records = this.get(metadata..).unwrap_or_default();
    while !records.is_empty() {
        let kind = *records.first().ok_or("record header")?;
        let length = usize::from(u16_at(records, 2).ok_or("record header")?);
        if length < HEADER {
            return Err("record length");
        }
        let (record, rest) = records.split_at_checked(length).ok_or("record length")?;
        records = rest;
        let body = record.get(HEADER..).unwrap_or_default();
        match kind {
            libc::FAN_EVENT_INFO_TYPE_FID => event.object = Some(fid(body)?),
            libc::FAN_EVENT_INFO_TYPE_DFID | libc::FAN_EVENT_INFO_TYPE_DFID_NAME => {
                event.entry = Some(entry(body)?);
            }
            libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => event.old = Some(entry(body)?),
            libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => event.new = Some(entry(body)?),
            // Kinds that were not asked for, or that later kernels add.
            _ => {}
        }
    }
    Ok((event, after))
}

/// The identity at the start of a record's body.
fn fid(body: &[u8]) -> Result<&[u8], &'static str> {
    let handle = u32_at(body, 8).ok_or("file handle cut short")?;
    usize::try_from(handle)
        .ok()
        .and_then(|handle| handle.checked_add(FID))
        .and_then(|length| body.get(..length))
        .ok_or("file handle length")
}

/// An identity followed by a name that ends with a zero byte, or, without a name, by nothing.
fn entry(body: &[u8]) -> Result<Entry<'_>, &'static str> {
    let split = fid(body)?.len();
    let name = body.get(split..).unwrap_or_default();
    let length = name.iter().position(|byte| *byte == 0);
    let length = match length {
        Some(length) => length,
        None if name.is_empty() => 0,
        None => return Err("name without an end"),
    };
    Ok(Entry {
        bytes: body.get(..split + length).ok_or("name length")?,
        split,
    })
}

fn array_at<const N: usize>(buffer: &[u8], at: usize) -> Option<[u8; N]> {
    buffer.get(at..)?.first_chunk().copied()
}

fn u32_at(buffer: &[u8], at: usize) -> Option<u32> {
    array_at(buffer, at).map(u32::from_ne_bytes)
}

fn u16_at(buffer: &[u8], at: usize) -> Option<u16> {
    array_at(buffer, at).map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests;
