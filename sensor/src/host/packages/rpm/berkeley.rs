//! Berkeley's hash (`Packages`; RHEL 8 and before, Amazon Linux 2): buckets of items, each bucket a chain
//! of pages; items that are too long for a page lie in chains of their own. Numbers have the byte order of
//! the machine that made the file. See Berkeley DB's `dbinc/db_page.h`.
//!
//! Neither its locks nor its environment (`__db.00?`) are touched: a page that is being written is found to
//! be odd, and read again later.

use super::blobs::{BlobError, Bytes, HEADER_MAX, PACKAGES_MAX, Place};

const MAGIC: u32 = 0x06_1561;
/// Versions of the hash: of Berkeley DB 4.0 to 6.
const VERSIONS: std::ops::RangeInclusive<u32> = 8..=10;
/// Bytes of the first page that are needed, and of what stands before the items of any other.
const META: usize = 512;
const PAGE_HEAD: usize = 26;
/// `DBMETA_CHKSUM`: pages have a longer head.
const CHECKSUM: u8 = 1;

const META_PAGE: u8 = 8;
const HASH_PAGES: [u8; 2] = [2, 13];
const OVERFLOW_PAGE: u8 = 7;
const KEY_OR_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

/// What the first page says of the others.
#[derive(Debug)]
struct Shape {
    swapped: bool,
    page: usize,
    pages: u64,
    last_bucket: u32,
    /// For each doubling of the buckets, how many pages lie before its first besides buckets.
    spares: [u32; 32],
}

fn number(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
    let found = u32::from_ne_bytes(found.unwrap_or_default());
    if swapped { found.swap_bytes() } else { found }
}

fn short(bytes: &[u8], at: usize, swapped: bool) -> usize {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
    let found = u16::from_ne_bytes(found.unwrap_or_default());
    usize::from(if swapped { found.swap_bytes() } else { found })
}

impl Shape {
    fn of(file: &impl Bytes) -> Result<Self, BlobError> {
        let mut meta = [0; META];
        file.fill(0, &mut meta)?;
        let swapped = match number(&meta, 12, false) {
            MAGIC => false,
            other if other.swap_bytes() == MAGIC => true,
            _ => {
                return Err(BlobError::Damaged(
                    "it does not begin as a hash of Berkeley's",
                ));
            }
        };
        let value = |at| number(&meta, at, swapped);
        if !VERSIONS.contains(&value(16)) || meta[25] != META_PAGE {
            return Err(BlobError::Kind("an unknown version of Berkeley's hash"));
        }
        if meta[24] != 0 || meta[26] & CHECKSUM != 0 {
            return Err(BlobError::Kind("encrypted, or with checksums"));
        }
        let page = value(20);
        if !page.is_power_of_two() || !(512..=65_536).contains(&page) {
            return Err(BlobError::Damaged("pages of an impossible size"));
        }
        Ok(Self {
            swapped,
            page: usize::try_from(page).unwrap_or(META),
            pages: file.size()? / u64::from(page),
            last_bucket: value(72),
            spares: std::array::from_fn(|at| value(96 + 4 * at)),
        })
    }

    fn number(&self, bytes: &[u8], at: usize) -> u32 {
        number(bytes, at, self.swapped)
    }

    /// The first page of a bucket (`BUCKET_TO_PAGE`).
    fn first_page(&self, bucket: u32) -> Option<u32> {
        let doubling = (u64::from(bucket) + 1).next_power_of_two().trailing_zeros();
        let spare = self.spares.get(usize::try_from(doubling).ok()?)?;
        bucket.checked_add(*spare)
    }

    fn read(&self, file: &impl Bytes, page: u32, into: &mut [u8]) -> Result<(), BlobError> {
        file.fill(u64::from(page) * self.page as u64, into)?;
        if self.number(into, 8) == page {
            return Ok(());
        }
        Err(BlobError::Damaged("a page has another's number"))
    }
}

