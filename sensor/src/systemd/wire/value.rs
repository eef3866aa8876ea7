//! Values as short texts.

use super::TEXT_MAX;
use super::reader::{Fault, Reader};

/// Deepest nesting that is written out.
const DEPTH_MAX: u8 = 8;

/// A value of any type: its signature, and a reader that stands at it.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    pub(super) signature: &'a [u8],
    pub(super) reader: Reader<'a>,
}

impl<'a> Value<'a> {
    /// Reads a variant's signature. The reader is not moved past the value.
    pub(super) fn of_variant(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let signature = reader.signature()?;
        Ok(Self {
            signature,
            reader: reader.clone(),
        })
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        let is_text = matches!(self.signature, b"s" | b"o");
        is_text.then(|| self.reader.clone().string().ok()).flatten()
    }

    /// The value as a text: lists with blanks between their items. `None` if it is more than is
    /// told or cannot be read; what was read until then is in `out` all the same.
    pub(super) fn write(&self, out: &mut String) -> Option<()> {
        let mut reader = self.reader.clone();
        write(&mut reader, self.signature, out, 0).map(drop)
    }
}

fn write<'s>(
    reader: &mut Reader<'_>,
    signature: &'s [u8],
    out: &mut String,
    depth: u8,
) -> Option<&'s [u8]> {
    if depth > DEPTH_MAX || out.len() > TEXT_MAX {
        return None;
    }
    let (&kind, rest) = signature.split_first()?;
    match kind {
        b'y' => out.push_str(&reader.byte().ok()?.to_string()),
        b'b' => out.push_str(if reader.boolean().ok()? { "yes" } else { "no" }),
        b'n' => out.push_str(&reader.u16().ok()?.cast_signed().to_string()),
        b'q' => out.push_str(&reader.u16().ok()?.to_string()),
        b'i' => out.push_str(&reader.u32().ok()?.cast_signed().to_string()),
        b'u' => out.push_str(&reader.u32().ok()?.to_string()),
        b'h' => {
            reader.u32().ok()?;
            out.push_str("(a file descriptor)");
        }
        b'x' => out.push_str(&reader.u64().ok()?.cast_signed().to_string()),
        b't' => out.push_str(&reader.u64().ok()?.to_string()),
        b'd' => out.push_str(&f64::from_bits(reader.u64().ok()?).to_string()),
        b's' | b'o' => push(out, reader.string().ok()?),
        b'g' => push(out, &String::from_utf8_lossy(reader.signature().ok()?)),
        b'v' => {
            let inner = reader.signature().ok()?;
            write(reader, inner, out, depth + 1)?;
        }
        b'a' => return list(reader, rest, out, depth),
        b'(' | b'{' => {
            reader.align(8).ok()?;
            let close = if kind == b'(' { b')' } else { b'}' };
            let mut inner = rest;
            while inner.first() != Some(&close) {
                separate(out);
                inner = write(reader, inner, out, depth + 1)?;
            }
            return inner.get(1..);
        }
        _ => return None,
    }
    Some(rest)
}

fn list<'s>(
    reader: &mut Reader<'_>,
    element: &'s [u8],
    out: &mut String,
    depth: u8,
) -> Option<&'s [u8]> {
    let mut items = reader.array(*element.first()?).ok()?;
    let (&kind, mut rest) = element.split_first()?;
    if kind == b'y' {
        let mut count = 0usize;
        while items.byte().is_ok() {
            count += 1;
        }
        // Bytes are data, as credentials and images are.
        out.push_str(&format!("({count} bytes)"));
        return (!items.is_cut()).then_some(rest);
    }
    if items.done() {
        rest = super::reader::past_type(element, 0).ok()?;
    }
    while !items.done() {
        separate(out);
        rest = write(&mut items, element, out, depth + 1)?;
    }
    (!items.is_cut()).then_some(rest)
}

fn separate(out: &mut String) {
    if !out.is_empty() && !out.ends_with([' ', '=']) {
        out.push(' ');
    }
}

fn push(out: &mut String, text: &str) {
    let room = TEXT_MAX.saturating_sub(out.len());
    let mut end = room.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.push_str(text.get(..end).unwrap_or_default());
}
