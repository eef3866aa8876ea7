//! Where systemd looks for units and for what makes units: the built-in lists.
//!
//! Pure tables; [`super::presence`] asks the host which of the directories exist. Orders and
//! names are those of `lookup_paths_init` in systemd's `src/libsystemd/sd-path/path-lookup.c`
//! (247 to 262) and the manual pages systemd.unit(5), systemd.generator(7), systemd.preset(5).
//! A manager can be told other directories (`SYSTEMD_UNIT_PATH`): these lists are a start.

use std::collections::HashSet;

use crate::event::Manager;

/// What systemd takes from a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// Units of PID 1.
    SystemUnits,
    /// Units of user managers.
    UserUnits,
    /// Programs that PID 1 or a user manager runs at each reload to make units.
    Generators,
    /// Programs that set the environment of a manager.
    EnvironmentGenerators,
    /// Init scripts, `rc.local`, `fstab`: what systemd's generators make units of.
    GeneratorSources,
    /// What is enabled on first boot.
    Presets,
    /// `system.conf`, `user.conf` and their drop-ins.
    ManagerConfig,
    /// `environment.d`: the environment of user managers.
    Environment,
    /// Files that name the users whose manager starts at boot.
    Linger,
    /// `stamp-*` files of timers with `Persistent=`.
    TimerStamps,
    /// Extension images: systemd-sysext and systemd-confext mount what is in them over `/usr` and
    /// `/etc`, units too.
    Images,
}

impl Area {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SystemUnits => "system-units",
            Self::UserUnits => "user-units",
            Self::Generators => "generators",
            Self::EnvironmentGenerators => "environment-generators",
            Self::GeneratorSources => "generator-sources",
            Self::Presets => "presets",
            Self::ManagerConfig => "manager-config",
            Self::Environment => "environment",
            Self::Linger => "linger",
            Self::TimerStamps => "timer-stamps",
            Self::Images => "images",
        }
    }
}

/// Whose manager reads a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Serves {
    /// PID 1.
    System,
    /// The manager of one user.
    User(u32),
    /// The managers of all users.
    AllUsers,
    /// The capsule of this name (256 and later).
    Capsule(String),
    /// PID 1 and the managers of users.
    Everyone,
    /// No manager that is known: another root's, a home without a user, a place not yet one.
    Elsewhere,
}

impl Serves {
    /// The one manager meant; `None` when there are several.
    #[must_use]
    pub fn manager(&self) -> Option<Manager> {
        match self {
            Self::System => Some(Manager::System),
            Self::User(uid) => Some(Manager::User(*uid)),
            Self::Capsule(name) => Some(Manager::Capsule(name.clone())),
            Self::AllUsers | Self::Everyone | Self::Elsewhere => None,
        }
    }

    /// Whether `manager` reads the directory.
    #[must_use]
    pub fn includes(&self, manager: &Manager) -> bool {
        match (self, manager) {
            (Self::Everyone, Manager::System | Manager::User(_) | Manager::Capsule(_))
            | (Self::System, Manager::System)
            | (Self::AllUsers, Manager::User(_) | Manager::Capsule(_)) => true,
            (Self::User(uid), Manager::User(of)) => uid == of,
            (Self::Capsule(name), Manager::Capsule(of)) => name == of,
            _ => false,
        }
    }
}

/// Whether a path is one of the directories that generators write to, or lies in one: a manager
/// empties them at each reload (`lookup_paths_flush_generator`).
#[must_use]
pub fn is_generated(path: &str) -> bool {
    let runtime = |path: &str| path.split_once('/').map(|(_, rest)| rest.to_owned());
    let below = if let Some(system) = path.strip_prefix("/run/systemd/") {
        Some(system.to_owned())
    } else {
        // Below the user's id, or the capsule's name.
        let mut runtimes = ["/run/user/", "/run/capsules/"].into_iter();
        let runtime = runtimes.find_map(|dir| runtime(path.strip_prefix(dir)?));
        runtime.and_then(|rest| rest.strip_prefix("systemd/").map(str::to_owned))
    };
    below.is_some_and(|below| {
        let first = below.split('/').next().unwrap_or_default();
        matches!(first, "generator" | "generator.early" | "generator.late")
    })
}

/// One place that systemd reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoadDir {
    /// Absolute path without a slash at the end.
    pub path: String,
    /// What it holds.
    pub area: Area,
    /// Whose manager reads it.
    pub serves: Serves,
    /// Whether this is one file and not a directory.
    pub is_file: bool,
}

impl LoadDir {
    /// A directory; slashes at the end of `path` are dropped.
    #[must_use]
    pub fn new(path: &str, area: Area, serves: Serves) -> Self {
        Self {
            path: path.trim_end_matches('/').to_owned(),
            area,
            serves,
            is_file: false,
        }
    }

