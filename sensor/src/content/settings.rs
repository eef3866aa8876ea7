//! What a unit file sets that tells what the unit does.

use std::time::Duration;

use crate::event::{FileClass, UnitSettings};
use crate::systemd::calendar::smallest_interval;
use crate::systemd::service::EXEC_KEYS;
use crate::systemd::timer::{Timer, TimerExpression};
use crate::systemd::unit_file::UnitFile;
use crate::systemd::unit_name::{UnitName, UnitType};
use crate::systemd::words::expand;

/// Most bytes of all values together.
const BYTES_MAX: usize = 16 << 10;
/// Longest value in bytes.
const VALUE_MAX: usize = 1024;
/// Most values of one list.
const LIST_MAX: usize = 64;
/// Most calendar expressions that are worked out.
const CALENDARS_MAX: usize = 8;

/// The commands of sockets, mounts and swaps that services do not have.
const OTHER_EXEC_KEYS: [&str; 1] = ["ExecStopPre"];

const PULLS_IN: [&str; 4] = ["Requires", "Wants", "BindsTo", "Upholds"];
const ON_END: [&str; 2] = ["OnFailure", "OnSuccess"];
const INSTALLS: [&str; 5] = ["WantedBy", "RequiredBy", "UpheldBy", "Alias", "Also"];
const WHEN_TIMER: [&str; 8] = [
    "OnCalendar",
    "OnActiveSec",
    "OnBootSec",
    "OnStartupSec",
    "OnUnitActiveSec",
    "OnUnitInactiveSec",
    "OnClockChange",
    "OnTimezoneChange",
];
const WHEN_PATH: [&str; 5] = [
    "PathExists",
    "PathExistsGlob",
    "PathChanged",
    "PathModified",
    "DirectoryNotEmpty",
];
const WHEN_SOCKET: [&str; 9] = [
    "ListenStream",
    "ListenDatagram",
    "ListenSequentialPacket",
    "ListenFIFO",
    "ListenSpecial",
    "ListenNetlink",
    "ListenMessageQueue",
    "ListenUSBFunction",
    "ListenUSBFunctionDescriptors",
];

/// What the bytes of a unit file or drop-in set; `None` for any other class, and when `unit` is
/// neither a unit's name nor a type.
pub(super) fn parse(class: FileClass, unit: &str, bytes: &[u8]) -> Option<UnitSettings> {
    let drop_in = match class {
        FileClass::UnitFile | FileClass::DependencyLink => false,
        FileClass::DropIn => true,
        _ => return None,
    };
    let name = UnitName::parse(unit).ok();
    let kind = match &name {
        Some(name) => name.kind(),
        None => UnitType::from_suffix(unit)?,
    };
    let (file, _) = UnitFile::parse(bytes);
    let mut reader = Reader {
        file: &file,
        // Of these a value is not the same for all units that it is for.
        name: name
            .as_ref()
            .filter(|name| !name.is_template() && !name.prefix().ends_with('-')),
        drop_in,
        left: BYTES_MAX,
        truncated: false,
    };
    let mut settings = reader.settings(kind, name.as_ref());
    settings.masked = !drop_in && bytes.is_empty();
    Some(settings)
}

/// Of a link to `/dev/null`.
pub(super) fn masked(unit: &str) -> Option<UnitSettings> {
    Some(UnitSettings {
        kind: UnitName::parse(unit).ok()?.kind().as_str(),
        masked: true,
        ..UnitSettings::default()
    })
}

/// The section that a type of unit has for itself.
fn section(kind: UnitType) -> &'static str {
    match kind {
        UnitType::Service => "Service",
        UnitType::Socket => "Socket",
        UnitType::Timer => "Timer",
        UnitType::Path => "Path",
        UnitType::Mount => "Mount",
        UnitType::Automount => "Automount",
        UnitType::Swap => "Swap",
        UnitType::Slice => "Slice",
        UnitType::Scope => "Scope",
        UnitType::Target | UnitType::Device => "Unit",
    }
}

struct Reader<'a> {
    file: &'a UnitFile,
    name: Option<&'a UnitName>,
    drop_in: bool,
    left: usize,
    truncated: bool,
}

