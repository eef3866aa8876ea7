//! The timers on disk that lead to a unit, for one manager.
//!
//! What the manager has loaded can differ: files are read at a reload. It is what the manager
//! would do now, and all there is without a bus.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::load_paths::LoadPaths;
use super::name_map::{NameMap, ScanProblem, Target, instantiate};
use super::timer::Timer;
use super::unit_file::{FILE_MAX, UnitFile};
use super::unit_name::{UnitName, UnitType};
use crate::event::Manager;
use crate::host::files::{FileStamp, ReadError, read_regular};
use crate::host::lookup;

/// Most parsed files that are kept.
const MAX_FILES: usize = 50_000;
/// Most bytes of files that are kept parsed, and that one question may read.
const MAX_BYTES: u64 = 32 << 20;
/// Most timers of one manager that are looked at.
const MAX_TIMERS: usize = 4096;
/// Most problems that are kept.
const MAX_PROBLEMS: usize = 64;

/// A timer that leads to a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerRef {
    /// Its name: `upd.timer`.
    pub name: String,
    /// The file that defines it, as found in the load path; for an instance the template's.
    pub path: PathBuf,
    /// Its drop-ins in the order of reading.
    pub drop_ins: Vec<PathBuf>,
    /// The unit it starts, aliases resolved.
    pub unit: String,
    /// What it says.
    pub timer: Timer,
}

/// What could not be read on the way. Each names its path.
#[derive(Debug, thiserror::Error)]
pub enum InstalledProblem {
    /// A directory.
    #[error(transparent)]
    Scan(#[from] ScanProblem),
    /// A file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Timers beyond what is looked at.
    #[error("manager {0} has more than {MAX_TIMERS} timers")]
    TooMany(Manager),
    /// A file beyond what is read at once.
    #[error("{} is not read: the files before it have {MAX_BYTES} bytes", .0.display())]
    TooMuch(PathBuf),
}

/// The timers on disk, with a cache: a directory is listed and a file read again only when its
/// times, size or inode changed.
#[derive(Debug, Default)]
pub struct Installed {
    maps: HashMap<Manager, Known>,
    files: HashMap<PathBuf, (FileStamp, Arc<UnitFile>)>,
    /// What `files` take, in bytes of text.
    kept: u64,
    /// How much the question at hand may still read.
    left: u64,
    problems: Vec<InstalledProblem>,
    /// Where file systems are mounted that may not answer.
    doubtful: Vec<PathBuf>,
}

#[derive(Debug)]
struct Known {
    directories: Vec<String>,
    map: NameMap,
}

impl Installed {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out what lies on a file system that is mounted at one of these points.
    pub fn avoid(&mut self, doubtful: &[PathBuf]) {
        if self.doubtful != doubtful {
            self.doubtful = doubtful.to_vec();
        }
    }

    /// What could not be read since this was last asked.
    pub fn take_problems(&mut self) -> Vec<InstalledProblem> {
        std::mem::take(&mut self.problems)
    }

    /// The timers of `manager` that start `unit`, sorted by name. Masked ones are left out;
    /// instances of a timer's template are found by the instance of `unit` and by dependency links.
    pub fn timers_for(
        &mut self,
        paths: &LoadPaths,
        manager: &Manager,
        unit: &str,
    ) -> Vec<TimerRef> {
        self.left = MAX_BYTES;
        let Some(known) = self.refresh(paths, manager) else {
            return Vec::new();
        };
        let wanted = known.map.canonical(unit);
        let instance = UnitName::parse(unit)
            .ok()
            .and_then(|unit| unit.instance().map(str::to_owned))
            .filter(|instance| !instance.is_empty());
        let mut found = self.read_timers(manager, &known, instance.as_deref());
        found.retain(|timer| timer.unit == wanted);
        self.maps.insert(manager.clone(), known);
        found
    }

    /// Every timer of `manager` that is not masked, sorted by name.
    pub fn timers(&mut self, paths: &LoadPaths, manager: &Manager) -> Vec<TimerRef> {
        self.left = MAX_BYTES;
        let Some(known) = self.refresh(paths, manager) else {
            return Vec::new();
        };
        let found = self.read_timers(manager, &known, None);
        self.maps.insert(manager.clone(), known);
        found
    }

