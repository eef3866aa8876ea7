//! What `doctor` finds out.

use std::fs;

use serde::Serialize;

use crate::{
    event::Tier,
    host::Host,
    kernel::{
        HookStatus, LoadError, Probes, TierChoice,
        fanotify::{Fanotify, FanotifyError},
    },
};

/// Why the agent cannot run here at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Failure {
    /// A privilege is missing.
    Privilege,
    /// The kernel lacks something.
    Kernel,
}

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// The agent runs, and sees less.
    Degraded,
    /// The agent does not run, or does not see this.
    Failed,
}

/// One thing that the agent needs from the host.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) status: Status,
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

/// One fact that the kernel side can report.
#[derive(Debug, Serialize)]
pub(super) struct Capability {
    pub(super) name: &'static str,
    pub(super) sees: &'static str,
    /// `lsm`, `fentry`, `kprobe`, `tracepoint`, or null when nothing serves it.
    pub(super) tier: Option<&'static str>,
    /// Tiers that do not, each with its reason.
    pub(super) refused: Vec<Refusal>,
}

/// Why a tier does not serve.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) tier: &'static str,
    pub(super) reason: String,
}

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) kernel: String,
    pub(super) status: Status,
    pub(super) failure: Option<Failure>,
    pub(super) checks: Vec<Check>,
    pub(super) capabilities: Vec<Capability>,
    /// How file changes are seen.
    pub(super) file_tier: Option<&'static str>,
    /// What is not seen on this host, each a phrase.
    pub(super) blind: Vec<String>,
}

impl Report {
    pub(super) fn make(choice: TierChoice) -> Self {
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION"),
            kernel: Host::read()
                .kernel_release
                .unwrap_or_else(|| "unknown".to_owned()),
            status: Status::Ok,
            failure: None,
            checks: vec![privilege()],
            capabilities: Vec::new(),
            file_tier: None,
            blind: Vec::new(),
        };
        match Probes::load(choice) {
            Ok(probes) => report.probes(&probes, choice),
            Err(error) => report.load_failed(&error),
        }
        report.checks.push(proc());
        report.status = report.worst();
        report
    }

    fn load_failed(&mut self, error: &LoadError) {
        let (name, failure) = match error {
            LoadError::Btf(_) => ("btf", Failure::Kernel),
            LoadError::Privilege(_) => ("bpf", Failure::Privilege),
            LoadError::Unsupported(_) | LoadError::Mismatch(_) => ("bpf", Failure::Kernel),
        };
        self.failure = Some(failure);
        self.checks.push(Check {
            name,
            status: Status::Failed,
            detail: error.to_string(),
            fix: None,
        });
    }

    fn probes(&mut self, probes: &Probes, choice: TierChoice) {
        self.checks.push(Check {
            name: "btf",
            status: if probes.missing_fields.is_empty() {
                Status::Ok
            } else {
                Status::Degraded
            },
            detail: match probes.missing_fields.as_slice() {
                [] => "every field that the probes read is known".to_owned(),
                missing => format!("not in this kernel: {}", missing.join(", ")),
            },
            fix: None,
        });
        self.capabilities = probes.hooks.iter().map(capability).collect();
        for status in probes.hooks.iter().filter(|status| status.tier.is_none()) {
            if status.hook.is_beyond_marks() || probes.file_tier.is_some() {
                self.blind
                    .push(format!("{} ({})", status.hook.sees, status.hook.name));
            }
        }
        let files = match (probes.file_tier, choice) {
            (Some(tier), _) => {
                self.file_tier = Some(tier.as_str());
                Check {
                    name: "files",
                    status: Status::Ok,
                    detail: format!("changes are seen by {}", tier.as_str()),
                    fix: None,
                }
            }
            (None, TierChoice::Only(tier)) if tier != Tier::Tracepoint => {
                self.failure = Some(Failure::Kernel);
                Check {
                    name: "files",
                    status: Status::Failed,
                    detail: format!("no program attaches in tier {}", tier.as_str()),
                    fix: Some("leave --tier out to use the best that works".to_owned()),
                }
            }
            (None, _) => self.fanotify(),
        };
        self.checks.push(files);
        if !probes.serves("sched_process_exec") || !probes.serves("sched_process_fork") {
            self.failure = Some(Failure::Kernel);
        }
    }

    fn fanotify(&mut self) -> Check {
        match Fanotify::new() {
            Ok(fanotify) => {
                self.file_tier = Some(Tier::Tracepoint.as_str());
                self.blind.extend(fanotify.abilities().blind());
                Check {
                    name: "files",
                    status: Status::Degraded,
                    detail: "no program attaches: changes are seen by fanotify marks".to_owned(),
                    fix: Some(
                        "boot with `bpf` in lsm=, or without kernel lockdown, to see more"
                            .to_owned(),
                    ),
                }
            }
            Err(error) => {
                self.failure = Some(match error {
                    FanotifyError::Privilege => Failure::Privilege,
                    _ => Failure::Kernel,
                });
                Check {
                    name: "files",
                    status: Status::Failed,
                    detail: error.to_string(),
                    fix: None,
                }
            }
        }
    }

    fn worst(&self) -> Status {
        if self.failure.is_some()
            || self
                .checks
                .iter()
                .any(|check| check.status == Status::Failed)
        {
            Status::Failed
        } else if self
            .checks
            .iter()
            .any(|check| check.status == Status::Degraded)
            || self
                .capabilities
                .iter()
                .any(|one| one.tier.is_none() && !self.blind.is_empty())
        {
            Status::Degraded
        } else {
            Status::Ok
        }
    }
}

