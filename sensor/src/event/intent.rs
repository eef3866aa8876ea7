//! What a command is to do, by its command line.

use serde::Serialize;

/// What a run of `systemctl`, `systemd-run`, `at` … is to do, read from its arguments as the tool
/// reads them. It says nothing of whether it succeeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Intent {
    /// The tool: `systemctl`, whatever it is called by.
    pub tool: &'static str,
    /// `start`, `enable` …; `version` and `help` for the options of that name. Of `systemd-run`
    /// what it makes: `service`, `scope`, `timer`, `path`, `socket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// Whose manager: `system`, `user`, `global` (files of all users' managers), `capsule:NAME`.
    pub manager: String,
    /// `-H`: where the manager is that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `-M`: the machine or container of the manager, as `NAME` or `USER@NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// `--root=` or `--image=`: the tool changes files there itself and asks no manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The units concerned, with the suffix that the tool adds; patterns and paths as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// When it is to run: `OnCalendar=daily`, `OnActiveSec=5s`; of `at` the time as it is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<String>,
    /// As whom, where an option or argument says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The command to run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// `org.freedesktop.systemd1.Manager.StartUnit` of `busctl`, `dbus-send`, `gdbus` and
    /// `varlinkctl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Options that change what is done: `now`, `runtime`, `signal=KILL`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Other arguments, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// What of the command line is not understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
}
