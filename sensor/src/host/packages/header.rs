//! A header of rpm: what a package is and which files it has, as it lies in the database. Numbers are
//! big-endian; an index of entries, then the data that they point into.

/// Most entries and most bytes of data that rpm itself takes (`hdrchkTags`, `hdrchkData`).
const ENTRIES_MAX: usize = 0xffff;
const DATA_MAX: usize = 256 << 20;
/// Most directories of one package.
const DIRECTORIES_MAX: usize = 1 << 18;
/// Bytes of an entry of the index.
const ENTRY: usize = 16;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCH: u32 = 1022;
const FILE_STATES: u32 = 1029;
const FILE_DIGESTS: u32 = 1035;
const DIR_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIR_NAMES: u32 = 1118;
const FILE_DIGEST_ALGORITHM: u32 = 5011;

/// How a file's digest was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The one of old packages.
    Md5,
    /// That of packages of today.
    Sha256,
    /// Another one.
    Other,
}

/// A header, as bytes with bounds that were checked.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderFile<'a> {
    /// Its directory, with a slash at the end.
    pub directory: &'a [u8],
    /// Its name there.
    pub name: &'a [u8],
    /// Its digest in hex; empty for links, directories and the like.
    pub digest: &'a [u8],
    /// Whether it was put there: not if another package's file took its place, or it was left out.
    pub installed: bool,
}

impl<'a> Header<'a> {
    /// The header in `blob`; `None` if it is none.
    #[must_use]
    pub fn parse(blob: &'a [u8]) -> Option<Self> {
        let entries = usize::try_from(number(blob, 0)?).ok()?;
        let length = usize::try_from(number(blob, 4)?).ok()?;
        if entries > ENTRIES_MAX || length > DATA_MAX {
            return None;
        }
        let (index, data) = blob.get(8..)?.split_at_checked(entries * ENTRY)?;
        Some(Self {
            index,
            data: data.get(..length)?,
        })
    }

    /// `name`
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.text(NAME)
    }

    /// `epoch:version-release`
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let version = format!("{}-{}", self.text(VERSION)?, self.text(RELEASE)?);
        Some(match self.number(EPOCH, 0) {
            Some(epoch) => format!("{epoch}:{version}"),
            None => version,
        })
    }

    /// `x86_64`, `noarch`
    #[must_use]
    pub fn architecture(&self) -> Option<String> {
        self.text(ARCH)
    }

    /// How the digests of files were made.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.number(FILE_DIGEST_ALGORITHM, 0) {
            None | Some(1) => Algorithm::Md5,
            Some(8) => Algorithm::Sha256,
            Some(_) => Algorithm::Other,
        }
    }

    /// The file of this number, as the database's table of names counts them.
    #[must_use]
    pub fn file(&self, number: usize) -> Option<HeaderFile<'a>> {
        let directory = usize::try_from(self.number(DIR_INDEXES, number)?).ok()?;
        let state = self.entry(FILE_STATES).and_then(|(at, count)| {
            let states = self.data.get(at..)?;
            (number < count).then(|| states.get(number).copied())?
        });
        Some(HeaderFile {
            directory: self.string(DIR_NAMES, directory)?,
            name: self.string(BASE_NAMES, number)?,
            digest: self.string(FILE_DIGESTS, number).unwrap_or_default(),
            installed: state.is_none_or(|state| state == 0),
        })
    }

    /// The paths of its files, in their order.
    pub fn paths(&self) -> impl Iterator<Item = Vec<u8>> + use<'a> {
        let directories: Vec<&[u8]> = self.strings(DIR_NAMES).take(DIRECTORIES_MAX).collect();
        let header = *self;
        let indexes = self.entry(DIR_INDEXES);
        self.strings(BASE_NAMES)
            .enumerate()
            .map_while(move |(which, name)| {
                let (at, count) = indexes?;
                (which < count).then_some(())?;
                let index = number(header.data, at.checked_add(which.checked_mul(4)?)?)?;
                let directory = directories.get(usize::try_from(index).ok()?)?;
                Some([directory, name].concat())
            })
    }

    /// The texts of a tag.
    fn strings(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let found = self.entry(tag);
        let (data, count) = found
            .and_then(|(at, count)| Some((self.data.get(at..)?, count)))
            .unwrap_or_default();
        data.split(|&byte| byte == 0).take(count)
    }

    /// Where the data of a tag is, and how many values it has.
    fn entry(&self, tag: u32) -> Option<(usize, usize)> {
        let entries = self.index.chunks_exact(ENTRY);
        let entry = entries.into_iter().find(|it| number(it, 0) == Some(tag))?;
        let at = usize::try_from(number(entry, 8)?).ok()?;
        let count = usize::try_from(number(entry, 12)?).ok()?;
        (at <= self.data.len()).then_some((at, count))
    }

    fn number(&self, tag: u32, which: usize) -> Option<u32> {
        let (at, count) = self.entry(tag)?;
        (which < count).then_some(())?;
        number(self.data, at.checked_add(which.checked_mul(4)?)?)
    }

    fn string(&self, tag: u32, which: usize) -> Option<&'a [u8]> {
        let (at, count) = self.entry(tag)?;
        (which < count).then_some(())?;
        let strings = self.data.get(at..)?.split(|&byte| byte == 0);
        strings.into_iter().nth(which)
    }

    fn text(&self, tag: u32) -> Option<String> {
        let text = String::from_utf8_lossy(self.string(tag, 0)?).into_owned();
        (!text.is_empty()).then_some(text)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}
