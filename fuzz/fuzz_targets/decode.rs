//! Records as no kernel side writes them.
//!
//! The first byte chooses the kind, or to leave the header as it is; zeroes follow what the input
//! has, unless the first byte says otherwise: short inputs then reach all fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::{event::Tier, kernel::decode};
use whodunit_common::{ABI_VERSION, Kind};

/// More than the largest record has.
const WHOLE: usize = 16 << 10;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let size = if choice & 0x80 == 0 {
        WHOLE
    } else {
        bytes.len()
    };
    let mut record = vec![0; size.max(bytes.len())];
    record[..bytes.len()].copy_from_slice(bytes);
    if let Some(kind) = Kind::ALL.get(usize::from(choice & 7))
        && record.len() >= 4
    {
        record[..2].copy_from_slice(&(*kind as u16).to_ne_bytes());
        record[2..4].copy_from_slice(&ABI_VERSION.to_ne_bytes());
    }
    // Rings hand out records aligned to eight bytes.
    let mut words = vec![0u64; record.len().div_ceil(8)];
    for (word, chunk) in words.iter_mut().zip(record.chunks(8)) {
        let mut whole = [0; 8];
        whole[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(whole);
    }
    // SAFETY: all bytes of the vector are initialised, and there are at least so many.
    let aligned = unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), record.len()) };
    let _ = decode(aligned, Tier::Lsm);
});
