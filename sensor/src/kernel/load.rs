//! Loads the programs, each hook by the best tier this kernel allows.

use std::{fs, os::fd::AsFd as _};

use aya::{
    Btf as AyaBtf, Ebpf, EbpfError, EbpfLoader,
    maps::{HashMap, Map, MapData, MapError, PerCpuArray, RingBuf},
    programs::{BtfTracePoint, FEntry, KProbe, Lsm, ProgramError},
};
use thiserror::Error;
use whodunit_common::{MISSING, Offsets, WatchKey, WatchValue};

use super::{
    btf::{Btf, BtfError},
    hooks::{Family, HOOKS, Hook, HookStatus},
    loss::Losses,
    offsets,
    processes::KernelProcesses,
    rings::Rings,
    skips::{self, Skips},
    sockets::Sockets,
};
use crate::event::Tier;

/// The kernel side, as `cargo xtask build` left it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("WHODUNIT_EBPF_OBJECT"));

/// The list of active security modules. Missing where securityfs is not mounted.
const LSM_LIST: &str = "/sys/kernel/security/lsm";

/// Which tier may serve file changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TierChoice {
    /// The best that attaches, hook by hook.
    #[default]
    Best,
    /// This one or none.
    Only(Tier),
}

/// Why nothing could be loaded at all.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The kernel's types are not to be had.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// bpf(2) is not allowed.
    #[error(
        "the kernel refuses to load BPF: {0}; run as root, or with CAP_BPF, CAP_PERFMON and \
         CAP_SYS_RESOURCE (CAP_SYS_ADMIN before 5.8)"
    )]
    Privilege(String),
    /// The maps cannot be made, or the object does not fit this kernel.
    #[error("cannot load the kernel side: {0}; Linux 5.8 or later with BTF is needed")]
    Unsupported(String),
    /// The object lacks something this agent needs: they were built apart.
    #[error("the kernel side has no map named {0}: build both sides together")]
    Mismatch(&'static str),
}

/// The loaded kernel side. Dropping it detaches every program.
pub struct Probes {
    /// What became of each hook.
    pub hooks: Vec<HookStatus>,
    /// Fields that this kernel's BTF does not have.
    pub missing_fields: Vec<&'static str>,
    /// The tier that serves the file hooks (the first of them that is served); `None` when none is.
    pub file_tier: Option<Tier>,
    skips: Skips,
    ebpf: Ebpf,
}

impl Probes {
    /// Loads and attaches what can be. A hook that fails never stops the others.
    pub fn load(choice: TierChoice) -> Result<Self, LoadError> {
        let btf = Btf::from_kernel()?;
        let offsets = offsets::resolve(&btf);
        let mut probes = Self {
            hooks: Vec::new(),
            missing_fields: offsets.missing().collect(),
            file_tier: None,
            skips: Skips::default(),
            ebpf: open(&offsets)?,
        };
        let types =
            AyaBtf::from_sys_fs().map_err(|error| LoadError::Unsupported(error.to_string()))?;
        let lsm = lsm_is_active();
        let spares = skips::are_likely();
        for hook in HOOKS.iter().filter(|hook| hook.exists(&btf)) {
            let status = probes.attach(hook, choice, &lsm, &types, &btf);
            if spares && hook.family == Family::Process && status.tier.is_some() {
                probes.attach_spare(hook, &types);
            }
            probes.hooks.push(status);
        }
        probes.file_tier = probes
            .hooks
            .iter()
            .filter(|status| status.hook.family == Family::File)
            .find_map(|status| status.tier);
        Ok(probes)
    }

