//! Names and files that belong to one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process};

/// A word that stands in no other test's command lines and file names.
#[must_use]
pub fn tag() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("whodunit-test-{}-{next}-", process::id())
}

/// Files in directories that are not the test's own, gone when it ends.
#[derive(Debug)]
pub struct Scratch {
    dirs: Vec<PathBuf>,
    tag: String,
}

impl Scratch {
    /// Owns what is called something beginning with the tag in `dirs`.
    #[must_use]
    pub fn new(dirs: &[&Path]) -> Self {
        Self {
            dirs: dirs.iter().map(|dir| dir.to_path_buf()).collect(),
            tag: tag(),
        }
    }

    /// What every name begins with.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The path of `<tag><name>` in the directory with that index.
    #[must_use]
    pub fn path(&self, dir: usize, name: &str) -> String {
        let path = self.dirs[dir].join(format!("{}{name}", self.tag));
        path.to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for dir in &self.dirs {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(&self.tag) {
                    let path = entry.path();
                    // What is left over is only in the way.
                    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
                }
            }
        }
    }
}

/// The Python interpreter itself, past any wrapper script of that name.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let mut command = Command::new("python3");
    command.args(["-c", "import sys; print(sys.executable)"]);
    let output = command.stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = fs::canonicalize(path.trim()).ok();
    if path.is_none() {
        crate::skip("no python3");
    }
    path
}
