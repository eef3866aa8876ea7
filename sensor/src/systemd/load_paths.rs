//! The load paths of every manager together: what a path on the host is to systemd.
//!
//! Pure; [`super::presence`] fills it from the host.

use std::collections::{BTreeSet, HashMap};

use super::entry::{Entry, classify_entry};
use super::load_path::{Area, LoadDir, Serves, UserDirs, common_dirs, system_units};
use super::unit_name::UnitName;
use crate::event::{FileClass, Manager};

/// What a path is to systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What the directory holds that decided.
    pub area: Area,
    /// What the path is.
    pub class: FileClass,
    /// The unit concerned, as in [`Entry::unit`].
    pub unit: Option<String>,
    /// For a dependency link the unit that gets the dependency.
    pub dependent: Option<String>,
    /// Whose manager reads it.
    pub serves: Serves,
}

impl Classified {
    /// The one manager that reads it; `None` when several do.
    #[must_use]
    pub fn manager(&self) -> Option<Manager> {
        self.serves.manager()
    }
}

/// Every place known, of every manager.
///
/// Grows when users, capsules or directories are added; nothing is ever taken out, since what
/// was a load path once can be one again at the next reload.
#[derive(Clone, Debug, Default)]
pub struct LoadPaths {
    dirs: Vec<LoadDir>,
    by_path: HashMap<String, usize>,
    /// Directories on the way to one of `dirs`, with one that they lead to.
    ways: HashMap<String, usize>,
    /// Unit load path of each manager, highest priority first.
    orders: HashMap<Manager, Vec<String>>,
    users: Vec<UserDirs>,
}

/// Most places that are only one user's and are taken from what his manager says.
const MAX_OWN_DIRS: usize = 128;

/// Bound on the places kept: 22 for each of some thousand users.
const MAX_DIRS: usize = 100_000;

impl LoadPaths {
    /// The lists that systemd is built with: PID 1's and what all user managers share.
    #[must_use]
    pub fn builtin() -> Self {
        let mut all = Self::default();
        let system = system_units();
        let order = system.iter().map(|dir| dir.path.clone()).collect();
        all.orders.insert(Manager::System, order);
        let shared = UserDirs::new(0, "/", None).units();
        let shared = shared
            .into_iter()
            .filter(|dir| dir.serves == Serves::AllUsers);
        for dir in system.into_iter().chain(shared).chain(common_dirs()) {
            all.add(dir);
        }
        all
    }

    /// Adds a place; `false` if it was there (the first one stays) or there is no room.
    pub fn add(&mut self, dir: LoadDir) -> bool {
        if self.by_path.contains_key(&dir.path) || self.dirs.len() >= MAX_DIRS {
            return false;
        }
        let index = self.dirs.len();
        for ancestor in ancestors(&dir.path).skip(1) {
            self.ways.entry(ancestor.to_owned()).or_insert(index);
        }
        self.by_path.insert(dir.path.clone(), index);
        self.dirs.push(dir);
        true
    }

    /// Adds another name of a place that is known, as the target of a link on the way to it.
    pub fn add_alias(&mut self, alias: &str, of: &str) {
        if let Some(&index) = self.by_path.get(of)
            && self.by_path.len() < MAX_DIRS
        {
            let alias = alias.trim_end_matches('/').to_owned();
            self.by_path.entry(alias).or_insert(index);
        }
    }

    /// Adds the places of a user's or capsule's manager.
    pub fn add_user(&mut self, user: UserDirs) {
        let units = user.units();
        if let Some(manager) = user.serves().manager() {
            let order = units.iter().map(|dir| dir.path.clone()).collect();
            self.orders.insert(manager, order);
        }
        for dir in units.into_iter().chain(user.others()) {
            self.add(dir);
        }
        if !self.users.contains(&user) {
            self.users.push(user);
        }
    }

    /// Takes the load path that a manager itself states (`Manager.UnitPath`), highest first.
    /// Managers leave out what does not exist: a part of the known list, in its order, changes
    /// nothing. Returns what is not taken of a user's manager, which may name what it likes.
    pub fn set_unit_path(&mut self, manager: &Manager, paths: &[String]) -> Vec<String> {
        let (area, serves) = match manager {
            Manager::System => (Area::SystemUnits, Serves::System),
            Manager::User(uid) => (Area::UserUnits, Serves::User(*uid)),
            Manager::Capsule(name) => (Area::UserUnits, Serves::Capsule(name.clone())),
            Manager::Container(_) => return Vec::new(),
        };
        let mut known = self.unit_dirs(manager).iter();
        if !paths.is_empty() && paths.iter().all(|path| known.any(|known| known == path)) {
            return Vec::new();
        }
        let trusted = *manager == Manager::System;
        let room = if trusted { usize::MAX } else { MAX_OWN_DIRS };
        let own = self.dirs.iter().filter(|dir| dir.serves == serves).count();
        let mut left = room.saturating_sub(own);
        let (mut order, mut refused) = (Vec::new(), Vec::new());
        for path in paths.iter().filter_map(|path| normalize(path)) {
            if self.by_path.contains_key(&path) {
                order.push(path);
            } else if trusted || left > 0 && !self.ways.contains_key(&path) && path != "/" {
                self.add(LoadDir::new(&path, area, serves.clone()));
                left = left.saturating_sub(1);
                order.push(path);
            } else if refused.len() < MAX_OWN_DIRS {
                refused.push(path);
            }
        }
        self.orders.insert(manager.clone(), order);
        refused
    }

