//! Names that hide a unit, or make it look like another.

use super::{of_path, of_unit, quoted};
use crate::detect::posture::content::invisible;
use crate::detect::techniques::{T1036_004, T1564_001};
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::{Inventory, Origin, UnitFacts};
use crate::systemd::load_path::Area;
use crate::systemd::unit_name::{UnitName, UnitType};

pub(super) static HIDDEN: Rule = Rule {
    id: "unit-hidden",
    title: "A unit's name hides it",
    techniques: &[T1564_001, T1036_004],
    is_analytic: false,
    severity: "high for a unit whose name begins with a dot; medium for a file with characters that are not seen",
    explanation: "systemd loads a unit whose name begins with a dot, and `systemctl list-unit-files` does not show it.",
    check: "What starts it? `grep -r NAME /etc/systemd /usr/lib/systemd`",
    silence: "Give it a name that shows.",
};

pub(super) static LOOK_ALIKE: Rule = Rule {
    id: "unit-look-alike",
    title: "A unit's name is nearly that of a packaged unit",
    techniques: &[T1036_004],
    is_analytic: false,
    severity: "medium; informational when masked",
    explanation: "A name one letter off passes for the real one in a list.",
    check: "Compare both units: `systemctl cat A B`.",
    silence: "Give it a name of its own.",
};

pub(super) static CLAIMS_SYSTEM: Rule = Rule {
    id: "unit-claims-system-name",
    title: "A unit that no package brought has a name as systemd's own",
    techniques: &[T1036_004],
    is_analytic: false,
    severity: "medium; low for types that run nothing",
    explanation: "`systemd-…` and `dbus-org.…` are names of what systemd and D-Bus services ship.",
    check: "Which software claims to have made it? Is it installed?",
    silence: "Give it a name of its own.",
};

const CLAIMED: [&str; 4] = ["systemd-", "dbus-org.", "org.freedesktop.", "dbus-"];

pub(super) fn unit(inventory: &Inventory, unit: &UnitFacts, results: &mut Vec<Posture>) {
    let name = unit.name.as_str();
    if name.starts_with('.') {
        let message =
            format!("{name} begins with a dot: systemd loads it, and lists do not show it");
        results.push(of_unit(&HIDDEN, unit, Severity::High, message));
    }
    // An instance belongs to whom its template belongs to; what masks does nothing.
    if !unit.file.is_unowned() || unit.origin != Origin::File || unit.masked {
        return;
    }
    let taken = inventory.packaged.contains(name);
    if !taken && CLAIMED.iter().any(|prefix| name.starts_with(prefix)) {
        let runs = matches!(
            unit.name.kind(),
            UnitType::Service | UnitType::Timer | UnitType::Socket | UnitType::Path
        );
        let severity = if runs {
            Severity::Medium
        } else {
            Severity::Low
        };
        let message =
            format!("{name} is named as systemd's own units are, and no package brought it");
        results.push(of_unit(&CLAIMS_SYSTEM, unit, severity, message));
    }
    if let Some(like) = look_alike(inventory, unit) {
        let message = format!("{name}, which no package brought, looks like {like}, which one did");
        let mut result = of_unit(&LOOK_ALIKE, unit, Severity::Medium, message);
        result.evidence.push(format!(
            "compare: systemctl cat {} {}",
            quoted(name),
            quoted(&like)
        ));
        results.push(result);
    }
}

/// Files in unit directories whose names have characters that are not seen. systemd loads none of
/// them; they are there for people to stumble over.
pub(super) fn files(inventory: &Inventory, results: &mut Vec<Posture>) {
    for place in &inventory.places {
        let path = place.file.path.to_string_lossy();
        if matches!(
            place.area,
            Area::SystemUnits | Area::UserUnits | Area::Generators
        ) && let Some(c) = invisible(&path)
        {
            let code = u32::from(c);
            let message =
                format!("a file in a unit directory has the character U+{code:04X} in its name");
            let mut result = of_path(&HIDDEN, &path, Severity::Medium, message);
            result.evidence.push(format!("{path:?}"));
            results.push(result);
        }
    }
}

/// The packaged unit that a name could be taken for.
fn look_alike(inventory: &Inventory, unit: &UnitFacts) -> Option<String> {
    let name = unit.name.as_str();
    if inventory.packaged.contains(name) {
        return None;
    }
    let stem = unit.name.prefix();
    // A timer and its service share their stem; so do packaged ones.
    let same_stem = |other: &UnitName| other.prefix() == stem;
    let others = || {
        inventory
            .packaged
            .iter()
            .filter_map(|it| UnitName::parse(it).ok())
    };
    if others().any(|other| same_stem(&other)) {
        return None;
    }
    let like = others().find(|other| is_like(stem, other.prefix()))?;
    Some(like.as_str().to_owned())
}

/// Whether two names differ so little that one is taken for the other: other digits at the end are
/// a version or number, and no deceit.
fn is_like(a: &str, b: &str) -> bool {
    let bare = |name: &str| -> String { name.chars().filter(|c| !c.is_ascii_digit()).collect() };
    let shape = |name: &str| -> String {
        let name = name
            .to_ascii_lowercase()
            .replace("rn", "m")
            .replace("vv", "w");
        let plain = |c: char| match c {
            '0' => 'o',
            '1' | 'i' => 'l',
            '5' => 's',
            '_' | '.' | ':' => '-',
            c => c,
        };
        name.chars().map(plain).collect()
    };
    if a == b {
        return false;
    }
    if shape(a) == shape(b) {
        return true;
    }
    if bare(a) == bare(b) {
        return false;
    }
    let longest = a.len().max(b.len());
    let most = match longest {
        0..=5 => 0,
        6..=11 => 1,
        _ => 2,
    };
    most > 0 && distance(a, b, most).is_some()
}

/// Edits that make one of the other, if there are no more than `most`: letters put in, taken out,
/// replaced, or two neighbours swapped.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let width = b.len() + 1;
    let mut rows: Vec<Vec<usize>> = vec![(0..width).collect()];
    for (i, x) in a.iter().enumerate() {
        let above = rows.last().cloned().unwrap_or_default();
        let two_above = i.checked_sub(1).and_then(|at| rows.get(at)).cloned();
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (get(&above, j) + usize::from(x != y))
                .min(get(&above, j + 1) + 1)
                .min(get(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped && let Some(two) = &two_above {
                best = best.min(get(two, j - 1) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    let edits = rows.last()?.last().copied()?;
    (edits <= most).then_some(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_what() {
        for (a, b) in [
            ("apt-dai1y", "apt-daily"),
            ("apt-daliy", "apt-daily"),
            ("logrotatte", "logrotate"),
            ("systemd-tmpfiles-claen", "systemd-tmpfiles-clean"),
            ("unattended_upgrades", "unattended-upgrades"),
            ("rnan-db", "man-db"),
        ] {
            assert!(is_like(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("ssh", "sshd"),
            ("cron", "crond"),
            ("php8.1-fpm", "php8.2-fpm"),
            ("getty1", "getty2"),
            ("backup", "packages"),
            ("nginx", "nginx"),
        ] {
            assert!(!is_like(a, b), "{a} {b}");
        }
    }
}
