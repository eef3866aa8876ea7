//! Everything that systemd would run on a host, and who could change it, as of one moment: what
//! `scan` and `baseline` look at. The types are plain facts; [`collect()`] fills them.

mod collect;
mod command;
mod files;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use collect::collect;
pub use command::Target;

use super::load_path::Area;
use super::service::Command;
use super::timer::Timer;
use super::unit_file::UnitFile;
use super::unit_name::UnitName;
use crate::event::{PackageFile, Shipped};
use crate::host::access::Names;
use crate::host::polkit::PolkitFile;
use crate::host::rooted::{Inode, Trace};
use crate::host::sudoers::Sudoers;

/// Whose manager reads a unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// PID 1.
    System,
    /// The managers of all users.
    AllUsers,
    /// The manager of one user, by id and name.
    User(u32, String),
}

impl Scope {
    /// `system`, `all users`, `user alice`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::System => "system".to_owned(),
            Self::AllUsers => "all users".to_owned(),
            Self::User(_, name) => format!("user {name}"),
        }
    }
}

/// Who made a unit's file, by the directory it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `…/transient`: made by the manager for a request.
    Transient,
    /// `…/generator*`: made by a generator.
    Generator,
    /// Any other.
    File,
}

/// Whom a file belongs to by the database of packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    /// To this package.
    By(PackageFile),
    /// To none.
    No,
    /// There is no database that could be read.
    Unknown,
}

/// A file that matters, with the way to it.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// Its path, as it was named.
    pub path: PathBuf,
    /// The way to it, and what it is.
    pub trace: Trace,
    /// SHA-256 of its content in hex, if it is a file that could be read.
    pub sha256: Option<String>,
    /// Whom it belongs to.
    pub owned: Owned,
    /// What it holds, of a script or environment file that is not a package's.
    pub text: Option<String>,
}

impl FileFacts {
    /// What it leads to.
    #[must_use]
    pub fn inode(&self) -> Option<&Inode> {
        self.trace.inode()
    }

    /// Whether it is as its package brought it: the content is the same, or it has none.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        matches!(&self.owned, Owned::By(file) if matches!(file.shipped, Shipped::Same | Shipped::NoDigest))
    }

    /// Whether it is known to belong to no package.
    #[must_use]
    pub fn is_unowned(&self) -> bool {
        self.owned == Owned::No
    }
}

/// A drop-in of a unit.
#[derive(Clone, Debug)]
pub struct DropIn {
    /// The file.
    pub file: FileFacts,
    /// The name of its directory without `.d`: the unit's, a prefix, or a type.
    pub stem: String,
    /// What it says.
    pub content: UnitFile,
}

/// One command of a unit with what it leads to.
#[derive(Clone, Debug)]
pub struct CommandFacts {
    /// As it is written.
    pub command: Command,
    /// What is executed.
    pub target: Target,
    /// Files among its arguments that an interpreter would run.
    pub scripts: Vec<FileFacts>,
}

/// A unit with all that decides what it does.
#[derive(Clone, Debug)]
pub struct UnitFacts {
    /// Whose manager reads it.
    pub scope: Scope,
    /// Its name.
    pub name: UnitName,
    /// Who made its file.
    pub origin: Origin,
    /// Whether it is masked, by `file`.
    pub masked: bool,
    /// Other names that lead to it.
    pub aliases: Vec<String>,
    /// What defines or masks it.
    pub file: FileFacts,
    /// Its file alone.
    pub own: UnitFile,
    /// Files of the same name that it hides.
    pub shadows: Vec<FileFacts>,
    /// Its drop-ins, in the order of reading.
    pub drop_ins: Vec<DropIn>,
    /// Its file with the drop-ins.
    pub merged: UnitFile,
    /// Whether a dependency link pulls it in.
    pub pulled: bool,
    /// Its commands.
    pub commands: Vec<CommandFacts>,
    /// Files that its environment is read from.
    pub environment_files: Vec<FileFacts>,
    /// The user it runs as; `None` when that cannot be told.
    pub runs_as: Option<u32>,
    /// `User=`, where that is no user of this host.
    pub missing_user: Option<String>,
    /// What its timer says, of a timer.
    pub timer: Option<Timer>,
}

impl UnitFacts {
    /// Whether the file and all drop-ins are as packages brought them.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.file.is_shipped() && self.drop_ins.iter().all(|it| it.file.is_shipped())
    }

    /// Users whose writing changes nothing: root, and in a user's own scope that user.
    #[must_use]
    pub fn trusted(&self) -> Vec<u32> {
        let mut trusted = vec![0];
        if let Scope::User(uid, _) = self.scope {
            trusted.push(uid);
        }
        trusted
    }

    /// Whether what it runs has root's rights: of the system's manager, or root's own, unless it
    /// says otherwise.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.runs_as == Some(0)
    }
}

/// A place that systemd reads, or a file in one.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it holds.
    pub area: Area,
    /// Whose manager reads it; `None` where several do.
    pub user: Option<u32>,
    /// The file or directory.
    pub file: FileFacts,
    /// What it says, of managers' configuration and environment.
    pub content: Option<String>,
}

/// One account of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Login name.
    pub name: String,
    /// Login shell.
    pub shell: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Names of users and groups.
    pub names: Names,
    /// Accounts, in the order of passwd.
    pub accounts: Vec<Account>,
    /// Units of all managers.
    pub units: Vec<UnitFacts>,
    /// Every place, and what is in it.
    pub places: Vec<Place>,
    /// Dependency links: the path, and what it leads to.
    pub links: BTreeMap<String, String>,
    /// Names of units that packages brought, to find what looks like one.
    pub packaged: BTreeSet<String>,
    /// Users whose manager runs without a login.
    pub lingering: Vec<String>,
    /// Who may do what as whom.
    pub sudo: Sudoers,
    /// Rules of polkit.
    pub polkit: Vec<PolkitFile>,
    /// Files that say who may manage units: sudo's and polkit's.
    pub rules: Vec<FileFacts>,
    /// Whether there is a database of packages.
    pub packages: bool,
    /// What could not be looked at.
    pub problems: Vec<String>,
}

impl Inventory {
    /// A unit of PID 1.
    #[must_use]
    pub fn system_unit(&self, name: &str) -> Option<&UnitFacts> {
        self.units
            .iter()
            .find(|unit| unit.scope == Scope::System && unit.name.as_str() == name)
    }
}
