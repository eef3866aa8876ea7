//! rpm's `ndb` (`Packages.db`, SUSE's): a table of slots at the front, each with a package's number and
//! the blocks that its header has. Numbers are little-endian. See rpm's `lib/backend/ndb/rpmpkg.c`.

use super::blobs::{BlobError, Bytes, HEADER_MAX, PACKAGES_MAX, Place};

const MAGIC: &[u8] = b"RpmP";
const SLOT: &[u8] = b"Slot";
const BLOB_HEAD: &[u8] = b"BlbS";
const BLOB_TAIL: &[u8] = b"BlbE";
/// Bytes of a page of slots, of a slot and of a block alike, of what stands before and after a header.
const PAGE: usize = 4096;
const BLOCK: usize = 16;
const HEAD: usize = 16;
const TAIL: usize = 12;
/// Slots that the header of the file takes.
const SLOT_START: usize = 2;
/// Most pages of slots: there are free ones among them.
const PAGES_MAX: u32 = 1024;

fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Where the headers lie.
///
/// # Errors
///
/// When the file cannot be read or is no such database.
pub fn places(file: &impl Bytes) -> Result<Vec<Place>, BlobError> {
    let mut page = [0; PAGE];
    file.fill(0, &mut page)?;
    if !page.starts_with(MAGIC) {
        return Err(BlobError::Damaged("it does not begin as one of rpm's"));
    }
    if number(&page, 4) != 0 {
        return Err(BlobError::Kind("an unknown version of ndb"));
    }
    let pages = number(&page, 12);
    if pages > PAGES_MAX {
        return Err(BlobError::Damaged("more slots than are read"));
    }
    let mut places = Vec::new();
    for index in 0..pages {
        file.fill(u64::from(index) * PAGE as u64, &mut page)?;
        let skipped = if index == 0 { SLOT_START } else { 0 };
        for slot in page.chunks_exact(BLOCK).skip(skipped) {
            if !slot.starts_with(SLOT) {
                return Err(BlobError::Damaged("a slot does not begin as one"));
            }
            let [package, block, blocks] = [4, 8, 12].map(|at| number(slot, at));
            if block == 0 {
                continue; // free
            }
            if places.len() >= PACKAGES_MAX {
                return Err(BlobError::Damaged("more packages than are read"));
            }
            // Without what fills the last block, which the blob itself tells.
            places.push(Place {
                number: package,
                at: u64::from(block) * BLOCK as u64,
                length: blocks,
                chained: false,
            });
        }
    }
    Ok(places)
}

/// The header at `place`, whose length is in blocks.
///
/// # Errors
///
/// When it cannot be read, or is another package's by now.
pub fn header(file: &impl Bytes, place: &Place) -> Result<Vec<u8>, BlobError> {
    let mut head = [0; HEAD];
    file.fill(place.at, &mut head)?;
    let length = number(&head, 12);
    if !head.starts_with(BLOB_HEAD) || number(&head, 4) != place.number || length > HEADER_MAX {
        return Err(BlobError::Damaged("a header does not begin as one"));
    }
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    let whole = (HEAD + size + TAIL).div_ceil(BLOCK);
    let at = place.at + HEAD as u64;
    if whole as u64 != u64::from(place.length) || at + u64::from(length) > file.size()? {
        return Err(BlobError::Damaged(
            "a header has another length than its slot",
        ));
    }
    let mut blob = vec![0; size];
    file.fill(at, &mut blob)?;
    // The tail is at the end of the last block.
    let mut tail = [0; TAIL];
    file.fill(place.at + (whole * BLOCK - TAIL) as u64, &mut tail)?;
    if number(&tail, 4) != length || !tail.ends_with(BLOB_TAIL) {
        return Err(BlobError::Damaged("a header does not end as one"));
    }
    Ok(blob)
}
