//! Who may change a file: owner, mode and access control list, of it and of what leads to it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use super::rooted::{Inode, Step, Trace};

/// Most bytes of an access control list that are read: some thousand entries.
const ACL_MAX: usize = 64 << 10;
const WRITE: u16 = 2;

/// A POSIX access control list, as far as it says who may write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    users: Vec<u32>,
    groups: Vec<u32>,
    /// Whether the file's own group may write.
    group: bool,
}

impl Acl {
    /// The list of the file at `path`, if it has one and the file system can say so.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let mut buffer = vec![0_u8; ACL_MAX];
        let name = "system.posix_acl_access";
        let size = rustix::fs::lgetxattr(path, name, &mut buffer[..]).ok()?;
        Self::parse(buffer.get(..size)?)
    }

    /// Reads the kernel's form (`struct posix_acl_xattr_header`, version 2): a `u32`, then entries
    /// of tag and permissions as `u16` and an id as `u32`, little endian.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != 2 {
            return None;
        }
        let entries: Vec<(u16, u16, u32)> = entries
            .chunks_exact(8)
            .map(|entry| {
                let short = |at: usize| {
                    u16::from_le_bytes([
                        entry.get(at).copied().unwrap_or(0),
                        entry.get(at + 1).copied().unwrap_or(0),
                    ])
                };
                let id = u32::from(short(4)) | u32::from(short(6)) << 16;
                (short(0), short(2), id)
            })
            .collect();
        let mask = entries.iter().find(|(tag, ..)| *tag == 0x10);
        let mask = mask.map_or(7, |(_, permissions, _)| *permissions);
        let mut acl = Self::default();
        for (tag, permissions, id) in entries {
            if permissions & mask & WRITE == 0 {
                continue;
            }
            match tag {
                0x02 => acl.users.push(id),
                0x04 => acl.group = true,
                0x08 => acl.groups.push(id),
                _ => {}
            }
        }
        Some(acl)
    }
}

/// Somebody who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writer {
    /// Everybody.
    Others,
    /// The members of a group.
    Group(u32),
    /// A user, by an access control list.
    User(u32),
    /// The owner.
    Owner(u32),
}

/// One way to change what a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The file or directory that can be changed.
    pub path: PathBuf,
    /// Whether it is a directory, in which what the path leads to can be replaced.
    pub directory: bool,
    /// By whom.
    pub writer: Writer,
}

/// Members of groups and names of users and groups, to say who a writer is.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Names of users.
    pub users: HashMap<u32, String>,
    /// Names of groups.
    pub groups: HashMap<u32, String>,
    /// Users of each group, by the group file and as their primary group, root left out.
    pub members: HashMap<u32, BTreeSet<String>>,
}

impl Names {
    /// Whether nobody but root is in the group.
    #[must_use]
    pub fn is_empty_group(&self, gid: u32) -> bool {
        self.members.get(&gid).is_none_or(BTreeSet::is_empty)
    }