    /// Every place, in the order in which they were added.
    #[must_use]
    pub fn dirs(&self) -> &[LoadDir] {
        &self.dirs
    }

    /// The places at and below any of `above`, by any of their names.
    #[must_use]
    pub fn dirs_below(&self, above: &BTreeSet<String>) -> Vec<LoadDir> {
        let below = |path: &str| ancestors(path).any(|at| above.contains(at));
        let names = self.by_path.iter().filter(|(name, _)| below(name));
        let indices: BTreeSet<usize> = names.map(|(_, &index)| index).collect();
        let dirs = indices.into_iter().filter_map(|index| self.dirs.get(index));
        dirs.cloned().collect()
    }

    /// The directories at and below any of `above` that are on the way to a place or are one.
    #[must_use]
    pub fn directories_below(&self, above: &BTreeSet<String>) -> Vec<String> {
        let below = |path: &&str| ancestors(path).any(|at| above.contains(at));
        let all = self.all_directories();
        all.into_iter().filter(below).map(str::to_owned).collect()
    }

    /// The unit load path of a manager, highest priority first; empty for an unknown one.
    #[must_use]
    pub fn unit_dirs(&self, manager: &Manager) -> &[String] {
        self.orders.get(manager).map_or(&[], Vec::as_slice)
    }

    /// The managers whose load path is known.
    pub fn managers(&self) -> impl Iterator<Item = &Manager> {
        self.orders.keys()
    }

    /// What `path`, as the host sees it, is to systemd; `None` if it is nothing to it.
    ///
    /// The longest directory known that holds the path decides. `/lib` is taken for `/usr/lib`
    /// where only that is listed.
    #[must_use]
    pub fn classify(&self, path: &str) -> Option<Classified> {
        let path = normalize(path)?;
        let found = self.lookup(&path);
        let merged = path.starts_with("/lib/").then(|| format!("/usr{path}"));
        let merged = merged.and_then(|path| self.lookup(&path));
        match (found, merged) {
            // "/usr" is four bytes more for the same directory.
            (Some((depth, _)), Some((longer, merged))) if longer > depth + 4 => Some(merged),
            (found, merged) => found.or(merged).map(|(_, classified)| classified),
        }
    }

    /// The verdict, and how long the path of the directory is that decided.
    fn lookup(&self, path: &str) -> Option<(usize, Classified)> {
        let holder = ancestors(path).find_map(|ancestor| {
            let dir = self.dirs.get(*self.by_path.get(ancestor)?)?;
            // A file holds nothing but itself.
            (!dir.is_file || ancestor.len() == path.len()).then_some((dir, ancestor.len()))
        });
        if let Some((dir, length)) = holder {
            let relative = path.get(length..).unwrap_or_default();
            let mut entry = classify_in(dir, relative.trim_start_matches('/'));
            if self.ways.contains_key(path) {
                entry.class = FileClass::Directory;
            }
            return Some((length, classified(dir, entry)));
        }
        let dir = self.dirs.get(*self.ways.get(path)?)?;
        Some((0, classified(dir, plain(FileClass::Directory))))
    }

    /// Every directory that is on the way to a place or is one, sorted.
    #[must_use]
    pub fn all_directories(&self) -> BTreeSet<&str> {
        let places = self.dirs.iter().filter(|dir| !dir.is_file);
        places
            .map(|dir| dir.path.as_str())
            .chain(self.ways.keys().map(String::as_str))
            .collect()
    }
}