fn capability(status: &HookStatus) -> Capability {
    Capability {
        name: status.hook.name,
        sees: status.hook.sees,
        tier: status.tier.map(Tier::as_str),
        refused: status
            .refused
            .iter()
            .map(|(tier, reason)| Refusal {
                tier: tier.as_str(),
                reason: reason.clone(),
            })
            .collect(),
    }
}

/// The capabilities that loading and watching need, by their bit: capability.h.
const CAPABILITIES: [(u32, &str); 4] = [
    (39, "CAP_BPF"),
    (38, "CAP_PERFMON"),
    (2, "CAP_DAC_READ_SEARCH"),
    (19, "CAP_SYS_PTRACE"),
];
const CAP_SYS_ADMIN: u32 = 21;

fn privilege() -> Check {
    const STATUS: &str = "/proc/self/status";
    let effective = fs::read_to_string(STATUS).ok().and_then(|text| {
        let value = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(value.trim(), 16).ok()
    });
    let Some(effective) = effective else {
        return Check {
            name: "privilege",
            status: Status::Degraded,
            detail: format!("could not tell: {STATUS} has no CapEff"),
            fix: Some("mount /proc".to_owned()),
        };
    };
    let has = |bit: u32| effective >> bit & 1 == 1;
    let missing: Vec<&str> = CAPABILITIES
        .into_iter()
        .filter(|&(bit, _)| !(has(bit) || bit >= 38 && has(CAP_SYS_ADMIN)))
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() {
        let detail = "every capability that the probes need is there".to_owned();
        return Check {
            name: "privilege",
            status: Status::Ok,
            detail,
            fix: None,
        };
    }
    Check {
        name: "privilege",
        status: Status::Failed,
        detail: format!("missing: {}", missing.join(", ")),
        fix: Some("run as root".to_owned()),
    }
}

fn proc() -> Check {
    const OTHER: &str = "/proc/1/exe";
    let (status, detail) = match fs::read_link(OTHER) {
        Ok(_) => (Status::Ok, "processes of all users can be read".to_owned()),
        Err(error) => (Status::Degraded, format!("cannot read {OTHER}: {error}")),
    };
    let fix = (status != Status::Ok)
        .then(|| "run as root, and mount /proc without hidepid for the agent".to_owned());
    Check {
        name: "proc",
        status,
        detail,
        fix,
    }
}
