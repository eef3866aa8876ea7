//! The running kernel's BTF, as far as field offsets need it.
//!
//! aya keeps its own view of struct members private, and the one maintained parser cannot be
//! linked statically under our licence; what we need of the format is small and stable:
//! <https://docs.kernel.org/bpf/btf.html>.

use std::{fs, io, path::PathBuf};

use thiserror::Error;

/// Where the kernel publishes its types.
pub(crate) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why the BTF could not be used.
#[derive(Debug, Error)]
pub enum BtfError {
    /// The kernel has none: built without CONFIG_DEBUG_INFO_BTF.
    #[error(
        "{VMLINUX} does not exist: this kernel was built without BTF (CONFIG_DEBUG_INFO_BTF); \
         boot a distribution kernel of version 5.8 or later"
    )]
    Missing,
    /// It could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not BTF as we know it.
    #[error("{VMLINUX} is malformed: {0}")]
    Malformed(&'static str),
}

const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;

/// Parsed BTF: the bytes, and where each type begins.
#[derive(Debug)]
pub(crate) struct Btf {
    data: Vec<u8>,
    strings: usize,
    types: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Type {
    at: usize,
    name: u32,
    info: u32,
    /// Size, or the type referred to.
    size_or_type: u32,
}

impl Type {
    fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }
    fn count(self) -> u32 {
        self.info & 0xffff
    }
    fn has_bitfields(self) -> bool {
        self.info >> 31 == 1
    }
}

