//! Every detection, with what a person needs to know of it. `docs/FINDINGS.md` is made of this.

use super::techniques::{T1021_004, T1036_004, T1053_006, T1543_002, T1562_001, T1574_006};
use crate::event::{Rule, Technique};

const EXECUTION: (&str, &str) = ("TA0002", "Execution");
const PERSISTENCE: (&str, &str) = ("TA0003", "Persistence");
const LATERAL: (&str, &str) = ("TA0008", "Lateral Movement");
const ESCALATION: (&str, &str) = ("TA0004", "Privilege Escalation");

const TIMERS: Technique = Technique {
    tactics: &[EXECUTION, PERSISTENCE, ESCALATION],
    ..T1053_006
};

const SERVICE: Technique = Technique {
    tactics: &[PERSISTENCE, ESCALATION],
    ..T1543_002
};

const PRELOAD: Technique = Technique {
    tactics: &[PERSISTENCE, ESCALATION],
    ..T1574_006
};

const SSH: Technique = Technique {
    tactics: &[LATERAL],
    ..T1021_004
};

const DISGUISE: Technique = T1036_004;

/// Its tactic has moved between versions of ATT&CK, so none is named.
const IMPAIR: Technique = T1562_001;

const EXCEPTION: &str = "An `[[exception]]` in the configuration with the rule's id and the unit or path, \
     an owner, a reason and a date at which it expires. The finding is then `informational`.";

/// AN0645 itself.
pub const TIMER_RAN_CHANGED_UNIT: Rule = Rule {
    id: "timer-ran-changed-unit",
    title: "A timer's changed unit ran",
    techniques: &[TIMERS],
    is_analytic: true,
    explanation: "A manager ran a unit that a timer leads to, for the first time since the unit, the timer, \
        a drop-in or a link of theirs was changed.",
    severity: "high when PID 1 ran it as root; medium when a user's manager did, or when nobody but a manager is \
        known to have written; informational when all that was changed is a package manager's work",
    check: "Who wrote the files of the chain, and whether that process had a reason to. What the unit runs.",
    silence: EXCEPTION,
};

/// The same without a timer.
pub const CHANGED_UNIT_RAN: Rule = Rule {
    id: "changed-unit-ran",
    title: "A changed unit ran",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "A manager ran a unit for the first time since the unit, a drop-in or a link of it was changed. \
        No timer is known to lead to it.",
    severity: "medium when PID 1 ran it as root and the writer is known; low otherwise; informational when all \
        that was changed is a package manager's work",
    check: "Who wrote the files of the chain, and what the unit runs.",
    silence: EXCEPTION,
};

/// A timer that was not there.
pub const TIMER_CREATED: Rule = Rule {
    id: "timer-created",
    title: "A timer was created",
    techniques: &[TIMERS],
    is_analytic: true,
    explanation: "A timer unit came into a load path: written, linked or renamed into it. It need not be enabled \
        or loaded yet.",
    severity: "medium for PID 1 and for all users' managers, low for one user's; one step more when it elapses \
        more often than `TimerIntervalThreshold`; informational when a package manager made it",
    check: "What the timer starts and when, what that runs, and who wrote both.",
    silence: EXCEPTION,
};

/// A timer that exists in memory alone.
pub const TRANSIENT_TIMER: Rule = Rule {
    id: "transient-timer",
    title: "A transient timer was made",
    techniques: &[TIMERS],
    is_analytic: true,
    explanation: "Somebody asked a manager for a timer without a file of its own, as `systemd-run --on-calendar` \
        does. It is gone after the next boot, or once it has elapsed.",
    severity: "medium for PID 1, low for a user's manager; one step more when it elapses more often than \
        `TimerIntervalThreshold`; informational when a container engine that is as its package brought it asked \
        for it, to check its container's health and for nothing else",
    check: "Who asked for it, and what it runs.",
    silence: EXCEPTION,
};

/// A unit file that is new or not what it was.
pub const UNIT_CHANGED: Rule = Rule {
    id: "unit-changed",
    title: "A unit was changed",
    techniques: &[SERVICE],
    is_analytic: true,
    explanation: "A unit file or drop-in came into a load path, or its content is not what it was. Timers that are \
        new, and drop-ins that add commands, have findings of their own.",
    severity: "low; medium when a timer that was there elapses or starts something else now; informational when a \
        package manager did it",
    check: "The diff in the change event, and who wrote it.",
    silence: EXCEPTION,
};

