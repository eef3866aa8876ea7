//! systemd's own reading of odd unit files, against the agent's: which files it refuses, which lines it
//! passes over, and what is left.
//!
//! The agent is more lenient on purpose: of a line that systemd passes over because of what its value
//! says (an unknown escape, an open quote) it still reads the command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use whodunit::systemd::service::Service;
use whodunit::systemd::unit_file::{ProblemKind, UnitFile};
use whodunit::systemd::unit_name::UnitName;
use whodunit::systemd::words::expand;

use super::answers::{Answer, Dice, answers};

/// Where the machine has them.
const DIR: &str = "/etc/systemd/system";
const FILES: usize = 160;

/// What systemd needs to take the file for a service, whatever follows.
const HEAD: &[u8] = b"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/true\n";

/// Pieces of which files are made.
const PIECES: [&[u8]; 46] = [
    b"[Unit]\nDescription=plain\n",
    b"[Unit]\r\nDescription=crlf \r\nDocumentation=man:x\r\n",
    b"[Unit]\rDescription=bare returns\r",
    b"[Unit]\n\r\n\r\rDescription=mixed ends\n\r",
    b"[Unit]\nDescription=nul\0[Service]\0ExecStart=/bin/echo after nul\0",
    b"[Unit]\nDescription=lines \\\r\n joined over crlf\r\n",
    b"[Unit]\nDescription=lines \\\0 joined over nul\n",
    b"[Unit]\nDescription=one \\\n# between\n two\n",
    b"[Unit]\nDescription=one \\\n  ; between\n\\\n three\n",
    b"[Unit]\nDescription=one \\\n\ntwo=three\n",
    b"[Unit]\nDescription=slashes \\\\\n",
    b"[Unit]\nDescription=slashes \\\\\\\n joined\n",
    b"[Unit]\nDescription=blank after \\ \nDocumentation=man:y\n",
    b"[Unit]\n# comment \\\nDescription=not in the comment\n",
    b"[Unit]\n\\\n# comment\nDescription=behind a lone backslash\n",
    b"[Unit]\nDescription=\"q\" 'r' %% %n %p\n",
    b"[Unit]\nDescription=\n",
    b"[Unit]\nDescription==x=y\n",
    b"[Unit]\n\x0bDescription=vertical tab\n",
    b"[Unit]\n\xc2\xa0Description=no-break space\n",
    b"\xef\xbb\xbf[Unit]\nDescription=behind a mark\n",
    b"[Unit]\n\xef\xbb\xbfDescription=a mark within\n",
    b"[Unit]\nDescription=bad \xff\n",
    b"[Unit]\n# comment \xff\nDescription=after a bad comment\n",
    b"[Unit\nDescription=open section\n",
    b"[Service] trailing\nExecStart=/bin/echo trailing\n",
    b"[]\nExecStart=/bin/echo nameless\n",
    b"[Nothing]\nExecStart=/bin/echo not\n",
    b"[X-Own]\nExecStart=/bin/echo not\n",
    b"[service]\nExecStart=/bin/echo case\n",
    b"no equals\n",
    b"=no key\n",
    b" [Service] \n ExecStart = /bin/echo blanks \t\n",
    b"[Service]\nExecStart=\n",
    b"[Service]\nExecStart=/bin/echo one\\\n# between\n  two\n",
    b"[Service]\nExecStart=-@/bin/echo other arg\n",
    b"[Service]\nExecStart=@-/bin/echo\n",
    b"[Service]\nExecStart=!!/bin/echo x\nExecStart=!/bin/echo y\n",
    b"[Service]\nExecStart=:+-/bin/echo $A ${B}\n",
    b"[Service]\nExecStart=--/bin/echo twice\n",
    b"[Service]\nExecStart=/bin//echo /./x\nExecStart=/./bin/echo y\n",
    b"[Service]\nExecStart=/bin/echo;/bin/true a ;\n",
    b"[Service]\nExecStart=/bin/echo \\x41\\101\\u00e9\\s \"a\\tb\"\n",
    b"[Service]\nExecStart=/bin/echo \\q\n",
    b"[Service]\nExecStart=/bin/echo \"open\n",
    b"[Service]\nExecStart=/bin/echo ; /bin/echo two ; -/bin/echo three\n",
];

fn name(number: usize) -> String {
    format!("oddfile-{number:03}.service")
}

/// Writes the files to `tree`, of which `odd` lists the names.
pub(super) fn generate(dir: &Path) {
    let dice = &mut Dice(0x6f64_6466_696c_6573);
    let tree = dir.join("odd-tree");
    fs::create_dir_all(&tree).unwrap();
    let mut names = String::new();
    for number in 0..FILES {
        let mut bytes = HEAD.to_vec();
        // Each piece once by itself, then some of them together.
        let pieces = match PIECES.get(number) {
            Some(piece) => vec![*piece],
            None => (0..2 + dice.below(4))
                .map(|_| PIECES[dice.below(PIECES.len())])
                .collect(),
        };
        bytes.extend(pieces.concat());
        if dice.below(4) == 0 {
            bytes.pop(); // no end of the last line
        }
        fs::write(tree.join(name(number)), bytes).unwrap();
        names += &name(number);
        names.push('\n');
    }
    fs::write(dir.join("odd"), names).unwrap();
}

/// Numbers of the lines that `systemd-analyze verify` names, by file, with what it says.
fn verified(text: &str) -> BTreeMap<String, BTreeMap<usize, String>> {
    let mut found: BTreeMap<String, BTreeMap<usize, String>> = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line
            .strip_prefix(DIR)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            continue;
        };
        let mut parts = rest.splitn(3, ':');
        let (Some(file), Some(Ok(number)), Some(said)) = (
            parts.next(),
            parts.next().map(str::parse::<usize>),
            parts.next(),
        ) else {
            continue;
        };
        found
            .entry(file.to_owned())
            .or_default()
            .insert(number, said.trim().to_owned());
    }
    found
}

