//! The facts the kernel side can report, and the programs that report them.

use super::btf::Btf;
use crate::event::Tier;

/// One fact: a hook that one of several programs serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Short name, as `doctor` prints it: the tracepoint or the LSM hook.
    pub name: &'static str,
    /// What is not seen without it.
    pub sees: &'static str,
    /// Whether it concerns processes (tracepoints of BTF type) or files (three tiers).
    pub family: Family,
}

/// How the programs of a hook are named and attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `tp_btf/NAME`, program `NAME` without `sched_`.
    Process,
    /// LSM hook `NAME`, or fentry or kprobe on `security_NAME`; programs `lsm_NAME` and so on.
    File,
}

const fn process(name: &'static str, sees: &'static str) -> Hook {
    Hook {
        name,
        sees,
        family: Family::Process,
    }
}

const fn file(name: &'static str, sees: &'static str) -> Hook {
    Hook {
        name,
        sees,
        family: Family::File,
    }
}

/// Every hook.
pub(crate) const HOOKS: &[Hook] = &[
    process("sched_process_fork", "who spawned a process"),
    process("sched_process_exec", "executed programs"),
    process("sched_process_exit", "ended processes"),
    file("file_open", "files opened for writing or created"),
    file("inode_rename", "renames"),
    file("inode_link", "hard links"),
    file("inode_symlink", "symbolic links"),
    file("inode_unlink", "removed names"),
    file("inode_mkdir", "new directories"),
    file("inode_rmdir", "removed directories"),
    file("inode_mknod", "FIFOs, sockets and devices"),
    file("inode_setattr", "changed modes, owners, times and sizes"),
];

impl Hook {
    /// The tiers that can serve it, best first.
    pub(crate) fn tiers(&self) -> &'static [Tier] {
        match self.family {
            Family::Process => &[Tier::Tracepoint],
            Family::File => &[Tier::Lsm, Tier::Fentry, Tier::Kprobe],
        }
    }

    /// Name of the program that serves it in `tier`, on a kernel with this BTF.
    pub(crate) fn program(&self, tier: Tier, btf: &Btf) -> String {
        match self.family {
            Family::Process => self.name.trim_start_matches("sched_").to_owned(),
            Family::File => {
                // The id mapping of the mount came first some day:
                // https://github.com/torvalds/linux/commit/6f0d9689b670
                let idmapped =
                    self.name == "inode_setattr" && btf.parameters(&self.target(tier)) == Some(3);
                let suffix = if idmapped { "_idmapped" } else { "" };
                format!("{}_{}{suffix}", tier.as_str(), self.name)
            }
        }
    }

    /// The kernel function whose arguments the program gets.
    pub(crate) fn target(&self, tier: Tier) -> String {
        match tier {
            Tier::Lsm => format!("bpf_lsm_{}", self.name),
            _ => self.function(),
        }
    }

    /// Name of the kernel function that the fentry and kprobe programs attach to.
    pub(crate) fn function(&self) -> String {
        format!("security_{}", self.name)
    }
}

/// What became of one hook.
#[derive(Clone, Debug)]
pub struct HookStatus {
    /// Which.
    pub hook: Hook,
    /// The tier that serves it; `None` when nothing does.
    pub tier: Option<Tier>,
    /// Why better tiers do not, each with its reason.
    pub refused: Vec<(Tier, String)>,
}