/// A drop-in that makes a unit run something else.
pub const DROP_IN_ADDS_COMMAND: Rule = Rule {
    id: "drop-in-adds-command",
    title: "A drop-in changes what a unit runs",
    techniques: &[TIMERS, SERVICE],
    is_analytic: true,
    explanation: "A drop-in sets commands, the unit that a timer starts, or the environment that loads a library, \
        of a unit whose own file looks as it did. One for a type (`service.d`) or a prefix concerns many units.",
    severity: "high for PID 1, medium for a user's manager; informational when a package manager did it",
    check: "What the drop-in adds, and whether the unit's own package or administrator wrote it.",
    silence: EXCEPTION,
};

/// A program that PID 1 runs at each reload.
pub const GENERATOR_CHANGED: Rule = Rule {
    id: "generator-changed",
    title: "A generator was changed",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "Generators run as root, or as the user, at boot and at each reload, and make units or set the \
        environment of the manager.",
    severity: "high; informational when a package manager did it",
    check: "What the program does. Generators are few, and nearly all belong to packages.",
    silence: EXCEPTION,
};

/// An init script, `rc.local`, `fstab`.
pub const GENERATOR_SOURCE_CHANGED: Rule = Rule {
    id: "generator-source-changed",
    title: "What a generator makes units of was changed",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "systemd's generators make a service of each script in `/etc/init.d` and of `rc.local`, and mounts of \
        `fstab` and `crypttab`. No unit file is written for them.",
    severity: "medium for scripts, low for `fstab` and `crypttab`; informational when a package manager did it",
    check: "What the script runs. Scripts that belong to no package are rare where systemd is.",
    silence: EXCEPTION,
};

/// A preset.
pub const PRESET_CHANGED: Rule = Rule {
    id: "preset-changed",
    title: "A preset was changed",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "Presets decide what is enabled on first boot and by `systemctl preset`.",
    severity: "medium; informational when a package manager did it",
    check: "Which units it enables or disables.",
    silence: EXCEPTION,
};

/// `system.conf` and the like.
pub const MANAGER_CONFIG_CHANGED: Rule = Rule {
    id: "manager-config-changed",
    title: "A manager's configuration was changed",
    techniques: &[SERVICE, PRELOAD],
    is_analytic: false,
    explanation: "The manager's configuration or environment can set variables for all services \
        (`DefaultEnvironment=`) and move its load paths (`ManagerEnvironment=SYSTEMD_UNIT_PATH=…`). Or somebody asked \
        a manager to set such a variable (`systemctl set-environment LD_PRELOAD=…`).",
    severity: "medium; high when a variable that loads code or moves the load paths was added to PID 1's; \
        informational when a package manager did it",
    check: "`DefaultEnvironment=`, `ManagerEnvironment=`, and variables that begin with `LD_`.",
    silence: EXCEPTION,
};

/// What a timer runs.
pub const TIMED_TARGET_CHANGED: Rule = Rule {
    id: "timed-target-changed",
    title: "What a timed service runs or reads was changed",
    techniques: &[TIMERS],
    is_analytic: true,
    explanation: "The program, script or environment file of a service that a timer leads to was changed, or a \
        file in a directory that such a service runs. The units look as they did.",
    severity: "medium; high when the writer is not root, or a variable that loads code was added (`LD_PRELOAD`, \
        `BASH_ENV` …); informational when a package manager did it",
    check: "The file, and who wrote it. Whether its permissions let others than root write to it.",
    silence: EXCEPTION,
};

/// A mount that covers units.
pub const LOAD_PATH_MOUNTED_OVER: Rule = Rule {
    id: "load-path-mounted-over",
    title: "Something was mounted over what systemd reads",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "A mount in PID 1's namespace covers a load path or a unit's file: what the manager reads there \
        now is not what the directory holds. The files that it brings are named by the same finding. A directory on \
        the way to load paths that has none below is not covered, as `/run/user/UID` at each login.",
    severity: "high",
    check: "The mount (`findmnt`), where it comes from, and what is in it.",
    silence: EXCEPTION,
};