/// Where the headers lie.
///
/// # Errors
///
/// When the file cannot be read or is no such database.
pub fn places(file: &impl Bytes) -> Result<Vec<Place>, BlobError> {
    let shape = Shape::of(file)?;
    let mut places = Vec::new();
    let mut bytes = vec![0; shape.page];
    // Each page belongs to one bucket.
    let mut left = shape.pages;
    for bucket in 0..=shape.last_bucket {
        let mut page = shape.first_page(bucket).unwrap_or_default();
        if page == 0 {
            return Err(BlobError::Damaged("a bucket without a page"));
        }
        while page != 0 {
            left = left
                .checked_sub(1)
                .ok_or(BlobError::Damaged("pages in a circle"))?;
            // A bucket that was never used has a page of zeros.
            file.fill(u64::from(page) * shape.page as u64, &mut bytes)?;
            if bytes.iter().take(PAGE_HEAD).all(|&byte| byte == 0) {
                break;
            }
            if shape.number(&bytes, 8) != page || !HASH_PAGES.contains(&bytes[25]) {
                return Err(BlobError::Damaged("a page of a bucket is none"));
            }
            items(&shape, page, &bytes, &mut places)?;
            page = shape.number(&bytes, 16);
        }
    }
    Ok(places)
}

/// The headers on one page: a key, then what lies under it, and so on.
fn items(shape: &Shape, page: u32, bytes: &[u8], places: &mut Vec<Place>) -> Result<(), BlobError> {
    let count = short(bytes, 20, shape.swapped);
    // From the end of the page to its front.
    let mut end = bytes.len();
    let mut key = None;
    for index in 0..count {
        let start = short(bytes, PAGE_HEAD + 2 * index, shape.swapped);
        let item = bytes.get(start..end).filter(|item| !item.is_empty());
        let item = item.ok_or(BlobError::Damaged("items that overlap"))?;
        end = start;
        if index % 2 == 0 {
            key = (item[0] == KEY_OR_DATA && item.len() == 5).then(|| shape.number(item, 1));
            continue;
        }
        // Under 0 is the next package's number.
        let Some(number) = key.take().filter(|&number| number != 0) else {
            continue;
        };
        let place = match item[0] {
            KEY_OR_DATA => Place {
                number,
                at: u64::from(page) * shape.page as u64 + start as u64 + 1,
                length: u32::try_from(item.len() - 1).unwrap_or(u32::MAX),
                chained: false,
            },
            OFF_PAGE if item.len() >= 12 => Place {
                number,
                at: u64::from(shape.number(item, 4)),
                length: shape.number(item, 8),
                chained: true,
            },
            _ => return Err(BlobError::Damaged("an item of an unknown kind")),
        };
        if places.len() >= PACKAGES_MAX {
            return Err(BlobError::Damaged("more packages than are read"));
        }
        places.push(place);
    }
    Ok(())
}

/// The header at `place`.
///
/// # Errors
///
/// When it cannot be read, or is no longer there.
pub fn header(file: &impl Bytes, place: &Place) -> Result<Vec<u8>, BlobError> {
    let length = usize::try_from(place.length).unwrap_or(usize::MAX);
    if place.length > HEADER_MAX || u64::from(place.length) > file.size()? {
        return Err(BlobError::Damaged("a header that is too long"));
    }
    if !place.chained {
        let mut blob = vec![0; length];
        file.fill(place.at, &mut blob)?;
        return Ok(blob);
    }
    let shape = Shape::of(file)?;
    let mut blob = Vec::with_capacity(length);
    let mut bytes = vec![0; shape.page];
    let mut page = u32::try_from(place.at).unwrap_or_default();
    while page != 0 {
        shape.read(file, page, &mut bytes)?;
        let used = short(&bytes, 22, shape.swapped);
        let part = bytes.get(PAGE_HEAD..PAGE_HEAD + used);
        match part.filter(|part| bytes[25] == OVERFLOW_PAGE && !part.is_empty()) {
            Some(part) if blob.len() + part.len() <= length => blob.extend_from_slice(part),
            _ => return Err(BlobError::Damaged("a page of a header is none")),
        }
        page = shape.number(&bytes, 16);
    }
    if blob.len() != length {
        return Err(BlobError::Damaged("a header that is cut off"));
    }
    Ok(blob)
}
