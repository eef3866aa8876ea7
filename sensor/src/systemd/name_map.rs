//! Which file stands for which unit name, in the directories of one manager: what systemd's
//! `unit_file_build_name_map` builds (`src/shared/unit-file.c`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::unit_name::{UnitName, unit_of_dependency_dir, unit_of_dropin_dir};
use crate::host::files::FileStamp;
use crate::host::lookup::{self, Stop};
use crate::host::rooted::Root;

/// Most entries of one directory that are looked at.
pub const MAX_ENTRIES: usize = 20_000;

/// Most links that lead from an alias to its unit.
const MAX_ALIASES: usize = 16;

/// What a unit name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This file defines it. The path can be a link to a file outside of the load path.
    File(PathBuf),
    /// It is another name of this unit, by the link at this path.
    Alias(String, PathBuf),
    /// The link at this path leads to `/dev/null`.
    Masked(PathBuf),
}

/// Something that could not be looked at. The message names the path.
#[derive(Debug, thiserror::Error)]
pub enum ScanProblem {
    /// A directory that could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A directory on a file system that may not answer.
    #[error("did not look into {}: {} may not answer", path.display(), point.display())]
    Doubtful {
        /// The directory.
        path: PathBuf,
        /// Where the file system is mounted.
        point: PathBuf,
    },
    /// A directory of which only the beginning was read.
    #[error("{} has more than {MAX_ENTRIES} entries", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
}

/// The names of one manager.
#[derive(Debug, Default)]
pub struct NameMap {
    root: Root,
    /// Files and links of names that a directory before had: the name and the path.
    shadowed: Vec<(String, PathBuf)>,
    /// What each name leads to: the first directory that has it decides.
    targets: HashMap<String, Target>,
    /// Files of each drop-in directory by the directory's stem, in the order of the load path:
    /// `stem → [(index of the load-path directory, files)]`.
    drop_ins: HashMap<String, Vec<(usize, Vec<PathBuf>)>>,
    /// Names of units that a dependency link pulls in: instances among them have no file.
    pulled: BTreeSet<String>,
    /// State of every directory looked at; `None` for one that is not there.
    stamps: Vec<(PathBuf, Option<FileStamp>)>,
    /// Whether a change after the scan is sure to show in the stamps.
    settled: bool,
    /// Where file systems are mounted that may not answer.
    doubtful: Vec<PathBuf>,
    /// The real names of the directories scanned.
    inside: BTreeSet<PathBuf>,
    /// What could not be looked at.
    pub problems: Vec<ScanProblem>,
}

impl NameMap {
    /// Scans the directories, highest priority first. What lies on a file system that is mounted at
    /// one of `doubtful` is left out: it may not answer.
    #[must_use]
    pub fn scan<P: AsRef<Path>>(directories: &[P], doubtful: &[PathBuf]) -> Self {
        Self::of(&Root::default(), directories, doubtful)
    }

    /// As [`NameMap::scan`], in a tree that stands for the root of a host.
    #[must_use]
    pub fn scan_in<P: AsRef<Path>>(root: &Root, directories: &[P]) -> Self {
        Self::of(root, directories, &[])
    }

    fn of<P: AsRef<Path>>(root: &Root, directories: &[P], doubtful: &[PathBuf]) -> Self {
        let mut map = Self {
            settled: true,
            doubtful: doubtful.to_vec(),
            root: root.clone(),
            ..Self::default()
        };
        let directories = directories.iter().map(AsRef::as_ref);
        map.inside = directories
            .clone()
            .map(|path: &Path| map.real_path(path))
            .collect();
        for (index, directory) in directories.enumerate() {
            map.scan_directory(index, directory);
        }
        map
    }

    /// Where the file systems are mounted that were left out.
    #[must_use]
    pub fn doubtful(&self) -> &[PathBuf] {
        &self.doubtful
    }