/// A unit from a place where none belong.
pub const UNIT_FROM_UNEXPECTED_PLACE: Rule = Rule {
    id: "unit-from-unexpected-place",
    title: "A manager loaded a unit from an unexpected place",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "A manager read a unit file that lies in no known load path: it was linked from there, or the \
        manager's load paths were changed.",
    severity: "medium; low for a user's manager",
    check: "Why the manager looks there: a link in a load path, or `SYSTEMD_UNIT_PATH`.",
    silence: EXCEPTION,
};

/// A difference that nobody was seen to make.
pub const UNSEEN_CHANGE: Rule = Rule {
    id: "unseen-change",
    title: "A manager loaded a file that nobody was seen to change",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "The content that a manager loaded is not what was last known, and no change of the file was \
        seen: it was made below the file system, from another host, or while the agent did not look.",
    severity: "high; medium for a user's manager",
    check: "Whether the disk, or the server it comes from, was written to directly.",
    silence: EXCEPTION,
};

/// A user whose manager runs without a login.
pub const LINGER_ENABLED: Rule = Rule {
    id: "linger-enabled",
    title: "A user's manager now runs without a login",
    techniques: &[TIMERS],
    is_analytic: false,
    explanation: "Lingering was switched on: the user's units, timers too, run from boot on.",
    severity: "low",
    check: "Who switched it on, and what units the user has.",
    silence: EXCEPTION,
};

/// An extension image.
pub const EXTENSION_IMAGE_CHANGED: Rule = Rule {
    id: "extension-image-changed",
    title: "An extension image was added or changed",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "systemd-sysext and systemd-confext mount such images, or directories, over `/usr`, `/opt` and `/etc`: units appear \
        without a write to any load path.",
    severity: "medium; informational when a package manager did it",
    check: "What the image holds below `usr/lib/systemd` or `etc/systemd`.",
    silence: EXCEPTION,
};

/// A unit that guards the host cannot start any more.
pub const SECURITY_UNIT_MASKED: Rule = Rule {
    id: "security-unit-masked",
    title: "A unit that guards the host is masked",
    techniques: &[IMPAIR],
    is_analytic: false,
    explanation: "A unit of a well-known security service is a link to /dev/null or an empty file: it cannot be \
        started, neither at boot nor by hand.",
    severity: "high; informational when a package manager did it",
    check: "Who masked it, and whether the service still runs.",
    silence: EXCEPTION,
};

/// A unit file that others may write.
pub const UNIT_WRITABLE: Rule = Rule {
    id: "unit-writable",
    title: "A unit was made writable for others",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "The permissions of a unit file, drop-in or generator now let its group or everybody change it.",
    severity: "medium for PID 1, low for a user's manager",
    check: "The mode and owner: `chmod go-w` is the fix.",
    silence: EXCEPTION,
};

/// Units are read anew, and nobody called a method for it.
pub const MANAGER_RELOADED_BY_SIGNAL: Rule = Rule {
    id: "manager-reloaded-by-signal",
    title: "A manager was reloaded by a signal",
    techniques: &[SERVICE],
    is_analytic: false,
    explanation: "A process sent a manager the signal that makes it read its units anew (SIGHUP; SIGTERM to PID 1 \
        makes it execute itself anew), as `kill -HUP 1` does. What was written before takes effect, no \
        `systemctl` is run, and the journal names no client.",
    severity: "medium for PID 1, low for a user's manager; informational when a package manager's run, or a tool of \
        systemd as its package shipped it, sent the signal",
    check: "Who sent it, and what that process or its session changed in load paths before.",
    silence: EXCEPTION,
};

/// From elsewhere.
pub const REQUESTER_OVER_SSH: Rule = Rule {
    id: "requester-over-ssh",
    title: "A unit was asked for in a session over SSH",
    techniques: &[TIMERS, SERVICE, SSH],
    is_analytic: false,
    explanation: "A process in a session that came in through sshd asked a manager to make, enable or start a unit. \
        `systemctl -H` does so by `systemd-stdio-bridge`. The address of the other end is told.",
    severity: "medium when the unit is a timer or transient; low when it is enabled or linked, or asked for by \
        `systemctl -H`; informational otherwise; one step less for a user's own manager, and informational for its \
        scopes, and in a package manager's run",
    check: "Whether the address and the login are an administrator's, and what the unit runs.",
    silence: EXCEPTION,
};

