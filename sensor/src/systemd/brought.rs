//! Which units another one brings: what a timer leads to beyond the unit that it names.

use super::unit_file::UnitFile;
use super::unit_name::{UnitName, UnitType};
use super::words::{expand, split_marked};

/// Most units that are followed from one.
const BROUGHT_MAX: usize = 64;

/// Brought by the end of a unit, whatever it is.
const ENDS: [&str; 2] = ["OnFailure", "OnSuccess"];
/// Brought by its start.
const STARTS: [&str; 4] = ["BindsTo", "Requires", "Upholds", "Wants"];

/// The units that `file`, of the unit `name`, brings by its own words. Of a service only those that its end
/// brings: what it requires is mostly of the system, and no doing of a timer's.
#[must_use]
pub fn brought(name: &UnitName, file: &UnitFile) -> Vec<String> {
    let mut found = Vec::new();
    if name.kind() == UnitType::Timer {
        let unit = file.first("Timer", "Unit");
        let unit = unit.map(|unit| expand(unit, name));
        let same = || Some(name.with_kind(UnitType::Service)?.as_str().to_owned());
        found.extend(unit.or_else(same));
    }
    let gathers = matches!(name.kind(), UnitType::Timer | UnitType::Target);
    let keys = ENDS.iter().chain(STARTS.iter().filter(|_| gathers));
    for key in keys {
        for value in file.values("Unit", key) {
            let words = split_marked(value);
            found.extend(words.iter().map(|word| expand(&word.text, name)));
        }
    }
    found.truncate(BROUGHT_MAX);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_units_bring() {
        let cases: [(&str, &str, &[&str]); 6] = [
            ("a.service", "[Unit]\nWants=b.service", &[]),
            (
                "a@x.service",
                "[Unit]\nOnFailure=b.service c@%i.service\nOnSuccess=d.service",
                &["b.service", "c@x.service", "d.service"],
            ),
            (
                "a.target",
                "[Unit]\nWants=b.service\nRequires=c.service",
                &["c.service", "b.service"],
            ),
            ("a.timer", "[Timer]\nOnBootSec=1", &["a.service"]),
            ("a.timer", "[Timer]\nUnit=b.target", &["b.target"]),
            (
                "a.timer",
                "[Unit]\nWants=b.timer\n[Timer]\nUnit=c.service",
                &["c.service", "b.timer"],
            ),
        ];
        for (name, text, expected) in cases {
            let unit = UnitName::parse(name).expect("a name");
            let (file, _) = UnitFile::parse(text.as_bytes());
            assert_eq!(brought(&unit, &file), expected, "{name}: {text}");
        }
    }
}
