//! dpkg's smaller files: lists of paths, digests, diversions.

use super::{Md5, digest};

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|&byte| byte == b'\n');
    lines.filter(|line| !line.is_empty())
}

/// The paths in a `.list` file: absolute ones; `/.` is the root.
pub fn paths(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(bytes).filter(|line| line.starts_with(b"/") && *line != b"/.")
}

/// The digest of `path` in a `.md5sums` file, whose paths lack the first slash.
pub fn digest_of(bytes: &[u8], path: &[u8]) -> Option<Md5> {
    let wanted = path.strip_prefix(b"/").unwrap_or(path);
    lines(bytes).find_map(|line| {
        let (sum, rest) = line.split_at_checked(32)?;
        // Two spaces, or one and the `*` of a binary file; some have `./` before the path.
        let path = rest.trim_ascii_start();
        let path = path.strip_prefix(b"*").unwrap_or(path);
        let path = path.strip_prefix(b"./").unwrap_or(path);
        (path == wanted && rest.starts_with(b" ")).then(|| digest(sum))?
    })
}

/// A name that one package has moved out of the way of all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Where the others' file would lie.
    pub from: Box<[u8]>,
    /// Where it lies.
    pub to: Box<[u8]>,
    /// The package whose own file may lie at `from`; `None` when an administrator asked for it.
    pub by: Option<String>,
}

/// The diversions: three lines each. What is left over at the end is none.
pub fn diversions(bytes: &[u8]) -> Vec<Diversion> {
    let lines: Vec<&[u8]> = lines(bytes).collect();
    let (triples, _) = lines.as_chunks::<3>();
    let diversion = |&[from, to, by]: &[&[u8]; 3]| Diversion {
        from: from.into(),
        to: to.into(),
        by: (by != b":").then(|| String::from_utf8_lossy(by).into_owned()),
    };
    triples.iter().map(diversion).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_digests_and_diversions() {
        let list = b"/.\n/usr\n/usr/bin/x y\n\nodd\n/last";
        let found: Vec<&[u8]> = paths(list).collect();
        assert_eq!(found, [&b"/usr"[..], b"/usr/bin/x y", b"/last"]);

        let sums = b"fb05ba5241351e5f9668ba70e842b2a3  bin/journalctl\n4d02fe6bd86293fd1f5d5c88ea4fb978 *./bin/log ctl\nshort\nzz05ba5241351e5f9668ba70e842b2a3  bin/odd\n";
        let of = |path: &[u8]| digest_of(sums, path).map(|sum| sum[0]);
        assert_eq!(of(b"/bin/journalctl"), Some(0xfb));
        assert_eq!(of(b"/bin/log ctl"), Some(0x4d));
        assert_eq!((of(b"/bin/odd"), of(b"/journalctl")), (None, None));

        let text = b"/bin/sh\n/bin/sh.distrib\ndash\n/etc/a\n/etc/b\n:\n/left";
        let found = diversions(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].by.as_deref(), Some("dash"));
        assert_eq!((&*found[1].to, &found[1].by), (&b"/etc/b"[..], &None));
    }
}
