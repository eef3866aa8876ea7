//! The facts the kernel side can report, and the programs that report them.

use super::{btf::Btf, load::TierChoice};
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
    /// As [`Self::File`], of sockets.
    Socket,
    /// fentry or kprobe on the function `NAME`, which no LSM hook stands for.
    Function,
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

const fn socket(name: &'static str, sees: &'static str) -> Hook {
    Hook {
        name,
        sees,
        family: Family::Socket,
    }
}

const fn function(name: &'static str, sees: &'static str) -> Hook {
    Hook {
        name,
        sees,
        family: Family::Function,
    }
}

/// Every hook.
pub(crate) const HOOKS: &[Hook] = &[
    process("sched_process_fork", "who spawned a process"),
    process("sched_process_exec", "executed programs"),
    process("sched_process_exit", "ended processes"),
    file(
        "file_open",
        "files opened for writing or created, and what managers load",
    ),
    function("__fput", "the end of writing"),
    function("vfs_create", "empty files made by mknod"),
    file("inode_rename", "renames"),
    file("inode_link", "hard links"),
    file("inode_symlink", "symbolic links"),
    file("inode_unlink", "removed names"),
    file("inode_mkdir", "new directories"),
    file("inode_rmdir", "removed directories"),
    file("inode_mknod", "FIFOs, sockets and devices"),
    file("inode_setattr", "changed modes, owners, times and sizes"),
    file("inode_setxattr", "changed extended attributes"),
    file("inode_set_acl", "changed access control lists"),
    file("inode_removexattr", "removed extended attributes"),
    file("inode_remove_acl", "removed access control lists"),
    file("sb_mount", "what is mounted over"),
    file(
        "move_mount",
        "mounts that are moved, and those of the newer mount calls",
    ),
    socket("socket_sendmsg", "requests to managers"),
    socket("unix_stream_connect", "connections to managers"),
    function(
        "unix_stream_sendpage",
        "requests sent by splice or sendfile",
    ),
    process("signal_generate", "signals to managers"),
];

impl Hook {
    /// The tiers that can serve it, best first.
    pub(crate) fn tiers(&self) -> &'static [Tier] {
        match self.family {
            Family::Process => &[Tier::Tracepoint],
            Family::File | Family::Socket => &[Tier::Lsm, Tier::Fentry, Tier::Kprobe],
            Family::Function => &[Tier::Fentry, Tier::Kprobe],
        }
    }

    /// Whether it is about something that fanotify does not see either: processes, sockets, signals.
    #[must_use]
    pub fn is_beyond_marks(&self) -> bool {
        let socket = self.family == Family::Socket || self.name == "unix_stream_sendpage";
        self.family == Family::Process || socket
    }

    /// Whether `choice` lets this tier serve. A function has no LSM hook: fentry stands in.
    pub(crate) fn allowed(&self, choice: TierChoice, tier: Tier) -> bool {
        match (self.family, choice) {
            (Family::Process, _) | (_, TierChoice::Best) => true,
            (Family::Function, TierChoice::Only(Tier::Lsm)) => tier == Tier::Fentry,
            (_, TierChoice::Only(only)) => only == tier,
        }
    }

    /// Whether this kernel can have it at all: a hook of later kernels has nothing to see here.
    pub(crate) fn exists(&self, btf: &Btf) -> bool {
        self.family == Family::Process || btf.parameters(&self.function()).is_some()
    }

    /// Name of the program of a tracepoint.
    pub(crate) fn program_of_process(&self) -> &'static str {
        self.name.trim_start_matches("sched_")
    }

    /// Name of the program that serves it in `tier`, on a kernel with this BTF.
    pub(crate) fn program(&self, tier: Tier, btf: &Btf) -> String {
        // Newer kernels pass the mount's id mapping first:
        // https://github.com/torvalds/linux/commit/0d56a4518d5e
        let position = btf.position(&self.target(tier), "dentry");
        let suffix = match (self.name, position) {
            ("inode_setattr" | "inode_setxattr" | "inode_removexattr", Some(1)) => "_idmapped",
            ("vfs_create", Some(2)) => "_2",
            ("vfs_create", _) => "_1",
            _ => "",
        };
        match self.family {
            Family::Process => self.program_of_process().to_owned(),
            Family::File | Family::Socket | Family::Function => {
                format!(
                    "{}_{}{suffix}",
                    tier.as_str(),
                    self.name.trim_start_matches('_')
                )
            }
        }
    }

    /// The kernel function whose arguments the program gets.
    fn target(&self, tier: Tier) -> String {
        match tier {
            Tier::Lsm => format!("bpf_lsm_{}", self.name),
            _ => self.function(),
        }
    }

    /// Name of the kernel function that the fentry and kprobe programs attach to.
    pub(crate) fn function(&self) -> String {
        match self.family {
            Family::File | Family::Socket => format!("security_{}", self.name),
            Family::Process | Family::Function => self.name.to_owned(),
        }
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
