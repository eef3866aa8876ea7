//! dpkg's `status`, its journal `updates/`, and `control` of a package: deb822 stanzas.

use super::{Md5, digest};

/// What is needed of one package's stanza.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza {
    /// `Package:`
    pub package: String,
    /// `Architecture:`
    pub architecture: String,
    /// `Version:`
    pub version: String,
    /// `Multi-Arch: same`: several architectures of it can be installed.
    pub several: bool,
    /// `Conffiles:`: paths with the digest of what the package last brought.
    pub conffiles: Vec<(Box<[u8]>, Md5)>,
}

impl Stanza {
    /// The name by which the files of this package go in `info/`.
    #[must_use]
    pub fn file_name(&self) -> String {
        if self.several {
            format!("{}:{}", self.package, self.architecture)
        } else {
            self.package.clone()
        }
    }
}

/// The stanzas of `bytes`. Lines that are no fields are passed over, as are stanzas without a
/// package.
pub fn stanzas(bytes: &[u8]) -> impl Iterator<Item = Stanza> + '_ {
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    std::iter::from_fn(move || {
        let mut stanza = Stanza::default();
        let mut conffiles = false;
        for line in lines.by_ref() {
            if line.is_empty() {
                if stanza.package.is_empty() {
                    stanza = Stanza::default();
                    continue;
                }
                return Some(stanza);
            }
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                if conffiles {
                    stanza.conffiles.extend(conffile(line));
                }
                continue;
            }
            let colon = line.iter().position(|&byte| byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or(line.len()));
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let text = || String::from_utf8_lossy(value).into_owned();
            conffiles = name.eq_ignore_ascii_case(b"Conffiles");
            if name.eq_ignore_ascii_case(b"Package") {
                stanza.package = text();
            } else if name.eq_ignore_ascii_case(b"Architecture") {
                stanza.architecture = text();
            } else if name.eq_ignore_ascii_case(b"Version") {
                stanza.version = text();
            } else if name.eq_ignore_ascii_case(b"Multi-Arch") {
                stanza.several = value == b"same";
            }
        }
        (!stanza.package.is_empty()).then_some(stanza)
    })
}

/// ` /etc/x 0123… [obsolete] [remove-on-upgrade]`. The digest is a word where there is none yet
/// (`newconffile`).
fn conffile(line: &[u8]) -> Option<(Box<[u8]>, Md5)> {
    let mut rest = line.trim_ascii();
    for flag in [&b" remove-on-upgrade"[..], b" obsolete"] {
        rest = rest.strip_suffix(flag).unwrap_or(rest);
    }
    let space = rest.iter().rposition(|&byte| byte == b' ')?;
    let (path, sum) = rest.split_at(space);
    Some((path.trim_ascii_end().into(), digest(sum.trim_ascii())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_packages() {
        let text = b"Package: adduser\nStatus: install ok installed\nDescription: add\n and more\n .\n Version: 0\nArchitecture: all\nVersion: 3.134\nConffiles:\n /etc/adduser.conf cc3493ecd2d09837ffdcc3e25fdfff18\n /etc/with space 11a06baf8245fd8d690b99024d228c1f obsolete\n /etc/new newconffile\n\n\n\nnothing\n\npackage: b\n";
        let found: Vec<Stanza> = stanzas(text).collect();
        let [adduser, b] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (adduser.architecture.as_str(), adduser.version.as_str()),
            ("all", "3.134")
        );
        let paths: Vec<&[u8]> = adduser.conffiles.iter().map(|(path, _)| &**path).collect();
        assert_eq!(paths, [&b"/etc/adduser.conf"[..], b"/etc/with space"]);
        assert_eq!(b.package, "b");
    }
}
