//! The distribution's packages: what is installed, what could be, and installing it unattended.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::util;

/// A package, and why it is needed.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
}

/// Shorthand for a table row.
pub(crate) const fn package(name: &'static str, why: &'static str) -> Package {
    Package { name, why }
}

/// The installed version of a package.
pub(crate) fn installed(name: &str) -> Option<String> {
    let format = "${db:Status-Status} ${Version}";
    let text = util::capture(Command::new("dpkg-query").args(["-W", "-f", format, name]))?;
    text.strip_prefix("installed ").map(str::to_owned)
}

/// The packages of a table that are not installed.
pub(crate) fn missing(packages: &[Package]) -> Vec<Package> {
    packages
        .iter()
        .copied()
        .filter(|package| installed(package.name).is_none())
        .collect()
}

/// Whether this machine has apt at all.
pub(crate) fn available() -> bool {
    util::find("apt-get").is_some()
}

/// Fetches the package lists. Retried once: a mirror that is being updated fails for a moment.
pub(crate) fn update() -> Result<()> {
    let update = || -> Result<()> {
        let mut command = apt_get()?;
        util::check_quiet(command.args(["-o", "APT::Update::Error-Mode=any", "update"]))
    };
    update().or_else(|_| update())
}

/// Installs packages, one line for each; from `release` where one is named.
pub(crate) fn install(packages: &[Package], release: Option<&str>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !available() {
        let names: Vec<_> = packages.iter().map(|package| package.name).collect();
        bail!(
            "this machine has no apt; install the equivalent of: {}",
            names.join(" ")
        );
    }
    update()?;
    for Package { name, why } in packages {
        println!("installing {name}: {why}");
    }
    let mut command = apt_get()?;
    // --no-remove: a conflict with something on the machine is the person's to resolve.
    command.args(["install", "--yes", "--no-install-recommends", "--no-remove"]);
    if let Some(release) = release {
        command.args(["--target-release", release]);
    }
    command.args(packages.iter().map(|package| package.name));
    util::check_quiet(&mut command)
}

/// The version that apt would install, after `update`.
pub(crate) fn candidate(name: &str) -> Option<String> {
    let text = util::capture(Command::new("apt-cache").args(["policy", name]))?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (line != "(none)").then(|| line.to_owned())
}

/// This machine's Debian release name, as `bookworm`; None on another distribution.
pub(crate) fn debian_codename() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
    };
    (value("ID").as_deref() == Some("debian")).then(|| value("VERSION_CODENAME"))?
}

/// One source of the machine's apt configuration.
struct Source {
    uri: String,
    codename: String,
}

/// The sources, as apt itself understands its configuration; after `update`.
fn sources() -> Vec<Source> {
    let format = "$(CODENAME)\t$(COMPONENT)\t$(REPO_URI)";
    let text = util::capture(Command::new("apt-get").args(["indextargets", "--format", format]));
    let mut found = Vec::new();
    for line in text.unwrap_or_default().lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [codename, "main", uri] = fields[..] else {
            continue;
        };
        found.push(Source {
            uri: uri.to_owned(),
            codename: codename.to_owned(),
        });
    }
    found
}

/// The URI of the machine's own Debian archive, where it has one configured.
pub(crate) fn archive_uri() -> Option<String> {
    let codename = debian_codename()?;
    sources()
        .into_iter()
        .find(|source| source.codename == codename)
        .map(|source| source.uri)
}

/// Makes sure that `CODENAME-backports` is among the sources, and gives that name.
///
/// Backports have a low priority in apt, so that nothing else on the machine changes.
pub(crate) fn backports(codename: &str) -> Result<String> {
    const FILE: &str = "/etc/apt/sources.list.d/whodunit-backports.sources";
    const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let suite = format!("{codename}-backports");
    if sources().iter().any(|source| source.codename == suite) {
        return Ok(suite);
    }
    let uri = archive_uri()
        .with_context(|| format!("apt has no source for {codename}: add one, and {suite}"))?;
    let mut text = format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n");
    if Path::new(KEYRING).is_file() {
        text.push_str(&format!("Signed-By: {KEYRING}\n"));
    }
    println!("adding {FILE}: {suite} has the QEMU that can boot newer kernels");
    if util::is_root() {
        util::write_if_changed(Path::new(FILE), text.as_bytes(), 0o644)?;
    } else {
        let temporary = std::env::temp_dir().join("whodunit-backports.sources");
        util::write_if_changed(&temporary, text.as_bytes(), 0o644)?;
        let mut install = util::privileged("install")?;
        util::check(install.args(["-m", "644"]).arg(&temporary).arg(FILE))?;
    }
    Ok(suite)
}

fn apt_get() -> Result<Command> {
    let mut command = util::privileged("env")?;
    // Through env, because sudo drops variables.
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    Ok(command)
}
