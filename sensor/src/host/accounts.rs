//! Accounts and groups of a tree, from `/etc/passwd` and `/etc/group` alone.

use std::path::Path;

use super::access::Names;
use super::rooted::Root;

/// Largest of the two files that is read.
const MAX_BYTES: u64 = 16 << 20;
/// Most lines of each that are taken.
const MAX_LINES: usize = 65_536;

/// One line of passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// The accounts, the names and members of groups, and what could not be read.
#[must_use]
pub fn read(root: &Root) -> (Vec<Entry>, Names, Vec<String>) {
    let mut problems = Vec::new();
    let mut text = |path: &str| match root.read(Path::new(path), MAX_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            problems.push(error.to_string());
            String::new()
        }
    };
    let (passwd, group) = (text("/etc/passwd"), text("/etc/group"));
    let entries = parse_passwd(&passwd);
    let names = names(&entries, &group);
    (entries, names, problems)
}

/// The home of one account.
#[must_use]
pub fn home(root: &Root, name: &str) -> Option<String> {
    let bytes = root.read(Path::new("/etc/passwd"), MAX_BYTES).ok()?;
    let entries = parse_passwd(&String::from_utf8_lossy(&bytes));
    let entry = entries.into_iter().find(|entry| entry.name == name)?;
    Some(entry.home)
}

fn parse_passwd(text: &str) -> Vec<Entry> {
    text.lines()
        .take(MAX_LINES)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, shell] = fields.as_slice() else {
                return None;
            };
            Some(Entry {
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                name: (*name).to_owned(),
                home: (*home).to_owned(),
                shell: (*shell).to_owned(),
            })
        })
        .collect()
}

fn names(entries: &[Entry], group: &str) -> Names {
    let mut names = Names::default();
    for entry in entries {
        let name = || entry.name.clone();
        names.users.entry(entry.uid).or_insert_with(name);
        if entry.uid != 0 {
            names.members.entry(entry.gid).or_default().insert(name());
        }
    }
    for line in group.lines().take(MAX_LINES) {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields.as_slice() else {
            continue;
        };
        let Ok(gid) = gid.parse() else { continue };
        names
            .groups
            .entry(gid)
            .or_insert_with(|| (*name).to_owned());
        let members = members.split(',').map(str::trim);
        let members = members.filter(|name| !name.is_empty() && *name != "root");
        let all = names.members.entry(gid).or_default();
        all.extend(members.map(str::to_owned));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_primary_or_listed() {
        let entries = parse_passwd(
            "root:x:0:0:root:/root:/bin/bash\nbad\n\
             alice:x:1000:1000::/home/alice:/bin/bash\nd:x:7:50::/:/usr/sbin/nologin\n",
        );
        let names = names(
            &entries,
            "root:x:0:\nstaff:x:50:\nsudo:x:27:root,alice\nx:x:60:root\n",
        );
        let members = |gid: u32| names.members.get(&gid).cloned().unwrap_or_default();
        assert_eq!(members(50).into_iter().collect::<Vec<_>>(), ["d"]);
        assert_eq!(members(27).into_iter().collect::<Vec<_>>(), ["alice"]);
        assert!(names.is_empty_group(60) && names.is_empty_group(0));
        assert_eq!(names.groups[&27], "sudo");
        assert_eq!(entries[2].shell, "/usr/sbin/nologin");
    }
}