/// What a path would be to a systemd that had it in a load path, by its names alone: below
/// `…/systemd/system`, `…/systemd/user` and their like. For containers' roots, homes of users
/// that passwd does not have, and directories that are to become load paths.
#[must_use]
pub fn classify_by_name(path: &str) -> Option<Classified> {
    let (above, rest) = path.rsplit_once("/systemd/")?;
    let (search, relative) = rest.split_once('/').unwrap_or((rest, ""));
    let (area, known) = match search {
        "system" | "system.control" | "system.attached" => (Area::SystemUnits, true),
        "user" | "user.control" | "user.attached" => (Area::UserUnits, true),
        "transient" | "generator" | "generator.early" | "generator.late" => {
            let user = above.contains("/run/user/");
            (
                if user {
                    Area::UserUnits
                } else {
                    Area::SystemUnits
                },
                true,
            )
        }
        "system-generators" | "user-generators" => (Area::Generators, false),
        "system-environment-generators" | "user-environment-generators" => {
            (Area::EnvironmentGenerators, false)
        }
        "system-preset" | "user-preset" => (Area::Presets, false),
        _ => return None,
    };
    let dir = LoadDir::new(above, area, Serves::Elsewhere);
    let entry = if known {
        classify_entry(relative)
    } else {
        classify_in(&dir, relative)
    };
    Some(classified(&dir, entry))
}

fn classified(dir: &LoadDir, entry: Entry) -> Classified {
    Classified {
        area: dir.area,
        class: entry.class,
        unit: entry.unit,
        dependent: entry.dependent,
        serves: dir.serves.clone(),
    }
}

fn plain(class: FileClass) -> Entry {
    Entry {
        class,
        unit: None,
        dependent: None,
    }
}

/// What `relative` is in a place of this kind.
fn classify_in(dir: &LoadDir, relative: &str) -> Entry {
    if matches!(dir.area, Area::SystemUnits | Area::UserUnits) {
        return classify_entry(relative);
    }
    if dir.is_file {
        return match dir.area {
            Area::GeneratorSources => generator_source(&dir.path),
            _ => plain(FileClass::ManagerConfig),
        };
    }
    if relative.is_empty() {
        return plain(FileClass::Directory);
    }
    if relative.contains('/') || relative.starts_with('.') {
        return plain(FileClass::Other);
    }
    let when = |yes: bool, class| plain(if yes { class } else { FileClass::Other });
    match dir.area {
        Area::SystemUnits | Area::UserUnits => plain(FileClass::Other),
        // Any name but a dotfile is run: a backup `x~` too, if it is executable.
        Area::Generators | Area::EnvironmentGenerators => plain(FileClass::Generator),
        Area::GeneratorSources => generator_source(&format!("{}/{relative}", dir.path)),
        Area::Presets => when(relative.ends_with(".preset"), FileClass::Preset),
        Area::ManagerConfig => {
            let read = if dir.path.ends_with(".conf.d") {
                relative.ends_with(".conf")
            } else {
                matches!(relative, "system.conf" | "user.conf")
            };
            when(read, FileClass::ManagerConfig)
        }
        Area::Environment => when(relative.ends_with(".conf"), FileClass::ManagerConfig),
        Area::Linger => plain(FileClass::Linger),
        Area::Images => plain(FileClass::Image),
        Area::TimerStamps => {
            let name = relative.strip_prefix("stamp-");
            match name.and_then(|name| UnitName::parse(name).ok()) {
                Some(unit) => Entry {
                    unit: Some(unit.as_str().to_owned()),
                    ..plain(FileClass::TimerStamp)
                },
                None => plain(FileClass::Other),
            }
        }
    }
}

/// A file that generators of systemd make units of, with the unit where there is one for it.
fn generator_source(path: &str) -> Entry {
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    let unit = match directory {
        // `sysv_translate_name`: the name of the script, without `.sh`.
        "/etc/init.d" => Some(name),
        "/etc/rc.d" => Some("rc-local"),
        "/etc" => (name == "rc.local").then_some("rc-local"),
        // `S` or `K`, two digits, and the name.
        _ => name.get(3..).filter(|_| name.starts_with(['S', 'K'])),
    };
    let kept = [".dpkg-", ".ucf-", ".rpm"];
    if name.ends_with(['~', '#']) || kept.iter().any(|mark| name.contains(mark)) {
        return plain(FileClass::Other);
    }
    let unit = unit.map(|name| format!("{}.service", name.strip_suffix(".sh").unwrap_or(name)));
    Entry {
        unit: unit.filter(|unit| UnitName::parse(unit).is_ok()),
        ..plain(FileClass::GeneratorSource)
    }
}

/// The path itself, then each directory above it; `/` last.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rsplit_once('/') {
        Some(("", "")) | None => None,
        Some(("", _)) => Some("/"),
        Some((parent, _)) => Some(parent),
    })
}

/// Without doubled and trailing slashes and `.`; `None` for a relative path or one with `..`.
fn normalize(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            _ => {
                clean.push('/');
                clean.push_str(part);
            }
        }
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Some(clean)
}

#[cfg(test)]
mod tests;
