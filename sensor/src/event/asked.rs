//! Somebody asked a manager for something.

use std::sync::Arc;

use super::{Actor, Grade, Manager, Process, Request, RequestClass, Tier, TransientUnit};

/// By what means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// A message.
    Message(Box<Request>),
    /// A connection on which nothing was asked that could be seen.
    Connection,
    /// A signal.
    Signal(u32),
    /// The FIFO of systemd-initctl was opened for writing.
    Initctl,
}

/// One request, with its author as measured in the sender's own context.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who was asked.
    pub manager: Manager,
    /// The manager's process; [`Process::unknown`] when it is not known.
    pub target: Arc<Process>,
    /// Who asked.
    pub author: Actor,
    /// Where the author's session comes from.
    pub login: Login,
    /// How, and what for.
    pub means: Means,
    /// The socket or FIFO, on the host.
    pub socket: Option<String>,
    /// How it was seen.
    pub tier: Tier,
}

/// Where a login session comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The terminal, as `pts/0`.
    pub tty: Option<String>,
    /// Address and port of the other end of the session's sshd connection.
    pub peer: Option<std::net::SocketAddr>,
}

impl Asked {
    /// OCSF `type_uid` of its event: Process Activity, Other.
    pub const TYPE_UID: u32 = 100_799;

    /// The message, if it was one.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        match &self.means {
            Means::Message(request) => Some(request),
            _ => None,
        }
    }

    /// What it is for. Signals mean what systemd(1) says; what systemd-initctl is told is not
    /// known.
    #[must_use]
    pub fn class(&self) -> RequestClass {
        match &self.means {
            Means::Message(request) => request.class,
            Means::Connection => RequestClass::Undecoded,
            Means::Initctl => RequestClass::Control,
            Means::Signal(signal) => match signal_name(*signal).as_str() {
                "SIGHUP" => RequestClass::Reload,
                // A user manager ends by it.
                "SIGTERM" if self.manager == Manager::System => RequestClass::Reload,
                "SIGINT" | "SIGWINCH" | "SIGPWR" => RequestClass::Start,
                "SIGRTMIN" | "SIGRTMIN+1" | "SIGRTMIN+2" | "SIGRTMIN+3" | "SIGRTMIN+4"
                | "SIGRTMIN+5" | "SIGRTMIN+6" | "SIGRTMIN+7" => RequestClass::Start,
                _ => RequestClass::Control,
            },
        }
    }

    /// What was called: the method, or the signal's name.
    #[must_use]
    pub fn method(&self) -> String {
        match &self.means {
            Means::Message(request) => match &request.method {
                Some(method) => method.clone(),
                None => "unknown".to_owned(),
            },
            Means::Connection => "connect".to_owned(),
            Means::Initctl => "initctl".to_owned(),
            Means::Signal(signal) => signal_name(*signal),
        }
    }

    /// The units that it names.
    #[must_use]
    pub fn units(&self) -> &[String] {
        self.request().map_or(&[], |request| &request.units)
    }
}

/// The name of a signal: `SIGHUP`, `SIGRTMIN+1` …
#[must_use]
pub fn signal_name(signal: u32) -> String {
    // glibc keeps the first two for itself.
    const RTMIN: u32 = 34;
    let known = i32::try_from(signal)
        .ok()
        .and_then(|raw| nix::sys::signal::Signal::try_from(raw).ok());
    match known {
        Some(known) => known.as_str().to_owned(),
        None if signal == RTMIN => "SIGRTMIN".to_owned(),
        None if signal > RTMIN => format!("SIGRTMIN+{}", signal - RTMIN),
        None => format!("signal {signal}"),
    }
}

/// Who a manager acted for.
#[derive(Clone, Debug)]
pub struct OnBehalfOf {
    /// Who asked.
    pub author: Actor,
    /// Where the author's session comes from.
    pub login: Login,
    /// How sure it is that this request caused it.
    pub grade: Grade,
    /// What was called.
    pub method: String,
    /// What for.
    pub class: RequestClass,
    /// `metadata.uid` of the request's event.
    pub event_uid: String,
    /// When it was asked.
    pub time: super::Timestamp,
    /// Why it is not certain.
    pub doubt: Option<&'static str>,
    /// The units that `StartTransientUnit` makes.
    pub transient: Vec<TransientUnit>,
    /// Whether a container engine as its package brought it had the health check of a container made
    /// a timer, and nothing else.
    pub health_check: bool,
}