    fn file(path: String, area: Area, serves: Serves) -> Self {
        Self {
            path,
            area,
            serves,
            is_file: true,
        }
    }
}

/// The unit load path of PID 1, highest priority first. `/lib` counts on builds with split-usr
/// (Debian 11 and 12); where `/usr` is merged it is another name of the one after it.
pub const SYSTEM_UNIT_DIRS: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// Roots of what is not a unit: generators, presets, configuration.
const ROOTS: [&str; 5] = ["/run", "/etc", "/usr/local/lib", "/lib", "/usr/lib"];

/// What systemd-sysv-generator(8) reads, in the directories of scripts and of run levels.
const INIT_SCRIPTS: [&str; 5] = [
    "/etc/init.d",
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc4.d",
    "/etc/rc5.d",
];

/// Files that systemd-rc-local-generator(8), systemd-fstab-generator(8) and
/// systemd-cryptsetup-generator(8) read.
const GENERATOR_FILES: [&str; 4] = [
    "/etc/rc.local",
    "/etc/rc.d/rc.local",
    "/etc/fstab",
    "/etc/crypttab",
];

/// Where systemd-sysext(8) and systemd-confext(8) look for images.
const IMAGES: [&str; 7] = [
    "/etc/extensions",
    "/run/extensions",
    "/var/lib/extensions",
    "/run/confexts",
    "/var/lib/confexts",
    "/usr/lib/confexts",
    "/usr/local/lib/confexts",
];

/// The unit load path of PID 1, highest priority first.
#[must_use]
pub fn system_units() -> Vec<LoadDir> {
    SYSTEM_UNIT_DIRS
        .iter()
        .map(|path| LoadDir::new(path, Area::SystemUnits, Serves::System))
        .collect()
}

/// Everything that is not a unit directory and not a user's own: generators, environment
/// generators, presets, configuration of managers, linger and timer stamps.
#[must_use]
pub fn common_dirs() -> Vec<LoadDir> {
    let mut dirs = Vec::new();
    for root in ROOTS {
        let base = format!("{root}/systemd");
        for (scope, serves) in [("system", Serves::System), ("user", Serves::AllUsers)] {
            let of = |name: &str, area| {
                LoadDir::new(&format!("{base}/{scope}{name}"), area, serves.clone())
            };
            dirs.push(of("-generators", Area::Generators));
            dirs.push(of("-environment-generators", Area::EnvironmentGenerators));
            dirs.push(of("-preset", Area::Presets));
            dirs.push(of(".conf.d", Area::ManagerConfig));
            let file = format!("{base}/{scope}.conf");
            dirs.push(LoadDir::file(file, Area::ManagerConfig, serves));
        }
        // In /run this directory holds the state of the manager, which changes all the time.
        if root != "/run" {
            dirs.push(LoadDir::new(&base, Area::ManagerConfig, Serves::Everyone));
        }
        let path = format!("{root}/environment.d");
        dirs.push(LoadDir::new(&path, Area::Environment, Serves::AllUsers));
    }
    let linger = LoadDir::new("/var/lib/systemd/linger", Area::Linger, Serves::System);
    let stamps = LoadDir::new("/var/lib/systemd/timers", Area::TimerStamps, Serves::System);
    dirs.extend([linger, stamps]);
    let sources = Area::GeneratorSources;
    dirs.extend(INIT_SCRIPTS.map(|path| LoadDir::new(path, sources, Serves::System)));
    dirs.extend(
        GENERATOR_FILES.map(|path| LoadDir::file(path.to_owned(), sources, Serves::System)),
    );
    dirs.extend(IMAGES.map(|path| LoadDir::new(path, Area::Images, Serves::Everyone)));
    dirs
}

/// The directories a user manager starts from. Each can be moved by the manager's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDirs {
    serves: Serves,
    config_home: String,
    data_home: String,
    runtime: Option<String>,
    config_dirs: Vec<String>,
    data_dirs: Vec<String>,
}

impl UserDirs {
    /// The defaults for a user; `runtime` is `$XDG_RUNTIME_DIR`, mostly `/run/user/UID`.
    #[must_use]
    pub fn new(uid: u32, home: &str, runtime: Option<&str>) -> Self {
        Self::of(Serves::User(uid), home, runtime)
    }

    /// The defaults for a capsule (256 and later).
    #[must_use]
    pub fn capsule(name: &str) -> Self {
        Self::of(
            Serves::Capsule(name.to_owned()),
            &format!("/var/lib/capsules/{name}"),
            Some(&format!("/run/capsules/{name}")),
        )
    }

