//! Which host this is.

use std::fs;
use std::hash::Hasher as _;
use std::path::Path;

/// What events say of the host they happened on, read once at start.
///
/// A part that cannot be read is `None`; encoders then leave it out or put the word `unknown`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Node name, as `uname -n` prints it.
    pub hostname: Option<String>,
    /// Name of the distribution with its version (`PRETTY_NAME` of os-release).
    pub os_name: Option<String>,
    /// Kernel release, as `uname -r` prints it.
    pub kernel_release: Option<String>,
    /// Stable id of the installation: 32 hex digits derived from the machine id, from which the
    /// machine id cannot be had back. SipHash keyed with it.
    pub device_uid: Option<String>,
    /// Id of this boot: a UUID in lower case, with dashes.
    pub boot_id: Option<String>,
}

impl Host {
    /// Reads the facts of the running host.
    #[must_use]
    pub fn read() -> Self {
        Self::read_at(Path::new("/"))
    }

    /// As [`Host::read`], with the files of the host found below `root`.
    #[must_use]
    pub fn read_at(root: &Path) -> Self {
        let word = |path: &str| {
            fs::read_to_string(root.join(path))
                .ok()
                .and_then(|text| non_empty(&text))
        };
        let os_release = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(root.join(path)).ok());
        let machine_id = ["etc/machine-id", "var/lib/dbus/machine-id"]
            .iter()
            .find_map(|path| fs::read_to_string(root.join(path)).ok());
        Self {
            hostname: word("proc/sys/kernel/hostname"),
            os_name: os_release.as_deref().and_then(os_name),
            kernel_release: word("proc/sys/kernel/osrelease"),
            device_uid: machine_id.as_deref().and_then(device_uid),
            boot_id: word("proc/sys/kernel/random/boot_id"),
        }
    }
}

fn non_empty(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The distribution's name from the text of os-release(5): `PRETTY_NAME`, else `NAME`.
fn os_name(text: &str) -> Option<String> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
            non_empty(&unquote(value))
        })
    };
    value("PRETTY_NAME").or_else(|| value("NAME"))
}

/// Undoes the shell quoting that os-release(5) allows.
fn unquote(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        let inner = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        let Some(inner) = inner else { continue };
        if quote == '\'' {
            return inner.to_owned();
        }
        let mut out = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.extend(chars.next()),
                c => out.push(c),
            }
        }
        return out;
    }
    value.to_owned()
}

/// The id of the installation that is shown to others.
///
/// machine-id(5) asks for the id to be kept confidential and only a keyed hash of it to be shown.
/// This is SipHash-2-4, a pseudo-random function, with the 16 bytes of the machine id as its key,
/// over the texts `whodunit device 0` and `whodunit device 1`; the two results, each as 16 hex
/// digits, follow one another.
fn device_uid(machine_id: &str) -> Option<String> {
    let digits = machine_id.trim();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let key = u128::from_str_radix(digits, 16).ok()?.to_be_bytes();
    // All zeros is no id but the mark of one that was never set.
    if key == [0; 16] {
        return None;
    }
    Some(format!(
        "{:016x}{:016x}",
        siphash24(&key, b"whodunit device 0"),
        siphash24(&key, b"whodunit device 1"),
    ))
}

#[expect(
    deprecated,
    reason = "the successor does not promise which function it is, and this id has to stay the same"
)]
fn siphash24(key: &[u8; 16], text: &[u8]) -> u64 {
    let [low, high] = [0, 8].map(|at| {
        let mut half = [0; 8];
        half.copy_from_slice(&key[at..at + 8]);
        u64::from_le_bytes(half)
    });
    let mut hasher = std::hash::SipHasher::new_with_keys(low, high);
    hasher.write(text);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_published_siphash() {
        // The vector of appendix A of the SipHash paper.
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let text: [u8; 15] = std::array::from_fn(|i| i as u8);
        assert_eq!(siphash24(&key, &text), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn device_uid_is_stable_and_hides_the_machine_id() {
        let id = "4a7b1c0e5d2f4a6b8c9d0e1f2a3b4c5d";
        let uid = device_uid(&format!("{id}\n")).unwrap();
        assert_eq!(uid, device_uid(id).unwrap());
        assert_eq!(uid.len(), 32);
        assert!(!uid.contains(&id[..8]));
        assert_ne!(uid, device_uid("4a7b1c0e5d2f4a6b8c9d0e1f2a3b4c5e").unwrap());
    }

    #[test]
    fn unset_machine_ids_are_none() {
        for text in [
            "",
            "uninitialized\n",
            "00000000000000000000000000000000",
            "+4a7b1c0e5d2f4a6b8c9d0e1f2a3b4c5",
        ] {
            assert_eq!(device_uid(text), None, "{text:?}");
        }
    }

    #[test]
    fn os_release_quoting() {
        let text = "NAME=Debian\n# PRETTY_NAME=no\nPRETTY_NAME=\"Debian \\\"GNU\\\" 12\"\n";
        assert_eq!(os_name(text).as_deref(), Some("Debian \"GNU\" 12"));
        assert_eq!(os_name("NAME='Some Linux'").as_deref(), Some("Some Linux"));
        assert_eq!(os_name("ID=x\nPRETTY_NAME=\"\"\n"), None);
    }

    #[test]
    fn nothing_to_read_is_not_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Host::read_at(root.path()), Host::default());
    }

    #[test]
    fn the_running_host_has_a_boot_id() {
        let host = Host::read();
        assert_eq!(host.boot_id.unwrap().len(), 36);
        assert!(host.hostname.is_some() && host.kernel_release.is_some());
    }
}