/// `{ path=/bin/echo ; argv[]=/bin/echo a b ; ignore_errors=no ; …`
fn command(shown: &str) -> Option<(String, String, bool)> {
    let (path, rest) = shown.strip_prefix("{ path=")?.split_once(" ; argv[]=")?;
    let (argv, rest) = rest.split_once(" ; ignore_errors=")?;
    Some((path.to_owned(), argv.to_owned(), rest.starts_with("yes")))
}

/// What the format itself objects to, and not what a value says.
fn is_of_format(said: &str) -> bool {
    [
        "Missing '='",
        "Missing key",
        "outside of section",
        "Invalid section header",
        "not UTF-8",
        "invalid UTF-8",
        "UTF-8",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// What is passed over because of its value, which is named behind the words.
fn is_of_value(said: &str) -> bool {
    said.contains("ignoring: ") && !is_of_format(said)
}

/// Compares what systemd said in `out` about the files that are generated in `dir`.
pub(super) fn differences(dir: &Path, out: &Path) -> (Vec<String>, usize) {
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let shown = answers(&read(&out.join("answers.odd")));
    let verified = verified(&read(&out.join("answers.verify")));
    let names = read(&dir.join("odd"));
    let mut faults = Vec::new();
    if names.lines().count() != shown.len() || verified.len() < FILES / 4 {
        let (shown, verified) = (shown.len(), verified.len());
        faults.push(format!(
            "{FILES} files, {shown} shown, {verified} objected to"
        ));
    }
    for (name, answer) in names.lines().zip(&shown) {
        let bytes = fs::read(dir.join("odd-tree").join(name)).unwrap();
        let nothing = BTreeMap::new();
        let said = verified.get(name).unwrap_or(&nothing);
        for fault in of_file(name, &bytes, answer, said) {
            let text = String::from_utf8_lossy(&bytes[HEAD.len()..]).into_owned();
            faults.push(format!("{name}: {fault}\n    {text:?}\n    {said:?}"));
        }
    }
    (faults, shown.len())
}

fn of_file(
    name: &str,
    bytes: &[u8],
    answer: &Answer,
    said: &BTreeMap<usize, String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let one = |key: &str| answer.get(key).map_or("", |values| values[0].as_str());
    let (file, problems) = UnitFile::parse(bytes);
    let fatal = problems.iter().find(|problem| problem.kind.is_fatal());
    let refused = one("LoadState") != "loaded";
    // Later versions refuse a file for a header that earlier ones take for an unknown section's.
    if refused
        && said
            .values()
            .any(|said| said == "Section header invalid '[]'")
    {
        return faults;
    }
    // A command that cannot be run makes systemd refuse the unit, unless its failure is ignored.
    let by_value = said.values().any(|said| is_of_value(said));
    if fatal.is_some() != refused && !(refused && by_value) {
        faults.push(format!("{problems:?}, systemd {}", one("LoadState")));
    }
    // systemd reads no further.
    let last = fatal.map_or(usize::MAX, |problem| problem.line);
    let ours: BTreeSet<usize> = problems
        .iter()
        .filter(|problem| problem.kind != ProblemKind::OpenContinuation)
        .map(|problem| problem.line)
        .filter(|line| *line <= last)
        .collect();
    let theirs: BTreeSet<usize> = said
        .iter()
        .filter(|(_, said)| is_of_format(said))
        .map(|(line, _)| *line)
        .collect();
    // Of what is in sections that systemd does not know it says nothing.
    let unknown = bytes.windows(7).any(|bytes| bytes == b"[X-Own]")
        || said.values().any(|said| said.contains("Unknown section"));
    let agree = match unknown {
        true => theirs.is_subset(&ours),
        false => ours == theirs,
    };
    if !agree {
        faults.push(format!("odd lines {ours:?}, systemd {theirs:?}"));
    }
    if refused {
        return faults;
    }
    let id = UnitName::parse(name).unwrap();
    let described = file.last("Unit", "Description");
    let described = described.map_or_else(|| name.to_owned(), |text| expand(text, &id));
    if described != one("Description") {
        faults.push(format!(
            "described {described:?}, systemd {:?}",
            one("Description")
        ));
    }
    let service = Service::new(&id, &file);
    let starts = service.commands.iter();
    let ours: Vec<_> = starts
        .filter(|command| command.key == "ExecStart")
        .map(|command| {
            let argv = command.argv.join(" ");
            (command.path.clone(), argv, command.ignores_failure())
        })
        .collect();
    let shown = answer.get("ExecStart").into_iter().flatten();
    let theirs: Vec<_> = shown.filter_map(|shown| command(shown)).collect();
    let mut rest = ours.iter();
    let within = theirs.iter().all(|their| rest.any(|our| our == their));
    let agree = match by_value {
        true => within,
        false => ours == theirs,
    };
    if !agree {
        faults.push(format!("runs {ours:?}, systemd {theirs:?}"));
    }
    faults
}

#[test]
fn verify_names_lines() {
    let text = "/etc/systemd/system/a.service:7: Missing '=', ignoring line.\n\
                a.service: Service has no ExecStart=\n\
                /etc/systemd/system/a.service:9: Failed: a:b\n";
    let found = verified(text);
    let lines: Vec<_> = found["a.service"].keys().copied().collect();
    assert_eq!(lines, [7, 9]);
    assert!(is_of_format(&found["a.service"][&7]) && !is_of_format(&found["a.service"][&9]));
}