    /// Whether no directory changed since the scan, as far as its times and inode tell.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.stamps
            .iter()
            .all(|(path, stamp)| FileStamp::at(path) == *stamp)
            && self.settled
    }

    /// Every directory that was looked at, and its state then; `None` for one that was not there.
    pub fn directories(&self) -> impl Iterator<Item = (&Path, Option<FileStamp>)> {
        let stamps = self.stamps.iter();
        stamps.map(|(path, stamp)| (path.as_path(), *stamp))
    }

    /// The unit that `name` stands for, through aliases; a template's instance too. The name
    /// itself where nothing is known.
    #[must_use]
    pub fn canonical(&self, name: &str) -> String {
        let mut current = name.to_owned();
        for _ in 0..MAX_ALIASES {
            match self.lookup(&current) {
                Some((Target::Alias(real, _), instance)) => {
                    current = match UnitName::parse(real) {
                        Ok(real) if real.is_template() => instantiate(&real, instance.as_deref()),
                        _ => real.clone(),
                    };
                }
                _ => break,
            }
        }
        current
    }

    /// What a name leads to, for an instance without a file of its own its template's target,
    /// with the instance.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<(&Target, Option<String>)> {
        let unit = UnitName::parse(name).ok()?;
        let instance = unit.instance().map(str::to_owned);
        if let Some(target) = self.targets.get(name) {
            return Some((target, instance));
        }
        let template = unit.template()?;
        Some((self.targets.get(template.as_str())?, instance))
    }

    /// Every name with a file or link, sorted.
    #[must_use]
    pub fn names(&self) -> BTreeMap<&str, &Target> {
        let targets = self.targets.iter();
        targets.map(|(name, it)| (name.as_str(), it)).collect()
    }

    /// Every file and link that does nothing because a directory before has the same name.
    #[must_use]
    pub fn shadowed(&self) -> &[(String, PathBuf)] {
        &self.shadowed
    }

    /// The stems of all drop-in directories with their files, in the order of the load path.
    pub fn all_drop_ins(&self) -> impl Iterator<Item = (&str, &PathBuf)> {
        self.drop_ins.iter().flat_map(|(stem, directories)| {
            let files = directories.iter().flat_map(|(_, files)| files);
            files.map(move |path| (stem.as_str(), path))
        })
    }

    /// Every name that a dependency link pulls in.
    #[must_use]
    pub fn pulled(&self) -> &BTreeSet<String> {
        &self.pulled
    }

    /// The other names of a unit.
    #[must_use]
    pub fn aliases(&self, unit: &str) -> Vec<&str> {
        let of = |target: &Target| matches!(target, Target::Alias(real, _) if real == unit);
        let mut names: Vec<_> = self
            .targets
            .iter()
            .filter(|(_, target)| of(target))
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// The drop-ins of a unit in the order of reading: by file name; of several with one name
    /// the one from the first directory, by the load path and then from the special to the general.
    #[must_use]
    pub fn drop_ins(&self, unit: &UnitName) -> Vec<PathBuf> {
        let mut chosen: BTreeMap<String, &PathBuf> = BTreeMap::new();
        let mut names = vec![unit.clone()];
        let aliases = self.aliases(unit.as_str());
        names.extend(aliases.iter().filter_map(|it| UnitName::parse(it).ok()));
        for name in &names {
            let mut stems = name.drop_in_stems();
            // The bare type comes last, after the whole load path.
            let general = stems.pop();
            self.choose(&stems, &mut chosen);
            self.choose(general.as_slice(), &mut chosen);
        }
        chosen.into_values().cloned().collect()
    }

    fn choose<'a>(&'a self, stems: &[String], chosen: &mut BTreeMap<String, &'a PathBuf>) {
        let mut found: Vec<(usize, usize, &Vec<PathBuf>)> = Vec::new();
        for (rank, stem) in stems.iter().enumerate() {
            let directories = self.drop_ins.get(stem).into_iter().flatten();
            found.extend(directories.map(|(index, files)| (*index, rank, files)));
        }
        found.sort_by_key(|(index, rank, _)| (*index, *rank));
        for path in found.into_iter().flat_map(|(.., files)| files) {
            if let Some(name) = path.file_name() {
                let name = name.to_string_lossy().into_owned();
                chosen.entry(name).or_insert(path);
            }
        }
    }

    /// The path without links, as far as it exists.
    fn real_path(&self, path: &Path) -> PathBuf {
        let real = if self.root.is_host() {
            lookup::real_path(path, &self.doubtful).ok()
        } else {
            self.root.canonicalize(path).ok()
        };
        real.unwrap_or_else(|| path.to_owned())
    }

    fn scan_directory(&mut self, index: usize, directory: &Path) {
        for name in self.list(directory) {
            let path = directory.join(&name);
            if let Ok(unit) = UnitName::parse(&name) {
                self.take_unit(unit, path);
            } else if let Some(scope) = unit_of_dropin_dir(&name) {
                let mut files = self.list(&path);
                files.retain(|name| name.ends_with(".conf") && !name.starts_with('.'));
                let files = files.iter().map(|name| path.join(name)).collect();
                let stem = scope.stem().to_owned();
                self.drop_ins.entry(stem).or_default().push((index, files));
            } else if unit_of_dependency_dir(&name).is_some() {
                let links = self.list(&path);
                self.pulled.extend(
                    links
                        .into_iter()
                        .filter(|name| !name.starts_with('.') && UnitName::parse(name).is_ok()),
                );
            }
        }
    }

    fn take_unit(&mut self, unit: UnitName, path: PathBuf) {
        if self.targets.contains_key(unit.as_str()) {
            self.shadowed.push((unit.as_str().to_owned(), path));
            return;
        }
        let place = self.root.place(&path);
        let Ok(kind) = fs::symlink_metadata(&place).map(|meta| meta.file_type()) else {
            return;
        };
        let target = if kind.is_file() {
            Target::File(path)
        } else if kind.is_symlink() {
            let Ok(text) = fs::read_link(&place) else {
                return;
            };
            match self.link_target(&unit, path, &text) {
                Some(target) => target,
                None => return,
            }
        } else {
            // Directories, FIFOs and devices are skipped, and hide nothing.
            return;
        };
        self.targets.insert(unit.as_str().to_owned(), target);
    }

    /// A link to another name inside the load path is an alias, whether the target exists or
    /// not; of a link to the outside the file is read under the link's own name. `None` for what
    /// systemd refuses: an alias of another kind.
    fn link_target(&self, unit: &UnitName, path: PathBuf, text: &Path) -> Option<Target> {
        let whole = match path.parent() {
            Some(directory) => directory.join(text),
            None => text.to_owned(),
        };
        let null = Path::new("/dev/null");
        // A tree that is no running host may have no devices.
        if whole == null || self.real_path(&whole) == null {
            return Some(Target::Masked(path));
        }
        let inside = whole
            .parent()
            .is_some_and(|directory| self.inside.contains(&self.real_path(directory)));
        let name = text.file_name().and_then(|name| name.to_str());
        let real = name.and_then(|name| UnitName::parse(name).ok());
        match real.filter(|real| inside && real != unit) {
            // An instance that leads to its own template is the template's, no alias.
            Some(real) if unit.template().as_ref() == Some(&real) => Some(Target::File(path)),
            Some(real) if real.kind() == unit.kind() => {
                Some(Target::Alias(real.as_str().to_owned(), path))
            }
            Some(_) => None,
            None => Some(Target::File(path)),
        }
    }

    /// The names in a directory, sorted; none if it is not there.
    fn list(&mut self, directory: &Path) -> Vec<String> {
        if self.root.is_host()
            && let Err(Stop::Doubtful(point)) = lookup::real_path(directory, &self.doubtful)
        {
            self.problems.push(ScanProblem::Doubtful {
                path: directory.to_owned(),
                point,
            });
            return Vec::new();
        }
        let place = if self.root.is_host() {
            directory.to_owned()
        } else {
            let real = self.root.canonicalize(directory);
            real.map_or_else(
                |_| self.root.place(directory),
                |real| self.root.outside(&real),
            )
        };
        let stamp = FileStamp::at(&place);
        self.settled &= stamp.is_none_or(|stamp| stamp.is_settled());
        let entries = fs::read_dir(&place);
        self.stamps.push((place, stamp));
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let nothing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
                if !nothing.contains(&error.kind()) {
                    self.problems.push(ScanProblem::Unreadable {
                        path: directory.to_owned(),
                        source: error,
                    });
                }
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for (count, entry) in entries.enumerate() {
            if count >= MAX_ENTRIES {
                self.problems.push(ScanProblem::TooMany {
                    path: directory.to_owned(),
                });
                break;
            }
            // A name that is not UTF-8 is no unit's.
            let name = entry.map(|entry| entry.file_name().into_string());
            if let Ok(Ok(name)) = name {
                names.push(name);
            }
        }
        names.sort_unstable();
        names
    }
}

/// The instance of a template: `a@i.timer` of `a@.timer`.
#[must_use]
pub fn instantiate(template: &UnitName, instance: Option<&str>) -> String {
    let instance = instance.unwrap_or_default();
    format!("{}@{instance}.{}", template.prefix(), template.kind())
}
