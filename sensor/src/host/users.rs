//! Names and homes of users, from `/etc/passwd` alone: a static binary has no other name service.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of the file that are read.
const MAX_BYTES: u64 = 16 << 20;

/// Most users that are kept.
const MAX_USERS: usize = 65_536;

/// The user database could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct UsersError {
    /// The file.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Login name.
    pub name: Arc<str>,
    /// Home directory; not necessarily there, nor absolute.
    pub home: String,
}

/// The users as of the last reading.
#[derive(Clone, Debug)]
pub struct Users {
    path: PathBuf,
    stamp: Option<Stamp>,
    users: Vec<User>,
    by_uid: HashMap<u32, Arc<str>>,
}

/// What tells one state of the file from another: it is replaced by rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Default for Users {
    fn default() -> Self {
        Self::at("/etc/passwd")
    }
}

impl Users {
    /// No users yet; they will be read from `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            stamp: None,
            users: Vec::new(),
            by_uid: HashMap::new(),
        }
    }

    /// Reads `/etc/passwd`.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read() -> Result<Self, UsersError> {
        let mut users = Self::default();
        users.refresh()?;
        Ok(users)
    }

    /// Reads the file again if it changed; `true` if it did.
    ///
    /// # Errors
    ///
    /// When it cannot be read; the users known before stay.
    pub fn refresh(&mut self) -> Result<bool, UsersError> {
        let (stamp, bytes) = match read_changed(&self.path, self.stamp) {
            Ok(Some(changed)) => changed,
            Ok(None) => return Ok(false),
            Err(source) => {
                return Err(UsersError {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        self.users = parse(&bytes);
        self.by_uid.clear();
        for user in &self.users {
            // As getpwuid: the first entry wins.
            self.by_uid
                .entry(user.uid)
                .or_insert_with(|| Arc::clone(&user.name));
        }
        self.stamp = Some(stamp);
        Ok(true)
    }

    /// The name of a user.
    #[must_use]
    pub fn name(&self, uid: u32) -> Option<Arc<str>> {
        self.by_uid.get(&uid).cloned()
    }

    /// The id of the user with this name.
    #[must_use]
    pub fn uid(&self, name: &str) -> Option<u32> {
        let user = self.users.iter().find(|user| &*user.name == name)?;
        Some(user.uid)
    }

    /// Every user, in the file's order.
    #[must_use]
    pub fn all(&self) -> &[User] {
        &self.users
    }

    /// Users whose home is a directory that could hold units: absolute, not the root, and not one
    /// of the places that stand for "none".
    pub fn homes(&self) -> impl Iterator<Item = &User> {
        self.users.iter().filter(|user| {
            let home = user.home.trim_end_matches('/');
            home.starts_with('/')
                && !["/nonexistent", "/dev", "/proc", "/sys"]
                    .iter()
                    .any(|none| Path::new(home).starts_with(none))
        })
    }
}

fn read_changed(path: &Path, known: Option<Stamp>) -> io::Result<Option<(Stamp, Vec<u8>)>> {
    let before = fs::metadata(path)?;
    if !before.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let stamp = Stamp {
        inode: before.ino(),
        size: before.size(),
        seconds: before.mtime(),
        nanoseconds: before.mtime_nsec(),
    };
    if known == Some(stamp) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(Some((stamp, bytes)))
}

fn parse(bytes: &[u8]) -> Vec<User> {
    bytes
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let line = String::from_utf8_lossy(line);
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let uid = fields.nth(1)?.parse().ok()?;
            let home = fields.nth(2)?;
            Some(User {
                uid,
                name: name.into(),
                home: home.to_owned(),
            })
        })
        .take(MAX_USERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        toor:x:0:0::/root2:/bin/sh\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
        # comment\n\
        +nis\n\
        bad:x:y:0::/home/bad:/bin/sh\n\
        u:x:1000:1000:U,,,:/home/u:/bin/bash";

    #[test]
    fn users_are_read_and_read_again() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("passwd");
        fs::write(&path, PASSWD).expect("write");
        let mut users = Users::at(&path);
        assert!(users.refresh().expect("read"));
        assert!(!users.refresh().expect("read"));
        assert_eq!(users.name(0).as_deref(), Some("root"));
        assert_eq!(users.uid("toor"), Some(0));
        assert_eq!(users.name(7), None);
        let homes: Vec<_> = users.homes().map(|user| user.home.as_str()).collect();
        assert_eq!(homes, ["/root", "/root2", "/home/u"]);

        let new = dir.path().join("passwd+");
        fs::write(&new, "v:x:7:7::/v:/bin/sh\n").expect("write");
        fs::rename(&new, &path).expect("rename");
        assert!(users.refresh().expect("read"));
        assert_eq!(users.name(7).as_deref(), Some("v"));

        fs::remove_file(&path).expect("remove");
        let error = users.refresh().expect_err("gone").to_string();
        assert!(error.contains("passwd"), "{error}");
        assert_eq!(users.name(7).as_deref(), Some("v"));
    }

    #[test]
    fn this_host_has_root() {
        let users = Users::read().expect("passwd");
        assert_eq!(users.name(0).as_deref(), Some("root"));
    }
}