    /// Tries the tiers of one hook in turn.
    fn attach(
        &mut self,
        hook: &Hook,
        choice: TierChoice,
        lsm: &Result<(), String>,
        types: &AyaBtf,
        btf: &Btf,
    ) -> HookStatus {
        let mut refused = Vec::new();
        for &tier in hook.tiers() {
            if !hook.allowed(choice, tier) {
                continue;
            }
            let result = match (tier, lsm) {
                (Tier::Lsm, Err(reason)) => Err(reason.clone()),
                _ => {
                    let program = hook.program(tier, btf);
                    self.attach_by(hook, tier, &program, types)
                        .map_err(|error| explain(&error))
                }
            };
            match result {
                Ok(()) => {
                    return HookStatus {
                        hook: *hook,
                        tier: Some(tier),
                        refused,
                    };
                }
                Err(reason) => refused.push((tier, reason)),
            }
        }
        HookStatus {
            hook: *hook,
            tier: None,
            refused,
        }
    }

    fn attach_by(
        &mut self,
        hook: &Hook,
        tier: Tier,
        program: &str,
        types: &AyaBtf,
    ) -> Result<(), ProgramError> {
        let program = self
            .ebpf
            .program_mut(program)
            .ok_or_else(|| ProgramError::InvalidName {
                name: program.to_owned(),
            })?;
        match tier {
            Tier::Tracepoint => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(hook.name, types)?;
                program.attach()?;
                self.skips.watch(hook.name, program.fd()?.as_fd());
            }
            Tier::Lsm => {
                let program: &mut Lsm = program.try_into()?;
                program.load(hook.name, types)?;
                program.attach()?;
            }
            Tier::Fentry => {
                let program: &mut FEntry = program.try_into()?;
                program.load(&hook.function(), types)?;
                program.attach()?;
                self.skips.watch(hook.name, program.fd()?.as_fd());
            }
            Tier::Kprobe => {
                let program: &mut KProbe = program.try_into()?;
                program.load()?;
                program.attach(hook.function(), 0)?;
                self.skips.watch(hook.name, program.fd()?.as_fd());
            }
        }
        Ok(())
    }

    /// Attaches what does the work of a program where that is skipped.
    fn attach_spare(&mut self, hook: &Hook, types: &AyaBtf) {
        let name = format!("spare_{}", hook.program_of_process());
        let Some(program) = self.ebpf.program_mut(&name) else {
            return; // not each has one
        };
        let attached = <&mut BtfTracePoint>::try_from(program).and_then(|program| {
            program.load(hook.name, types)?;
            program.attach()?;
            // What the first is not let to do, this one does: its own skips count.
            self.skips.watch(hook.name, program.fd()?.as_fd());
            Ok(())
        });
        if let Err(error) = attached {
            log::warn!("{name}: {}", explain(&error));
        }
    }

    /// Takes out what counts how often programs were skipped. Once.
    pub fn skips(&mut self) -> Skips {
        std::mem::take(&mut self.skips)
    }

    /// The tier that messages to managers are seen by.
    #[must_use]
    pub fn request_tier(&self) -> Option<Tier> {
        let sends = |status: &&HookStatus| status.hook.name == "socket_sendmsg";
        self.hooks.iter().find(sends)?.tier
    }

    /// Whether a process probe is attached.
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        self.hooks
            .iter()
            .any(|status| status.hook.name == name && status.tier.is_some())
    }

    /// Takes the rings out. Once.
    pub fn rings(&mut self) -> Result<Rings, LoadError> {
        let tier = self.file_tier.unwrap_or(Tier::Tracepoint);
        let priority = RingBuf::try_from(self.take("PRIORITY")?).map_err(unsupported)?;
        let requests = RingBuf::try_from(self.take("REQUESTS")?).map_err(unsupported)?;
        let bulk = RingBuf::try_from(self.take("BULK")?).map_err(unsupported)?;
        Ok(Rings::new(priority, requests, bulk, tier))
    }

    /// Takes the loss counters out. Once.
    pub fn losses(&mut self) -> Result<Losses, LoadError> {
        let counters = PerCpuArray::try_from(self.take("LOST")?).map_err(unsupported)?;
        Ok(Losses::new(counters))
    }

    /// Takes the table of watched directories out. Once.
    pub fn watches(&mut self) -> Result<HashMap<MapData, WatchKey, WatchValue>, LoadError> {
        HashMap::try_from(self.take("WATCHES")?).map_err(unsupported)
    }

    /// Takes the table of listening sockets and that of who asks out. Once.
    pub fn sockets(&mut self) -> Result<Sockets, LoadError> {
        let sockets = HashMap::try_from(self.take("SOCKETS")?).map_err(unsupported)?;
        let authors = HashMap::try_from(self.take("AUTHORS")?).map_err(unsupported)?;
        let dropped = PerCpuArray::try_from(self.take("THROTTLED")?).map_err(unsupported)?;
        Ok(Sockets::new(sockets, authors, dropped))
    }

    /// Takes the kernel's process table out. Once.
    pub fn processes(&mut self) -> Result<KernelProcesses, LoadError> {
        let table = HashMap::try_from(self.take("PROCESSES")?).map_err(unsupported)?;
        let managers = HashMap::try_from(self.take("MANAGERS")?).map_err(unsupported)?;
        Ok(KernelProcesses::new(table, managers))
    }

    /// Starts handing over the kernel side's own debug messages to the log, if it has any to say.
    pub fn log(&mut self) -> Option<aya_log::EbpfLogger<&'static dyn log::Log>> {
        aya_log::EbpfLogger::init(&mut self.ebpf).ok()
    }

    fn take(&mut self, name: &'static str) -> Result<Map, LoadError> {
        self.ebpf.take_map(name).ok_or(LoadError::Mismatch(name))
    }
}

