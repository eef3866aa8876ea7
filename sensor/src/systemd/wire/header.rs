//! The headers of D-Bus messages.

use super::reader::{Fault, Reader};

/// Bytes before the array of fields' elements.
pub(super) const FIXED_SIZE: usize = 16;
/// Longest message, as in the specification.
const LENGTH_MAX: u64 = 128 << 20;
/// Longest array of fields, as in the specification.
const FIELDS_MAX: u32 = 64 << 20;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A method is called.
    Call,
    /// What a method gave.
    Return,
    /// A method failed.
    Error,
    /// A signal.
    Signal,
}

/// Why bytes are not the header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The first byte is neither `l` nor `B`.
    #[error("no D-Bus message begins so")]
    Endianness,
    /// The type is none of the four.
    #[error("the header has an unknown type of message")]
    Kind,
    /// The version is not 1.
    #[error("the header is not of version 1 of the protocol")]
    Version,
    /// The lengths are more than the specification allows.
    #[error("the header says that the message is too long")]
    Length,
    /// The serial is 0.
    #[error("the header has no serial")]
    Serial,
    /// The fields end before the header does, or are longer than what is kept.
    #[error("the fields of the header end too early")]
    Ended,
    /// The fields break the specification.
    #[error("in the header {0}")]
    Fields(&'static str),
}

/// The first sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) big: bool,
    pub(super) kind: MessageKind,
    body: u32,
    serial: u32,
    fields: u32,
}

impl Fixed {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let &[endianness, kind, _flags, version, ref numbers @ ..] = bytes else {
            return Err(HeaderFault::Ended);
        };
        let big = match endianness {
            b'l' => false,
            b'B' => true,
            _ => return Err(HeaderFault::Endianness),
        };
        let kind = match kind {
            1 => MessageKind::Call,
            2 => MessageKind::Return,
            3 => MessageKind::Error,
            4 => MessageKind::Signal,
            _ => return Err(HeaderFault::Kind),
        };
        if version != 1 {
            return Err(HeaderFault::Version);
        }
        let mut numbers = Reader::new(numbers, big);
        let mut number = || numbers.u32().map_err(|_| HeaderFault::Ended);
        let fixed = Self {
            big,
            kind,
            body: number()?,
            serial: number()?,
            fields: number()?,
        };
        if fixed.fields > FIELDS_MAX || fixed.length() > LENGTH_MAX {
            return Err(HeaderFault::Length);
        }
        if fixed.serial == 0 {
            return Err(HeaderFault::Serial);
        }
        Ok(fixed)
    }

    /// Bytes before the body.
    fn header_length(&self) -> u64 {
        FIXED_SIZE as u64 + u64::from(self.fields).next_multiple_of(8)
    }

    /// Bytes of the whole message.
    pub(super) fn length(&self) -> u64 {
        self.header_length() + u64::from(self.body)
    }
}

/// How many bytes [`is_plausible`] looks at.
pub(super) const PLACE_SIZE: usize = FIXED_SIZE + 4;

/// Whether bytes look as a message's beginning, with its first field: what does not look so is
/// never taken for one after a loss.
pub(super) fn is_plausible(bytes: &[u8]) -> bool {
    let Ok(fixed) = Fixed::parse(bytes) else {
        return false;
    };
    let kind = match bytes.get(FIXED_SIZE..PLACE_SIZE) {
        Some(&[code, 1, kind, 0]) => field_type(code) == Some(kind),
        _ => false,
    };
    kind && fixed.fields > 4
}

/// The type that the specification gives to a field.
fn field_type(code: u8) -> Option<u8> {
    match code {
        1 => Some(b'o'),
        2 | 3 | 4 | 6 | 7 => Some(b's'),
        5 | 9 => Some(b'u'),
        8 => Some(b'g'),
        _ => None,
    }
}

/// A message's header. Texts are the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// What the message is.
    pub kind: MessageKind,
    /// Whether numbers are in big-endian order.
    pub big: bool,
    /// Number of the message on its connection.
    pub serial: u32,
    /// Bytes of the whole message, as it says.
    pub length: u64,
    /// The object's path.
    pub path: Option<&'a str>,
    /// The interface.
    pub interface: Option<&'a str>,
    /// The method or signal.
    pub member: Option<&'a str>,
    /// The name on the bus.
    pub destination: Option<&'a str>,
    /// The types of the body's values.
    pub signature: &'a [u8],
    /// Why there are no more fields than these.
    pub fault: Option<HeaderFault>,
}

impl<'a> Header<'a> {
    /// Reads the header at the start of `bytes`, and gives it with the part of the body that
    /// follows.
    ///
    /// # Errors
    ///
    /// Says why the first sixteen bytes are not those of a message. Faults of the fields are told
    /// by [`Header::fault`].
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), HeaderFault> {
        let fixed = Fixed::parse(bytes)?;
        let mut header = Self {
            kind: fixed.kind,
            big: fixed.big,
            serial: fixed.serial,
            length: fixed.length(),
            path: None,
            interface: None,
            member: None,
            destination: None,
            signature: &[],
            fault: None,
        };
        let size = usize::try_from(fixed.header_length()).unwrap_or(usize::MAX);
        let head = bytes.get(..size).unwrap_or(bytes);
        header.fault = header.read_fields(head).err().map(|fault| match fault {
            Fault::Ended => HeaderFault::Ended,
            Fault::Bad(why) => HeaderFault::Fields(why),
        });
        Ok((header, bytes.get(size..).unwrap_or_default()))
    }

    fn read_fields(&mut self, head: &'a [u8]) -> Result<(), Fault> {
        // The array's length stands right before the end of the fixed part.
        let mut reader = Reader::new(head, self.big);
        for _ in 0..3 {
            reader.u32()?;
        }
        let mut fields = reader.array(b'(')?;
        let mut seen = 0u16;
        while !fields.done() {
            fields.align(8)?;
            let code = fields.byte()?;
            let signature = fields.signature()?;
            let Some(kind) = field_type(code) else {
                // Unknown fields must be accepted and ignored; 0 is invalid.
                if code == 0 {
                    return Err(Fault::Bad("a field is invalid"));
                }
                if !fields.skip(signature)?.is_empty() {
                    return Err(Fault::Bad("a variant holds more than one value"));
                }
                continue;
            };
            if signature != [kind] {
                return Err(Fault::Bad("a field is of another type"));
            }
            // No library takes a message that has a field twice.
            if seen & 1 << code != 0 {
                return Err(Fault::Bad("a field is there twice"));
            }
            seen |= 1 << code;
            match code {
                1 => self.path = Some(fields.string()?),
                2 => self.interface = Some(fields.string()?),
                3 => self.member = Some(fields.string()?),
                6 => self.destination = Some(fields.string()?),
                8 => self.signature = fields.signature()?,
                _ => {
                    fields.skip(signature)?;
                }
            }
        }
        if fields.is_cut() {
            return Err(Fault::Ended);
        }
        Ok(())
    }
}
