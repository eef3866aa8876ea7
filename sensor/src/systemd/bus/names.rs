//! Units as object paths.

use super::wire::UNIT_NAME_MAX;

const UNITS: &str = "/org/freedesktop/systemd1/unit/";

/// The object path of a unit, as `unit_dbus_path_from_name` makes it.
pub(super) fn unit_path(unit: &str) -> String {
    let mut path = UNITS.to_owned();
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || at > 0 && byte.is_ascii_digit() {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

/// The unit of an object path.
pub(super) fn unit_of_path(path: &str) -> Option<String> {
    let escaped = path.strip_prefix(UNITS)?;
    let mut name = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'_' {
            name.push(byte);
            continue;
        }
        let (high, low) = (bytes.next()?, bytes.next()?);
        let digit = |byte: u8| char::from(byte).to_digit(16);
        name.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
    }
    let fits = 1..=UNIT_NAME_MAX;
    String::from_utf8(name)
        .ok()
        .filter(|name| fits.contains(&name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let path = "/org/freedesktop/systemd1/unit/_34a_40_2dx_5cx2d_2eservice";
        assert_eq!(unit_path("4a@-x\\x2d.service"), path);
        assert_eq!(unit_of_path(path).as_deref(), Some("4a@-x\\x2d.service"));
        assert_eq!(unit_of_path("/org/freedesktop/systemd1/unit/a_2"), None);
        assert_eq!(unit_of_path("/org/freedesktop/systemd1/job/2"), None);
    }
}