fn unsupported(error: MapError) -> LoadError {
    LoadError::Unsupported(error.to_string())
}

/// Makes the maps and patches the constants in; nothing is verified yet.
fn open(offsets: &Offsets) -> Result<Ebpf, LoadError> {
    if offsets.task_tgid == MISSING || offsets.task_start_boottime == MISSING {
        return Err(LoadError::Unsupported(
            "its BTF has no task_struct.start_boottime".into(),
        ));
    }
    let ring = ring_size();
    EbpfLoader::new()
        .override_global("OFFSETS", offsets, true)
        .map_max_entries("PRIORITY", ring)
        .map_max_entries("BULK", ring)
        .load(OBJECT)
        .map_err(|error| match &error {
            EbpfError::MapError(MapError::CreateError { io_error, .. })
                if io_error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                LoadError::Privilege(io_error.to_string())
            }
            _ => LoadError::Unsupported(chain(&error)),
        })
}

/// How large a ring is, in bytes: as many records come at a time as there are processors.
fn ring_size() -> u32 {
    const EACH: u32 = 1 << 20;
    let processors = aya::util::nr_cpus()
        .ok()
        .and_then(|count| u32::try_from(count).ok());
    let processors = processors.unwrap_or(4).clamp(2, 16);
    EACH * processors.next_power_of_two()
}

/// Whether LSM programs would be called: `bpf` is among the active security modules.
fn lsm_is_active() -> Result<(), String> {
    match fs::read_to_string(LSM_LIST) {
        Ok(list) if list.trim().split(',').any(|name| name == "bpf") => Ok(()),
        Ok(list) => Err(format!(
            "`bpf` is not among the active security modules ({}); add it to `lsm=` on the kernel \
             command line",
            list.trim()
        )),
        Err(error) => Err(format!(
            "could not tell whether LSM programs are called: {LSM_LIST}: {error}; mount securityfs"
        )),
    }
}

/// A short reason for people. The verifier's log goes to the debug log.
fn explain(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let log = verifier_log.to_string();
            if log.trim().is_empty() {
                let hint = if io_error.raw_os_error() == Some(libc::EPERM) {
                    " (kernel lockdown, or CAP_PERFMON is missing)"
                } else {
                    ""
                };
                format!("{io_error}{hint}")
            } else {
                log::debug!("verifier: {log}");
                let summary = ["processed", "stack depth", "verification time"];
                let is_reason = |line: &&str| !summary.iter().any(|word| line.starts_with(word));
                let last = log.lines().rev().find(is_reason);
                format!(
                    "the verifier refuses it: {} ({io_error})",
                    last.unwrap_or_default().trim()
                )
            }
        }
        _ => chain(error),
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}
