//! What a name in a unit load path is to systemd.

use super::unit_name::{UnitName, unit_of_dependency_dir, unit_of_dropin_dir};
use crate::event::FileClass;

/// What a path below a load-path directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its class.
    pub class: FileClass,
    /// The unit concerned: the unit a file defines, the one a link pulls in, or the name a
    /// drop-in directory carries, which can be a prefix (`foo-.service`) or a bare type
    /// (`service`); see [`UnitName::drop_in_stems`].
    pub unit: Option<String>,
    /// For a dependency link the unit that gets the dependency: `timers.target`.
    pub dependent: Option<String>,
}

impl Entry {
    fn of(class: FileClass, unit: Option<String>) -> Self {
        Self {
            class,
            unit,
            dependent: None,
        }
    }

    fn other() -> Self {
        Self::of(FileClass::Other, None)
    }
}

/// Classifies a path relative to a load-path directory by its text alone.
///
/// Names that systemd skips, as `x.timer.dpkg-new` or `.#x.timerABC`, are
/// [`FileClass::Other`]: the rename to the final name is what counts.
#[must_use]
pub fn classify_entry(relative: &str) -> Entry {
    let mut parts = relative.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => Entry::of(FileClass::Directory, None),
        (Some(name), None, _) => top(name),
        (Some(directory), Some(name), None) => nested(directory, name),
        _ => Entry::other(),
    }
}

fn top(name: &str) -> Entry {
    if let Ok(unit) = UnitName::parse(name) {
        Entry::of(FileClass::UnitFile, Some(unit.as_str().to_owned()))
    } else if let Some(scope) = unit_of_dropin_dir(name) {
        Entry::of(FileClass::Directory, Some(scope.stem().to_owned()))
    } else if let Some(dependent) = unit_of_dependency_dir(name) {
        Entry {
            class: FileClass::Directory,
            unit: None,
            dependent: Some(dependent.as_str().to_owned()),
        }
    } else {
        Entry::other()
    }
}

fn nested(directory: &str, name: &str) -> Entry {
    if let Some(scope) = unit_of_dropin_dir(directory) {
        // `conf_files_list` takes `*.conf` and skips dotfiles.
        let read = name.ends_with(".conf") && !name.starts_with('.');
        let class = if read {
            FileClass::DropIn
        } else {
            FileClass::Other
        };
        return Entry::of(class, Some(scope.stem().to_owned()));
    }
    let Some(dependent) = unit_of_dependency_dir(directory) else {
        return Entry::other();
    };
    let unit = UnitName::parse(name)
        .ok()
        .filter(|_| !name.starts_with('.'));
    Entry {
        class: match unit {
            Some(_) => FileClass::DependencyLink,
            None => FileClass::Other,
        },
        unit: unit.map(|unit| unit.as_str().to_owned()),
        dependent: Some(dependent.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(path: &str) -> (FileClass, Option<String>) {
        let entry = classify_entry(path);
        (entry.class, entry.unit)
    }

    #[test]
    fn names_that_count_and_names_that_do_not() {
        let unit = |name: &str| Some(name.to_owned());
        for (path, expected) in [
            ("x.timer", (FileClass::UnitFile, unit("x.timer"))),
            ("/x.timer", (FileClass::UnitFile, unit("x.timer"))),
            (".x.timer", (FileClass::UnitFile, unit(".x.timer"))),
            (
                "x@a@b.service",
                (FileClass::UnitFile, unit("x@a@b.service")),
            ),
            ("x.timer.d", (FileClass::Directory, unit("x.timer"))),
            ("service.d", (FileClass::Directory, unit("service"))),
            (
                "foo-.service.d",
                (FileClass::Directory, unit("foo-.service")),
            ),
            ("timers.target.wants", (FileClass::Directory, None)),
            ("x.timer.d/a.conf", (FileClass::DropIn, unit("x.timer"))),
            ("service.d/z.conf", (FileClass::DropIn, unit("service"))),
            ("x.timer.d/.a.conf", (FileClass::Other, unit("x.timer"))),
            ("x.timer.d/a.conf~", (FileClass::Other, unit("x.timer"))),
            (
                "timers.target.wants/x.timer",
                (FileClass::DependencyLink, unit("x.timer")),
            ),
            (
                "x.service.upholds/y.service",
                (FileClass::DependencyLink, unit("y.service")),
            ),
            ("timers.target.wants/.x.timer", (FileClass::Other, None)),
            ("timers.target.wants/notes", (FileClass::Other, None)),
            ("x.timer.dpkg-new", (FileClass::Other, None)),
            (".#x.timerABC", (FileClass::Other, None)),
            ("x.timer~", (FileClass::Other, None)),
            (".x.timer.swp", (FileClass::Other, None)),
            ("x.timer.d/a/b.conf", (FileClass::Other, None)),
            ("", (FileClass::Directory, None)),
        ] {
            assert_eq!(class(path), expected, "{path}");
        }
        let link = classify_entry("timers.target.wants/x.timer");
        assert_eq!(link.dependent.as_deref(), Some("timers.target"));
    }
}
