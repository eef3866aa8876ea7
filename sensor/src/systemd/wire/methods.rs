//! The methods of managers, with what their arguments mean (systemd 247 to 262).

use super::arguments::Arg::{
    self, Aux, Environment, Force, Mode, Named, Properties, Property, Runtime, SetFlags, Skip,
    Transient, Unit, Units, Unset, WithPids,
};
use crate::event::RequestClass::{
    self, Attach, Control, Create, Disable, Enable, Environment as Env, Kill, Linger, Mount,
    Portable, Reload, Set, Shell, Start, Stop,
};

/// One method.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) member: &'static str,
    pub(super) class: RequestClass,
    pub(super) args: &'static [Arg],
}

const fn method(member: &'static str, class: RequestClass, args: &'static [Arg]) -> Method {
    Method {
        member,
        class,
        args,
    }
}

/// The method `member` of `interface`. With no interface, any that has one of that name.
pub(super) fn find(interface: Option<&str>, member: &str) -> Option<&'static Method> {
    let mut tables = TABLES.iter().filter(|(name, _)| match interface {
        Some(interface) => interface == *name,
        None => true,
    });
    tables.find_map(|(_, table)| table.iter().find(|method| method.member == member))
}

/// Whether a method that is not in the tables asks without changing anything, by its name.
pub(super) fn is_read(interface: &str, member: &str) -> bool {
    let generic = match interface {
        "org.freedesktop.DBus.Properties" => matches!(member, "Get" | "GetAll"),
        "org.freedesktop.DBus.Introspectable" | "org.freedesktop.DBus.Peer" => true,
        "org.freedesktop.DBus.ObjectManager" => true,
        _ => false,
    };
    let systemd = SYSTEMD.iter().any(|prefix| interface.starts_with(prefix));
    let verb = ["Get", "List", "Lookup", "Dump", "Can"]
        .iter()
        .any(|verb| member.starts_with(verb));
    generic || systemd && (verb || READS.contains(&member))
}

/// What the interfaces of managers and their helpers begin with.
pub(super) const SYSTEMD: [&str; 4] = [
    "org.freedesktop.systemd1",
    "org.freedesktop.login1",
    "org.freedesktop.portable1",
    "org.freedesktop.machine1",
];

/// `LoadUnit` and the references make a manager read a unit's files or keep it, no more.
const READS: [&str; 7] = [
    "LoadUnit",
    "Ref",
    "RefUnit",
    "Subscribe",
    "Unref",
    "UnrefUnit",
    "Unsubscribe",
];

type Table = (&'static str, &'static [Method]);

const TABLES: [Table; 11] = [
    ("org.freedesktop.systemd1.Manager", MANAGER),
    ("org.freedesktop.systemd1.Unit", UNIT),
    ("org.freedesktop.systemd1.Service", OF_TYPE),
    ("org.freedesktop.systemd1.Scope", OF_TYPE),
    ("org.freedesktop.systemd1.Slice", OF_TYPE),
    ("org.freedesktop.systemd1.Job", JOB),
    ("org.freedesktop.DBus.Properties", PROPERTIES),
    ("org.freedesktop.login1.Manager", LOGIN),
    ("org.freedesktop.portable1.Manager", PORTABLE),
    ("org.freedesktop.machine1.Manager", MACHINES),
    ("org.freedesktop.machine1.Machine", MACHINE),
];