    /// `user alice`, `group staff (bob)`, `everybody`.
    #[must_use]
    pub fn writer(&self, writer: Writer) -> String {
        let named = |names: &HashMap<u32, String>, id: u32| {
            names.get(&id).cloned().unwrap_or_else(|| id.to_string())
        };
        match writer {
            Writer::Others => "everybody".to_owned(),
            Writer::Owner(uid) => format!("its owner {}", named(&self.users, uid)),
            Writer::User(uid) => format!("user {} (ACL)", named(&self.users, uid)),
            Writer::Group(gid) => {
                let members = self.members.get(&gid).into_iter().flatten();
                let members: Vec<&str> = members.take(5).map(String::as_str).collect();
                let members = if members.is_empty() {
                    "no members".to_owned()
                } else {
                    members.join(", ")
                };
                format!("group {} ({members})", named(&self.groups, gid))
            }
        }
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// Who may write to an inode; the users in `trusted` count for nothing.
#[must_use]
pub fn writers(inode: &Inode, trusted: &[u32]) -> Vec<Writer> {
    let mut found = Vec::new();
    let stranger = |uid: &u32| !trusted.contains(uid);
    if stranger(&inode.uid) {
        found.push(Writer::Owner(inode.uid));
    }
    let group = match &inode.acl {
        Some(acl) => {
            found.extend(acl.users.iter().copied().filter(stranger).map(Writer::User));
            let groups = acl.groups.iter().copied().filter(|gid| *gid != 0);
            found.extend(groups.map(Writer::Group));
            acl.group
        }
        None => inode.mode & 0o020 != 0,
    };
    if group && inode.gid != 0 {
        found.push(Writer::Group(inode.gid));
    }
    if inode.mode & 0o002 != 0 {
        found.push(Writer::Others);
    }
    found
}

/// Every way in which users other than `trusted` may change what a path leads to: the file itself,
/// the directories it is in, and those that hold links on the way.
///
/// In a directory with the sticky bit (`/tmp`) only owners replace what is there; what is not there
/// can be made by all who may write.
#[must_use]
pub fn holes(trace: &Trace, trusted: &[u32]) -> Vec<Hole> {
    let mut found: Vec<Hole> = Vec::new();
    for (at, step) in trace.steps.iter().enumerate() {
        let Step { path, inode } = step;
        let next = trace.steps.get(at + 1);
        let directory = inode.is(libc::S_IFDIR);
        let sticky = directory && inode.mode & libc::S_ISVTX != 0;
        let writers = if inode.is(libc::S_IFLNK) {
            // Its mode means nothing; its owner can replace it in a sticky directory alone.
            let above = at.checked_sub(1).and_then(|above| trace.steps.get(above));
            let loose = above.is_some_and(|above| above.inode.mode & libc::S_ISVTX != 0);
            let own = Writer::Owner(inode.uid);
            let stranger = loose && !trusted.contains(&inode.uid);
            stranger.then_some(own).into_iter().collect()
        } else if sticky && next.is_some() {
            let mut writers = writers(inode, trusted);
            writers.retain(|writer| matches!(writer, Writer::Owner(_)));
            writers
        } else {
            writers(inode, trusted)
        };
        for writer in writers {
            let hole = Hole {
                path: path.clone(),
                directory,
                writer,
            };
            if !found.contains(&hole) {
                found.push(hole);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::rooted::End;
    use super::*;

    fn inode(uid: u32, gid: u32, mode: u32) -> Inode {
        Inode {
            uid,
            gid,
            mode,
            size: 0,
            acl: None,
        }
    }

    fn trace(steps: &[(&str, Inode)], found: bool) -> Trace {
        let steps: Vec<Step> = steps
            .iter()
            .map(|(path, inode)| Step {
                path: path.into(),
                inode: inode.clone(),
            })
            .collect();
        let last = steps.last().expect("steps").path.clone();
        let end = if found {
            End::Found(last)
        } else {
            End::Missing(last.join("missing"))
        };
        Trace { steps, end }
    }

    #[test]
    fn every_way_in_is_named() {
        let dir = |mode| inode(0, 0, libc::S_IFDIR | mode);
        let file = |uid, gid, mode| inode(uid, gid, libc::S_IFREG | mode);
        let of = |steps: &[(&str, Inode)], found| {
            holes(&trace(steps, found), &[0])
                .into_iter()
                .map(|hole| (hole.path.display().to_string(), hole.writer))
                .collect::<Vec<_>>()
        };
        let hole = |path: &str, writer| (path.to_owned(), writer);
        assert_eq!(
            of(&[("/", dir(0o755)), ("/x", file(0, 0, 0o755))], true),
            []
        );
        assert_eq!(
            of(&[("/", dir(0o755)), ("/x", file(7, 50, 0o777))], true),
            [
                hole("/x", Writer::Owner(7)),
                hole("/x", Writer::Group(50)),
                hole("/x", Writer::Others)
            ]
        );
        // Root's group is root; a directory that all may write to lets them replace the file.
        assert_eq!(
            of(&[("/d", dir(0o777)), ("/d/x", file(0, 0, 0o775))], true),
            [hole("/d", Writer::Others)]
        );
        let sticky = dir(0o1777);
        assert_eq!(
            of(&[("/t", sticky.clone()), ("/t/x", file(0, 0, 0o755))], true),
            []
        );
        assert_eq!(
            of(&[("/t", sticky.clone())], false),
            [hole("/t", Writer::Others)]
        );
        let link = |uid| inode(uid, 0, libc::S_IFLNK | 0o777);
        assert_eq!(
            of(
                &[("/t", sticky), ("/t/l", link(7)), ("/x", file(0, 0, 0o644))],
                true
            ),
            [hole("/t/l", Writer::Owner(7))]
        );
        assert_eq!(of(&[("/", dir(0o755)), ("/l", link(7))], true), []);
    }

    #[test]
    fn access_control_lists() {
        let list = |entries: &[(u16, u16, u32)]| {
            let mut bytes = 2_u32.to_le_bytes().to_vec();
            for (tag, permissions, id) in entries {
                bytes.extend(tag.to_le_bytes());
                bytes.extend(permissions.to_le_bytes());
                bytes.extend(id.to_le_bytes());
            }
            Acl::parse(&bytes)
        };
        let user = [
            (1, 6, u32::MAX),
            (2, 6, 1000),
            (4, 4, u32::MAX),
            (0x10, 6, 0),
        ];
        let mut inode = inode(0, 0, libc::S_IFREG | 0o664);
        inode.acl = list(&user);
        assert_eq!(writers(&inode, &[0]), [Writer::User(1000)]);
        assert_eq!(writers(&inode, &[0, 1000]), []);
        // The mask takes the right away.
        inode.acl = list(&[(2, 6, 1000), (8, 6, 50), (0x10, 4, 0)]);
        assert_eq!(writers(&inode, &[0]), []);
        inode.acl = list(&[(8, 2, 50), (0x10, 7, 0)]);
        assert_eq!(writers(&inode, &[0]), [Writer::Group(50)]);
        assert_eq!(Acl::parse(&[]), None);
        assert_eq!(Acl::parse(&[9, 0, 0, 0, 1]), None);
    }

    #[test]
    fn a_list_is_read_from_the_file_system() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x");
        std::fs::write(&path, "").expect("write");
        assert_eq!(Acl::of(&path), None);
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in [
            (1_u16, 6_u16, u32::MAX),
            (2, 6, 1000),
            (4, 4, u32::MAX),
            (0x10, 6, u32::MAX),
            (0x20, 4, u32::MAX),
        ] {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        let flags = rustix::fs::XattrFlags::empty();
        let set = rustix::fs::setxattr(&path, "system.posix_acl_access", &bytes, flags);
        if set == Err(rustix::io::Errno::OPNOTSUPP) {
            eprintln!("skipped: no access control lists on this file system");
            return;
        }
        set.expect("set");
        assert_eq!(Acl::of(&path).expect("a list").users, [1000]);
    }
}
