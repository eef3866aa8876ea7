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
mod tests {
    use super::*;
    use crate::systemd::unit_file::UnitFile;
    use crate::systemd::unit_name::UnitName;

    fn of(lines: &str) -> Vec<Target> {
        let text = format!("[Service]\n{lines}\n");
        let name = UnitName::parse("a.service").expect("a name");
        let (file, _) = UnitFile::parse(text.as_bytes());
        targets(&Service::new(&name, &file))
    }

    fn files(lines: &str) -> Vec<String> {
        let file = |target| match target {
            Target::File(path) => Some(path),
            _ => None,
        };
        of(lines).into_iter().filter_map(file).collect()
    }

    #[test]
    fn what_is_run_sourced_and_read() {
        let cases: [(&str, &[&str]); 22] = [
            ("ExecStart=/opt/a --log /var/log/a", &["/opt/a"]),
            (
                "ExecStart=/opt/a /etc/a.conf /var/lib/a/state",
                &["/etc/a.conf", "/opt/a"],
            ),
            ("ExecStart=/bin/sh /tmp/x.sh", &["/bin/sh", "/tmp/x.sh"]),
            ("ExecStart=/usr/bin/touch /run/x", &["/usr/bin/touch"]),
            (
                "WorkingDirectory=/opt/j\nExecStart=/bin/sh -x run.sh arg",
                &["/bin/sh", "/opt/j/run.sh"],
            ),
            ("ExecStart=/bin/sh run.sh", &["/bin/sh", "/run.sh"]),
            (
                "RootDirectory=/srv/root/\nEnvironmentFile=/etc/e\nExecStart=/run.sh /etc/f",
                &["/etc/e", "/srv/root/etc/f", "/srv/root/run.sh"],
            ),
            ("RootImage=/srv/i.raw\nExecStart=/a", &["/a", "/srv/i.raw"]),
            (
                "ExecStart=/bin/sh -c '. /opt/lib.sh; true'",
                &["/bin/sh", "/opt/lib.sh"],
            ),
            (
                "ExecStart=/bin/sh -ec \"[ ! -x /usr/sbin/x ] || /tmp/y --a=/var/b >/var/log/c\"",
                &["/bin/sh", "/tmp/y", "/usr/sbin/x"],
            ),
            (
                "ExecStart=/bin/bash -c 'for a in 1 2; do /run/z $a; done; cat /etc/q | sh /tmp/s'",
                &["/bin/bash", "/etc/q", "/run/z", "/tmp/s"],
            ),
            (
                "ExecStart=/usr/bin/env -i PATH=/usr/bin sh /opt/l/x.py",
                &["/opt/l/x.py", "/usr/bin/env"],
            ),
            (
                "ExecStart=/usr/bin/python3 -m http.server",
                &["/usr/bin/python3"],
            ),
            (
                "ExecStart=/usr/bin/python3 -c 'exec(open(\"/tmp/p.py\").read())'",
                &["/tmp/p.py", "/usr/bin/python3"],
            ),
            (
                "ExecStart=/usr/bin/python3.11 /tmp/x.py",
                &["/tmp/x.py", "/usr/bin/python3.11"],
            ),
            ("ExecStart=/usr/bin/env /run/x", &["/run/x", "/usr/bin/env"]),
            (
                "ExecStart=/bin/sh /var/tmp/x.sh",
                &["/bin/sh", "/var/tmp/x.sh"],
            ),
            (
                "ExecStart=/usr/bin/tool /etc/tool.conf /var/lib/tool/state",
                &["/etc/tool.conf", "/usr/bin/tool"],
            ),
            (
                "ExecStartPre=-/bin/true ; +!!/bin/a \\; b \";\"\nExecStart=@/usr/bin/python3 name -c \"print('x y')\" %i\n\
                 ExecStart=:|sh /opt/x.sh\nEnvironmentFile=-/etc/default/x\nEnvironmentFile=/run/y\nExecStopPost=-",
                &[
                    "/bin/a",
                    "/bin/true",
                    "/etc/default/x",
                    "/opt/x.sh",
                    "/run/y",
                    "/usr/bin/python3",
                ],
            ),
            ("ExecStart=/bin/sh -c 'rm -f /var/tmp/*'", &["/bin/sh"]),
            ("ExecStart=/bin/sh -c true run.sh", &["/bin/sh"]),
            (
                "ExecStart=/usr/bin/nice /tmp/n",
                &["/tmp/n", "/usr/bin/nice"],
            ),
        ];
        for (lines, expected) in cases {
            assert_eq!(files(lines), expected, "{lines}");
        }
    }

    #[test]
    fn a_name_is_looked_for() {
        let Some(Target::FirstOf(found)) = of("ExecStart=tool").pop() else {
            panic!("a search");
        };
        assert_eq!(
            found.first().map(String::as_str),
            Some("/usr/local/sbin/tool")
        );
        assert_eq!(found.len(), SEARCH_PATH.len());
        let lines = "ExecSearchPath=/opt/a:/opt/b\nExecStart=tool";
        let expected = vec!["/opt/a/tool".to_owned(), "/opt/b/tool".to_owned()];
        assert_eq!(of(lines), [Target::FirstOf(expected)]);
    }

    #[test]
    fn parts_are_run() {
        let found = of("ExecStart=/bin/run-parts --report /opt/hooks");
        assert!(found.contains(&Target::Directory("/opt/hooks".to_owned())));
    }
}
