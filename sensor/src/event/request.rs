//! What a process asked a manager for.

use serde::Serialize;

/// How a request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A D-Bus method call.
    #[default]
    Dbus,
    /// A varlink call: NUL-terminated JSON.
    Varlink,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestClass {
    /// Start, restart or reload units.
    Start,
    /// Stop units.
    Stop,
    /// Make a unit that has no file, and start it (`StartTransientUnit`).
    Create,
    /// Make units be started later: enable, link, preset, unmask, a dependency, the default target.
    Enable,
    /// Disable, mask or revert units.
    Disable,
    /// Set properties of a unit or of the manager.
    Set,
    /// Change the environment that the manager gives to what it starts.
    Environment,
    /// Make the manager read all units anew: `Reload`, `Reexecute`.
    Reload,
    /// Put running processes into a unit.
    Attach,
    /// Kill, freeze or thaw what runs in a unit.
    Kill,
    /// Mount something into a unit's file system.
    Mount,
    /// Let a user's manager run without a login (`SetUserLinger`).
    Linger,
    /// Open a shell or a login in a machine.
    Shell,
    /// Attach or detach a portable service.
    Portable,
    /// Anything else that changes the manager's state, as shutting down.
    Control,
    /// Ask without changing anything.
    Read,
    /// A method that is not known here.
    Unknown,
    /// Bytes to a manager that could not be decoded.
    #[default]
    Undecoded,
}

impl RequestClass {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Create => "create",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Set => "set",
            Self::Environment => "environment",
            Self::Reload => "reload",
            Self::Attach => "attach",
            Self::Kill => "kill",
            Self::Mount => "mount",
            Self::Linger => "linger",
            Self::Shell => "shell",
            Self::Portable => "portable",
            Self::Control => "control",
            Self::Read => "read",
            Self::Unknown => "unknown",
            Self::Undecoded => "undecoded",
        }
    }
}

/// One request, as its sender wrote it. All texts are the sender's: nothing says that the manager
/// agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    /// How it is written.
    pub protocol: Protocol,
    /// What it is for.
    pub class: RequestClass,
    /// `StartUnit`, `Reload` …; of varlink as `io.systemd.Manager.Reload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `org.freedesktop.systemd1.Manager` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The object's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The name on the bus it is addressed to; private connections need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The units concerned: names, or paths of unit files where files are enabled or linked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// Mode of the job (`replace`, `isolate` …), or of a preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Flags of the `…WithFlags` methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<u64>,
    /// Whether it is to last until the next boot only: files go to `/run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<bool>,
    /// Whether links that exist are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Processes to put into the unit, as the sender numbers them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<u32>,
    /// Variables for the manager's environment, see [`TransientUnit::environment`]; those to
    /// unset begin with `-`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Properties to set, as `CPUQuotaPerSecUSec=100000`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// Other arguments of the method, as `target=multi-user.target`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// The units that `StartTransientUnit` makes, the one it starts first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transient: Vec<TransientUnit>,
    /// Whether parts are missing, because the message is longer than what was captured or has
    /// more than is kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What could not be decoded, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
}

impl Request {
    /// Bytes to a manager that could not be decoded, and why.
    #[must_use]
    pub fn undecoded(protocol: Protocol, why: impl Into<String>) -> Self {
        Self {
            protocol,
            gap: Some(why.into()),
            ..Self::default()
        }
    }

    /// Whether it asks without changing anything.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.class == RequestClass::Read
    }
}

/// A unit as `StartTransientUnit` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransientUnit {
    /// Its name.
    pub unit: String,
    /// Its commands, in the order of the message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<TransientCommand>,
    /// When a timer elapses: `OnCalendar=daily`, `OnActiveSec=60` in seconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<String>,
    /// `Unit=`: what a timer or path starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggers: Option<String>,
    /// `User=`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `WorkingDirectory=`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// `Environment=`: names, and values of those variables alone that decide which code runs
    /// (`LD_PRELOAD=/x.so`, `PATH=…`), since others can be secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Processes to put into it (`PIDs=` of scopes), as the sender numbers them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<u32>,
    /// All other properties, as `Description=x`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

/// A command of a transient unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransientCommand {
    /// `ExecStart`, `ExecStartPre` …
    pub setting: String,
    /// What is executed.
    pub path: String,
    /// The argument vector.
    pub argv: Vec<String>,
}
