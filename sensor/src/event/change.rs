//! One thing done to a watched file or directory.

use super::{Actor, Content, OnBehalfOf, Packaging, Shipped, Timestamp};

pub use whodunit_common::Verb;

/// How a fact is obtained on this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// A BPF LSM program.
    Lsm,
    /// An fentry program on the same function.
    Fentry,
    /// A kprobe on the same function.
    Kprobe,
    /// A tracepoint; for file changes fanotify, which needs no kernel patching either.
    Tracepoint,
}

impl Tier {
    /// The word used in output and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// What a watched path is to systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileClass {
    /// A unit file or a link to one, in a load path.
    UnitFile,
    /// A file in a drop-in directory (`X.service.d/*.conf`).
    DropIn,
    /// A link in `.wants`, `.requires` or `.upholds`.
    DependencyLink,
    /// A generator or environment generator.
    Generator,
    /// What systemd's own generators make units of: an init script, `rc.local`, `fstab`.
    GeneratorSource,
    /// A preset file.
    Preset,
    /// The manager's own configuration.
    ManagerConfig,
    /// A file that names a user whose manager starts at boot.
    Linger,
    /// A `stamp-*` file: when a timer with `Persistent=` elapsed last.
    TimerStamp,
    /// A file that a timed unit runs or reads.
    Target,
    /// An extension image, or a link to one.
    Image,
    /// A directory that systemd looks into, or one on the way to it.
    Directory,
    /// Anything else in a watched directory.
    Other,
}

impl FileClass {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnitFile => "unit-file",
            Self::DropIn => "drop-in",
            Self::DependencyLink => "dependency-link",
            Self::Generator => "generator",
            Self::GeneratorSource => "generator-source",
            Self::Preset => "preset",
            Self::ManagerConfig => "manager-config",
            Self::Linger => "linger",
            Self::TimerStamp => "timer-stamp",
            Self::Target => "target",
            Self::Image => "image",
            Self::Directory => "directory",
            Self::Other => "other",
        }
    }
}

/// Identity and attributes of a file at the time of an event; zero means unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileIdentity {
    /// Device of the superblock: major << 20 | minor.
    pub device: u32,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// `st_mode`.
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
}

/// When a change was made that nobody saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// When the agent last knew the file without it.
    pub after: Timestamp,
    /// When it was found.
    pub before: Timestamp,
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// What was done.
    pub verb: Verb,
    /// The name concerned, as the host sees it.
    pub path: String,
    /// Whether the root's side of `path` could not be had.
    pub truncated: bool,
    /// Where a rename or hard link came from.
    pub from: Option<String>,
    /// The text of a symbolic link.
    pub target: Option<String>,
    /// The object; inode 0 when it did not exist yet.
    pub object: FileIdentity,
    /// What the path is to systemd.
    pub class: FileClass,
    /// The unit whose definition this changes, by its file name.
    pub unit: Option<String>,
    /// Whether the content was cut (`O_TRUNC` or a new size).
    pub truncates: bool,
    /// How the change was seen.
    pub tier: Tier,
    /// Who did it.
    pub writer: Actor,
    /// Who the writer, a manager, did it for.
    pub on_behalf_of: Option<Box<OnBehalfOf>>,
    /// What is in the file after the change, when that was looked at.
    pub content: Option<Box<Content>>,
    /// Of a change that was made while no agent ran, or of which the record was lost: when that can have been.
    pub between: Option<Between>,
    /// Of a [`Verb::Load`]: what a manager found in a file without anybody having been seen
    /// putting it there.
    pub unseen: Option<Unseen>,
    /// What package managers have to do with it.
    pub packaging: Option<Box<Packaging>>,
}

/// A change that was found and not seen: somewhere between two moments, by nobody knows whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// When the file was last known to be otherwise; `None` when it was not known at all.
    pub since: Option<Timestamp>,
    /// Whether the size at the load was another than that of the content that was read a moment
    /// later: it was changed again, or restored.
    pub restored: bool,
}

impl Change {
    /// A change with nothing but this, for tests.
    #[cfg(test)]
    pub(crate) fn sample(verb: Verb, class: FileClass, path: &str, writer: Actor) -> Self {
        Self {
            verb,
            path: path.to_owned(),
            truncated: false,
            from: None,
            target: None,
            object: FileIdentity::default(),
            class,
            unit: None,
            truncates: false,
            tier: Tier::Lsm,
            writer,
            on_behalf_of: None,
            content: None,
            between: None,
            unseen: None,
            packaging: None,
        }
    }

    /// Whether it changes what a unit is. When a timer elapsed last is state.
    #[must_use]
    pub fn defines_unit(&self) -> bool {
        self.unit.is_some() && self.class != FileClass::TimerStamp
    }

    /// SHA-256 of the content after the change, in hex, when it was read; of a symbolic link
    /// that of the file it leads to.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        let content = self.content.as_ref()?;
        let target = || content.link.as_ref()?.sha256.as_deref();
        content.sha256.as_deref().or_else(target)
    }

    /// Whether it is a package manager's work and nothing else: done in the run of a package manager
    /// that is what a package of this host shipped, and with the content that the package
    /// brought; of a link or a removal, which have none, by the package's own script or to its file.
    #[must_use]
    pub fn is_package_work(&self) -> bool {
        let Some(packaging) = &self.packaging else {
            return false;
        };
        let Some(run) = packaging.transaction.as_ref().filter(|run| run.verified) else {
            return false;
        };
        match self.verb {
            Verb::Load | Verb::Mount => false,
            Verb::Symlink | Verb::Unlink | Verb::Mkdir | Verb::Rmdir => run.package.is_some(),
            _ => {
                let owner = packaging.owner.as_ref();
                owner.is_some_and(|owner| owner.shipped == Shipped::Same)
            }
        }
    }

    /// Whether nothing but what others look after made it: a package manager, or a container engine
    /// that has its container's health checked.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        let asked = self.on_behalf_of.as_deref();
        self.is_package_work() || asked.is_some_and(|asked| asked.health_check)
    }

    /// OCSF `activity_id` of File System Activity for this change.
    #[must_use]
    pub fn activity_id(&self) -> u8 {
        match self.verb {
            Verb::Create | Verb::Link | Verb::Symlink | Verb::Mkdir | Verb::Mknod => 1,
            Verb::Load => 2,
            Verb::Write | Verb::Closed => 3,
            // Cutting a file by its path changes its content.
            Verb::Setattr if self.truncates => 3,
            Verb::Unlink | Verb::Rmdir => 4,
            Verb::Rename => 5,
            Verb::Setattr => 6,
            Verb::Mount => 12,
        }
    }

    /// OCSF `type_uid` of its event.
    #[must_use]
    pub fn type_uid(&self) -> u32 {
        TYPES + u32::from(self.activity_id())
    }
}

/// What OCSF adds the activity to for the `type_uid` of File System Activity.
const TYPES: u32 = 100_100;

/// Whether an event of this OCSF `type_uid` tells a change.
#[must_use]
pub fn is_change(type_uid: u32) -> bool {
    type_uid / 100 == TYPES / 100
}