impl Btf {
    /// The running kernel's.
    pub(crate) fn from_kernel() -> Result<Self, BtfError> {
        match fs::read(VMLINUX) {
            Ok(data) => Self::parse(data),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BtfError::Missing),
            Err(source) => Err(BtfError::Read {
                path: VMLINUX.into(),
                source,
            }),
        }
    }

    /// Finds where each type begins. Bounds are checked once, here.
    pub(crate) fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let word = |at: usize| word_at(&data, at).ok_or(BtfError::Malformed("cut short"));
        if word(0)? & 0xffff != 0xeb9f {
            return Err(BtfError::Malformed("wrong magic or byte order"));
        }
        let header = word(4)? as usize;
        let (type_at, type_len) = (header + word(8)? as usize, word(12)? as usize);
        let strings = header + word(16)? as usize;
        let end = type_at + type_len;
        if end > data.len() || strings > data.len() {
            return Err(BtfError::Malformed("sections beyond the end"));
        }
        let mut types = vec![0]; // id 0 is void
        let mut at = type_at;
        while at < end {
            types.push(u32::try_from(at).map_err(|_| BtfError::Malformed("too large"))?);
            let info = word(at + 4)?;
            let count = (info & 0xffff) as usize;
            at += 12
                + match info >> 24 & 0x1f {
                    1 | 14 | 17 => 4,
                    KIND_ARRAY => 12,
                    KIND_STRUCT | KIND_UNION | 15 | 19 => count * 12,
                    KIND_ENUM | KIND_FUNC_PROTO => count * 8,
                    KIND_PTR | 7..=12 | 16 | 18 => 0,
                    _ => return Err(BtfError::Malformed("a kind of type that is not known")),
                };
        }
        if at != end {
            return Err(BtfError::Malformed("the last type is cut short"));
        }
        Ok(Self {
            data,
            strings,
            types,
        })
    }

    fn word(&self, at: usize) -> u32 {
        word_at(&self.data, at).unwrap_or(0)
    }

    fn get(&self, id: u32) -> Option<Type> {
        let at = *self.types.get(id as usize)? as usize;
        (at != 0).then(|| Type {
            at,
            name: self.word(at),
            info: self.word(at + 4),
            size_or_type: self.word(at + 8),
        })
    }

    fn name_is(&self, offset: u32, name: &str) -> bool {
        let at = self.strings + offset as usize;
        let Some(bytes) = self.data.get(at..at + name.len() + 1) else {
            return false;
        };
        bytes.starts_with(name.as_bytes()) && bytes.last() == Some(&0)
    }

    fn find(&self, name: &str, kinds: &[u32]) -> Option<Type> {
        (1..u32::try_from(self.types.len()).ok()?)
            .filter_map(|id| self.get(id))
            .find(|ty| kinds.contains(&ty.kind()) && self.name_is(ty.name, name))
    }

    /// Follows typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<Type> {
        for _ in 0..32 {
            let ty = self.get(id)?;
            match ty.kind() {
                8..=11 | 18 => id = ty.size_or_type,
                _ => return Some(ty),
            }
        }
        None
    }

    /// Offset in bits and type of a member, in anonymous structs and unions too.
    fn member(&self, ty: Type, name: &str, depth: u32) -> Option<(u32, u32)> {
        if depth > 8 || !matches!(ty.kind(), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        for index in 0..ty.count() {
            let at = ty.at + 12 + index as usize * 12;
            let (member_name, member_type, raw) =
                (self.word(at), self.word(at + 4), self.word(at + 8));
            let bits = if ty.has_bitfields() {
                raw & 0xff_ffff
            } else {
                raw
            };
            if self.name_is(member_name, name) {
                return Some((bits, member_type));
            }
            if self.name_is(member_name, "")
                && let Some(inner) = self.resolve(member_type)
                && let Some((more, found)) = self.member(inner, name, depth + 1)
            {
                return Some((bits + more, found));
            }
        }
        None
    }

    /// Offset in bytes of `path` (`member` or `member.member`) in `struct name`.
    pub(crate) fn offset(&self, name: &str, path: &str) -> Option<u32> {
        let mut ty = self.find(name, &[KIND_STRUCT])?;
        let mut bits = 0;
        for part in path.split('.') {
            let (more, member_type) = self.member(ty, part, 0)?;
            bits += more;
            ty = self.resolve(member_type)?;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// Size in bytes of `struct name`.
    pub(crate) fn size(&self, name: &str) -> Option<u32> {
        self.find(name, &[KIND_STRUCT]).map(|ty| ty.size_or_type)
    }

    /// The value of the first enumerator of that name, in an enumeration of 32 bits.
    pub(crate) fn enumerator(&self, name: &str) -> Option<u32> {
        (1..u32::try_from(self.types.len()).ok()?)
            .filter_map(|id| self.get(id))
            .filter(|ty| ty.kind() == KIND_ENUM)
            .find_map(|ty| {
                let mut entries = (0..ty.count() as usize).map(|index| ty.at + 12 + index * 8);
                let at = entries.find(|&at| self.name_is(self.word(at), name))?;
                Some(self.word(at + 4))
            })
    }

    /// Which parameter of `function` is the first that points to `struct name`, from 0.
    pub(crate) fn position(&self, function: &str, name: &str) -> Option<u32> {
        let prototype = self.get(self.find(function, &[KIND_FUNC])?.size_or_type)?;
        (0..prototype.count()).find(|index| {
            let parameter = self.word(prototype.at + 12 + *index as usize * 8 + 4);
            self.resolve(parameter)
                .filter(|pointer| pointer.kind() == KIND_PTR)
                .and_then(|pointer| self.resolve(pointer.size_or_type))
                .is_some_and(|target| self.name_is(target.name, name))
        })
    }

    /// How many parameters the function takes; `None` if the kernel has no such function.
    pub(crate) fn parameters(&self, function: &str) -> Option<u32> {
        let ty = self.find(function, &[KIND_FUNC])?;
        let prototype = self.get(ty.size_or_type)?;
        (prototype.kind() == KIND_FUNC_PROTO).then(|| prototype.count())
    }
}

fn word_at(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_input_is_an_error() {
        for bytes in [
            &b""[..],
            b"\x9f\xeb\x01\x00",
            &[0xff; 64],
            &[0x9f, 0xeb, 1, 0, 255, 255, 255, 255],
        ] {
            assert!(Btf::parse(bytes.to_vec()).is_err());
        }
    }

    #[test]
    fn running_kernel() {
        let btf = match Btf::from_kernel() {
            Ok(btf) => btf,
            Err(BtfError::Missing) => {
                println!("skipped: no {VMLINUX}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        // Facts of every kernel: list_head is two pointers; tgid follows pid.
        assert_eq!(btf.offset("list_head", "prev"), Some(8));
        let pid = btf.offset("task_struct", "pid").unwrap();
        assert_eq!(btf.offset("task_struct", "tgid"), Some(pid + 4));
        // arg_start lies in an anonymous struct.
        assert!(btf.offset("mm_struct", "arg_start").is_some());
        // SOCK_STREAM has been 1 on x86 and arm64 since there are sockets.
        assert_eq!(btf.enumerator("SOCK_STREAM"), Some(1));
        assert_eq!(btf.enumerator("NO_SUCH_ENUMERATOR"), None);
        assert_eq!(btf.offset("task_struct", "no_such_member"), None);
        assert_eq!(btf.offset("no_such_struct", "pid"), None);
    }
}
