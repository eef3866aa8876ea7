//! From events to bytes, and from bytes to where they go.
//!
//! Encoders ([`ocsf`], [`compact`]) are pure functions of an event and the host it was seen on.
//! The [`sink`] writes lines on a thread of its own and says what it had to drop.

pub mod compact;
pub mod ocsf;
pub mod scan;
pub mod sink;
pub(crate) mod text;
pub mod words;

pub use compact::Style;
pub use sink::{Label, Sink, SinkError, Target, Written};

use crate::event::Event;
use crate::host::Host;
use ocsf::Ocsf;

/// Text of strangers, safe for a terminal, and cut where it is very long.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text::push(&mut out, text, 1000);
    out
}

/// What events look like on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Compact,
    /// OCSF 1.8.0, one JSON object a line.
    Ocsf,
}

impl Format {
    /// The word used on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Ocsf => "ocsf",
        }
    }
}

/// Turns events into lines of one format.
#[derive(Clone, Debug)]
pub struct Encoder(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Compact(Style),
    Ocsf(Ocsf),
}

impl Encoder {
    /// An encoder for events of `host`; `style` matters to [`Format::Compact`] alone.
    ///
    /// # Errors
    ///
    /// As [`Ocsf::new`].
    pub fn new(format: Format, host: &Host, style: Style) -> Result<Self, serde_json::Error> {
        Ok(Self(match format {
            Format::Compact => Kind::Compact(style),
            Format::Ocsf => Kind::Ocsf(Ocsf::new(host)?),
        }))
    }

    /// Appends `event` to `out`, with a newline at the end; nothing where the format says it with
    /// another event. Keep `out` and clear it between events: then nothing is allocated for the
    /// line.
    ///
    /// # Errors
    ///
    /// As [`Ocsf::encode`]; `out` is then as it was.
    pub fn encode(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match &self.0 {
            Kind::Compact(style) => {
                let line = compact::line(event, style);
                if line.is_empty() {
                    return Ok(());
                }
                out.extend_from_slice(line.as_bytes());
            }
            Kind::Ocsf(encoder) => encoder.encode(event, out)?,
        }
        out.push(b'\n');
        Ok(())
    }
}
