//! Which files a service rests on: what it executes, sources and reads.

use super::service::{Command, SEARCH_PATH, Service, interpreter_of};

/// Something that a service rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A file, by an absolute path.
    File(String),
    /// The first of these that exists, as systemd looks for a program without a path.
    FirstOf(Vec<String>),
    /// A directory of which each file is run.
    Directory(String),
}

/// Programs that run what their arguments name.
const RUNNERS: [&str; 16] = [
    "chroot", "chrt", "doas", "flock", "ionice", "java", "nice", "nohup", "nsenter", "runuser",
    "setpriv", "setsid", "su", "sudo", "timeout", "unshare",
];

/// Most words of one command line that are looked at.
const WORDS_MAX: usize = 256;

/// Every file that the service rests on: what it runs, what it reads, and arguments that are paths
/// (`/bin/sh /opt/x.sh`). Not those below directories that programs write to, unless the program runs
/// what it is given: `touch /run/stamp` makes that file.
#[must_use]
pub fn targets(service: &Service) -> Vec<Target> {
    let mut found = Vec::new();
    for command in &service.commands {
        of_command(command, service, &mut found);
    }
    let root = service.root_directory.as_deref().unwrap_or_default();
    for assignment in &service.environment {
        of_variable(assignment, root, &mut found);
    }
    let mut commands = service.commands.iter();
    let runs = commands.any(|command| runs_its_arguments(&command.path));
    let inputs = service.standard_input.iter().chain(&service.handed);
    found.extend(
        inputs
            .filter(|path| is_path(path) && (runs || !is_for_output(path)))
            .map(|path| Target::File(path.clone())),
    );
    of_binds(service, &mut found);
    // Read by the manager, before there is another root.
    let read = service.environment_files.iter().chain(&service.root_image);
    found.extend(
        read.filter(|path| is_path(path))
            .map(|path| Target::File(path.clone())),
    );
    found.sort();
    found.dedup();
    found
}