const MANAGER: &[Method] = &[
    method("StartUnit", Start, &[Unit, Mode]),
    method("StartUnitWithFlags", Start, &[Unit, Mode, SetFlags]),
    method("StartUnitReplace", Start, &[Named("replaces"), Unit, Mode]),
    method("StopUnit", Stop, &[Unit, Mode]),
    method("ReloadUnit", Start, &[Unit, Mode]),
    method("RestartUnit", Start, &[Unit, Mode]),
    method("TryRestartUnit", Start, &[Unit, Mode]),
    method("ReloadOrRestartUnit", Start, &[Unit, Mode]),
    method("ReloadOrTryRestartUnit", Start, &[Unit, Mode]),
    method("EnqueueUnitJob", Start, &[Unit, Named("job"), Mode]),
    method(
        "EnqueueUnitJobMany",
        Start,
        &[Units, Named("job"), Mode, SetFlags],
    ),
    method("EnqueueMarkedJobs", Start, &[]),
    method(
        "StartTransientUnit",
        Create,
        &[Transient, Mode, Properties, Aux],
    ),
    method(
        "StartAuxiliaryScope",
        Create,
        &[Transient, Skip("ah"), SetFlags, Properties],
    ),
    method("KillUnit", Kill, &[Unit, Named("whom"), Arg::Signal]),
    method(
        "KillUnitSubgroup",
        Kill,
        &[Unit, Named("whom"), Named("subgroup"), Arg::Signal],
    ),
    method(
        "QueueSignalUnit",
        Kill,
        &[Unit, Named("whom"), Arg::Signal, Skip("i")],
    ),
    method("FreezeUnit", Kill, &[Unit]),
    method("ThawUnit", Kill, &[Unit]),
    method("AbandonScope", Control, &[Unit]),
    method("CleanUnit", Control, &[Unit, Arg::List("clean")]),
    method("ResetFailedUnit", Control, &[Unit]),
    method("ResetFailed", Control, &[]),
    method("CancelJob", Control, &[Arg::Number("job")]),
    method("ClearJobs", Control, &[]),
    method("SetUnitProperties", Set, &[Unit, Runtime, Properties]),
    method("SetShowStatus", Control, &[Named("show")]),
    method("SetExitCode", Control, &[Skip("y")]),
    method(
        "AttachProcessesToUnit",
        Attach,
        &[Unit, Named("subcgroup"), WithPids],
    ),
    method(
        "RemoveSubgroupFromUnit",
        Control,
        &[Unit, Named("subcgroup"), SetFlags],
    ),
    method(
        "BindMountUnit",
        Mount,
        &[
            Unit,
            Named("source"),
            Named("destination"),
            Skip("b"),
            Skip("b"),
        ],
    ),
    method(
        "MountImageUnit",
        Mount,
        &[
            Unit,
            Named("source"),
            Named("destination"),
            Skip("b"),
            Skip("b"),
            Skip("a(ss)"),
        ],
    ),
    method("SetEnvironment", Env, &[Environment]),
    method("UnsetEnvironment", Env, &[Unset]),
    method("UnsetAndSetEnvironment", Env, &[Unset, Environment]),
    method("EnableUnitFiles", Enable, &[Units, Runtime, Force]),
    method("EnableUnitFilesWithFlags", Enable, &[Units, SetFlags]),
    method("ReenableUnitFiles", Enable, &[Units, Runtime, Force]),
    method("LinkUnitFiles", Enable, &[Units, Runtime, Force]),
    method("PresetUnitFiles", Enable, &[Units, Runtime, Force]),
    method(
        "PresetUnitFilesWithMode",
        Enable,
        &[Units, Mode, Runtime, Force],
    ),
    method("PresetAllUnitFiles", Enable, &[Mode, Runtime, Force]),
    method("UnmaskUnitFiles", Enable, &[Units, Runtime]),
    method(
        "AddDependencyUnitFiles",
        Enable,
        &[Units, Named("target"), Named("dependency"), Runtime, Force],
    ),
    method("SetDefaultTarget", Enable, &[Unit, Force]),
    method("DisableUnitFiles", Disable, &[Units, Runtime]),
    method("DisableUnitFilesWithFlags", Disable, &[Units, SetFlags]),
    method(
        "DisableUnitFilesWithFlagsAndInstallInfo",
        Disable,
        &[Units, SetFlags],
    ),
    method("MaskUnitFiles", Disable, &[Units, Runtime, Force]),
    method("RevertUnitFiles", Disable, &[Units]),
    method("Reload", Reload, &[]),
    method("Reexecute", Reload, &[]),
    method("Exit", Control, &[]),
    method("Reboot", Control, &[]),
    method("SoftReboot", Control, &[Named("root")]),
    method("PowerOff", Control, &[]),
    method("Halt", Control, &[]),
    method("KExec", Control, &[]),
    method("SwitchRoot", Control, &[Named("root"), Named("init")]),
];

const UNIT: &[Method] = &[
    method("Start", Start, &[Mode]),
    method("Stop", Stop, &[Mode]),
    method("Reload", Start, &[Mode]),
    method("Restart", Start, &[Mode]),
    method("TryRestart", Start, &[Mode]),
    method("ReloadOrRestart", Start, &[Mode]),
    method("ReloadOrTryRestart", Start, &[Mode]),
    method("EnqueueJob", Start, &[Named("job"), Mode]),
    method("Kill", Kill, &[Named("whom"), Arg::Signal]),
    method("KillSubgroup", Kill, &[Named("subgroup"), Arg::Signal]),
    method(
        "QueueSignal",
        Kill,
        &[Named("whom"), Arg::Signal, Skip("i")],
    ),
    method("Freeze", Kill, &[]),
    method("Thaw", Kill, &[]),
    method("ResetFailed", Control, &[]),
    method("SetProperties", Set, &[Runtime, Properties]),
    method("Clean", Control, &[Arg::List("clean")]),
];