/// A process that a service does not account for.
pub const COMMAND_OUTSIDE_UNIT: Rule = Rule {
    id: "command-outside-unit",
    title: "A service runs what its unit does not name",
    techniques: &[SERVICE, DISGUISE],
    is_analytic: false,
    explanation: "A manager started a process in a service, and none of the unit's commands (`ExecStart=` and \
        its like, with all drop-ins) is it: the manager was tampered with, or was shown another unit than the files \
        hold. Or a process put itself into the cgroup of a service, to pass for it. Nothing is said while a file \
        or directory of the unit was changed since the manager read it.",
    severity: "medium for PID 1, low for a user's manager",
    check: "`systemctl cat` and `systemctl show -p ExecStart UNIT` beside the files; who the process descends from.",
    silence: EXCEPTION,
};

/// Somebody works against the agent.
pub const AGENT_TAMPERED: Rule = Rule {
    id: "agent-tampered",
    title: "The agent itself was tampered with",
    techniques: &[IMPAIR],
    is_analytic: false,
    explanation: "The agent's unit, program or configuration was changed, removed or moved away, or its store by \
        another program than its own; its unit was disabled; somebody other than PID 1 sent it a signal; or the \
        agent before it in this boot ended without a word, as by SIGKILL. What kills an agent is told by the next \
        one: send events to another host.",
    severity: "high; medium for a signal that asks it to end, and for an end without a word; informational when a \
        package manager did it",
    check: "Who did it. What happened from then on, by other records: nothing was watched.",
    silence: EXCEPTION,
};

/// All of them, in the order of the documentation.
pub const RULES: &[&Rule] = &[
    &TIMER_RAN_CHANGED_UNIT,
    &CHANGED_UNIT_RAN,
    &TIMER_CREATED,
    &TRANSIENT_TIMER,
    &UNIT_CHANGED,
    &DROP_IN_ADDS_COMMAND,
    &TIMED_TARGET_CHANGED,
    &GENERATOR_CHANGED,
    &GENERATOR_SOURCE_CHANGED,
    &PRESET_CHANGED,
    &MANAGER_CONFIG_CHANGED,
    &LOAD_PATH_MOUNTED_OVER,
    &UNIT_FROM_UNEXPECTED_PLACE,
    &UNSEEN_CHANGE,
    &LINGER_ENABLED,
    &EXTENSION_IMAGE_CHANGED,
    &SECURITY_UNIT_MASKED,
    &UNIT_WRITABLE,
    &MANAGER_RELOADED_BY_SIGNAL,
    &REQUESTER_OVER_SSH,
    &COMMAND_OUTSIDE_UNIT,
    &AGENT_TAMPERED,
];

/// The catalogue as a page of documentation, in Markdown.
#[must_use]
pub fn documentation() -> String {
    let mut page = String::from(
        "# Findings\n\n\
         Every detection, by its stable id: `metadata.event_code` of a finding, and what an exception names. What a\n\
         finding looks like is in [EVENTS](EVENTS.md#finding). This page is made of the catalogue in\n\
         `sensor/src/detect/catalogue.rs`; a test keeps it so.\n\n\
         A finding about a change of a file is told when the file has stood still for a second, after five at the\n\
         latest, and once a minute for the same content of the same file. Trust lowers a severity; it never hides an\n\
         event. A change where no known manager reads (a package that is being built, another root) is\n\
         `informational`. What a host in use may do all day, and why, is in [QUIET](QUIET.md).\n\n\
         | id | ATT&CK | AN0645 |\n|---|---|---|\n",
    );
    let id = |technique: &Technique| technique.sub.unwrap_or(technique.technique).0;
    for rule in RULES {
        let techniques: Vec<_> = rule.techniques.iter().map(id).collect();
        let analytic = if rule.is_analytic { "yes" } else { "" };
        page.push_str(&format!(
            "| [`{}`](#{}) | {} | {analytic} |\n",
            rule.id,
            rule.id,
            techniques.join(", ")
        ));
    }
    for rule in RULES {
        page.push_str(&format!(
            "\n## {}\n\n**{}.** {}\n\n- **Severity**: {}.\n- **Check**: {}\n- **Silence**: {}\n",
            rule.id, rule.title, rule.explanation, rule.severity, rule.check, rule.silence
        ));
    }
    page
}