/// Variables that name what is loaded or run first, and those that name where that is looked for.
const LOADED: [&str; 5] = ["LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "PYTHONSTARTUP"];
const SEARCHED: [&str; 6] = [
    "LD_LIBRARY_PATH",
    "NODE_PATH",
    "PATH",
    "PERL5LIB",
    "PYTHONPATH",
    "RUBYLIB",
];
/// Options for an interpreter.
const OPTIONS: [&str; 3] = ["NODE_OPTIONS", "PERL5OPT", "RUBYOPT"];

/// What a variable of the environment has a program load.
fn of_variable(assignment: &str, root: &str, found: &mut Vec<Target>) {
    let Some((name, value)) = assignment.split_once('=') else {
        return;
    };
    let paths = value
        .split([':', ' '])
        .take(WORDS_MAX)
        .filter(|path| is_path(path));
    if LOADED.contains(&name) {
        found.extend(paths.map(|path| Target::File(format!("{root}{path}"))));
    } else if OPTIONS.contains(&name) {
        let paths = paths_in(value).into_iter();
        found.extend(paths.map(|path| Target::File(format!("{root}{path}"))));
    } else if SEARCHED.contains(&name) {
        // Not those of the system: what is in there is watched where it is run.
        let own = |path: &&str| {
            let path = path.trim_end_matches('/');
            !is_for_output(path)
                && !SEARCH_PATH.contains(&path)
                && (!path.starts_with("/usr/") || path.starts_with("/usr/local/"))
        };
        let path = |path: &str| format!("{root}{}", path.trim_end_matches('/'));
        found.extend(paths.filter(own).map(|it| Target::Directory(path(it))));
    }
}

/// The host's files that a service sees elsewhere: those that are bound, and what is run below.
fn of_binds(service: &Service, found: &mut Vec<Target>) {
    let mut sources = Vec::new();
    for (source, seen_as) in &service.binds {
        if !is_for_output(source) {
            sources.push(Target::File(source.clone()));
        }
        let root = service.root_directory.as_deref().unwrap_or_default();
        let below = |path: &str| {
            let rest = path.strip_prefix(root)?.strip_prefix(seen_as.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{source}{rest}"))
        };
        for target in found.iter() {
            match target {
                Target::File(path) => sources.extend(below(path).map(Target::File)),
                Target::Directory(path) => sources.extend(below(path).map(Target::Directory)),
                Target::FirstOf(paths) => {
                    sources.extend(
                        paths
                            .iter()
                            .filter_map(|path| below(path))
                            .map(Target::File),
                    );
                }
            }
        }
    }
    found.append(&mut sources);
}

fn of_command(command: &Command, service: &Service, found: &mut Vec<Target>) {
    let root = service.root_directory.as_deref().unwrap_or_default();
    let file = |path: &str| Target::File(format!("{root}{path}"));
    if is_path(&command.path) {
        found.push(file(&command.path));
    } else if !command.path.contains('/') {
        let name = &command.path;
        let given = service.search_path.iter().map(String::as_str);
        let fixed = SEARCH_PATH.iter().copied();
        let directories: Vec<&str> = match service.search_path.is_empty() {
            true => fixed.collect(),
            false => given.collect(),
        };
        let candidates = directories.iter().map(|dir| format!("{root}{dir}/{name}"));
        found.push(Target::FirstOf(candidates.collect()));
    }
    let runs = runs_its_arguments(&command.path);
    let interprets = interpreter_of(&command.path).is_some_and(|language| language != "env");
    let mut script = interprets;
    let mut code = false;
    for argument in command.argv.iter().skip(1).take(WORDS_MAX) {
        if code {
            code = false;
            for path in paths_in(argument) {
                found.push(file(&path));
            }
        } else if is_path(argument) {
            script = false;
            if name_of(&command.path) == "run-parts" {
                found.push(Target::Directory(format!("{root}{argument}")));
            } else if runs || !is_for_output(argument) {
                found.push(file(argument));
            }
        } else if interprets && is_code_option(argument) {
            (code, script) = (true, false);
        } else if let Some((option, path)) = argument.split_once('=')
            && is_path(path)
            && !argument.starts_with('/')
        {
            // `env NAME=/path`, `--config=/path`
            if runs && !option.starts_with('-') {
                of_variable(argument, root, found);
            } else if option.starts_with('-') && !is_for_output(path) {
                found.push(file(path));
            }
        } else if argument == "-m" {
            script = false; // a module of Python's
        } else if script && !argument.starts_with(['-', '$', '+']) && !argument.is_empty() {
            // The script, from the directory that the service runs in.
            script = false;
            let directory = service.working_directory.as_deref().unwrap_or("");
            found.push(file(&format!("{directory}/{argument}")));
        }
    }
}

/// `-c`, `-ec`, `-e` of perl: code follows.
fn is_code_option(argument: &str) -> bool {
    let letters = argument.strip_prefix('-').unwrap_or_default();
    !letters.is_empty()
        && letters.chars().all(|letter| letter.is_ascii_alphabetic())
        && letters.ends_with(['c', 'e', 'E'])
}

/// The paths in code of a shell or another language, as far as they stand there as words: of those below
/// directories that programs write to, the ones that are run or sourced.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut runs = true;
    let ends = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                ';' | '&' | '|' | '(' | ')' | '<' | '>' | '\'' | '"' | '`' | '{' | '}' | '=' | ','
            )
    };
    for piece in code.split_inclusive(ends).take(WORDS_MAX) {
        let word = piece.trim_end_matches(ends);
        let whole = !word.contains(['*', '?', '[', '$', '\\', '\n']);
        if is_path(word) && whole && (runs || !is_for_output(word)) {
            paths.push(word.to_owned());
        }
        let starts = [
            ".", "source", "exec", "then", "do", "else", "!", "time", "if",
        ];
        // Quotes and blanks change nothing of what comes next.
        runs = match piece.strip_prefix(word).unwrap_or_default() {
            ";" | "&" | "|" | "(" | "`" | "\n" => true,
            _ if word.is_empty() => runs,
            _ => starts.contains(&word) || interpreter_of(word).is_some(),
        };
    }
    paths
}

fn is_path(text: &str) -> bool {
    text.len() > 1 && text.starts_with('/') && !text.contains(char::is_whitespace)
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether a program runs what it is given.
fn runs_its_arguments(path: &str) -> bool {
    interpreter_of(path).is_some() || RUNNERS.contains(&name_of(path))
}

/// Whether a path lies where programs keep what they write.
fn is_for_output(path: &str) -> bool {
    const PLACES: [&str; 6] = ["/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/"];
    PLACES.iter().any(|place| path.starts_with(place))
}

#[cfg(test)]
mod tests;
