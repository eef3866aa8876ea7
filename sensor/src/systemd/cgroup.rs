//! From the path of a cgroup to the unit that owns it.
//!
//! The algorithm is that of `cg_path_get_unit` and `cg_path_get_user_unit` in systemd's
//! `src/basic/cgroup-util.c`: from the root, skip slices; the next component is the unit. The
//! leaf proves nothing: a unit with `Delegate=yes` names its own sub-cgroups as it likes.

use super::unit_name::{UnitName, UnitType};
use crate::event::Manager;

/// The unit that a cgroup belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupUnit {
    /// The manager that runs the unit.
    pub manager: Manager,
    /// The unit's name, unescaped; `None` for the root, bare slices and foreign cgroups.
    pub unit: Option<String>,
    /// The innermost slice around the unit, unescaped.
    pub slice: Option<String>,
    /// The unit of the host's PID 1 around a user's or container's unit: `user@1000.service`,
    /// `docker-….scope`. `None` when [`Self::manager`] is the system's.
    pub outer: Option<String>,
    /// What follows the unit in the path, without slashes at its ends; mostly empty.
    pub below: String,
}

impl CgroupUnit {
    /// The same for a process that PID 1 itself forked: the unit that PID 1 knows.
    ///
    /// From 254 PID 1 puts `systemd --user` straight into `user@N.service/init.scope`
    /// (`DelegateSubgroup=`), which by the path alone is the user manager's own unit.
    #[must_use]
    pub fn for_child_of_pid1(self) -> Self {
        match self.outer {
            Some(outer) => Self {
                manager: Manager::System,
                unit: Some(outer),
                slice: None,
                outer: None,
                below: self.below,
            },
            None => self,
        }
    }
}

/// Finds the unit of a cgroup from its path in the unified (or `name=systemd`) hierarchy.
#[must_use]
pub fn unit_of_cgroup(path: &str) -> CgroupUnit {
    let parts: Vec<&str> = path
        .split('/')
        // `..` is how a process outside the reader's cgroup namespace is shown.
        .filter(|part| !part.is_empty() && *part != "." && *part != "..")
        .collect();
    let (slice, rest) = skip_slices(&parts);
    let Some((&first, below)) = rest.split_first() else {
        return found(Manager::System, None, slice, None, &[]);
    };
    let Some(unit) = decode_unit(first) else {
        return foreign(&parts, slice);
    };
    // How deep the cgroup of the unit is.
    let depth = parts.len() - below.len();
    let owner = match nested_manager(&unit) {
        // The user manager runs what lies below; on its own cgroup it is a service of PID 1.
        Some(Nested::User(uid)) if !below.is_empty() => Some((Manager::User(uid), below)),
        Some(Nested::Capsule(name)) if !below.is_empty() => Some((Manager::Capsule(name), below)),
        Some(Nested::Container) => container_root(below)
            .map(|payload| (Manager::Container(joined(&parts, depth)), payload)),
        _ => None,
    };
    let Some((manager, inside)) = owner else {
        return found(Manager::System, Some(unit), slice, None, below);
    };
    let outer = Some(unit.as_str().to_owned());
    let (inner_slice, inner) = skip_slices(inside);
    match inner.split_first() {
        Some((&name, below)) => match decode_unit(name) {
            Some(inner_unit) => within(manager, inner_unit, inner_slice, outer, below),
            // A directory no manager made, as `.control` of `user@N.service` itself.
            None if matches!(manager, Manager::User(_)) => {
                found(Manager::System, Some(unit), slice, None, inside)
            }
            None => found(manager, None, inner_slice, outer, inner),
        },
        None => found(manager, None, inner_slice, outer, &[]),
    }
}

/// A unit below a user manager or in a container: a container started by a user's podman can
/// run another systemd yet.
fn within(
    manager: Manager,
    unit: UnitName,
    slice: Option<String>,
    outer: Option<String>,
    below: &[&str],
) -> CgroupUnit {
    if let (Manager::User(uid), Some(Nested::Container)) = (&manager, nested_manager(&unit))
        && let Some(payload) = container_root(below)
    {
        let name = format!("user:{uid}/{}", unit.as_str());
        let (inner_slice, inner) = skip_slices(payload);
        let (unit, below) = match inner.split_first() {
            Some((&name, below)) => (decode_unit(name), below),
            None => (None, inner),
        };
        return found(Manager::Container(name), unit, inner_slice, outer, below);
    }
    found(manager, Some(unit), slice, outer, below)
}

fn found(
    manager: Manager,
    unit: Option<UnitName>,
    slice: Option<String>,
    outer: Option<String>,
    below: &[&str],
) -> CgroupUnit {
    CgroupUnit {
        manager,
        unit: unit.map(|unit| unit.as_str().to_owned()),
        slice,
        outer,
        below: below.join("/"),
    }
}

