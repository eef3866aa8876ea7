//! What sudo allows whom: `/etc/sudoers` and what it includes, as sudoers(5) describes the format.
//!
//! sudo's plugins and LDAP are not looked at. Where a line cannot be understood it is named as a
//! problem and left out.

mod lines;
mod parse;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::rooted::Root;
pub use parse::parse_into;

/// Largest file that is read.
const FILE_MAX: u64 = 1 << 20;
/// Most files that are read.
const FILES_MAX: usize = 512;
/// Deepest chain of includes (sudo has 128).
const DEPTH_MAX: usize = 32;
/// Most grants and aliases that are kept.
pub(super) const ENTRIES_MAX: usize = 20_000;

/// One member of a list: a name, `%group`, `#uid`, `+netgroup`, an alias, `ALL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Without its exclamation marks.
    pub text: String,
    /// Whether it is excluded.
    pub negated: bool,
}

/// One command of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// A path, a pattern, a directory with its slash, `ALL`, `sudoedit`.
    pub command: String,
    /// Its arguments; `None` for any, empty for none at all.
    pub arguments: Option<String>,
    /// Whether it is excluded.
    pub negated: bool,
    /// Whether no password is asked for.
    pub no_password: bool,
    /// As whom it runs, by name; empty means root.
    pub run_as: Vec<Member>,
}

impl Allowed {
    /// Whether it can run as root.
    #[must_use]
    pub fn as_root(&self) -> bool {
        let roots = ["root", "#0", "ALL"];
        let is = |member: &&Member| roots.contains(&member.text.as_str());
        // The last match counts.
        self.run_as.is_empty()
            || self
                .run_as
                .iter()
                .rev()
                .find(is)
                .is_some_and(|it| !it.negated)
    }
}

/// One line that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who; aliases expanded.
    pub who: Vec<Member>,
    /// What; aliases expanded.
    pub commands: Vec<Allowed>,
    /// The file.
    pub path: PathBuf,
    /// The line in it.
    pub line: usize,
}

/// Everything that sudo was told.
#[derive(Clone, Debug, Default)]
pub struct Sudoers {
    /// What is allowed, in the order of reading.
    pub grants: Vec<Grant>,
    /// Whom `Defaults !authenticate` frees of the password: `` for all, else a user list.
    pub unauthenticated: Vec<String>,
    /// The files that were read, and the directories that they are in.
    pub files: Vec<PathBuf>,
    /// What could not be read or understood.
    pub problems: Vec<String>,
    pub(super) aliases: HashMap<(parse::AliasKind, String), String>,
    pub(super) unresolved: Vec<parse::Specification>,
}

/// Reads `/etc/sudoers` of a tree; nothing when there is none.
#[must_use]
pub fn read(root: &Root) -> Sudoers {
    let mut sudoers = Sudoers::default();
    let main = ["/etc/sudoers", "/usr/local/etc/sudoers"]
        .iter()
        .map(Path::new)
        .find(|path| root.canonicalize(path).is_ok());
    if let Some(main) = main {
        read_file(root, main, 0, &mut sudoers);
    }
    parse::resolve(&mut sudoers);
    sudoers
}

fn read_file(root: &Root, path: &Path, depth: usize, sudoers: &mut Sudoers) {
    if depth > DEPTH_MAX || sudoers.files.len() >= FILES_MAX {
        let text = format!("{}: too many includes", path.display());
        sudoers.problems.push(text);
        return;
    }
    let bytes = match root.read(path, FILE_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            sudoers.problems.push(error.to_string());
            return;
        }
    };
    sudoers.files.push(path.to_owned());
    let text = String::from_utf8_lossy(&bytes);
    let includes = parse_into(&text, path, sudoers);
    for include in includes {
        let base = path.parent().unwrap_or(Path::new("/etc"));
        let target = base.join(&include.path);
        if !include.directory {
            read_file(root, &target, depth + 1, sudoers);
            continue;
        }
        match root.list(&target, FILES_MAX) {
            Ok((names, _)) => {
                sudoers.files.push(target.clone());
                // sudo skips what editors and package managers leave.
                let names = names
                    .iter()
                    .filter(|it| !it.contains('.') && !it.ends_with('~'));
                for name in names {
                    read_file(root, &target.join(name), depth + 1, sudoers);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("cannot read {}: {error}", target.display());
                sudoers.problems.push(text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
