//! What is in the files that units are made of, after a change and before it.
//!
//! Whoever is watched chooses the names and the bytes. So nothing here waits for a FIFO, a lease
//! or a dead server, everything is bounded, and what could not be had is named as a gap.

mod diff;
mod gap;
mod known;
mod pace;
mod place;
mod prime;
mod settings;
mod snapshot;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::event::{Content, FileClass, FileIdentity, LinkTarget, UnitSettings};
use crate::host::mounts::{Mounts, kernel_device};
use crate::systemd::environment_names::line_loads;
use gap::Gap;
use known::{Known, Table};
use pace::Pace;
use place::{Ground, Place};
pub use prime::Primed;
use snapshot::Snapshot;

/// Bounds, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Names of which the last content is known.
    pub files: usize,
    /// What they take in memory together.
    pub kept: usize,
    /// Largest file that is read.
    pub read: u64,
    /// Largest text that is kept and compared.
    pub text: u64,
    /// Largest unit file that is parsed.
    pub parsed: u64,
    /// Longest diff.
    pub diff: usize,
    /// What may be read at once of files larger than `text`.
    pub burst: u64,
    /// What of them may be read in each second after that.
    pub per_second: u64,
    /// What is read of the files that are there at the start, all together.
    pub primed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 8192,
            kept: 16 << 20,
            read: 32 << 20,
            text: 64 << 10,
            parsed: 1 << 20,
            diff: 16 << 10,
            burst: 128 << 20,
            per_second: 8 << 20,
            primed: 16 << 20,
        }
    }
}

/// What is captured.
struct Subject<'a> {
    path: &'a Path,
    class: FileClass,
    unit: Option<&'a str>,
    /// Whether what is found is what is known from then on.
    learn: bool,
}

/// What is known of it so far.
#[derive(Default)]
struct Draft {
    content: Content,
    gaps: Vec<Gap>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands<'a> {
    /// A file with this SHA-256.
    File(&'a str),
    /// A symbolic link that says this.
    Link(&'a str),
    /// Something that was not read.
    Unknown,
}

/// Captures contents, and knows the last one of each name.
#[derive(Debug)]
pub struct Contents {
    limits: Limits,
    table: Table,
    pace: Pace,
    /// What is left of [`Limits::primed`].
    priming: u64,
    /// Whether all that was to be learned at the start was.
    complete: bool,
}

impl Contents {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            table: Table::new(limits.files, limits.kept),
            pace: Pace::new(limits.burst, limits.per_second),
            priming: limits.primed,
            complete: true,
        }
    }

    /// The content of what `path` names now, and how it differs from what was last known under
    /// that name. A link at the end of `path` is a content of its own; where it leads is told as
    /// well.
    ///
    /// `expected` is the file of the event: if the name is another one's by now, there is a gap,
    /// for that one has its own event. `unit` is the name by which a unit file or drop-in is
    /// parsed, as in [`crate::event::Change::unit`].
    pub fn capture(
        &mut self,
        path: &Path,
        expected: Option<&FileIdentity>,
        class: FileClass,
        unit: Option<&str>,
        mounts: &Mounts,
    ) -> Content {
        self.look(
            &Subject {
                path,
                class,
                unit,
                learn: true,
            },
            expected,
            mounts,
        )
    }

    fn look(
        &mut self,
        subject: &Subject<'_>,
        expected: Option<&FileIdentity>,
        mounts: &Mounts,
    ) -> Content {
        let mut draft = Draft::default();
        let mut ground = Ground::new(mounts);
        let done = Place::find(subject.path, false, &mut ground).and_then(|place| {
            if expected.is_some_and(|expected| !is_same(&place, expected)) {
                return Err(Gap::Replaced);
            }
            draft.content.size = Some(place.meta.len());
            draft.content.mode = Some(place.meta.mode());
            if place.meta.is_symlink() {
                self.link(subject, &place, &mut ground, &mut draft)
            } else {
                self.file(subject, &place, &mut draft)
            }
        });
        draft.gaps.extend(done.err());
        draft.content.gap = gap::sentence(&draft.gaps);
        draft.content
    }

