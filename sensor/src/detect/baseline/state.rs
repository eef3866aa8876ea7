//! What a baseline holds. Fields stand in the order of their names, and maps are sorted: so the same
//! state has the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::systemd::inventory::{FileFacts, Inventory, Owned, UnitFacts};
use crate::systemd::load_path::Area;
use crate::systemd::timer::TimerExpression;
use crate::systemd::unit_name::UnitType;

/// A file or directory that a unit rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileState {
    /// Whether it has an access control list beyond its mode.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acl: bool,
    /// Group.
    pub gid: u32,
    /// Where it leads, of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Type and permissions, in octal.
    pub mode: String,
    /// The package that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What it is to units: `place`, `unit`, `drop-in`, `command`, `environment`, `rules`.
    pub role: String,
    /// SHA-256 of its content in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether its content is what its package brought.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shipped: bool,
    /// Owner.
    pub uid: u32,
}

/// A unit, by what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitState {
    /// Its commands, as `ExecStart=/x y`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Paths of its drop-ins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_ins: Vec<String>,
    /// Whether a dependency link pulls it in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// The path of its file.
    pub file: String,
    /// Whether it is masked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// Whether its file and drop-ins are as packages brought them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shipped: bool,
    /// What it starts, of a timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// The user it runs as; absent when that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// When it elapses, of a timer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<String>,
}

/// The trusted state of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Files and directories by path.
    pub files: BTreeMap<String, FileState>,
    /// The host's name, for people.
    pub host: String,
    /// When it was taken, in milliseconds since the epoch.
    pub time: u64,
    /// Units by scope and name: `system upd.timer`.
    pub units: BTreeMap<String, UnitState>,
    /// Names of users, by id.
    pub users: BTreeMap<u32, String>,
}

impl State {
    /// The state that an inventory shows.
    #[must_use]
    pub fn of(inventory: &Inventory, host: &str, time: u64) -> Self {
        let mut state = Self {
            host: host.to_owned(),
            time,
            ..Self::default()
        };
        for account in &inventory.accounts {
            let name = || account.name.clone();
            state.users.entry(account.uid).or_insert_with(name);
        }
        for unit in &inventory.units {
            // Sessions come and go.
            if unit.name.kind() == UnitType::Scope {
                continue;
            }
            let key = Self::key(&unit.scope.label(), unit.name.as_str());
            state.units.insert(key, unit_state(unit));
            state.add(&unit.file, "unit");
            for drop_in in &unit.drop_ins {
                state.add(&drop_in.file, "drop-in");
            }
            for command in &unit.commands {
                for file in command.target.file().into_iter().chain(&command.scripts) {
                    state.add(file, "command");
                }
            }
            for file in &unit.environment_files {
                state.add(file, "environment");
            }
        }
        for place in &inventory.places {
            // What timers leave behind when they elapse, and scopes.
            let path = place.file.path.to_string_lossy();
            if place.area != Area::TimerStamps && !path.contains(".scope") {
                state.add(&place.file, "place");
            }
        }
        for file in &inventory.rules {
            state.add(file, "rules");
        }
        for (path, target) in &inventory.links {
            if let Some(file) = state.files.get_mut(path) {
                file.link = Some(target.clone());
            }
        }
        state
    }

    /// The key of a unit.
    #[must_use]
    pub fn key(scope: &str, unit: &str) -> String {
        format!("{scope} {unit}")
    }

    fn add(&mut self, file: &FileFacts, role: &str) {
        let path = file.path.to_string_lossy().into_owned();
        let inode = file.inode();
        // A link to nothing is a fact as well: the step of the link itself.
        let step = file
            .trace
            .steps
            .iter()
            .rev()
            .find(|step| step.path == file.path);
        let Some(inode) = inode.or(step.map(|step| &step.inode)) else {
            return;
        };
        let package = match &file.owned {
            Owned::By(it) => Some(it.package.clone()),
            Owned::No | Owned::Unknown => None,
        };
        // The first role stays: a unit's file lies in a place, too.
        self.files.entry(path).or_insert_with(|| FileState {
            acl: inode.acl.is_some(),
            gid: inode.gid,
            link: None,
            mode: format!("{:o}", inode.mode),
            package,
            role: role.to_owned(),
            sha256: file.sha256.clone(),
            shipped: file.is_shipped(),
            uid: inode.uid,
        });
    }
}

fn unit_state(unit: &UnitFacts) -> UnitState {
    let when = unit.timer.iter().flat_map(|timer| &timer.expressions);
    UnitState {
        commands: unit
            .commands
            .iter()
            .map(|it| {
                let it = &it.command;
                format!("{}={}{}", it.key, it.prefixes, it.argv.join(" "))
            })
            .collect(),
        drop_ins: unit
            .drop_ins
            .iter()
            .map(|it| it.file.path.to_string_lossy().into_owned())
            .collect(),
        enabled: unit.pulled,
        file: unit.file.path.to_string_lossy().into_owned(),
        masked: unit.masked,
        shipped: unit.is_shipped(),
        starts: unit
            .timer
            .as_ref()
            .and_then(|timer| timer.unit.as_ref())
            .map(ToString::to_string),
        uid: unit.runs_as,
        when: when
            .map(|it| match it {
                TimerExpression::Calendar(text) => format!("calendar {text}"),
                TimerExpression::Monotonic(base, span) => {
                    format!("{base:?} {} us", span.as_micros())
                }
            })
            .collect(),
    }
}