    fn of(serves: Serves, home: &str, runtime: Option<&str>) -> Self {
        let home = home.trim_end_matches('/');
        Self {
            serves,
            config_home: format!("{home}/.config"),
            data_home: format!("{home}/.local/share"),
            runtime: runtime.map(|path| path.trim_end_matches('/').to_owned()),
            // 247 to 254 default to /etc/xdg, later ones to /etc, which is read in any case.
            config_dirs: vec!["/etc/xdg".to_owned()],
            data_dirs: vec!["/usr/local/share".to_owned(), "/usr/share".to_owned()],
        }
    }

    /// Takes `XDG_*` from the environment block of a running manager (NUL-separated), and
    /// looks at nothing else in it. Paths that are not absolute are ignored, as systemd does.
    #[must_use]
    pub fn with_environment(mut self, block: &[u8]) -> Self {
        let list = |value: &str| -> Vec<String> {
            value.split(':').filter_map(absolute).take(64).collect()
        };
        for entry in block.split(|&byte| byte == 0) {
            let Ok(entry) = std::str::from_utf8(entry) else {
                continue;
            };
            match entry.split_once('=') {
                Some(("XDG_CONFIG_HOME", value)) => set(&mut self.config_home, absolute(value)),
                Some(("XDG_DATA_HOME", value)) => set(&mut self.data_home, absolute(value)),
                Some(("XDG_RUNTIME_DIR", value)) => {
                    self.runtime = absolute(value).or(self.runtime);
                }
                Some(("XDG_CONFIG_DIRS", value)) if !value.is_empty() => {
                    self.config_dirs = list(value);
                }
                Some(("XDG_DATA_DIRS", value)) if !value.is_empty() => {
                    self.data_dirs = list(value);
                }
                _ => {}
            }
        }
        self
    }

    /// Whose these are.
    #[must_use]
    pub fn serves(&self) -> &Serves {
        &self.serves
    }

    /// The unit load path of this user's manager, highest priority first, with the directories
    /// it shares with others.
    #[must_use]
    pub fn units(&self) -> Vec<LoadDir> {
        let own = |path: String| LoadDir::new(&path, Area::UserUnits, self.serves.clone());
        let all = |path: &str| LoadDir::new(path, Area::UserUnits, Serves::AllUsers);
        let config = |name: &str| Some(own(format!("{}/systemd/{name}", self.config_home)));
        let runtime = |name: &str| {
            let base = self.runtime.as_ref()?;
            Some(own(format!("{base}/systemd/{name}")))
        };
        let shared = |bases: &[String]| -> Vec<Option<LoadDir>> {
            bases
                .iter()
                .map(|base| Some(all(&format!("{base}/systemd/user"))))
                .collect()
        };
        let mut dirs = vec![
            config("user.control"),
            runtime("user.control"),
            runtime("transient"),
            runtime("generator.early"),
            config("user"),
            config("user.attached"),
        ];
        dirs.extend(shared(&self.config_dirs));
        dirs.extend([
            Some(all("/etc/systemd/user")),
            runtime("user"),
            runtime("user.attached"),
            Some(all("/run/systemd/user")),
            runtime("generator"),
            Some(own(format!("{}/systemd/user", self.data_home))),
        ]);
        dirs.extend(shared(&self.data_dirs));
        dirs.extend([
            // These four are read wherever `XDG_DATA_DIRS` points.
            Some(all("/usr/local/lib/systemd/user")),
            Some(all("/usr/local/share/systemd/user")),
            Some(all("/usr/lib/systemd/user")),
            Some(all("/usr/share/systemd/user")),
            runtime("generator.late"),
        ]);
        let mut seen = HashSet::new();
        dirs.into_iter()
            .flatten()
            .filter(|dir| seen.insert(dir.path.clone()))
            .collect()
    }

    /// This user's own places that are not unit directories.
    #[must_use]
    pub fn others(&self) -> Vec<LoadDir> {
        let own = |path: String, area| LoadDir::new(&path, area, self.serves.clone());
        let config = &self.config_home;
        vec![
            own(format!("{config}/systemd"), Area::ManagerConfig),
            own(format!("{config}/systemd/user.conf.d"), Area::ManagerConfig),
            own(format!("{config}/systemd/user-preset"), Area::Presets),
            own(format!("{config}/environment.d"), Area::Environment),
            own(
                format!("{}/systemd/timers", self.data_home),
                Area::TimerStamps,
            ),
        ]
    }
}

fn set(slot: &mut String, value: Option<String>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn absolute(path: &str) -> Option<String> {
    let path = path.trim_end_matches('/');
    (path.starts_with('/') && path.len() < 4096).then(|| path.to_owned())
}

#[cfg(test)]
mod tests;