/// Of services, scopes and slices.
const OF_TYPE: &[Method] = &[
    method("AttachProcesses", Attach, &[Named("subcgroup"), WithPids]),
    method("RemoveSubgroup", Control, &[Named("subcgroup"), SetFlags]),
    method(
        "BindMount",
        Mount,
        &[Named("source"), Named("destination"), Skip("b"), Skip("b")],
    ),
    method(
        "MountImage",
        Mount,
        &[
            Named("source"),
            Named("destination"),
            Skip("b"),
            Skip("b"),
            Skip("a(ss)"),
        ],
    ),
    method("Abandon", Control, &[]),
];

const JOB: &[Method] = &[method("Cancel", Control, &[])];

const PROPERTIES: &[Method] = &[method("Set", Set, &[Named("interface"), Property])];

const LOGIN: &[Method] = &[method(
    "SetUserLinger",
    Linger,
    &[Arg::Number("uid"), Arg::Switch("enable"), Skip("b")],
)];

const PORTABLE: &[Method] = &[
    method(
        "AttachImage",
        Portable,
        &[
            Named("image"),
            Arg::List("match"),
            Named("profile"),
            Runtime,
            Skip("s"),
        ],
    ),
    method(
        "AttachImageWithExtensions",
        Portable,
        &[
            Named("image"),
            Arg::List("extension"),
            Arg::List("match"),
            Named("profile"),
            Skip("s"),
            SetFlags,
        ],
    ),
    method(
        "ReattachImage",
        Portable,
        &[
            Named("image"),
            Arg::List("match"),
            Named("profile"),
            Runtime,
            Skip("s"),
        ],
    ),
    method(
        "ReattachImageWithExtensions",
        Portable,
        &[
            Named("image"),
            Arg::List("extension"),
            Arg::List("match"),
            Named("profile"),
            Skip("s"),
            SetFlags,
        ],
    ),
    method("DetachImage", Portable, &[Named("image"), Runtime]),
    method(
        "DetachImageWithExtensions",
        Portable,
        &[Named("image"), Arg::List("extension"), SetFlags],
    ),
];

const MACHINES: &[Method] = &[
    method(
        "OpenMachineShell",
        Shell,
        &[
            Named("machine"),
            Named("user"),
            Named("path"),
            Arg::List("argument"),
            Environment,
        ],
    ),
    method("OpenMachineLogin", Shell, &[Named("machine")]),
    method("OpenMachinePTY", Shell, &[Named("machine")]),
];

const MACHINE: &[Method] = &[
    method(
        "OpenShell",
        Shell,
        &[
            Named("user"),
            Named("path"),
            Arg::List("argument"),
            Environment,
        ],
    ),
    method("OpenLogin", Shell, &[]),
    method("OpenPTY", Shell, &[]),
];

/// What is not in the tables of a helper and changes nothing about units concerns nobody here.
pub(super) fn concerns_units(interface: &str) -> bool {
    interface.starts_with("org.freedesktop.systemd1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `busctl introspect` of systemd 247, 252, 257 and 262, without the methods that read.
    const REAL: &str = include_str!("tests/signatures.txt");

    #[test]
    fn the_signatures_are_systemds() {
        let mut seen = 0;
        for line in REAL.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let (interface, member) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let signature = words.next().unwrap_or("").trim_start_matches('-');
            let interface = format!("org.freedesktop.systemd1.{interface}");
            match find(Some(&interface), member) {
                Some(method) => {
                    let ours: String = method.args.iter().map(|arg| arg.signature()).collect();
                    assert_eq!(ours, signature, "{line}");
                }
                None => assert!(is_read(&interface, member), "{line}"),
            }
            seen += 1;
        }
        assert!(seen > 90, "{seen}");
        assert!(matches!(
            find(None, "Reload").map(|it| it.class),
            Some(Reload)
        ));
        assert!(is_read("org.freedesktop.systemd1.Manager", "ListUnits"));
    }
}
