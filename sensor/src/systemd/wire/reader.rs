//! Values in D-Bus's wire format, read within strict bounds.

/// Deepest nesting of containers, as in the specification: 32 arrays and 32 structs.
const DEPTH_MAX: u8 = 64;
/// Longest array in bytes, as in the specification.
const ARRAY_MAX: u32 = 64 << 20;

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// There are no more bytes.
    #[error("it ends too early")]
    Ended,
    /// The bytes break D-Bus's rules.
    #[error("{0}")]
    Bad(&'static str),
}

/// A position in bytes whose start is aligned to 8.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
    cut: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], big: bool) -> Self {
        Self {
            bytes,
            at: 0,
            big,
            cut: false,
        }
    }

    /// Whether all was read.
    pub(super) fn done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(count).ok_or(Fault::Ended)?;
        let taken = self.bytes.get(self.at..end).ok_or(Fault::Ended)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn align(&mut self, to: usize) -> Result<(), Fault> {
        // The padding before what would come next may be missing at the very end.
        let end = self.at.next_multiple_of(to);
        self.take(end - self.at).map(drop)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        match self.take(1)? {
            [byte] => Ok(*byte),
            _ => Err(Fault::Ended),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.align(N)?;
        self.take(N)?.try_into().map_err(|_| Fault::Ended)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        let raw = self.fixed()?;
        Ok(if self.big {
            u16::from_be_bytes(raw)
        } else {
            u16::from_le_bytes(raw)
        })
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        let raw = self.fixed()?;
        Ok(if self.big {
            u32::from_be_bytes(raw)
        } else {
            u32::from_le_bytes(raw)
        })
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        let raw = self.fixed()?;
        Ok(if self.big {
            u64::from_be_bytes(raw)
        } else {
            u64::from_le_bytes(raw)
        })
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Bad("a boolean is neither 0 nor 1")),
        }
    }

    /// A string or an object path.
    pub(super) fn string(&mut self) -> Result<&'a str, Fault> {
        let length = self.u32()?;
        let length = usize::try_from(length).map_err(|_| Fault::Ended)?;
        let text = self.take(length)?;
        self.end_of_text()?;
        std::str::from_utf8(text).map_err(|_| Fault::Bad("a string is not UTF-8"))
    }

    /// A signature.
    pub(super) fn signature(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.byte()?;
        let text = self.take(usize::from(length))?;
        self.end_of_text()?;
        Ok(text)
    }

    fn end_of_text(&mut self) -> Result<(), Fault> {
        match self.byte()? {
            0 => Ok(()),
            _ => Err(Fault::Bad("a string does not end in NUL")),
        }
    }

    /// Whether it is of an array that is longer than the bytes that are there.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// The elements of an array, whose signature begins with `element`. Where the bytes end
    /// within the array its reader ends there too, and this one is at the end.
    pub(super) fn array(&mut self, element: u8) -> Result<Self, Fault> {
        let length = self.u32()?;
        if length > ARRAY_MAX {
            return Err(Fault::Bad("an array is longer than 64 MiB"));
        }
        self.align(alignment(element)?)?;
        let length = usize::try_from(length).map_err(|_| Fault::Ended)?;
        let declared = self.at.saturating_add(length);
        let end = declared.min(self.bytes.len());
        let elements = Self {
            bytes: self.bytes.get(..end).unwrap_or_default(),
            at: self.at,
            big: self.big,
            cut: end < declared,
        };
        self.at = end;
        Ok(elements)
    }

    /// Goes past one value of the type at the start of `signature`, and gives the rest of that.
    pub(super) fn skip<'s>(&mut self, signature: &'s [u8]) -> Result<&'s [u8], Fault> {
        self.skip_nested(signature, 0)
    }

    fn skip_nested<'s>(&mut self, signature: &'s [u8], depth: u8) -> Result<&'s [u8], Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::Bad("values are nested too deeply"));
        }
        let (&kind, rest) = signature
            .split_first()
            .ok_or(Fault::Bad("a signature ends too early"))?;
        match kind {
            b'y' => self.byte().map(drop)?,
            b'b' => self.boolean().map(drop)?,
            b'n' | b'q' => self.u16().map(drop)?,
            b'i' | b'u' | b'h' => self.u32().map(drop)?,
            b'x' | b't' | b'd' => self.u64().map(drop)?,
            b's' | b'o' => self.string().map(drop)?,
            b'g' => self.signature().map(drop)?,
            b'v' => {
                let inner = self.signature()?;
                if !self.skip_nested(inner, depth + 1)?.is_empty() {
                    return Err(Fault::Bad("a variant holds more than one value"));
                }
            }
            b'a' => {
                let &element = rest
                    .first()
                    .ok_or(Fault::Bad("a signature ends too early"))?;
                if self.array(element)?.is_cut() {
                    return Err(Fault::Ended);
                }
                return past_type(rest, depth + 1);
            }
            b'(' | b'{' => {
                self.align(8)?;
                let close = if kind == b'(' { b')' } else { b'}' };
                let mut inner = rest;
                if inner.first() == Some(&close) {
                    return Err(Fault::Bad("a struct is empty"));
                }
                while inner.first() != Some(&close) {
                    inner = self.skip_nested(inner, depth + 1)?;
                }
                return Ok(inner.get(1..).unwrap_or_default());
            }
            _ => return Err(Fault::Bad("a signature has an unknown type")),
        }
        Ok(rest)
    }
}

/// The alignment of values of a type, by the first character of its signature.
fn alignment(kind: u8) -> Result<usize, Fault> {
    Ok(match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => return Err(Fault::Bad("a signature has an unknown type")),
    })
}

/// What follows the first complete type of `signature`.
pub(super) fn past_type(signature: &[u8], depth: u8) -> Result<&[u8], Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::Bad("values are nested too deeply"));
    }
    let (&kind, mut rest) = signature
        .split_first()
        .ok_or(Fault::Bad("a signature ends too early"))?;
    match kind {
        b'a' => past_type(rest, depth + 1),
        b'(' | b'{' => {
            let close = if kind == b'(' { b')' } else { b'}' };
            while rest.first() != Some(&close) {
                rest = past_type(rest, depth + 1)?;
            }
            Ok(rest.get(1..).unwrap_or_default())
        }
        _ => alignment(kind).map(|_| rest),
    }
}
