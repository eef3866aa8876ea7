//! What a recorded case is made of.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Input {
    pub(crate) at: u64,
    /// Facts that were lost before this one.
    #[serde(default)]
    pub(crate) lost: u64,
    /// The user whose manager told it; none for PID 1.
    #[serde(default)]
    pub(crate) by: Option<u32>,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Connected(String),
    Disconnected(String),
    Gone,
    Reloading(bool),
    /// Timer, time of its last firing.
    Timer(String, u64),
    TimerAsked(String, u64),
    Unit(UnitInput),
    Links(LinksInput),
    Restarts(String, u32),
    Job(u32, String),
    JobStanding(u32, String),
    /// Job, type, trigger with time: null before 252, an empty name for none.
    JobRead(u32, String, Option<(String, u64)>),
    JobGone(u32),
    JobRemoved(u32, String),
    UnitNew(String),
    UnitRemoved(String),
    Exec(ExecInput),
    Tick,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UnitInput {
    pub(crate) name: String,
    pub(crate) active: String,
    pub(crate) sub: String,
    pub(crate) id: String,
    pub(crate) left: u64,
    pub(crate) ended: u64,
    pub(crate) details: Option<(String, u64)>,
    pub(crate) asked: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LinksInput {
    pub(crate) name: String,
    pub(crate) triggers: Vec<String>,
    pub(crate) triggered_by: Vec<String>,
    pub(crate) pulled_by: Vec<String>,
    pub(crate) restarted_with: Vec<String>,
    pub(crate) upheld_by: Vec<String>,
    pub(crate) handler_of: Vec<String>,
    pub(crate) handlers: Vec<String>,
    pub(crate) bus_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExecInput {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) id: Option<String>,
    /// `TRIGGER_UNIT` in the environment.
    pub(crate) hint: Option<String>,
    pub(crate) user: Option<u32>,
    /// Not a child of the manager itself.
    pub(crate) descends: bool,
}
