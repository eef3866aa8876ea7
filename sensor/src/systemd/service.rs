//! What a `.service` file says about what it runs.

use super::unit_file::UnitFile;
use super::unit_name::UnitName;
use super::words::{Word, expand, split_marked};

/// The settings that name commands, in the order in which they run.
pub const EXEC_KEYS: [&str; 8] = [
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
    "ExecReload",
    "ExecReloadPost",
    "ExecStop",
    "ExecStopPost",
];

/// One command of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The setting it is from: `ExecStart`.
    pub key: &'static str,
    /// What is executed: an absolute path, or a name that is looked for in systemd's fixed path.
    pub path: String,
    /// The argument vector; with `@` its first element differs from `path`. Variables
    /// (`$NAME`) are not expanded.
    pub argv: Vec<String>,
    /// The prefix characters, as `-+`.
    pub prefixes: String,
}

impl Command {
    /// Whether a failure is ignored (`-`).
    #[must_use]
    pub fn ignores_failure(&self) -> bool {
        self.prefixes.contains('-')
    }

    /// Whether it runs with full privileges, whatever `User=` says (`+`).
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        self.prefixes.contains('+')
    }
}

/// The `[Service]` section, of a file with its drop-ins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its commands, by setting in the order of [`EXEC_KEYS`].
    pub commands: Vec<Command>,
    /// `User=`
    pub user: Option<String>,
    /// `EnvironmentFile=`, without the `-` that allows it to be missing.
    pub environment_files: Vec<String>,
}

const SECTION: &str = "Service";

impl Service {
    /// Reads the view of the service `name` from its file merged with its drop-ins.
    #[must_use]
    pub fn new(name: &UnitName, file: &UnitFile) -> Self {
        Self::in_section(SECTION, name, file)
    }

    /// As [`Service::new`] for another type that has commands: `[Socket]`, `[Mount]`, `[Swap]`.
    #[must_use]
    pub fn in_section(section: &str, name: &UnitName, file: &UnitFile) -> Self {
        let mut commands = Vec::new();
        for key in EXEC_KEYS {
            for value in file.values(section, key) {
                commands.extend(parse_commands(key, value, name));
            }
        }
        let environment_files = file.values(section, "EnvironmentFile");
        Self {
            commands,
            user: file.last(section, "User").map(|user| expand(user, name)),
            environment_files: environment_files
                .into_iter()
                .map(|path| expand(path.strip_prefix('-').unwrap_or(path), name))
                .collect(),
        }
    }

    /// Every file that the service rests on by an absolute path: what it runs, what it reads, and
    /// arguments that are paths (`/bin/sh /opt/x.sh`). Not those below directories that programs
    /// write to, unless the program runs what it is given: `touch /run/stamp` makes that file.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let commands = self.commands.iter().flat_map(|command| {
            let runs = runs_its_arguments(&command.path);
            let arguments = command.argv.iter().skip(1).map(String::as_str);
            std::iter::once(command.path.as_str())
                .chain(arguments.filter(move |argument| runs || !is_for_output(argument)))
        });
        commands
            .chain(self.environment_files.iter().map(String::as_str))
            .filter(|path| path.starts_with('/') && path.len() > 1)
    }
}

/// The language that a program interprets, by its name: `sh`, `python`, `perl` …
#[must_use]
pub fn interpreter_of(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(match base {
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "mksh" | "ash" | "fish" | "rbash" | "csh"
        | "tcsh" => "shell",
        "busybox" => "busybox",
        "python" | "pypy" => "python",
        "perl" => "perl",
        "ruby" => "ruby",
        "node" | "nodejs" | "deno" | "bun" => "node",
        "php" => "php",
        "lua" | "luajit" => "lua",
        "tclsh" => "tcl",
        "env" => "env",
        _ => return None,
    })
}

/// Programs that run what their arguments name.
const RUNNERS: [&str; 16] = [
    "chroot", "chrt", "doas", "flock", "ionice", "java", "nice", "nohup", "nsenter", "runuser",
    "setpriv", "setsid", "su", "sudo", "timeout", "unshare",
];

/// Whether a program runs what it is given.
fn runs_its_arguments(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    interpreter_of(path).is_some() || RUNNERS.contains(&name)
}

/// Whether a path lies where programs keep what they write.
fn is_for_output(path: &str) -> bool {
    const PLACES: [&str; 6] = ["/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/"];
    PLACES.iter().any(|place| path.starts_with(place))
}

/// `path_simplify` of an absolute path: `//`, `/./` and a slash at the end say nothing.
fn simplified(path: String) -> String {
    if !path.starts_with('/') {
        return path;
    }
    let parts = path.split('/');
    let parts = parts.filter(|part| !matches!(*part, "" | "."));
    let simple = parts.fold(String::new(), |path, part| path + "/" + part);
    if simple.is_empty() { path } else { simple }
}

/// One setting: several commands are parted by a `;` of its own (`config_parse_exec`).
fn parse_commands(key: &'static str, value: &str, unit: &UnitName) -> Vec<Command> {
    split_marked(value)
        // An escaped semicolon comes out of the splitting as `\;`.
        .split(|word| word.text == ";" && !word.quoted)
        .filter_map(|words| parse_command(key, words, unit))
        .collect()
}

fn parse_command(key: &'static str, words: &[Word], unit: &UnitName) -> Option<Command> {
    let (first, rest) = words.split_first()?;
    let first = &first.text;
    let path = first.trim_start_matches(['@', '-', '+', '!', ':', '|']);
    let prefixes = first.get(..first.len() - path.len())?;
    if path.is_empty() {
        return None;
    }
    let path = expand(path, unit);
    let mut argv: Vec<String> = rest
        .iter()
        .map(|word| match word.text.as_str() {
            "\\;" => ";".to_owned(),
            word => expand(word, unit),
        })
        .collect();
    if !prefixes.contains('@') || argv.is_empty() {
        argv.insert(0, path.clone());
    }
    Some(Command {
        key,
        path: simplified(path),
        argv,
        prefixes: prefixes.to_owned(),
    })
}
