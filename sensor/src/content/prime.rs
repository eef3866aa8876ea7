//! Learns the contents that are there at the start, so that the first change has a diff.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::gap::Gap;
use super::known::Known;
use super::place::{Ground, Place};
use super::{Contents, is_unit_like, loads_code, snapshot};
use crate::event::FileClass;
use crate::host::mounts::Mounts;
use crate::systemd::load_paths::LoadPaths;

/// Most entries that one call looks at: a quarter of the names that are kept, so that a crowded
/// directory leaves room for the others.
const ENTRIES_MAX: usize = 2048;
/// Largest file that is not text and is read.
const PROGRAM_MAX: u64 = 1 << 20;

/// What [`Contents::prime`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Primed {
    /// Files and links whose content is known now.
    pub known: usize,
    /// Those that are not, because they could not be read or a bound was reached.
    pub unknown: usize,
    /// Which those are.
    pub unread: Vec<PathBuf>,
    /// The first reason for that, or why not all was looked at.
    pub gap: Option<String>,
    /// Links, and files that have other names: what is in them can be changed from elsewhere.
    pub elsewhere: Vec<PathBuf>,
}

impl Primed {
    fn missed(&mut self, path: &Path, why: &str) {
        self.unknown += 1;
        if self.unread.len() < ENTRIES_MAX {
            self.unread.push(path.to_owned());
        }
        self.say(path, why);
    }

    fn say(&mut self, path: &Path, why: &str) {
        let sentence = || format!("{}: {why}", path.display());
        self.gap.get_or_insert_with(sentence);
    }
}

impl Contents {
    /// Learns what is in `path`: a file, or a directory and the drop-in and dependency
    /// directories in it. What `paths` takes for nothing to systemd is left out.
    ///
    /// Bounded for each call and, by [`super::Limits::primed`], for all together; nothing that
    /// is known goes for it.
    pub fn prime(&mut self, path: &Path, paths: &LoadPaths, mounts: &Mounts) -> Primed {
        let mut primed = Primed::default();
        let mut ground = Ground::new(mounts);
        match Place::find(path, true, &mut ground) {
            Ok(place) if place.meta.is_dir() => {
                let mut left = ENTRIES_MAX;
                let below =
                    self.directory(path, &place, paths, &mut ground, &mut left, &mut primed);
                for name in below {
                    let path = path.join(&name);
                    match place.child(&name, &mut ground) {
                        // What lies deeper is nothing to systemd.
                        Ok(child) if child.meta.is_dir() => {
                            self.directory(
                                &path,
                                &child,
                                paths,
                                &mut ground,
                                &mut left,
                                &mut primed,
                            );
                        }
                        Ok(_) | Err(Gap::Gone) => {}
                        Err(gap) => primed.missed(&path, &gap.to_string()),
                    }
                }
            }
            // A name that is a link is known as a link.
            Ok(_) => match Place::find(path, false, &mut ground) {
                Ok(place) => self.entry(path, &place, paths, &mut primed),
                Err(gap) => primed.missed(path, &gap.to_string()),
            },
            Err(Gap::Gone) => {}
            Err(gap) => primed.missed(path, &gap.to_string()),
        }
        primed
    }

    /// Learns the files of one directory; gives the directories in it that matter.
    fn directory(
        &mut self,
        path: &Path,
        place: &Place,
        paths: &LoadPaths,
        ground: &mut Ground<'_>,
        left: &mut usize,
        primed: &mut Primed,
    ) -> Vec<OsString> {
        let mut below = Vec::new();
        if let Err(gap) = place.check_type() {
            self.complete = false;
            primed.say(path, &gap.to_string());
            return below;
        }
        let listed = match fs::read_dir(place.again()) {
            Ok(listed) => listed,
            Err(error) => {
                self.complete = false;
                primed.say(path, &Gap::from(error).to_string());
                return below;
            }
        };
        for entry in listed.flatten() {
            if *left == 0 {
                self.complete = false;
                // Worth more than what is odd about one of them.
                primed.gap = None;
                primed.say(path, "more entries than are looked at");
                break;
            }
            *left -= 1;
            let name: OsString = entry.file_name();
            let path = path.join(&name);
            let Some(class) = class_of(&path, paths) else {
                continue;
            };
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if directory != (class == FileClass::Directory) {
                continue;
            }
            if directory {
                below.push(name);
                continue;
            }
            match place.child(&name, ground) {
                Ok(child) => self.entry(&path, &child, paths, primed),
                Err(Gap::Gone) => {}
                Err(gap) => primed.missed(&path, &gap.to_string()),
            }
        }
        below
    }

    fn entry(&mut self, path: &Path, place: &Place, paths: &LoadPaths, primed: &mut Primed) {
        let class = class_of(path, paths).unwrap_or(FileClass::Target);
        if place.meta.is_symlink() || place.meta.nlink() > 1 {
            primed.elsewhere.push(path.to_owned());
        }
        match self.learn(path, place, class) {
            Ok(()) => primed.known += 1,
            Err(why) => {
                // What is no file cannot be loaded.
                self.complete &= !place.meta.is_file() && !place.meta.is_symlink();
                primed.missed(path, &why);
            }
        }
    }

    fn learn(&mut self, path: &Path, place: &Place, class: FileClass) -> Result<(), String> {
        let said = |gap: Gap| gap.to_string();
        let full = || "as much is known already as is kept".to_owned();
        if place.meta.is_symlink() {
            let text = place.link_text().map_err(said)?;
            let known = Known::link(&text.to_string_lossy());
            if !self.table.has_room(path, text.len()) {
                return Err(full());
            }
            self.table.put(path, known);
            return Ok(());
        }
        let keep = self.limits.text;
        let limit = PROGRAM_MAX.min(self.limits.read).min(self.priming);
        let read = snapshot::read(place, limit, keep).map_err(said)?;
        self.priming = self.priming.saturating_sub(read.size);
        let loads_code = loads_code(class, read.text.as_deref());
        let text = read.text.filter(|_| is_unit_like(class));
        let text = text.map(|text| String::from_utf8_lossy(&text).into());
        let known = Known {
            sha256: Some(read.sha256.into()),
            text,
            link: false,
            loads_code,
        };
        let size = usize::try_from(read.size).unwrap_or(usize::MAX);
        let size = if known.text.is_some() { size } else { 0 };
        // Odd bytes take three when they are replaced.
        if !self.table.has_room(path, size.saturating_mul(3)) {
            return Err(full());
        }
        self.table.put(path, known);
        Ok(())
    }
}

/// What a path is to systemd; `None` for what is not read.
fn class_of(path: &Path, paths: &LoadPaths) -> Option<FileClass> {
    let class = paths.classify(path.to_str()?)?.class;
    (class != FileClass::Other).then_some(class)
}