impl Reader<'_> {
    fn settings(&mut self, kind: UnitType, name: Option<&UnitName>) -> UnitSettings {
        let own = section(kind);
        let mut settings = UnitSettings {
            kind: kind.as_str(),
            ..UnitSettings::default()
        };
        for key in EXEC_KEYS.iter().chain(&OTHER_EXEC_KEYS) {
            let lines = self.pairs(own, key);
            self.extend(&mut settings.runs, lines);
        }
        settings.user = self.file.last(own, "User").map(|user| self.show(user));
        settings.user = settings.user.take().and_then(|user| self.bound(user));
        let files = self.pairs(own, "EnvironmentFile");
        let files = files.into_iter().map(|(_, value)| (None, value)).collect();
        self.extend(&mut settings.environment_files, files);
        let when: &[&str] = match kind {
            UnitType::Timer => &WHEN_TIMER,
            UnitType::Path => &WHEN_PATH,
            UnitType::Socket => &WHEN_SOCKET,
            UnitType::Automount => &["Where"],
            _ => &[],
        };
        self.collect(&mut settings.when, own, when);
        if kind == UnitType::Timer {
            self.timer(&mut settings, name);
        }
        let unit = self.triggers(kind, own, name);
        settings.triggers = unit.and_then(|unit| self.bound(unit));
        self.collect(&mut settings.pulls_in, "Unit", &PULLS_IN);
        self.collect(&mut settings.on_end, "Unit", &ON_END);
        self.collect(&mut settings.installs, "Install", &INSTALLS);
        settings.truncated = self.truncated;
        settings
    }

    fn timer(&mut self, settings: &mut UnitSettings, name: Option<&UnitName>) {
        settings.persistent = self.file.boolean("Timer", "Persistent").unwrap_or(false);
        // The name decides nothing of what is asked here.
        let any = UnitName::parse("any.timer").ok();
        let Some(name) = name.or(any.as_ref()) else {
            return;
        };
        let timer = Timer::new(name, self.file);
        let mut smallest = timer.smallest_repeat();
        let calendars = timer.expressions.iter().filter_map(|it| match it {
            TimerExpression::Calendar(text) => Some(text),
            TimerExpression::Monotonic(..) => None,
        });
        for (at, text) in calendars.enumerate() {
            if at == CALENDARS_MAX {
                self.truncated = true;
                break;
            }
            // One that elapses each second takes a while to work out; it is short enough.
            if smallest.is_some_and(|smallest| smallest <= Duration::from_secs(1)) {
                break;
            }
            smallest = smallest.into_iter().chain(smallest_interval(text)).min();
        }
        let rounded_up = |span: Duration| {
            span.as_secs()
                .saturating_add(u64::from(span.subsec_nanos() > 0))
        };
        settings.interval_seconds = smallest.map(rounded_up);
    }

    /// The unit that is named, else for a whole file the one that its own name stands for.
    fn triggers(&self, kind: UnitType, own: &str, name: Option<&UnitName>) -> Option<String> {
        let (key, other) = match kind {
            UnitType::Timer | UnitType::Path => ("Unit", UnitType::Service),
            UnitType::Socket => ("Service", UnitType::Service),
            UnitType::Automount => ("", UnitType::Mount),
            _ => return None,
        };
        // The first valid one counts, as for `Timer`; of a template the name is not known yet.
        let named = self
            .file
            .raw(own, key)
            .map(|value| self.show(value))
            .find(|value| UnitName::parse(value).is_ok() || value.contains('%'));
        if named.is_some() || self.drop_in {
            return named;
        }
        let name = name?;
        let each = kind == UnitType::Socket && self.file.boolean(own, "Accept") == Some(true);
        if each {
            return Some(format!("{}@.service", name.prefix()));
        }
        Some(name.with_kind(other)?.as_str().to_owned())
    }

    /// The values of a list; in a drop-in the empty ones too, since they drop others.
    fn pairs(&self, section: &str, key: &'static str) -> Vec<(Option<&'static str>, String)> {
        let values = if self.drop_in {
            self.file.raw(section, key).collect()
        } else {
            self.file.values(section, key)
        };
        // No more than can be shown, and one to tell that there are more.
        let values = values.into_iter().take(LIST_MAX + 1);
        values.map(|value| (Some(key), self.show(value))).collect()
    }

    fn collect(&mut self, list: &mut Vec<String>, section: &str, keys: &[&'static str]) {
        for key in keys {
            let pairs = self.pairs(section, key);
            self.extend(list, pairs);
        }
    }

    fn extend(&mut self, list: &mut Vec<String>, pairs: Vec<(Option<&'static str>, String)>) {
        for (key, value) in pairs {
            if list.len() == LIST_MAX {
                self.truncated = true;
                return;
            }
            let text = match key {
                Some(key) => format!("{key}={value}"),
                None => value,
            };
            list.extend(self.bound(text));
        }
    }

    fn show(&self, value: &str) -> String {
        match self.name {
            Some(name) => expand(value, name),
            None => value.to_owned(),
        }
    }

    /// A value cut to what is shown of one; `None` when there is no room left.
    fn bound(&mut self, mut value: String) -> Option<String> {
        if value.len() > VALUE_MAX {
            self.truncated = true;
            value.truncate(value.floor_char_boundary(VALUE_MAX - '…'.len_utf8()));
            value.push('…');
        }
        match self.left.checked_sub(value.len()) {
            Some(left) => {
                self.left = left;
                Some(value)
            }
            None => {
                self.truncated = true;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
