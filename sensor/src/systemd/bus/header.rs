//! The header of a message that no bus has looked at.
//!
//! A bus lets through what is well formed alone, and says who sent it. On a private socket both
//! is up to the far end, and the library takes the header on trust: systemd puts its well-known name
//! where a unique one is expected, and a stranger could put anything.

use zbus::names::{BusName, ErrorName, InterfaceName, MemberName, UniqueName};
use zbus::zvariant::ObjectPath;

/// Length of the fixed part.
pub(super) const FIXED: usize = 16;
/// Longest header that is taken, without the fixed part.
const FIELDS_MAX: usize = 64 << 10;

/// How long a message is, by its first [`FIXED`] bytes: up to its body, and in all.
pub(super) fn lengths(fixed: &[u8; FIXED]) -> Option<(usize, usize)> {
    let order = Order::of(fixed[0])?;
    let body = usize::try_from(order.number(fixed.get(4..8)?)?).ok()?;
    let fields = usize::try_from(order.number(fixed.get(12..16)?)?).ok()?;
    if fields > FIELDS_MAX {
        return None;
    }
    let header = (FIXED + fields).next_multiple_of(8);
    Some((header, header.checked_add(body)?))
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            b'l' => Some(Self::Little),
            b'B' => Some(Self::Big),
            _ => None,
        }
    }

    fn number(self, bytes: &[u8]) -> Option<u32> {
        let bytes = bytes.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }
}

/// Makes the header of a whole message one that can be believed: checks every name, and puts a
/// unique one in the place of the sender. `None` for what is not well formed.
#[must_use]
pub fn sanitize(message: &mut [u8]) -> Option<()> {
    let order = Order::of(*message.first()?)?;
    let fields = usize::try_from(order.number(message.get(12..FIXED)?)?).ok()?;
    let end = FIXED
        .checked_add(fields)
        .filter(|end| fields <= FIELDS_MAX && *end <= message.len())?;
    let mut at = FIXED;
    while at < end {
        let code = *message.get(at)?;
        // A signature of one letter, and its zero.
        let &[1, kind, 0] = message.get(at + 1..at + 4)? else {
            return None;
        };
        at += 4;
        at = match kind {
            b'u' => at + 4,
            b'g' => at + usize::from(*message.get(at)?) + 2,
            b's' | b'o' => {
                let length = usize::try_from(order.number(message.get(at..at + 4)?)?).ok()?;
                let text = at + 4;
                let text = text..text.checked_add(length)?;
                let after = text.end + 1;
                name(code, message.get_mut(text)?)?;
                after
            }
            _ => return None,
        };
        if at > end {
            return None;
        }
        at = at.next_multiple_of(8);
    }
    Some(())
}

/// Checks the value of a field that is text.
fn name(code: u8, bytes: &mut [u8]) -> Option<()> {
    if code == 7 {
        // Who sends is known: there is one far end.
        let unique = b":1.".iter().chain(std::iter::repeat(&b'0'));
        bytes
            .iter_mut()
            .zip(unique)
            .for_each(|(to, from)| *to = *from);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let valid = match code {
        1 => ObjectPath::try_from(text).is_ok(),
        2 => InterfaceName::try_from(text).is_ok(),
        3 => MemberName::try_from(text).is_ok(),
        4 => ErrorName::try_from(text).is_ok(),
        6 => BusName::try_from(text).is_ok(),
        7 => UniqueName::try_from(text).is_ok(),
        _ => false,
    };
    valid.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::Message;

    /// A signal as systemd sends it on its private socket.
    fn signal() -> Vec<u8> {
        let message = Message::signal(
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "Reloading",
        );
        let message = message
            .and_then(|it| it.sender(":1.000000000000000000000"))
            .and_then(|it| it.build(&true))
            .expect("a message");
        let mut bytes = message.data().to_vec();
        replace(
            &mut bytes,
            b":1.000000000000000000000",
            b"org.freedesktop.systemd1",
        );
        bytes
    }

    fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|it| it == from);
        let at = at.expect("is in it");
        bytes[at..at + to.len()].copy_from_slice(to);
    }

    #[test]
    fn the_sender_becomes_a_unique_name() {
        let mut bytes = signal();
        let fixed = bytes.first_chunk().expect("long enough");
        let (header, whole) = lengths(fixed).expect("well formed");
        assert_eq!((header + 4, whole), (bytes.len(), bytes.len()));
        assert_eq!(sanitize(&mut bytes), Some(()));
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(":1.000000000000000000000"), "{text}");
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for (from, to) in [
            (&b"Reloading"[..], &b"Reload ng"[..]),
            (b"systemd1.Manager", b"systemd1..anager"),
            (b"/org/freedesktop/systemd1", b"/org/freedesktop//ystemd1"),
        ] {
            let mut bytes = signal();
            replace(&mut bytes, from, to);
            assert_eq!(sanitize(&mut bytes), None);
        }
        for end in 0..signal().len() - 8 {
            let mut bytes = signal();
            bytes.truncate(end);
            // Cut after the header it may pass: the body is not looked at.
            let _ = sanitize(&mut bytes);
        }
        assert_eq!(sanitize(&mut []), None);
    }
}