/// A cgroup that no unit of the host owns: LXC and the cgroupfs drivers of Docker and Kubernetes
/// make directories beside systemd's. A systemd in there again makes slices and an `init.scope`.
fn foreign(parts: &[&str], slice: Option<String>) -> CgroupUnit {
    let start = parts
        .iter()
        .enumerate()
        .skip(1)
        .find(|(at, part)| is_manager_root(part) && !is_slice(parts[at - 1]))
        .map(|(at, _)| at);
    let Some(start) = start else {
        let below = parts.iter().position(|part| !is_slice(part)).unwrap_or(0);
        return found(Manager::System, None, slice, None, &parts[below..]);
    };
    let manager = Manager::Container(joined(parts, start));
    let (slice, rest) = skip_slices(&parts[start..]);
    let (unit, below) = match rest.split_first() {
        Some((&name, below)) => (decode_unit(name), below),
        None => (None, rest),
    };
    found(manager, unit, slice, None, below)
}

/// What kind of manager a unit may hold.
enum Nested {
    User(u32),
    Capsule(String),
    Container,
}

fn nested_manager(unit: &UnitName) -> Option<Nested> {
    let prefix = unit.prefix();
    let instance = unit.instance().filter(|instance| !instance.is_empty());
    match (unit.kind(), prefix, instance) {
        (UnitType::Service, "user", Some(uid)) => parse_uid(uid).map(Nested::User),
        (UnitType::Service, "capsule", Some(name)) => Some(Nested::Capsule(name.to_owned())),
        (UnitType::Service, "systemd-nspawn", Some(_)) => Some(Nested::Container),
        (UnitType::Scope, ..) => CONTAINER_SCOPES
            .iter()
            .any(|known| prefix.starts_with(known))
            .then_some(Nested::Container),
        _ => None,
    }
}

/// As systemd's `parse_uid`: decimal digits without a sign or leading zeros.
fn parse_uid(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = text.len() > 1 && text.starts_with('0');
    (digits && !zeros).then(|| text.parse().ok()).flatten()
}

/// How machined, Docker, Podman, CRI-O, containerd, LXC and Incus begin the names of scopes.
const CONTAINER_SCOPES: [&str; 8] = [
    "machine-",
    "docker-",
    "libpod-",
    "crio-",
    "cri-containerd-",
    "nerdctl-",
    "lxc-",
    "incus-",
];

/// Where the container's own systemd begins below the container's cgroup: at the top, or one
/// or two directories further (nspawn's `payload`, podman's `container`, libvirt's `libvirt`).
fn container_root<'a, 'b>(below: &'a [&'b str]) -> Option<&'a [&'b str]> {
    (0..below.len().min(3))
        .find(|&at| is_manager_root(below[at]))
        .map(|at| &below[at..])
}

/// Whether only a systemd would make such a top-level cgroup.
fn is_manager_root(part: &str) -> bool {
    part == "init.scope" || is_slice(part)
}

fn joined(parts: &[&str], count: usize) -> String {
    format!("/{}", parts[..count].join("/"))
}

fn skip_slices<'a, 'b>(parts: &'a [&'b str]) -> (Option<String>, &'a [&'b str]) {
    let count = parts.iter().take_while(|part| is_slice(part)).count();
    let slice = count
        .checked_sub(1)
        .map(|last| cg_unescape(parts[last]).to_owned());
    (slice, &parts[count..])
}

fn is_slice(part: &str) -> bool {
    decode(part).is_some_and(|unit| unit.kind() == UnitType::Slice && unit.instance().is_none())
}

/// As `cg_path_decode_unit`: unescaped, valid, not a template.
fn decode_unit(part: &str) -> Option<UnitName> {
    decode(part).filter(|unit| !unit.is_template())
}

fn decode(part: &str) -> Option<UnitName> {
    UnitName::parse(cg_unescape(part)).ok()
}

/// Undoes [`cg_escape`]: drops exactly one leading underscore.
#[must_use]
pub fn cg_unescape(part: &str) -> &str {
    part.strip_prefix('_').unwrap_or(part)
}

/// The directory name of a unit's cgroup: with an underscore in front where the name would
/// be taken for one of the kernel's own files (`cg_escape`).
#[must_use]
pub fn cg_escape(unit: &str) -> String {
    let reserved = unit.is_empty()
        || unit.starts_with(['_', '.'])
        || matches!(unit, "notify_on_release" | "release_agent" | "tasks")
        || unit.starts_with("cgroup.")
        || unit
            .split_once('.')
            .is_some_and(|(controller, _)| CONTROLLERS.contains(&controller));
    if reserved {
        format!("_{unit}")
    } else {
        unit.to_owned()
    }
}

/// The kernel's controllers of both hierarchies, and systemd's BPF pseudo controllers.
const CONTROLLERS: [&str; 14] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "io",
    "blkio",
    "memory",
    "devices",
    "pids",
    "bpf-firewall",
    "bpf-devices",
    "bpf-foreign",
    "bpf-socket-bind",
    "bpf-restrict-network-interfaces",
    "bpf-bind-network-interface",
];
