//! The directories and files that managers read, one by one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::{Inventory, Place};
use crate::host::rooted::End;
use crate::systemd::load_path::{Area, LoadDir, Serves};
use crate::systemd::load_paths::LoadPaths;
use crate::systemd::name_map::MAX_ENTRIES;

/// Largest file of configuration that is read.
const CONFIG_MAX: u64 = 1 << 20;
/// Most files and directories that are looked at in all places together.
const MAX_PLACES: usize = 200_000;

/// Adds every place that exists, and what is in it.
pub(super) fn collect(files: &mut Files<'_>, paths: &LoadPaths, inventory: &mut Inventory) {
    let mut seen = BTreeSet::new();
    for dir in paths.dirs() {
        // An image's content is looked at where it is mounted.
        let path = Path::new(&dir.path);
        let trace = files.root.trace(path);
        let End::Found(real) = &trace.end else {
            // Whoever can make a directory that is not there is as good as its owner. In a home
            // that is its user.
            let own = matches!(dir.serves, Serves::User(_) | Serves::Capsule(_));
            if !own && matches!(trace.end, End::Missing(_)) {
                add(files, dir, path.to_owned(), inventory);
            }
            continue;
        };
        if !seen.insert(real.clone()) {
            continue;
        }
        let real = real.clone();
        add(files, dir, path.to_owned(), inventory);
        if !dir.is_file && dir.area != Area::TimerStamps {
            within(files, dir, &real, &mut seen, 0, inventory);
        }
    }
    let preload = LoadDir::new("/etc/ld.so.preload", Area::Environment, Serves::Everyone);
    if files.root.canonicalize(Path::new(&preload.path)).is_ok() {
        add(files, &preload, PathBuf::from(&preload.path), inventory);
    }
}

fn within(
    files: &mut Files<'_>,
    dir: &LoadDir,
    path: &Path,
    seen: &mut BTreeSet<PathBuf>,
    depth: usize,
    inventory: &mut Inventory,
) {
    let names = match files.root.list(path, MAX_ENTRIES) {
        Ok((names, more)) => {
            if more {
                let text = format!("{} has more than {MAX_ENTRIES} entries", path.display());
                inventory.problems.push(text);
            }
            names
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return,
        Err(error) => {
            let text = format!("cannot read {}: {error}", path.display());
            inventory.problems.push(text);
            return;
        }
    };
    for name in names {
        if inventory.places.len() >= MAX_PLACES {
            let text = format!("more than {MAX_PLACES} files in all unit directories");
            if inventory.problems.last() != Some(&text) {
                inventory.problems.push(text);
            }
            return;
        }
        let path = path.join(&name);
        let Ok(meta) = std::fs::symlink_metadata(files.root.place(&path)) else {
            continue;
        };
        if meta.is_symlink() {
            link(files, &path, inventory);
        }
        if meta.is_dir() {
            // `/etc/systemd` holds others of these places, which come in their own turn.
            let holds_units = matches!(dir.area, Area::SystemUnits | Area::UserUnits);
            if holds_units && depth == 0 && seen.insert(path.clone()) {
                add(files, dir, path.clone(), inventory);
                within(files, dir, &path, seen, depth + 1, inventory);
            }
        } else if seen.insert(path.clone()) {
            add(files, dir, path, inventory);
        }
    }
}

fn link(files: &Files<'_>, path: &Path, inventory: &mut Inventory) {
    let target = std::fs::read_link(files.root.place(path));
    if let Ok(target) = target {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        inventory.links.insert(text(path), text(&target));
    }
}

fn add(files: &mut Files<'_>, dir: &LoadDir, path: PathBuf, inventory: &mut Inventory) {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let is_config = matches!(dir.area, Area::ManagerConfig | Area::Environment)
        && name.is_some_and(|name| name.ends_with(".conf") || name == "ld.so.preload");
    let file = files.facts(&path);
    let regular = file.inode().is_some_and(|inode| inode.is(libc::S_IFREG));
    let mut content = None;
    if is_config && regular {
        match files.root.read(&path, CONFIG_MAX) {
            Ok(bytes) => content = Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => inventory.problems.push(error.to_string()),
        }
    }
    let user = match dir.serves {
        Serves::User(uid) => Some(uid),
        _ => None,
    };
    inventory.places.push(Place {
        area: dir.area,
        user,
        file,
        content,
    });
}
