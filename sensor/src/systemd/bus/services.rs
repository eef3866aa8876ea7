//! Services that the bus has started: <https://dbus.freedesktop.org/doc/dbus-specification.html>,
//! "Message Bus Starting Services".

use std::collections::HashMap;
use std::path::Path;

use crate::host::files::read_regular;

/// Where the system bus looks.
pub(super) const SYSTEM_SERVICES: [&str; 4] = [
    "/etc/dbus-1/system-services",
    "/run/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/usr/share/dbus-1/system-services",
];
/// Most files that are read, and most bytes of one.
const FILES_MAX: usize = 1024;
const BYTES_MAX: u64 = 16_384;

/// The names, by the units that are started for them.
pub(super) fn activatable(dirs: &[impl AsRef<Path>]) -> HashMap<String, String> {
    let lists = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok());
    let files = lists.flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|file| file.extension().is_some_and(|ext| ext == "service"));
    let texts = files
        .take(FILES_MAX)
        .filter_map(|file| read_regular(&file, BYTES_MAX).ok());
    texts
        .filter_map(|(text, _)| unit_and_name(std::str::from_utf8(&text).ok()?))
        .collect()
}

fn unit_and_name(text: &str) -> Option<(String, String)> {
    let value = |key: &str| {
        let mut values = text.lines().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        });
        values.next().filter(|value| !value.is_empty())
    };
    Some((value("SystemdService")?, value("Name")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_with_a_unit() {
        let dir = std::env::temp_dir().join(format!("whodunit-services-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        put(
            "a.service",
            "[D-BUS Service]\nName = org.a\nExec=/bin/false\nSystemdService=a.service\n",
        );
        put(
            "b.service",
            "[D-BUS Service]\nName=org.b\nExec=/usr/bin/b\n",
        );
        put("c.conf", "Name=org.c\nSystemdService=c.service\n");
        let found = activatable(&[&dir]);
        std::fs::remove_dir_all(&dir).unwrap();
        let expected = HashMap::from([("a.service".to_owned(), "org.a".to_owned())]);
        assert_eq!(found, expected);
    }
}
