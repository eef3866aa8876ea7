//! Names, rules and shapes of messages.

use zbus::Message;

const SYSTEMD: &str = "org.freedesktop.systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";
pub(super) const SERVICE: &str = "org.freedesktop.systemd1.Service";
pub(super) const TIMER: &str = "org.freedesktop.systemd1.Timer";
pub(super) const JOB: &str = "org.freedesktop.systemd1.Job";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Longest name of a unit.
pub(super) const UNIT_NAME_MAX: usize = 255;

/// What is listened to.
pub(super) const RULES: [&str; 5] = [
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
     path='/org/freedesktop/systemd1'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',path_namespace='/org/freedesktop/systemd1/unit',\
     arg0='org.freedesktop.systemd1.Timer'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',path_namespace='/org/freedesktop/systemd1/unit',\
     arg0='org.freedesktop.systemd1.Unit'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',path_namespace='/org/freedesktop/systemd1/unit',\
     arg0='org.freedesktop.systemd1.Service'",
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',\
     arg0='org.freedesktop.systemd1'",
];

pub(super) type JobSignal<'a> = (u32, zbus::zvariant::ObjectPath<'a>, &'a str, &'a str);
type Path<'a> = zbus::zvariant::ObjectPath<'a>;
pub(super) type ListedUnit<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    Path<'a>,
    u32,
    &'a str,
    Path<'a>,
);
pub(super) type ListedJob<'a> = (u32, &'a str, &'a str, &'a str, Path<'a>, Path<'a>);

pub(super) fn call<'a>(
    path: &'a str,
    interface: &'a str,
    method: &'a str,
) -> zbus::Result<zbus::message::Builder<'a>> {
    Message::method_call(path, method)?
        .destination(SYSTEMD)?
        .interface(interface)
}

/// Whether a unit runs something, or makes others run.
pub(super) fn matters(unit: &str) -> bool {
    ![".device", ".slice", ".scope"]
        .iter()
        .any(|kind| unit.ends_with(kind))
}
