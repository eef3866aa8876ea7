//! What rpm's older databases have in common: a file in which headers lie, each under a number.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Most packages that are known, and the largest header.
pub(super) const PACKAGES_MAX: usize = 65_536;
pub(super) const HEADER_MAX: u32 = 64 << 20;

/// Bytes that are read in pieces.
pub trait Bytes {
    /// How many there are.
    ///
    /// # Errors
    ///
    /// When that cannot be found out.
    fn size(&self) -> io::Result<u64>;

    /// Fills `into` with the bytes from `at` on.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or there are fewer.
    fn fill(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Bytes for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(into, at)
    }
}

impl Bytes for &[u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn fill(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let there = there.and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Where a header lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The package's number.
    pub number: u32,
    /// Of Berkeley's long items the first page; of all others the first byte.
    pub at: u64,
    /// Bytes of the header; of `ndb`, blocks of the header and what stands around it.
    pub length: u32,
    /// Whether it is spread over a chain of pages.
    pub chained: bool,
}

/// Why a file cannot be read as a database.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The system's.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not what rpm writes, or in the middle of being written.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
    /// A kind that rpm never makes.
    #[error("is of a kind that is not read: {0}")]
    Kind(&'static str),
}
