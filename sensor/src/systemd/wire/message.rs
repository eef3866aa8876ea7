//! From D-Bus messages to requests.

use super::header::{Header, MessageKind};
use super::reader::{Fault, Reader};
use super::{Peer, lacks, methods, text};
use crate::event::{Protocol, Request, RequestClass};

/// A D-Bus message, as far as it was captured.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header<'a>,
    /// Its body, or the beginning of it.
    pub body: &'a [u8],
    /// Whether its end is missing.
    pub truncated: bool,
}

/// Names on the bus that take requests about units.
const DESTINATIONS: [&str; 4] = methods::SYSTEMD;

/// Whether a message asks something of a manager, or of a helper something that ends in units.
/// Replies and signals never do.
///
/// The manager can be addressed by its unique name (`:1.3`) too; then the interface or path tells.
#[must_use]
pub fn concerns(header: &Header<'_>, peer: Peer) -> bool {
    if header.kind != MessageKind::Call {
        return false;
    }
    if peer == Peer::Manager {
        return true;
    }
    let interface = header.interface.unwrap_or_default();
    let path = header.path.unwrap_or_default();
    let Some(destination) = header.destination else {
        // What is addressed to nobody is for the bus itself, unless the header is cut.
        return header.fault.is_some() && is_systemds(path);
    };
    let named = DESTINATIONS.contains(&destination);
    let unique = destination.starts_with(':');
    if !named && !unique {
        return false;
    }
    if destination == "org.freedesktop.systemd1" {
        return true;
    }
    // Of logind, portabled and machined only some methods matter.
    let units = methods::concerns_units(interface) || unique && is_systemds(path);
    units
        || header
            .member
            .is_some_and(|member| methods::find(Some(interface), member).is_some())
            && interface != "org.freedesktop.DBus.Properties"
}

fn is_systemds(path: &str) -> bool {
    path.strip_prefix("/org/freedesktop/systemd1")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Message<'_> {
    /// What it asks. Whether it is to a manager at all says [`concerns`].
    #[must_use]
    pub fn request(&self) -> Request {
        let header = &self.header;
        let mut truncated = self.truncated;
        let mut own = |part: Option<&str>| part.map(|part| text(part, &mut truncated));
        let mut request = Request {
            protocol: Protocol::Dbus,
            method: own(header.member),
            interface: own(header.interface),
            object: own(header.path),
            destination: own(header.destination),
            ..Request::default()
        };
        request.truncated = truncated;
        if let Some(fault) = header.fault {
            lacks(&mut request, &fault.to_string());
        }
        self.of_object(&mut request);
        let Some(member) = header.member else {
            lacks(&mut request, "it has no method");
            return request;
        };
        let Some(method) = methods::find(header.interface, member) else {
            let read = methods::is_read(header.interface.unwrap_or_default(), member);
            request.class = if read {
                RequestClass::Read
            } else {
                lacks(&mut request, "the method is not known");
                RequestClass::Unknown
            };
            return request;
        };
        request.class = method.class;
        let expected: String = method.args.iter().map(|arg| arg.signature()).collect();
        if header.signature != expected.as_bytes() {
            let found = String::from_utf8_lossy(header.signature);
            let why = format!("its arguments are \"{found}\", not \"{expected}\"");
            lacks(&mut request, &text(&why, &mut false));
            return request;
        }
        let mut reader = Reader::new(self.body, header.big);
        let outcome = method
            .args
            .iter()
            .try_for_each(|arg| arg.read(&mut reader, &mut request));
        classify(&mut request);
        match outcome {
            Ok(()) => {}
            // What is missing was not captured: that is told already.
            Err(Fault::Ended) if self.truncated => {}
            Err(fault) => lacks(&mut request, &format!("in its arguments {fault}")),
        }
        request
    }

    /// Takes the unit or job from the path of its object.
    fn of_object(&self, request: &mut Request) {
        let Some(path) = self.header.path else {
            return;
        };
        if let Some(unit) = unit_of_object(path) {
            request.units.push(text(&unit, &mut request.truncated));
        } else if let Some(job) = path.strip_prefix("/org/freedesktop/systemd1/job/") {
            let job = text(job, &mut request.truncated);
            request.arguments.push(format!("job={job}"));
        } else if let Some(machine) = path.strip_prefix("/org/freedesktop/machine1/machine/") {
            let machine = text(&unescape(machine), &mut request.truncated);
            request.arguments.push(format!("machine={machine}"));
        }
    }
}

/// What is started or stopped, when the method leaves it to an argument.
fn classify(request: &mut Request) {
    let stops = request.class == RequestClass::Start
        && request
            .arguments
            .iter()
            .any(|argument| argument == "job=stop");
    if stops {
        request.class = RequestClass::Stop;
    }
}

/// The unit of an object's path: `upd.timer` of `/org/freedesktop/systemd1/unit/upd_2etimer`.
#[must_use]
pub fn unit_of_object(path: &str) -> Option<String> {
    path.strip_prefix("/org/freedesktop/systemd1/unit/")
        .map(unescape)
}

/// `bus_label_unescape`: `_2e` is a byte, `_` alone nothing.
fn unescape(label: &str) -> String {
    if label == "_" {
        return String::new();
    }
    let mut bytes = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail
            .get(..2)
            .filter(|digits| first == b'_' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(hex.unwrap_or(first));
        if hex.is_some() {
            rest = tail.get(2..).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