    /// As [`Contents::capture`], but what is known stays what it was.
    pub fn glance(
        &mut self,
        path: &Path,
        expected: Option<&FileIdentity>,
        class: FileClass,
        unit: Option<&str>,
        mounts: &Mounts,
    ) -> Content {
        self.look(
            &Subject {
                path,
                class,
                unit,
                learn: false,
            },
            expected,
            mounts,
        )
    }

    /// Whether something is known of what lies under a name.
    #[must_use]
    pub fn knows(&self, path: &Path) -> bool {
        self.previous(path).is_some()
    }

    /// A name was removed. What was last known under it is kept, to be compared with the next
    /// file of that name, and told.
    /// `None` when nothing was.
    pub fn removed(&mut self, path: &Path) -> Option<Content> {
        self.table.removed(path);
        Some(Content {
            previous_sha256: Some(self.previous(path)?),
            ..Content::default()
        })
    }

    /// All names of which something is known that were not removed, as far as was told.
    pub fn standing(&self) -> impl Iterator<Item = &Path> {
        self.table.standing()
    }

    /// Whether something is known of a name that was not removed, as far as was told.
    #[must_use]
    pub fn is_standing(&self, path: &Path) -> bool {
        self.table.is_standing(path)
    }

    /// A file or directory got another name. To be called before [`Contents::capture`] of the new
    /// name, which is still compared with what that name stood for.
    pub fn renamed(&mut self, from: &Path, to: &Path) {
        self.table.renamed(from, to);
    }

    /// All names of which something is known: what a link says, or the SHA-256 of a file.
    pub fn all(&self) -> impl Iterator<Item = (&Path, Stands<'_>)> {
        self.table.all().map(|(path, known)| {
            let stands = match (&known.text, &known.sha256) {
                (Some(text), _) if known.link => Stands::Link(text),
                (_, Some(sha256)) => Stands::File(sha256),
                _ => Stands::Unknown,
            };
            (path, stands)
        })
    }