    /// Names of timers of `manager` that are masked, each with the file or link that does it,
    /// sorted.
    pub fn masked_timers(
        &mut self,
        paths: &LoadPaths,
        manager: &Manager,
    ) -> Vec<(String, PathBuf)> {
        let Some(known) = self.refresh(paths, manager) else {
            return Vec::new();
        };
        let names = known.map.names().into_iter().filter_map(|(name, target)| {
            let unit = UnitName::parse(name).ok()?;
            let path = match target {
                Target::Masked(path) => path,
                Target::File(path) if FileStamp::at(path)?.size == 0 => path,
                _ => return None,
            };
            (unit.kind() == UnitType::Timer).then(|| (name.to_owned(), path.clone()))
        });
        let found = names.collect();
        self.maps.insert(manager.clone(), known);
        found
    }

    /// Whether a dependency link pulls the unit in, by one of its names: whether it is enabled.
    pub fn is_pulled(&mut self, paths: &LoadPaths, manager: &Manager, unit: &str) -> bool {
        let Some(known) = self.refresh(paths, manager) else {
            return false;
        };
        let pulled = known.map.pulled();
        let found = pulled.iter().any(|name| known.map.canonical(name) == unit);
        self.maps.insert(manager.clone(), known);
        found
    }

    /// The definition of a unit: its file merged with its drop-ins, and their paths, the file
    /// first. `None` when it has no file or is masked.
    pub fn unit(
        &mut self,
        paths: &LoadPaths,
        manager: &Manager,
        unit: &str,
    ) -> Option<(UnitFile, Vec<PathBuf>)> {
        self.left = MAX_BYTES;
        let known = self.refresh(paths, manager)?;
        let name = UnitName::parse(&known.map.canonical(unit)).ok();
        let read = name.and_then(|name| self.read_unit(&known.map, &name));
        self.maps.insert(manager.clone(), known);
        let (file, path, drop_ins) = read?;
        Some((file, std::iter::once(path).chain(drop_ins).collect()))
    }

    /// Whether all that the unit is made of is as it was at `since`, in nanoseconds since the epoch:
    /// its files, and the directories in which others could be. What only managers and
    /// generators write to does not count. `false` where that is not known.
    pub fn is_untouched_since(
        &mut self,
        paths: &LoadPaths,
        manager: &Manager,
        unit: &str,
        since: u64,
    ) -> bool {
        let Some((_, files)) = self.unit(paths, manager, unit) else {
            return false;
        };
        let Some(known) = self.maps.get(manager) else {
            return false;
        };
        let directories = known.map.directories();
        let mut stamps = directories.chain(
            files
                .iter()
                .map(|path| (path.as_path(), FileStamp::at(path))),
        );
        let is_managers = |path: &Path| {
            let path = path.to_string_lossy();
            path.contains("/systemd/generator") || path.contains("/systemd/transient")
        };
        // An automount point anywhere is nothing to this unit.
        let read = |point: &PathBuf| {
            let mut directories = known.directories.iter();
            !directories.any(|directory| Path::new(directory).starts_with(point))
        };
        known.map.doubtful().iter().all(read)
            && stamps.all(|(path, stamp)| {
                is_managers(path) || stamp.is_none_or(|stamp| stamp.is_before(since))
            })
    }

    /// Takes the names of `manager` out of the cache, scanned anew if something changed.
    fn refresh(&mut self, paths: &LoadPaths, manager: &Manager) -> Option<Known> {
        let directories = paths.unit_dirs(manager);
        let known = self.maps.remove(manager);
        if let Some(known) = known
            && known.directories == directories
            && known.map.doubtful() == self.doubtful
            && known.map.is_current()
        {
            return Some(known);
        }
        if directories.is_empty() {
            return None;
        }
        let mut map = NameMap::scan(directories, &self.doubtful);
        let problems = std::mem::take(&mut map.problems);
        for problem in problems {
            self.problem(problem.into());
        }
        Some(Known {
            directories: directories.to_vec(),
            map,
        })
    }

