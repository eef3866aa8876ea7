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

/// Where systemd looks for commands without a slash, unless `ExecSearchPath=` says so (`DEFAULT_PATH`).
pub const SEARCH_PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
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
    /// `RootDirectory=`, without a slash at the end: commands are found below it.
    pub root_directory: Option<String>,
    /// `RootImage=`
    pub root_image: Option<String>,
    /// `WorkingDirectory=`, where it is a path.
    pub working_directory: Option<String>,
    /// `ExecSearchPath=` (250), its directories in order.
    pub search_path: Vec<String>,
    /// `Environment=`, as `NAME=value`.
    pub environment: Vec<String>,
    /// `StandardInput=file:`
    pub standard_input: Option<String>,
    /// `BindPaths=` and `BindReadOnlyPaths=`: a path of the host, and where the service sees it.
    pub binds: Vec<(String, String)>,
    /// What the manager opens or reads for it: `LoadCredential=`, `LoadCredentialEncrypted=`, `OpenFile=`, and the
    /// images of `ExtensionImages=`, `ExtensionDirectories=`, `MountImages=`.
    pub handed: Vec<String>,
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
        let path = |key: &str| {
            let path = expand(file.last(section, key)?.trim_start_matches('-'), name);
            let path = path.trim_end_matches('/').to_owned();
            path.starts_with('/').then_some(path)
        };
        let search = file.values(section, "ExecSearchPath");
        let search = search.iter().flat_map(|value| value.split(':'));
        Self {
            root_directory: path("RootDirectory"),
            root_image: path("RootImage"),
            working_directory: path("WorkingDirectory"),
            search_path: search
                .map(|directory| expand(directory, name))
                .filter(|directory| directory.starts_with('/'))
                .collect(),
            commands,
            user: file.last(section, "User").map(|user| expand(user, name)),
            environment_files: environment_files
                .into_iter()
                .map(|path| expand(path.strip_prefix('-').unwrap_or(path), name))
                .collect(),
            environment: words(file, section, "Environment", name),
            standard_input: file
                .last(section, "StandardInput")
                .and_then(|input| input.strip_prefix("file:"))
                .map(|path| expand(path, name)),
            binds: BINDS
                .iter()
                .flat_map(|key| words(file, section, key, name))
                .filter_map(|bind| bound(&bind))
                .collect(),
            handed: handed(file, section, name),
        }
    }
}

const BINDS: [&str; 2] = ["BindPaths", "BindReadOnlyPaths"];

/// The words of a setting that is a list.
fn words(file: &UnitFile, section: &str, key: &str, name: &UnitName) -> Vec<String> {
    let values = file.values(section, key);
    let words = values.iter().flat_map(|value| split_marked(value));
    words.map(|word| expand(&word.text, name)).collect()
}

/// `SOURCE[:DESTINATION[:OPTIONS]]`, with a `-` for what may be missing.
fn bound(bind: &str) -> Option<(String, String)> {
    let mut parts = bind.trim_start_matches(['-', '+']).split(':');
    let source = parts.next()?.trim_end_matches('/');
    let destination = parts.next().map(|path| path.trim_end_matches(['/', ' ']));
    let seen_as = destination
        .filter(|path| !path.is_empty())
        .unwrap_or(source);
    let both = source.starts_with('/') && seen_as.starts_with('/');
    both.then(|| (source.to_owned(), seen_as.to_owned()))
}

fn handed(file: &UnitFile, section: &str, name: &UnitName) -> Vec<String> {
    let mut found = Vec::new();
    // The name comes first.
    for key in ["LoadCredential", "LoadCredentialEncrypted"] {
        let all = words(file, section, key, name);
        found.extend(
            all.iter()
                .filter_map(|it| Some(it.split_once(':')?.1.to_owned())),
        );
    }
    // The path does, perhaps with a `-`.
    let keys = [
        "OpenFile",
        "ExtensionImages",
        "ExtensionDirectories",
        "MountImages",
    ];
    for key in keys {
        let all = words(file, section, key, name);
        let paths = all.iter().filter_map(|it| it.split(':').next());
        found.extend(paths.map(|path| path.trim_start_matches('-').to_owned()));
    }
    found
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