    /// Whether a file of which nothing is known must be a new one: all that was there at the start
    /// was learned, and nothing was forgotten since.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete && !self.table.has_forgotten()
    }

    fn previous(&self, path: &Path) -> Option<String> {
        let sha256 = self.table.get(path)?.sha256.as_ref()?;
        Some(sha256.to_string())
    }

    fn file(&mut self, of: &Subject<'_>, place: &Place, draft: &mut Draft) -> Result<(), Gap> {
        let found = &mut draft.content;
        found.previous_sha256 = self.previous(of.path);
        found.previous_at = self.table.read_at(of.path);
        let read = self.read(place, of.class)?;
        found.unchanged = found.previous_sha256.as_ref() == Some(&read.sha256);
        found.md5 = Some(read.md5);
        if read.changing {
            draft.gaps.push(Gap::Changing);
        }
        let text = self.text_of(of.class, &read, &mut draft.gaps);
        if let Some(text) = &text {
            let before = self.table.get(of.path).filter(|known| !known.link);
            let lost = before.is_some_and(|known| known.text.is_none());
            let before = before.and_then(|known| known.text.as_deref());
            if !lost {
                found.diff = diff::unified(&name_of(of.path), before, text, self.limits.diff);
            } else if found.previous_sha256.as_ref() != Some(&read.sha256) {
                draft.gaps.push(Gap::NoText);
            }
        }
        let loads_code = loads_code(of.class, read.text.as_deref());
        let before = self.table.get(of.path);
        found.loads_code = loads_code && !before.is_some_and(|known| known.loads_code);
        found.settings = self.settings(of, &read, &mut draft.gaps);
        found.size = Some(read.size);
        let known = Known {
            sha256: Some(read.sha256.as_str().into()),
            text,
            link: false,
            loads_code,
        };
        if of.learn {
            self.table.put(of.path, known);
        }
        found.sha256 = Some(read.sha256);
        Ok(())
    }

    fn link(
        &mut self,
        of: &Subject<'_>,
        place: &Place,
        ground: &mut Ground<'_>,
        draft: &mut Draft,
    ) -> Result<(), Gap> {
        let found = &mut draft.content;
        found.previous_sha256 = self.previous(of.path);
        found.previous_at = self.table.read_at(of.path);
        let text = place.link_text()?.to_string_lossy().into_owned();
        let before = self.table.get(of.path).filter(|known| known.link);
        let before = before.and_then(|known| known.text.as_deref());
        found.unchanged = before == Some(&text);
        found.diff = diff::unified(&name_of(of.path), before, &text, self.limits.diff);
        if of.learn {
            self.table.put(of.path, Known::link(&text));
        }
        let mut target = LinkTarget {
            text,
            ..LinkTarget::default()
        };
        let mut gaps = Vec::new();
        let read = Place::find(of.path, true, ground).and_then(|place| {
            target.path = Some(place.path.to_string_lossy().into_owned());
            target.size = Some(place.meta.len());
            target.mode = Some(place.meta.mode());
            if snapshot::is_null(&place.meta) {
                found.settings = of.unit.and_then(settings::masked);
                return Ok(());
            }
            let read = self.read(&place, of.class)?;
            if read.changing {
                gaps.push(Gap::Changing);
            }
            found.settings = self.settings(of, &read, &mut gaps);
            target.sha256 = Some(read.sha256);
            Ok(())
        });
        gaps.extend(read.err());
        let of_target = |gap| Gap::Target(Box::new(gap));
        draft.gaps.extend(gaps.into_iter().map(of_target));
        found.link = Some(target);
        Ok(())
    }

    fn read(&mut self, place: &Place, class: FileClass) -> Result<Snapshot, Gap> {
        let size = place.meta.len();
        let small = size <= self.limits.text;
        let fits = place.meta.is_file() && size <= self.limits.read;
        if fits && !small && !self.pace.take(size, Instant::now()) {
            return Err(Gap::Paced(size));
        }
        let keep = if is_parsed(class) {
            self.limits.parsed.max(self.limits.text)
        } else {
            self.limits.text
        };
        snapshot::read(place, self.limits.read, keep)
    }

    /// The text, of what is like a unit file and small enough.
    fn text_of(&self, class: FileClass, read: &Snapshot, gaps: &mut Vec<Gap>) -> Option<Arc<str>> {
        if !is_unit_like(class) {
            return None;
        }
        let small = read.size <= self.limits.text;
        let Some(bytes) = read.text.as_ref().filter(|_| small) else {
            gaps.push(Gap::NoDiff(self.limits.text));
            return None;
        };
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            gaps.push(Gap::NotUtf8);
        }
        Some(text.into())
    }

    fn settings(
        &self,
        of: &Subject<'_>,
        read: &Snapshot,
        gaps: &mut Vec<Gap>,
    ) -> Option<UnitSettings> {
        let unit = of.unit.filter(|_| is_parsed(of.class))?;
        let Some(bytes) = &read.text else {
            gaps.push(Gap::NoSettings(self.limits.parsed));
            return None;
        };
        settings::parse(of.class, unit, bytes)
    }
}

/// Whether files of the class are text that is kept and compared. Files that units name are not:
/// they hold secrets (`EnvironmentFile=`), and programs.
fn is_unit_like(class: FileClass) -> bool {
    matches!(
        class,
        FileClass::UnitFile | FileClass::DropIn | FileClass::Preset | FileClass::ManagerConfig
    )
}

/// Whether a file that units name sets a variable that loads code.
fn loads_code(class: FileClass, text: Option<&[u8]>) -> bool {
    let text = text.filter(|_| class == FileClass::Target);
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    let lines = text.into_iter().flat_map(str::lines).map(str::trim_start);
    lines.filter(|line| !line.starts_with('#')).any(line_loads)
}

fn is_parsed(class: FileClass) -> bool {
    matches!(
        class,
        FileClass::UnitFile | FileClass::DropIn | FileClass::DependencyLink
    )
}

/// Whether this is the file that an event is about; what is unknown of that is not compared.
fn is_same(place: &Place, expected: &FileIdentity) -> bool {
    // On btrfs `st_dev` is the subvolume's, and both are seen.
    let devices = [Some(kernel_device(place.meta.dev())), place.device()];
    let same_device = expected.device == 0 || devices.contains(&Some(expected.device));
    expected.inode == 0 || expected.inode == place.meta.ino() && same_device
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