    fn read_timers(
        &mut self,
        manager: &Manager,
        known: &Known,
        instance: Option<&str>,
    ) -> Vec<TimerRef> {
        let map = &known.map;
        let is_timer = |unit: &UnitName| unit.kind() == UnitType::Timer;
        let mut names = BTreeSet::new();
        for (name, target) in map.names() {
            let Some(unit) = UnitName::parse(name).ok().filter(is_timer) else {
                continue;
            };
            if !matches!(target, Target::File(_)) {
                continue;
            }
            if !unit.is_template() {
                names.insert(name.to_owned());
            } else if let Some(instance) = instance {
                names.insert(instantiate(&unit, Some(instance)));
            }
        }
        let pulled = map.pulled().iter().filter(|name| {
            UnitName::parse(name).is_ok_and(|unit| is_timer(&unit) && unit.template().is_some())
        });
        names.extend(pulled.map(|name| map.canonical(name)));
        if names.len() > MAX_TIMERS {
            self.problem(InstalledProblem::TooMany(manager.clone()));
        }
        let names: Vec<String> = names.into_iter().take(MAX_TIMERS).collect();
        let units = names.iter().filter_map(|name| UnitName::parse(name).ok());
        units
            .filter_map(|name| {
                let (file, path, drop_ins) = self.read_unit(map, &name)?;
                let timer = Timer::new(&name, &file);
                let unit = map.canonical(timer.unit.as_ref()?.as_str());
                Some(TimerRef {
                    name: name.as_str().to_owned(),
                    path,
                    drop_ins,
                    unit,
                    timer,
                })
            })
            .collect()
    }

    fn read_unit(
        &mut self,
        map: &NameMap,
        name: &UnitName,
    ) -> Option<(UnitFile, PathBuf, Vec<PathBuf>)> {
        let path = match map.lookup(name.as_str())? {
            (Target::File(path), _) => path.clone(),
            _ => return None,
        };
        let fragment = self.read(&path, true)?;
        let mut drop_ins = map.drop_ins(name);
        let mut parts = vec![fragment];
        drop_ins.retain(|path| match self.read(path, false) {
            Some(part) => {
                parts.push(part);
                true
            }
            None => false,
        });
        let merged = UnitFile::merge(parts.iter().map(Arc::as_ref));
        Some((merged, path, drop_ins))
    }

    /// A parsed file; `None` if it is not there, cannot be read or is empty where that masks.
    fn read(&mut self, path: &Path, empty_masks: bool) -> Option<Arc<UnitFile>> {
        // What is known already needs no walk along its links, unless they may lead to a file system
        // that does not answer.
        let doubt = !self.doubtful.is_empty();
        if doubt && self.leads_nowhere(path) {
            return None;
        }
        let stamp = FileStamp::at(path)?;
        if let Some((known, file)) = self.files.get(path)
            && *known == stamp
            && stamp.is_settled()
        {
            let masked = empty_masks && stamp.size == 0;
            return (!masked).then(|| Arc::clone(file));
        }
        if !doubt && self.leads_nowhere(path) {
            return None;
        }
        if stamp.size > self.left {
            self.problem(InstalledProblem::TooMuch(path.to_owned()));
            return None;
        }
        let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
        match read_regular(path, limit) {
            Ok((bytes, stamp)) => {
                let (file, _) = UnitFile::parse(&bytes);
                let file = Arc::new(file);
                self.left = self.left.saturating_sub(stamp.size);
                if self.files.len() >= MAX_FILES || self.kept + stamp.size > MAX_BYTES {
                    self.files.clear();
                    self.kept = 0;
                }
                let before = self
                    .files
                    .insert(path.to_owned(), (stamp, Arc::clone(&file)));
                let before = before.map_or(0, |(stamp, _)| stamp.size);
                self.kept = (self.kept + stamp.size).saturating_sub(before);
                (!(empty_masks && stamp.size == 0)).then_some(file)
            }
            Err(error) => {
                if !error.is_missing() {
                    self.problem(error.into());
                }
                None
            }
        }
    }

    /// Whether a path leads to `/dev/null`, to nothing, or to where nobody may answer.
    fn leads_nowhere(&self, path: &Path) -> bool {
        lookup::real_path(path, &self.doubtful).map_or(true, |real| real == Path::new("/dev/null"))
    }

    fn problem(&mut self, problem: InstalledProblem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}
